"""What both sides are reduced to before they are compared."""

import os
import re
from collections import Counter
from dataclasses import dataclass

__all__ = ["Fact", "Observation", "normal_path"]

_BEFORE_RANDOM = (
    *("sed", "cc", "sort", "Gm", "zi", "p[iopr]", r"numbers\.o", "tcl_", r"dpkg-deb\.", r"sh-thd\.", r"\.[^/ ]+\."),
    *("tmp_(?:pack|idx|obj|rev)_", "refs_", "packs_", r"(?<=\.git/)t"),
)
_RANDOM = re.compile(
    rf"(?<=/)(?:({'|'.join(_BEFORE_RANDOM)})[A-Za-z0-9]{{6}}|(tmp)[a-z0-9_]{{8}})(?=$|[./ ])",
)
"""Names as sed, gcc, sort, make, zip, patch, Tcl, dpkg, bash, rsync, git and Python make them."""


@dataclass(frozen=True, order=True)
class Fact:
    """Something that a program (the name of its file) did to an object (a path, an address)."""

    program: str
    what: str
    object: str

    def __str__(self) -> str:
        return f"{self.program}: {self.what} {self.object}"


class Observation:
    """All that one run of a program did: facts with how often they happened, and bytes moved."""

    def __init__(self, *, temporary: str) -> None:
        self.facts: Counter[Fact] = Counter()
        self.bytes: Counter[Fact] = Counter()
        self._temporary = temporary

    def add(self, program: str, what: str, object_: str) -> None:
        """One occurrence."""
        self.facts[Fact(program, what, self.name(object_))] += 1

    def move(self, program: str, what: str, object_: str, amount: int) -> None:
        """Bytes read or written. What the kernel makes up anew for each reader has no length of its own."""
        if object_ and not object_.startswith(("/proc/", "/sys/")):
            self.bytes[Fact(program, what, self.name(object_))] += amount

    def name(self, path: str) -> str:
        """The object under a name that is the same in every run."""
        path = re.sub(r"(/dev/shm/PostgreSQL|\.init|/xlogtemp)\.\d+", r"\1.N", path)
        if not path.startswith(self._temporary):
            return re.sub(r"^/proc/\d+/", "/proc/self/", path)
        path = re.sub(r"\.tmp-\d+-", ".tmp-PID-", path.replace(self._temporary, ""))
        path = re.sub(r"/#\d+$", "/#INODE", path)
        return _RANDOM.sub(lambda found: f"{found[1] or found[2]}XXXXXX", path)


def normal_path(path: str, base: str = "/") -> str:
    """Absolute, with the links of its directory followed but not its own."""
    joined = os.path.normpath(os.path.join(base, path))
    directory, name = os.path.split(joined)
    return os.path.join(os.path.realpath(directory), name)
