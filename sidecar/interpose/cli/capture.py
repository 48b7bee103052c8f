"""The capture directory: where programs find the library, and the library finds its spool."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from interpose.injector.plan import unloadable
from interpose.sidecar.errors import InterposeError
from interpose.sidecar.native import MissingError, installed
from interpose.sidecar.shared import remove_tree

__all__ = ["LIBRARY", "SPOOL", "CaptureError", "built_library", "make_capture", "prepare_capture"]

LIBRARY = "libinterpose.so"
SPOOL = "spool"
_MODE = 0o711
"""Programs that change their user must find the library too, and need not see who else is there."""
_ROOM = 64 << 20
"""Bytes that a file system must have free, or another is preferred."""


class CaptureError(InterposeError):
    """Nothing can be captured here."""


def built_library() -> Path:
    """The library for this machine. Raises CaptureError if the installation has none."""
    try:
        return installed(LIBRARY)
    except MissingError as error:
        raise CaptureError(str(error)) from error


def make_capture(library: Path) -> Path:
    """A new capture directory of a random name. Raises CaptureError."""
    reason = "no directory to make one in"
    for base in _bases():
        directory = base / f"interpose-{secrets.token_hex(8)}"
        if unloadable(str(directory)) is None:
            try:
                prepare_capture(directory, library)
            except CaptureError as error:
                remove_tree(directory)
                reason = str(error)
            else:
                return directory
    raise CaptureError(reason)


def _bases() -> Iterator[Path]:
    """Where to make capture directories, the best first: in memory, if nobody else may have to reach it."""
    private = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if os.getuid() != 0 and private.is_absolute() and _has_room(private):
        yield private
    yield Path(tempfile.gettempdir())
    yield Path("/tmp")  # noqa: S108 - the directory's name is random, and the directory new


def _has_room(directory: Path) -> bool:
    try:
        free = os.statvfs(directory)
        owner = directory.stat().st_uid
    except OSError:
        return False
    return owner == os.getuid() and os.access(directory, os.W_OK | os.X_OK) and free.f_bavail * free.f_frsize >= _ROOM


def _place(library: Path, there: Path) -> None:
    """A copy, which every user's programs can reach, and which is no second name of a library that is loaded here.

    A link where nothing may be executed from the directory: the loader then maps the library from its own place.
    """
    if os.statvfs(there.parent).f_flag & os.ST_NOEXEC:
        there.symlink_to(library)
    else:
        shutil.copyfile(library, there)
        there.chmod(0o755)


def prepare_capture(directory: Path, library: Path) -> None:
    """Make the directory if it is not there, and put the library into it. Raises CaptureError."""
    reason = unloadable(str(directory / LIBRARY))
    if reason is not None:
        raise CaptureError(reason)
    place = directory / LIBRARY
    try:
        if not directory.is_dir():
            directory.mkdir(mode=_MODE)
            directory.chmod(_MODE)  # whatever the umask
        if not place.exists():
            place.unlink(missing_ok=True)
            _place(library, place)
    except OSError as error:
        raise CaptureError(f"cannot make the capture directory {directory}: {error.strerror}") from error
