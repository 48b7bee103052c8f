"""What a program in a container's root file system is built for, with links followed as the container follows them."""

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Program", "program_of"]

_MACHINES: Final = {
    2: "sparc", 3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64",
    243: "riscv64", 258: "loongarch64",
}  # fmt: skip
"""By e_machine of elf(5), as uname(2) calls them."""
_PT_INTERP: Final = 3
_HEAD: Final = 4096
_MOST_LINKS: Final = 40
_MOST_INTERPRETERS: Final = 4
_USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Program:
    """What its head tells of a program."""

    machine: str
    static: bool
    """It names no loader, so no library gets into it."""


def program_of(root: str, program: str, path: str | None, directory: str) -> Program | None:
    """A program, or the interpreter of a script; None if that cannot be told.

    `program` is looked for as execvp(3) does, with `path` as $PATH, from the working directory `directory`. Nothing
    outside of `root` is opened.
    """
    for _ in range(_MOST_INTERPRETERS):
        head = next(filter(None, (_head(root, place) for place in _places(program, path, directory))), b"")
        if head.startswith(b"#!"):
            words = head[2:].split(b"\n", 1)[0].split()
            if not words:
                return None
            program = os.fsdecode(words[0])
            continue
        if head.startswith(b"\x7fELF") and len(head) >= 20:
            order = ">" if head[5] == 2 else "<"
            number = struct.unpack_from(f"{order}H", head, 18)[0]
            return Program(_MACHINES.get(number, f"machine {number} of ELF"), not _names_loader(head, order))
        return None
    return None


def _names_loader(head: bytes, order: str) -> bool:
    """Whether one of the program headers is PT_INTERP: they stand at the beginning, whoever linked it."""
    try:
        if head[4] == 2:
            (start,), (size, count) = (
                struct.unpack_from(f"{order}Q", head, 32),
                struct.unpack_from(f"{order}HH", head, 54),
            )
        else:
            (start,), (size, count) = (
                struct.unpack_from(f"{order}I", head, 28),
                struct.unpack_from(f"{order}HH", head, 42),
            )
        kinds = [struct.unpack_from(f"{order}I", head, start + size * number)[0] for number in range(count)]
    except struct.error:
        return True
    return _PT_INTERP in kinds


def _places(program: str, path: str | None, directory: str) -> Iterator[str]:
    if "/" in program:
        yield os.path.join(directory, program)
        return
    for folder in (path or _USUAL_PATH).split(":"):
        yield os.path.join(directory, folder, program)


def _head(root: str, path: str) -> bytes:
    """The first bytes of a regular file under a root, b"" if there is none."""
    try:
        folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        file = _open_below(folder, path)
    except OSError:
        return b""
    finally:
        os.close(folder)
    try:
        return os.read(file, _HEAD)
    finally:
        os.close(file)


def _open_below(root: int, path: str) -> int:
    """Open a file for reading, with every link on the way taken as one of this root. Raises OSError."""
    left = [part for part in reversed(path.split("/")) if part]
    above = [os.dup(root)]
    links = 0
    try:
        while left:
            part = left.pop()
            if part == ".":
                continue
            if part == "..":
                if len(above) > 1:
                    os.close(above.pop())
                continue
            status = os.stat(part, dir_fd=above[-1], follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _MOST_LINKS:
                    raise OSError
                target = os.readlink(part, dir_fd=above[-1])
                if target.startswith("/"):
                    while len(above) > 1:
                        os.close(above.pop())
                left += [piece for piece in reversed(target.split("/")) if piece]
            elif stat.S_ISDIR(status.st_mode):
                flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                above.append(os.open(part, flags, dir_fd=above[-1]))
            elif left or not stat.S_ISREG(status.st_mode):
                raise OSError
            else:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                return os.open(part, flags, dir_fd=above[-1])
        raise OSError
    finally:
        for folder in above:
            os.close(folder)
