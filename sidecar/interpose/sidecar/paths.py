"""Paths as they were given, made absolute."""

from pathlib import Path
from typing import Final

from interpose.sidecar.errors import InterposeError

__all__ = ["GONE", "PathError", "absolute", "is_lost"]

GONE: Final = "the working directory was removed, or may not be looked at: go to another one"


class PathError(InterposeError):
    """A path means nothing here."""


def is_lost() -> bool:
    """Whether relative paths mean nothing here."""
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def absolute(path: Path) -> Path:
    """The path from the root on. Raises PathError for a relative one where the working directory is gone."""
    if path.is_absolute():
        return path
    if is_lost():
        raise PathError(GONE if path == Path() else f"{path}: {GONE}")
    return Path.cwd() / path
