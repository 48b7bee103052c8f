"""Counting what a host's injectors decided, from the log that they append to."""

import json
import os
from collections import Counter
from typing import Final

from interpose.sidecar.hostdir import HostDirectory

__all__ = ["Decisions"]

_OUTCOMES: Final = ("captured", "unseen", "skipped", "failed")


class Decisions:
    """Reads on from where it was; an injector that finds the log long begins another."""

    def __init__(self, directory: HostDirectory) -> None:
        self._file = directory.decisions
        self._read = 0
        self._inode = 0
        self._counted: Counter[str] = Counter(dict.fromkeys(_OUTCOMES, 0))

    def count(self) -> Counter[str]:
        """How many there were, by outcome."""
        try:
            with self._file.open("rb") as log:
                status = os.fstat(log.fileno())
                if (status.st_ino, status.st_size >= self._read) != (self._inode, True):
                    self._inode, self._read = status.st_ino, 0
                log.seek(self._read)
                content = log.read()
        except FileNotFoundError:
            return self._counted
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                outcome = json.loads(line)["outcome"]
            except (ValueError, KeyError, TypeError):
                continue
            if outcome in _OUTCOMES:
                self._counted[outcome] += 1
        return self._counted
