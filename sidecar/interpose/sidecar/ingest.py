"""The writer: one thread that owns all writes to the database.

Whoever has read a byte range of a journal submits it and gets a future. The thread puts what has come into one
transaction: the ranges' bytes, graph rows and the journals' offsets. A range may overlap what is committed already, by
the other way or before a restart; the bytes below the committed offset are left out, so each event is stored once.
"""

import enum
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from interpose.sidecar.decode import Note
from interpose.sidecar.derive import add, add_own, reader
from interpose.sidecar.errors import InterposeError, StoreError, UnstorableError
from interpose.sidecar.graph import Graph
from interpose.sidecar.journal import Records
from interpose.sidecar.memory import Run
from interpose.sidecar.metrics import Metrics
from interpose.sidecar.store import Store

__all__ = ["OWN_JOURNAL", "SIGN_SECONDS", "Item", "Result", "Writer"]

OWN_JOURNAL: Final = -1
"""The number under which the sidecar's own notes on a run are stored: gaps of processes that got no journal."""

SIGN_SECONDS: Final = 3600.0
"""So often a run that goes on gives a sign of life, whatever else happens: an Item of OWN_JOURNAL without notes."""

_TRANSACTION_EVENTS: Final = 5000
_TRANSACTION_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 1, 2, 5)

_log = logging.getLogger(__name__)


class _Signal(enum.Enum):
    STOP = enum.auto()
    """Nothing follows."""
    HURRY = enum.auto()
    """Somebody waits."""


@dataclass(frozen=True, slots=True)
class Item:
    """A byte range of a journal."""

    run: Run
    number: int
    records: Records
    path: str
    """`stream`, `collected` or `forwarded`."""
    notes: Sequence[Note] = ()
    """What the sidecar says of the journal; those of a negative offset only together with `close`."""
    close: bool = False
    """The owner is gone and this is all there is."""
    shift: int | None = None
    """What to add to the times of a journal without an Origin; None: Run.shift."""


@dataclass(frozen=True, slots=True)
class Result:
    """The state of a journal in the database after an Item's transaction."""

    committed: int
    """Bytes."""
    closed: bool
    accepted: bool
    """False for a range that begins beyond the committed bytes; nothing of it was stored."""


