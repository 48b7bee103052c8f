"""A directory that a container can write, and every way in which the host's side uses a name in it.

Whoever writes there may put a link, a device or a directory where a file was, between any two calls of ours. So no
path is resolved in it: a name is one name, looked up in the open directory; links are never followed, and what is to
be opened is looked at first, by a descriptor that opens nothing (O_PATH). openat2 would add nothing to that: where a
name has no second part, RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS say what O_NOFOLLOW says, and RESOLVE_NO_XDEV is the
comparison of devices in `open_file`; these work on every kernel. tests/unit/test_shared.py finds other uses.
"""

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

__all__ = ["SharedDirectory", "remove_tree"]

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LISTED: Final = 4096
"""Names that are taken from a directory at once, to remove them: a container can make millions."""


class SharedDirectory:
    """An open one. `close` it, or use it as a context manager."""

    def __init__(self, file: int) -> None:
        """Use `open`; `file` is an open directory's descriptor."""
        self.file = file
        self._device = os.fstat(file).st_dev

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open it; only what leads to it is believed. Raises OSError, for a link too."""
        return cls(os.open(directory, _DIRECTORY))

    def close(self) -> None:
        """Let go of it."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def names(self, most: int) -> list[str]:
        """What it has, and no more of it than `most`. Raises OSError."""
        with os.scandir(self.file) as entries:  # closed, or the next one would begin where this one ended
            return [entry.name for entry in itertools.islice(entries, most)]

    def status(self, name: str) -> os.stat_result:
        """Of what stands there itself, a link too. Raises OSError."""
        return os.stat(_one(name), dir_fd=self.file, follow_symlinks=False)

    def open_file(self, name: str, *, write: bool = True) -> int:
        """Open a regular file. OSError for anything else, which is never opened: a device might act, a FIFO wait."""
        place = os.open(_one(name), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.file)
        try:
            status = os.fstat(place)
            if not stat.S_ISREG(status.st_mode) or status.st_dev != self._device:
                raise OSError(errno.EINVAL, "not a regular file", name)
            return os.open(f"/proc/self/fd/{place}", (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC)
        finally:
            os.close(place)

    def make_file(self, name: str, mode: int) -> int:
        """Make a file and open it. Raises OSError, FileExistsError for anything that stands there."""
        return os.open(_one(name), _NEW, mode, dir_fd=self.file)

    def publish(self, file: int, name: str) -> None:
        """Give an open file another name. Raises OSError, FileExistsError for anything that stands there.

        By its descriptor: a link to a file of the host may stand by now where the first name was.
        """
        os.link(f"/proc/self/fd/{file}", _one(name), dst_dir_fd=self.file, follow_symlinks=True)

    def remove_file(self, name: str) -> None:
        """Remove anything but a directory. Raises OSError."""
        os.unlink(_one(name), dir_fd=self.file)

    def clear(self, name: str) -> None:
        """See to it that nothing has this name any more; a directory is given another one. Raises OSError."""
        try:
            self.remove_file(name)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):
            self._rename(name, self, f".{name}.{os.urandom(4).hex()}")

    def permit(self, name: str, mode: int) -> None:
        """Set the permissions of a socket; those of anything else stay as they are. Raises OSError."""
        place = os.open(_one(name), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.file)
        try:
            if stat.S_ISSOCK(os.fstat(place).st_mode):
                Path(f"/proc/self/fd/{place}").chmod(mode)
        finally:
            os.close(place)

    def address(self, name: str) -> str:
        """A path to it for who takes nothing else, of a length that fits a Unix socket's. What binds there follows no
        link."""
        return f"/proc/self/fd/{self.file}/{_one(name)}"

    def empty(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Remove what is in it, until `stopped`; links are not followed. False if something is left.

        A tree may be deeper than calls can nest, so the directories that are found in a directory are moved to the top.
        """
        while names := self.names(_MOST_LISTED):
            if not sum(self._remove_or_flatten(name, stopped) for name in names) or stopped():
                return False
        return True

    def _remove_or_flatten(self, name: str, stopped: Callable[[], bool]) -> bool:
        """Whether there is less of it than before."""
        with contextlib.suppress(OSError):
            self.remove_file(name)
            return True
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=self.file)
            return True
        try:
            inner = SharedDirectory(os.open(name, _DIRECTORY, dir_fd=self.file))
        except OSError:
            return False
        with inner:
            return inner._flatten_into(self, stopped)

    def _flatten_into(self, top: "SharedDirectory", stopped: Callable[[], bool]) -> bool:
        any_gone = False
        while not stopped():
            names = self.names(_MOST_LISTED)
            gone = sum(self._remove_or_move(name, top) for name in names)
            if not gone:
                break
            any_gone = True
        return any_gone

    def _remove_or_move(self, name: str, top: "SharedDirectory") -> bool:
        with contextlib.suppress(OSError):
            self.remove_file(name)
            return True
        with contextlib.suppress(OSError):
            self._rename(name, top, f".moved-{os.urandom(8).hex()}")
            return True
        return False

    def _rename(self, name: str, to: "SharedDirectory", new: str) -> None:
        os.rename(_one(name), new, src_dir_fd=self.file, dst_dir_fd=to.file)


def remove_tree(directory: Path, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Remove a directory that a container could write, until `stopped`. False if some of it is left."""
    try:
        with SharedDirectory.open(directory) as opened:
            opened.empty(stopped)
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _one(name: str) -> str:
    """A name that is one. Raises OSError for a path."""
    if "/" in name or "\0" in name or name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "not a name", name)
    return name
