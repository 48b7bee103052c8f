"""A file's identity, with its birth time."""

import os

from interpose.sidecar.birth import birth_time
from interpose.sidecar.lineage_rows import Identity

__all__ = ["identity_of"]


def identity_of(path: bytes) -> Identity | None:
    """What identifies the file that is at a path now, links followed; None if nothing is there to be seen."""
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib takes no bytes
    except (OSError, ValueError):
        return None
    device = os.major(found.st_dev) << 32 | os.minor(found.st_dev)
    return Identity(device, found.st_ino, birth_time(path, found))
