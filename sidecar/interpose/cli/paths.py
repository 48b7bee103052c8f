"""Paths as they were given, made absolute."""

from pathlib import Path

from interpose.sidecar.errors import InterposeError

__all__ = ["PathError", "absolute"]


class PathError(InterposeError):
    """A path means nothing here."""


def absolute(path: Path) -> Path:
    """The path from the root on. Raises PathError for a relative one in a working directory that was removed."""
    try:
        return Path.cwd() / path
    except OSError as error:
        if path.is_absolute():
            return path
        shown = "." if path == Path() else path
        raise PathError(f"{shown}: the working directory is gone ({error.strerror}): go to another one") from error
