"""A sidecar of one spool: collector, gRPC server, writer and metrics, started and stopped together."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from prometheus_client import CollectorRegistry

from interpose.sidecar import metrics as metrics_
from interpose.sidecar import native
from interpose.sidecar.allowance import Allowance
from interpose.sidecar.collector import Collector
from interpose.sidecar.decode import unseen_origin
from interpose.sidecar.endpoint import Unix
from interpose.sidecar.errors import EndpointError, StoreError
from interpose.sidecar.forward import Forwarder, Forwarding
from interpose.sidecar.hostdir import Identity
from interpose.sidecar.ingest import OWN_JOURNAL, Writer
from interpose.sidecar.inlet import Inlet
from interpose.sidecar.memory import Run
from interpose.sidecar.remainder import NOTHING, Remainder, remainder_of
from interpose.sidecar.retention import Retention
from interpose.sidecar.server import Limits, Listener, Server
from interpose.sidecar.spool import DEFAULT_QUOTA, SOCKET, Level, Redaction, Settings, Spool, boot_time
from interpose.sidecar.store import Store
from interpose.sidecar.streams import Streams
from interpose.sidecar.unseen import Unseen
from interpose.v1.event_pb2 import Event

__all__ = ["Forwarding", "Report", "RunInfo", "Sidecar"]


_STOP_SECONDS: Final = 10.0
"""How long `stop` waits for a database that fails, or for what is still to be collected."""
_CONNECTIONS: Final = 256
"""To one spool's socket; the events of more processes than that are collected from their journals."""
_LARGEST_MESSAGE: Final = 65536
"""Bytes of records that a process sends at once, unless one alone has more."""
_BATCH_HEAD: Final = 64
_STREAMED: Final = 8 << 20
"""Bytes of all streams that may wait for their commit."""
_WAITING_OF_ONE: Final = 16
_IDLE_SECONDS: Final = 5.0
"""A process that says nothing for so long is not kept connected: what it says next is collected, and it connects again.
A connected socket keeps a container from being checkpointed, and its connection costs memory here."""
_UNUSED_SECONDS: Final = 1.0
"""Between a stream's end and its connection's."""
_BATCHES_A_SECOND: Final = 5000
"""A process sends one every 250 ms, or for every 16 KiB."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known of a run before anything was captured."""

    id: str
    command: tuple[str, ...] | None
    """The arguments of `interpose run`; None for a container."""
    started: int
    """Nanoseconds since 1970."""
    container: Identity | None = None
    """Whose life the run is."""
    unseen: Unseen | None = None
    """Its first program, if that will tell nothing of itself."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a sidecar did between start and stop."""

    run_id: str
    events: int
    """Events stored."""
    processes: int
    lost: int
    """Events known to be lost in this run, ever: the sum of its gaps."""
    pending: int
    """Journals that were not stored to their end: their owners live, or are in `remainder`."""
    remainder: Remainder
    """What is left to do for another start; of processes that live, what they recorded up to now is stored."""
    problem: str | None
    """One line on what still fails (the database, above all, or the collector); None if all is well."""


