"""Retention: what is old enough leaves the database, events first, and runs as a whole when they are over.

Events go with the journal that they are in, once that is closed; what the graph tells of them stays as long as the run.
A run goes some time after its end, and never while somebody adds to it.
"""

import logging
import threading
import time
from typing import Final

from interpose.sidecar.errors import StoreError
from interpose.sidecar.store import Store

__all__ = ["Retention"]

_LOOK_SECONDS: Final = (1.0, 60.0)
"""Between two looks, at least and at most; else a tenth of the time that things are kept for."""
_AT_ONCE: Final = 1000
"""Journals: others wait as long as one transaction deletes."""

_log = logging.getLogger(__name__)


class Retention:
    """The thread that deletes, from `start` to `stop`."""

    def __init__(self, store: Store, seconds: float, *, delivered: bool) -> None:
        """`seconds`: how long things are kept. `delivered`: only what a collector has goes."""
        self._store, self._seconds, self._delivered = store, seconds, delivered
        self._seen: dict[str, int] = {}
        """Runs that were over at the last look, and their revisions then: whose has changed is still added to."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="interpose-retention", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it, after the transaction that it is in."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        shortest, longest = _LOOK_SECONDS
        while not self._stopping.wait(min(max(self._seconds / 10, shortest), longest)):
            try:
                self._look(time.time_ns() - int(self._seconds * 1e9))
            except StoreError as error:
                _log.warning("%s", error)

    def _look(self, before: int) -> None:
        while not self._stopping.is_set():
            if not self._store.discard_events(before, _AT_ONCE, delivered=self._delivered):
                break
        seen, self._seen = self._seen, self._store.old_runs(before, delivered=self._delivered)
        for run, revision in self._seen.items():
            if self._stopping.is_set():
                return
            if seen.get(run) == revision:
                self._store.discard_run(run, revision)
