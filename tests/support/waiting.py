"""Waiting for what happens by itself."""

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["soon", "until"]

T = TypeVar("T")


def soon(check: Callable[[], object], seconds: float = 5) -> bool:
    """Whether something becomes true."""
    return bool(_wait(check, seconds))


def until(seconds: float, check: Callable[[], T], what: str) -> T:
    """Wait until something is so, and return it."""
    found = _wait(check, seconds)
    assert found, f"not so after {seconds} s: {what}"
    return found


def _wait(check: Callable[[], T], seconds: float) -> T:
    deadline = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() <= deadline:
        time.sleep(0.01)
    return found
