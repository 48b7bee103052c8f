"""How fast one container may fill the database that it shares with others."""

import threading
import time
from typing import Final

__all__ = ["DAILY_LIMIT", "Allowance"]

DAILY_LIMIT: Final = 4 << 30
"""Bytes of journals; what is derived of them takes about four times as much of a database."""
_DAY_SECONDS: Final = 86400.0


class Allowance:
    """So many bytes of journals a day, in one go or one after another.

    Who has used them up is read no faster than they come back. Its spool fills up to its quota then, and what does not
    fit is counted there by those who lose it, as always: nothing is lost here. Thread-safe.
    """

    def __init__(self, a_day: float) -> None:
        """`a_day` in bytes."""
        self._most = self._left = a_day
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Account for `size` bytes that are read."""
        with self._lock:
            self._refill()
            self._left -= size

    def has_room(self) -> bool:
        """Whether to read on."""
        with self._lock:
            self._refill()
            return self._left > 0

    def is_unused(self) -> bool:
        """Whether all of it is there, as in a new one."""
        with self._lock:
            self._refill()
            return self._left >= self._most

    def _refill(self) -> None:
        now = time.monotonic()
        self._left = min(self._left + (now - self._at) * self._most / _DAY_SECONDS, self._most)
        self._at = now
