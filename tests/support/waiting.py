"""Waiting for what happens by itself."""

import time
from collections.abc import Callable

__all__ = ["soon"]


def soon(check: Callable[[], object], seconds: float = 5) -> bool:
    """Whether something becomes true."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
