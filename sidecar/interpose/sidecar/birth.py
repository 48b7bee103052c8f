"""A file's birth time, which Python's stat leaves out. Of the standard library alone: `interpose-oci` asks too."""

import ctypes
import os
import struct

__all__ = ["birth_time"]

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_INODE_AND_BIRTH = 0x100 | 0x800
_BIRTH = 0x800
_SIZE = 256


def birth_time(file: bytes | int, status: os.stat_result) -> int:
    """statx(2)'s stx_btime in nanoseconds since 1970; 0 if libc, kernel or file system know none.

    `file` is a path, whose links are followed, or a descriptor. 0 too if it is not the file of `status` any more.
    """
    statx = getattr(ctypes.CDLL(None), "statx", None)
    answer = ctypes.create_string_buffer(_SIZE)
    folder, path, flags = (file, b"", _AT_EMPTY_PATH) if isinstance(file, int) else (_AT_FDCWD, file, 0)
    if statx is None or statx(folder, path, flags, _INODE_AND_BIRTH, answer) != 0:
        return 0
    (mask,) = struct.unpack_from("@I", answer, 0)
    (inode,) = struct.unpack_from("@Q", answer, 32)
    seconds, nanoseconds = struct.unpack_from("@qI", answer, 80)
    device = struct.unpack_from("@II", answer, 136)
    if not mask & _BIRTH or (device, inode) != ((os.major(status.st_dev), os.minor(status.st_dev)), status.st_ino):
        return 0
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
