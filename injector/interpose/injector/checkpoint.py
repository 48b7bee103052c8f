"""What CRIU's images tell of a container that is about to be restored from a checkpoint."""

import contextlib
import re
from pathlib import Path
from typing import Final

from interpose.injector.container import SPOOL_TARGET

__all__ = ["mapped_segments"]

_IMAGES: Final = ("files.img", "reg-files.img")
"""Where CRIU keeps the paths of files, as they are: 3.0 and newer, and older."""
_PREFIX: Final = f"{SPOOL_TARGET}/segment-".encode()
_SEGMENT: Final = re.compile(re.escape(bytes([len(_PREFIX) + 8]) + _PREFIX) + rb"([0-9a-f]{8})")
"""As a protobuf string of fewer than 128 bytes: its length first."""
_MOST: Final = 256
"""Segments: a GiB. A container can have files of such names in its images that are none of ours."""


def mapped_segments(images: Path) -> list[int]:
    """The segments of its former spool that the container's processes have mapped: CRIU must find files there.

    Raises ValueError if there are too many.
    """
    found: set[int] = set()
    for name in _IMAGES:
        with contextlib.suppress(FileNotFoundError):
            found.update(int(match[1], 16) for match in _SEGMENT.finditer((images / name).read_bytes()))
    if len(found) > _MOST:
        raise ValueError(
            f"the checkpoint names {len(found)} segments of a spool, more than {_MOST}: restore it uncaptured"
        )
    return sorted(found)