class Sidecar:
    """Stores what arrives in a spool into a database, from `start` to `stop`.

    Thread-safe; everything happens in threads of its own, so it may be embedded in any program. It neither forks nor
    touches signal handlers.
    """

    run_id: str
    """The id under which the run is stored: RunInfo.id, or the former one if the database knows this spool."""

    def __init__(
        self,
        spool: Spool,
        store: Store,
        run: Run,
        metrics: metrics_.Metrics,
        first: Event | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """Use `start`."""
        self.run_id = run.id
        self._spool, self._store = spool, store
        committed = self._committed()
        told = store.own_notes(run.id, OWN_JOURNAL)
        self._writer = Writer(store, metrics)
        self._collector = Collector(
            spool, run, self._writer, metrics, committed=committed, told=told, first=first, allowance=allowance
        )
        self._server = Server(
            [Listener(Unix(spool.directory / SOCKET), mode=0o666, beneath=spool.shared)],
            None,
            Limits(max(spool.settings.journal_size, _LARGEST_MESSAGE) + _BATCH_HEAD, _CONNECTIONS, _UNUSED_SECONDS),
            Streams(
                self._writer,
                metrics,
                budget=_STREAMED,
                rate=_BATCHES_A_SECOND,
                waiting=_WAITING_OF_ONE,
                idle=_IDLE_SECONDS,
            ),
            lambda _: Inlet(spool, run, self._collector),
        )
        self._listening = False
        self._forwarder: Forwarder | None = None
        self._retention: Retention | None = None
        self._close_metrics: Callable[[], None] = lambda: None
        self._stopping = threading.Lock()
        self._report: Report | None = None
        self.metrics_port: int | None = None
        """Where /metrics is served; None without metrics_address."""

    @classmethod
    def start(
        cls,
        spool_directory: Path,
        database_url: str,
        run: RunInfo,
        *,
        metrics_address: tuple[str, int] | None = None,
        level: Level = Level.SUMMARY,
        redaction: Redaction = Redaction.SECRETS,
        quota: int = DEFAULT_QUOTA,
        forward: Forwarding | None = None,
        retain: float | None = None,
        settings: Settings | None = None,
        committed: Callable[[], None] | None = None,
        registry: CollectorRegistry | None = None,
        allowance: Allowance | None = None,
        spool: Spool | None = None,
    ) -> Self:
        """Make the spool if it is not there, open the database, and begin.

        `database_url` is SQLAlchemy's (sqlite:////absolute/path, postgresql+psycopg://...). `metrics_address` is host
        and port of an HTTP listener for /metrics (port 0 takes a free one), None for no listener. `level`, `redaction`
        and `quota` (journals of 64 KiB) are for a spool that is made now; `settings` are those of one that may say
        others by now. `forward` sends on what the database has, of other runs too; without it `committed` is called
        when there is more. `retain`: for how many seconds the database keeps events, and runs that have ended, of other
        sidecars too; with `forward`, only what the collector has goes; None keeps everything. `allowance` is what may
        be read of the spool while its processes run. `spool` is the one in the directory, if that is open already; it
        stays so if this fails. Once this returns, processes may start: nothing of theirs is missed. Raises
        InterposeError.
        """
        native.library()  # without it nothing is begun
        metrics = metrics_.Metrics(CollectorRegistry() if registry is None else registry)
        with contextlib.ExitStack() as undo:
            store = Store.open(database_url)
            undo.callback(store.close)
            if spool is None:
                if settings is not None or Spool.exists(spool_directory):
                    spool = Spool.open(spool_directory, settings)
                else:
                    spool = Spool.create(spool_directory, level=level, redaction=redaction, quota=quota)
                undo.callback(spool.close)
            run_id = store.open_run(run.id, spool.id, run.command, run.started, run.container)
            known = store.run(run_id)  # perhaps one that began before
            started = run.started if known is None else known.started
            shift = time.time_ns() - boot_time()
            first = None if run.unseen is None else unseen_origin(run.unseen, started - shift)
            sidecar = cls(spool, store, Run(run_id, shift, started=started), metrics, first, allowance)
            undo.callback(sidecar._collector.close)
            if metrics_address is not None:
                metrics.at_zero()
                sidecar.metrics_port, sidecar._close_metrics = metrics_.serve(metrics.registry, *metrics_address)
                undo.callback(sidecar._close_metrics)
            if forward is not None:
                sidecar._forwarder = Forwarder(store, forward, metrics)
                sidecar._forwarder.start()
                undo.callback(sidecar._forwarder.stop, 0)
                committed = sidecar._forwarder.notify
            if committed is not None:
                sidecar._writer.committed = committed
            if retain is not None:
                sidecar._retention = Retention(store, retain, delivered=forward is not None)
                sidecar._retention.start()
                undo.callback(sidecar._retention.stop)
            sidecar._writer.start()
            undo.callback(sidecar._writer.stop, 0)
            sidecar._listen(undo)
            sidecar._collector.start()
            undo.pop_all()
        return sidecar

    def _listen(self, undo: contextlib.ExitStack) -> None:
        """Take streams too, where a socket can be had: everything is in the journals as well, and comes later."""
        try:
            self._server.start()
        except EndpointError as error:
            _log.warning("run %s is read from its journals alone: %s", self.run_id, error)
        else:
            self._listening = True
            undo.callback(self._server.stop)

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until every journal whose owner is dead is in the database.

        `timeout` in seconds, None for no limit. False if it passed, or if the database fails (for 30 seconds, where
        there is no limit).
        """
        return self._collector.drain(timeout)

    def stop(self, *, ended: int | None = None, status: int | None = None) -> Report:
        """Collect what is there, close everything, and tell how it went; the second call returns the same report.

        `ended` (nanoseconds since 1970) and `status` (exit status as a shell reports it) are stored as the run's;
        without `ended` the run stays open and another Sidecar may go on with it. Journals of processes that still live
        are stored up to their last whole record. Raises nothing for a database that fails: Report.problem tells.
        """
        with self._stopping:
            if self._report is None:
                self._report = self._shut_down(ended, status)
            return self._report

    def _shut_down(self, ended: int | None, status: int | None) -> Report:
        self._collector.drain(_STOP_SECONDS)
        if self._retention is not None:
            self._retention.stop()
        if self._listening:
            self._server.stop()
        self._collector.stop()
        self._writer.stop(_STOP_SECONDS)
        problem, lost = self._writer.problem, 0
        pending = self._collector.pending()
        remainder = self._remainder() if pending else NOTHING
        self._collector.close()
        try:
            if ended is not None:
                self._store.end_run(self.run_id, ended, status)
            lost = self._store.lost(self.run_id)
        except StoreError as error:
            problem = problem or str(error)
        if self._forwarder is not None:
            unsent = self._forwarder.finish(_STOP_SECONDS)
            remainder = replace(remainder, unsent=unsent)
            problem = problem or self._forwarder.problem
        self._close_metrics()
        self._spool.close()
        self._store.close()
        problem = problem or self._collector.problem
        return Report(self.run_id, self._writer.stored, self._writer.processes, lost, pending, remainder, problem)

    def _committed(self) -> dict[int, tuple[int, bool]]:
        """Store.journals of what may be in the spool."""
        first = min(self._spool.segments, default=0) * self._spool.settings.journals_per_segment
        return self._store.journals(self.run_id, first, first + (1 << 32))

    def _remainder(self) -> Remainder:
        try:
            return remainder_of(self._spool, self._committed())
        except StoreError:
            return remainder_of(self._spool, {})  # as far as is known, nothing is stored
