"""What a program is that is about to start."""

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from interpose.injector.tree import Tree

__all__ = ["Program", "program_of"]

_MACHINES: Final = {
    2: "sparc", 3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64",
    243: "riscv64", 258: "loongarch64",
}  # fmt: skip
"""By e_machine of elf(5), as uname(2) calls them."""
_PT_INTERP: Final = 3
_HEAD: Final = 4096
_MOST_INTERPRETERS: Final = 4
_USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Program:
    """What its head tells of a program."""

    machine: str
    static: bool
    """It names no loader, so no library gets into it."""
    path: str = ""
    """Where it was found, seen from the root."""
    mode: int = 0
    """st_mode; and whose it is:"""
    user: int = 0
    group: int = 0
    capable: bool = False
    """Whether it has file capabilities."""
    device: int = 0
    """As event.proto has it, like the next two; an inode of 0: the file may have changed meanwhile."""
    inode: int = 0
    birth_time: int = 0

    def cause(self, user: int, group: int, *, gains: bool = True) -> str | None:
        """BlindSpot.Cause of this machine's own program, executed by this user; None if the library gets into it.

        `gains`: it gets the privileges that its file gives it. Then its loader ignores LD_PRELOAD: ld.so(8).
        """
        if self.static:
            return "static"
        privileged = (self.mode & stat.S_ISUID and self.user != user) or (
            self.mode & (stat.S_ISGID | stat.S_IXGRP) == stat.S_ISGID | stat.S_IXGRP and self.group != group
        )
        return "secure_exec" if gains and (privileged or (self.capable and user)) else None


def program_of(tree: Tree, program: str, path: str | None, directory: str) -> Program | None:
    """A program, or the interpreter of a script; None if that cannot be told.

    `program` is looked for as execvp(3) does, with `path` as $PATH, from the working directory `directory`. Raises
    EndlessError.
    """
    for _ in range(_MOST_INTERPRETERS):
        place, file = _first(tree, _places(program, path, directory))
        if file is None:
            return None
        try:
            head = os.read(file, _HEAD)
            if not head.startswith(b"#!"):
                return _program(file, head, place)
        finally:
            os.close(file)
        words = head[2:].split(b"\n", 1)[0].split()
        if not words:
            return None
        program = os.fsdecode(words[0])
    return None


def _program(file: int, head: bytes, place: str) -> Program | None:
    if not head.startswith(b"\x7fELF") or len(head) < 20:
        return None
    order = ">" if head[5] == 2 else "<"
    number = struct.unpack_from(f"{order}H", head, 18)[0]
    status, static, capable = os.fstat(file), not _names_loader(head, order), _is_capable(file)
    return Program(
        _MACHINES.get(number, f"machine {number} of ELF"),
        static,
        place,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        capable,
        os.major(status.st_dev) << 32 | os.minor(status.st_dev),
        status.st_ino,
        _birth_time(file, status) if static or capable or status.st_mode & (stat.S_ISUID | stat.S_ISGID) else 0,
    )


def _birth_time(file: int, status: os.stat_result) -> int:
    from interpose.sidecar.birth import birth_time  # noqa: PLC0415 - most programs are told of by themselves

    return birth_time(file, status)


def _is_capable(file: int) -> bool:
    try:
        return bool(os.getxattr(file, "security.capability"))
    except OSError:
        return False


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


def _first(tree: Tree, places: Iterator[str]) -> tuple[str, int | None]:
    """The first of these that is a regular file, and a descriptor of it."""
    return next(((place, file) for place in places if (file := tree.file(place)) is not None), ("", None))
