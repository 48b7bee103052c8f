"""How a range's bytes stand in the database: as they came, or deflated where that makes them fewer.

No mark tells which: a zlib stream begins with 0x78, and no record does.
"""

import zlib
from typing import Final

__all__ = ["pack", "unpack"]

_WORTHWHILE: Final = 256
"""Bytes. What is shorter hardly shrinks."""
_LEVEL: Final = 1
_ZLIB: Final = 0x78


def pack(data: bytes) -> bytes:
    """The bytes to store for a range of whole records."""
    if len(data) < _WORTHWHILE:
        return data
    packed = zlib.compress(data, _LEVEL)
    return packed if len(packed) < len(data) else data


def unpack(stored: bytes) -> bytes:
    """The range's bytes as they came."""
    return zlib.decompress(stored) if stored[:1] == bytes((_ZLIB,)) else stored
