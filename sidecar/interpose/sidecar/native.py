"""The part of the sidecar that is in C (sidecar/native): what it does for each event."""

import ctypes
import importlib.resources
import os
from functools import cache
from pathlib import Path
from typing import Final

from interpose.sidecar.errors import InterposeError

__all__ = ["LIBRARY", "MissingError", "installed", "library"]

LIBRARY: Final = "libsidecar.so"


class MissingError(InterposeError):
    """The installation has no library that this machine can use."""


def installed(name: str) -> Path:
    """A library of this installation for this machine. Raises MissingError."""
    machine = os.uname().machine
    try:
        path = Path(str(importlib.resources.files("interpose.lib") / machine / name)).resolve()
    except ModuleNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise MissingError(f"no {name} for {machine} is installed: build it (make), or install a wheel for it")
    return path


@cache
def library() -> ctypes.PyDLL:
    """Its functions. Raises MissingError.

    They keep the interpreter's lock: each takes microseconds, milliseconds for the largest message, and who gives the
    lock away may get it back after 5 ms.
    """
    path = installed(LIBRARY)
    try:
        return ctypes.PyDLL(os.fspath(path))
    except OSError as error:
        raise MissingError(f"cannot load {path}: {error}; build it anew (make), or install a wheel for it") from error
