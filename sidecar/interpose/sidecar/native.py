"""The part of the sidecar that is in C (sidecar/native): what it does for each event."""

import ctypes
import importlib.resources
import os
from functools import cache
from pathlib import Path
from typing import Final

from interpose.sidecar.errors import InterposeError

__all__ = ["LIBRARY", "MissingError", "library"]

LIBRARY: Final = "libsidecar.so"


class MissingError(InterposeError):
    """The installation has no part in C that this machine can use."""


@cache
def library() -> ctypes.PyDLL:
    """Its functions. Raises MissingError.

    They keep the interpreter's lock: each takes microseconds, milliseconds for the largest message, and who gives the
    lock away may get it back after 5 ms.
    """
    machine = os.uname().machine
    try:
        path = Path(str(importlib.resources.files("interpose.lib") / machine / LIBRARY))
    except ModuleNotFoundError:
        path = Path(LIBRARY)
    if not path.is_file():
        raise MissingError(f"no {LIBRARY} for {machine} is installed: build it (make), or install a wheel for it")
    try:
        return ctypes.PyDLL(os.fspath(path))
    except OSError as error:
        raise MissingError(f"cannot load {path}: {error}; build it anew (make), or install a wheel for it") from error
