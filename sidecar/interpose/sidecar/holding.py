"""A lock that lasts as long as a process has a descriptor: how a runtime that nobody calls again tells that it ended.

`runc run` stays until its container ends, and need not be followed by `runc delete`. So its launcher opens one file of
the host directory, has a byte of it locked, and becomes the runtime, which has the descriptor until it ends in whatever
way. The lock belongs to the open file description: it does not matter which process took it.
"""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

__all__ = ["hold", "is_held"]

_FLOCK: Final = struct.Struct("hhqqi0q")  # struct flock of 64-bit machines
_F_OFD_GETLK: Final = 36
_F_OFD_SETLK: Final = 37


def hold(file: int) -> int:
    """Lock a byte that is nobody's with a descriptor that may read: which one. Raises OSError."""
    byte = int.from_bytes(os.urandom(7), "little")
    fcntl.fcntl(file, _F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0))
    return byte


def is_held(path: Path, byte: int) -> bool:
    """Whether anybody has a byte of a file locked. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        answer = fcntl.fcntl(file, _F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
    finally:
        os.close(file)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
