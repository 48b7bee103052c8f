"""What a container's first program is built for."""

import os
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
_MOST_INTERPRETERS: Final = 4
_USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Program:
    """What its head tells of a program."""

    machine: str
    static: bool
    """It names no loader, so no library gets into it."""


def program_of(tree: Tree, program: str, path: str | None, directory: str) -> Program | None:
    """A program, or the interpreter of a script; None if that cannot be told.

    `program` is looked for as execvp(3) does, with `path` as $PATH, from the working directory `directory`. Raises
    EndlessError.
    """
    for _ in range(_MOST_INTERPRETERS):
        head = next(filter(None, (tree.head(place) for place in _places(program, path, directory))), b"")
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
