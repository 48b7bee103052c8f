"""The files of a container that is about to start, as it will find them, looked at from the host.

That is its root file system with links followed as the container follows them, and what is mounted over that: what
comes from the host is looked at there, below the mount's source. Whoever made the image, or writes into a volume, has
made what is met here: nothing is opened before it is known to be a regular file, and all look-ups together end after
so many steps.
"""

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["EndlessError", "Over", "Tree"]

_MOST_LINKS: Final = 40
"""Of one path, as in the kernel."""
_MOST_NAMES: Final = 256
"""Directories that one may lie in the other: each takes a descriptor."""
_MOST_STEPS: Final = 4096
"""Of all look-ups: a tenth of a second, where ordinary containers need a few dozen."""
_PATH: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class EndlessError(Exception):
    """So many steps were made that no more are."""

    def __init__(self) -> None:
        super().__init__(f"it was not found in {_MOST_STEPS} steps of paths and links")


@dataclass(frozen=True, slots=True)
class Over:
    """Something that is mounted in the container."""

    destination: str
    source: str | None
    """The file or directory of the host that is to be seen there; None for a file system of its own."""


class Tree:
    """One container's files."""

    def __init__(self, root: str, mounts: Iterable[Over]) -> None:
        """`root` is a directory of the host, `mounts` are in the order in which they are made."""
        self._root = root
        self._steps = 0
        self._over: dict[str, str | None] = {}
        for mount in mounts:
            place = self._resolved(mount.destination)
            hidden = [other for other in self._over if other.startswith(f"{place}/")]
            for other in hidden:
                del self._over[other]
            self._over[place] = mount.source

    @property
    def mounted(self) -> frozenset[str]:
        """Where something is mounted."""
        return frozenset(self._over)

    def file(self, path: str) -> int | None:
        """A descriptor of a regular file, to be read; None if there is none. Raises EndlessError."""
        try:
            with _Walk(self, path) as walk:
                return _opened(walk.found)
        except OSError:
            return None

    def left_on_host(self, path: str) -> str | None:
        """The directory that a mount at this path would leave on the host, below the source of another mount."""
        place = self._resolved(path)
        above = place
        while above != "/" and above not in self._over:
            above = above.rpartition("/")[0] or "/"
        source = self._over.get(above)
        if source is None or above == place:
            return None
        made = f"{source.rstrip('/')}{place.removeprefix(above)}"
        with contextlib.suppress(OSError):
            if made.startswith("/") and stat.S_ISDIR(os.lstat(made).st_mode):
                return None
        return made

    def step(self) -> None:
        """Count a step."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise EndlessError

    def enter(self, place: str, name: str, above: int) -> int:
        """A descriptor (O_PATH) of what is at a place, the entry `name` of the directory `above`. Raises OSError."""
        if place not in self._over:
            return os.open(name, _PATH, dir_fd=above)
        source = self._over[place]
        if source is None:
            raise FileNotFoundError(place)  # a new file system, in which is nothing yet, or nothing to execute
        return os.open(source, os.O_PATH | os.O_CLOEXEC)

    def root(self) -> int:
        """A descriptor (O_PATH) of the root. Raises OSError."""
        return os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _resolved(self, path: str) -> str:
        """The path without links; what is not there stays as it stands."""
        try:
            with _Walk(self, path) as walk:
                return walk.place
        except _MissingError as error:
            return os.path.normpath(error.place)
        except (OSError, EndlessError):
            return os.path.normpath(f"/{path.lstrip('/')}")


class _MissingError(FileNotFoundError):
    """There is nothing at a path."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place
        """That path with links followed as far as there is something."""


class _Walk:
    """A path on its way through a tree: the descriptors of the directories that it is in, the root's first."""

    def __init__(self, tree: Tree, path: str) -> None:
        self._tree = tree
        self._names: list[str] = []
        self._open: list[int] = []
        self._left = _pieces(path)

    def __enter__(self) -> Self:
        try:
            self._open.append(self._tree.root())
            self._go()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open:
            os.close(file)

    @property
    def place(self) -> str:
        """Where it has come to."""
        return "/" + "/".join(self._names)

    @property
    def found(self) -> int:
        """The descriptor (O_PATH) of what is there."""
        return self._open[-1]

    def _go(self) -> None:
        links = 0
        while self._left:
            self._tree.step()
            name = self._left.pop()
            if name == "..":
                self._leave(len(self._names) - 1)
            elif name != ".":
                links += self._enter(name)
                if links > _MOST_LINKS:
                    raise OSError

    def _enter(self, name: str) -> bool:
        """Go on to an entry, or to where it leads. True for a link."""
        place = "/" + "/".join([*self._names, name])
        try:
            file = self._tree.enter(place, name, self._open[-1])
        except FileNotFoundError as error:
            raise _MissingError("/".join([place, *reversed(self._left)])) from error
        mode = os.fstat(file).st_mode
        if stat.S_ISLNK(mode):
            try:
                target = os.readlink("", dir_fd=file)
            finally:
                os.close(file)
            if target.startswith("/"):
                self._leave(0)
            self._left += _pieces(target)
            return True
        self._names.append(name)
        self._open.append(file)
        if (self._left and not stat.S_ISDIR(mode)) or len(self._names) > _MOST_NAMES:
            raise NotADirectoryError(place)
        return False

    def _leave(self, depth: int) -> None:
        """Go back up to so many names below the root."""
        while len(self._names) > max(depth, 0):
            self._names.pop()
            os.close(self._open.pop())


def _pieces(path: str) -> list[str]:
    """The names of a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name]


def _opened(found: int) -> int | None:
    if not stat.S_ISREG(os.fstat(found).st_mode):
        return None
    return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