class Writer:
    """The thread. What is submitted is bounded by who submits it: each waits for results of what it sent before."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._accesses = reader()
        self._metrics = metrics
        self._queue: queue.SimpleQueue[tuple[Item, Future[Result]] | _Signal] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._give_up = threading.Event()
        self._thread = threading.Thread(target=self._work, name="interpose-writer", daemon=True)
        self.problem: str | None = None
        """Why the last transaction failed; None after one that did not."""
        self.stored = 0
        """Events."""
        self.processes = 0
        self.committed: Callable[[], None] = lambda: None
        """Called in the thread, after each transaction. Set it before `start`."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, item: Item) -> Future[Result]:
        """Queue a range. The future raises InterposeError if it can not be stored, StoreError if the writer gave up."""
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can cancel it
        self._metrics.queue_items.inc()
        self._queue.put((item, future))
        return future

    def go_on(self) -> None:
        """Commit what was submitted up to now: who submits has no more until that is done."""
        self._queue.put(_Signal.HURRY)

    def hurry(self, *, on: bool) -> None:
        """Whether to commit at once what has come, for somebody who waits for it, instead of waiting for more."""
        if on:
            self._hurry.set()
            self.go_on()
        else:
            self._hurry.clear()

    def stop(self, timeout: float) -> bool:
        """Write what was submitted, end the thread; a database that still fails after `timeout` seconds is given up."""
        self._hurry.set()
        self._queue.put(_Signal.STOP)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._give_up.set()
            self._thread.join()
            return False
        return self.problem is None

    def _work(self) -> None:
        going = True
        while going:
            batch, going = self._gather()
            if batch:
                self._metrics.queue_items.dec(len(batch))
                self._commit(batch)

    def _gather(self) -> tuple[list[tuple[Item, "Future[Result]"]], bool]:
        """What goes into the next transaction, and whether to go on after it."""
        first = self._queue.get()
        if isinstance(first, _Signal):
            return [], first is not _Signal.STOP
        batch, events = [first], len(first[0].records.offsets)
        deadline = time.monotonic() + _TRANSACTION_SECONDS
        while events < _TRANSACTION_EVENTS:
            wait = 0.0 if self._hurry.is_set() else deadline - time.monotonic()
            try:
                entry = self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if isinstance(entry, _Signal):
                return batch, entry is not _Signal.STOP
            batch.append(entry)
            events += len(entry[0].records.offsets)
        return batch, True

    def _commit(self, batch: list[tuple[Item, "Future[Result]"]]) -> None:
        """Store a batch, however long it takes; what can never be stored is taken out and refused."""
        attempt, doubted = 0, False
        while True:
            try:
                results = self._transaction([item for item, _ in batch])
            except Exception as error:  # noqa: BLE001  # whatever it is, the journals keep what was in the batch
                for item, _ in batch:
                    item.run.forget()
                self._metrics.commit_failures.inc()
                if not (isinstance(error, StoreError) and self._store.is_temporary(error)):
                    if not doubted:  # what was remembered and is now forgotten may have been at fault
                        doubted = True
                        continue
                    self._refuse(batch, error)
                    return
                if self.problem is None:
                    _log.warning("%s; retrying", error)
                self.problem = str(error)
                if self._give_up.wait(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]):
                    for _, future in batch:
                        future.set_exception(error)
                    return
                attempt += 1
            else:
                self.problem = None
                self.committed()
                for (_, future), result in zip(batch, results, strict=True):
                    future.set_result(result)
                return

    def _refuse(self, batch: list[tuple[Item, "Future[Result]"]], error: Exception) -> None:
        if len(batch) > 1:
            for entry in batch:
                self._commit([entry])
            return
        item, future = batch[0]
        self._metrics.refused.labels("unstorable").inc()
        _log.error("journal %d of run %s cannot be stored", item.number, item.run.id, exc_info=error)
        why = str(error) if isinstance(error, InterposeError) else f"an event cannot be stored, report this: {error!r}"
        future.set_exception(UnstorableError(why))

    def _transaction(self, items: list[Item]) -> list[Result]:
        started = time.monotonic()
        with self._store.transaction() as rows:
            graph = Graph(rows, [item.run for item in items], self._accesses)
            results = [_add(graph, item) for item in items]
            graph.flush()
        self._metrics.commit_seconds.observe(time.monotonic() - started)
        self._metrics.count(graph.effects, graph.losses, graph.new_processes)
        for run, events in graph.lost.items():
            run.lost += events
        for cause, programs in graph.blind.items():
            self._metrics.blind.labels(cause).inc(programs)
        self._metrics.poisoned.labels("journal").inc(graph.poisoned)
        if graph.long_names:
            self._metrics.refused.labels("name").inc(graph.long_names)
        for item, (_, size) in zip(items, results, strict=True):
            self._metrics.bytes.labels(item.path).inc(size)
        self.stored += graph.effects.total()
        self.processes += graph.new_processes
        return [result for result, _ in results]


def _add(graph: Graph, item: Item) -> tuple[Result, int]:
    """Add the part of an item that is new; its bytes are counted."""
    records, notes = item.records, list(item.notes)
    if item.number == OWN_JOURNAL and not notes:
        return Result(0, closed=False, accepted=True), 0
    journal = graph.journal(item.run, item.number, item.shift)
    committed = journal.offset
    if item.number == OWN_JOURNAL:
        if records.start <= committed:
            add_own(graph, item.run, item.number, notes[committed - records.start :])
        return Result(journal.offset, closed=False, accepted=records.start <= committed), 0
    if records.start > committed:
        return Result(committed, journal.closed, accepted=False), 0
    if journal.closed or (records.end <= committed and not item.close and not notes):
        return Result(committed, journal.closed, accepted=True), 0
    size = records.end - committed
    records = records.since(committed) if size > 0 else Records(committed, b"")
    notes = [(offset, event) for offset, event in notes if offset < 0 or offset >= committed]
    add(graph, item.run, item.number, records, notes, close=item.close)
    return Result(journal.offset, journal.closed, accepted=True), max(size, 0)
