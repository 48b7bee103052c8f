"""Retention: what is old enough leaves the database, events first, and runs as a whole when they are over.

Events go with the journal that they are in, once that is closed; what the graph tells of them stays as long as the run.
A run goes some time after its end, and never while somebody adds to it.

Of a run whose sidecar never comes back, for its machine is gone, nobody will say that it has ended. One that gives no
sign of life for long ended with the last one. Should its sidecar come back after all, the run goes on.
"""

import logging
import threading
import time
from typing import Final

from interpose.sidecar.errors import StoreError
from interpose.sidecar.ingest import SIGN_SECONDS
from interpose.sidecar.store import Store

__all__ = ["Retention"]

_LOOK_SECONDS: Final = (1.0, 60.0)
"""Between two looks, at least and at most; else a tenth of the time that things are kept for."""
_MISSED_SIGNS: Final = 4
"""Nothing of a run that goes on came in the time of so many, as this process's own clock says: no jump of the time of
day ends a run, and after an absence of this service everybody has time to come back; and"""
_SILENT_SECONDS: Final = 86400.0
"""its last sign is so old, by the time of day, and older than what is kept."""
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
        self._heard: dict[str, tuple[int, float]] = {}
        """Of each open run Run.heard, and since when that is it (monotonic)."""
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
        self._end_silent_runs(min(before, time.time_ns() - int(_SILENT_SECONDS * 1e9)))
        while not self._stopping.is_set():
            if not self._store.discard_events(before, _AT_ONCE, delivered=self._delivered):
                break
        seen, self._seen = self._seen, self._store.old_runs(before, delivered=self._delivered)
        for run, revision in self._seen.items():
            if self._stopping.is_set():
                return
            if seen.get(run) == revision:
                self._store.discard_run(run, revision)

    def _end_silent_runs(self, before: int) -> None:
        now, known = time.monotonic(), self._heard
        self._heard = {}
        for run, heard in self._store.open_runs().items():
            told, since = known.get(run, (heard, now))
            self._heard[run] = heard, since if told == heard else now
            if heard == told < before and now - since >= _MISSED_SIGNS * SIGN_SECONDS:
                self._store.end_silent_run(run, heard)
