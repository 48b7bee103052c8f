"""A file's identity with its birth time, which Python's stat leaves out."""

import ctypes
import os
import struct

from interpose.sidecar.lineage_rows import Identity

__all__ = ["identity_of"]

_AT_FDCWD = -100
_INODE_AND_BIRTH = 0x100 | 0x800
_BIRTH = 0x800
_SIZE = 256


def identity_of(path: bytes) -> Identity | None:
    """What identifies the file that is at a path now, links followed; None if nothing is there to be seen."""
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib takes no bytes
    except (OSError, ValueError):
        return None
    device = os.major(found.st_dev) << 32 | os.minor(found.st_dev)
    return Identity(device, found.st_ino, _birth_time(path, device, found.st_ino))


def _birth_time(path: bytes, device: int, inode: int) -> int:
    """statx(2)'s stx_btime in nanoseconds since 1970; 0 if libc, kernel or file system know none."""
    statx = getattr(ctypes.CDLL(None), "statx", None)
    answer = ctypes.create_string_buffer(_SIZE)
    if statx is None or statx(_AT_FDCWD, path, 0, _INODE_AND_BIRTH, answer) != 0:
        return 0
    (mask,) = struct.unpack_from("@I", answer, 0)
    (same,) = struct.unpack_from("@Q", answer, 32)
    seconds, nanoseconds = struct.unpack_from("@qI", answer, 80)
    major, minor = struct.unpack_from("@II", answer, 136)
    if not mask & _BIRTH or (major << 32 | minor, same) != (device, inode):
        return 0
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
