"""The sidecar of a host: one Sidecar for each channel of a host directory, from the container's start to its end.

Channels appear and end by what injectors do to the directory (hostdir.py); nothing else is listened to. Each has a
Sidecar of its own, so one container's trouble stays its own, and what a container may claim of itself does not matter:
the channel that its events come through says whose they are.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from prometheus_client import CollectorRegistry

from interpose.sidecar import metrics as metrics_
from interpose.sidecar.errors import InterposeError, SpoolError
from interpose.sidecar.forward import Forwarder, Forwarding
from interpose.sidecar.host_metrics import HostMetrics
from interpose.sidecar.hostdir import Channel, HostDirectory, remove_tree
from interpose.sidecar.remainder import Remainder
from interpose.sidecar.retention import Retention
from interpose.sidecar.service import Report, RunInfo, Sidecar
from interpose.sidecar.store import Store, Unsent

__all__ = ["Host", "HostReport"]

_LOOK_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 5.0
_WORKERS: Final = 4
_DRAIN_SECONDS: Final = 30.0
_FORWARD_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Served:
    """A channel that is served."""

    channel: Channel
    sidecar: Sidecar
    registry: CollectorRegistry
    ending: "Future[bool] | None" = None
    """Set when the container has ended: whether everything of it is stored."""


@dataclass(frozen=True, slots=True)
class HostReport:
    """How things stood when a host's sidecar stopped."""

    open: int
    """Channels that another start goes on with."""
    problems: tuple[str, ...]
    """One line for each thing that still fails."""
    remainder: Remainder
    """What is left to do for another start, of all channels together."""


class Host:
    """Serves a host directory, from `start` to `stop`, in threads of its own."""

    def __init__(self, directory: HostDirectory, url: str, metrics: HostMetrics) -> None:
        """Use `start`."""
        self._directory, self._url, self._metrics = directory, url, metrics
        self._served: dict[str, _Served] = {}
        self._refused: dict[str, float] = {}
        """Channels that could not be served, and when (monotonic) to try again."""
        self._workers = ThreadPoolExecutor(_WORKERS, "interpose-ending")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="interpose-host", daemon=True)
        self._forwarder: Forwarder | None = None
        self._committed: Callable[[], None] | None = None
        """Whom to tell that there is more in the database."""
        self._undo = contextlib.ExitStack()
        """What `stop` has to close."""
        self.metrics_port: int | None = None
        """Where /metrics is served; None without metrics_address."""

    @classmethod
    def start(
        cls,
        path: Path,
        url: str,
        *,
        forward: Forwarding | None = None,
        retain: float | None = None,
        metrics_address: tuple[str, int] | None = None,
        registry: CollectorRegistry | None = None,
    ) -> Self:
        """Serve every channel that is there and every one that comes. Raises InterposeError.

        `url` is SQLAlchemy's. `forward` sends on what the database has; `retain` is as for Sidecar.start.
        `metrics_address` is host and port of an HTTP listener for /metrics, None for none.
        """
        directory = HostDirectory(path)
        with contextlib.ExitStack() as undo:
            try:
                directory.prepare()
                undo.callback(os.close, directory.lock())
            except OSError as error:
                raise SpoolError(f"cannot use the host directory {path}: {error.strerror}") from error
            registry = CollectorRegistry() if registry is None else registry
            host = cls(directory, url, HostMetrics(registry, directory))
            if metrics_address is not None:
                host.metrics_port, close = metrics_.serve(registry, *metrics_address)
                undo.callback(close)
            store = Store.open(url)  # a database that cannot be used is told at once
            undo.callback(store.close)
            if forward is None and retain is None:
                store.close()  # nor kept open for nothing
            if forward is not None:
                host._forward(store, forward, undo)
            if retain is not None:
                retention = Retention(store, retain, delivered=forward is not None)
                retention.start()
                undo.callback(retention.stop)
            host._look()
            host._thread.start()
            host._undo = undo.pop_all()
        return host

    def _forward(self, store: Store, forward: Forwarding, undo: contextlib.ExitStack) -> None:
        registry = CollectorRegistry()
        self._forwarder = Forwarder(store, forward, metrics_.Metrics(registry))
        self._forwarder.start()
        undo.callback(self._forwarder.stop, 0)
        self._committed = self._forwarder.notify
        self._metrics.add_unowned("(forwarder)", registry)

    def stop(self) -> HostReport:
        """Store what is there, and leave the channels of containers that run to the next start."""
        self._stopping.set()
        self._thread.join()
        self._look()
        reports = list(self._workers.map(self._leave, self._served.values()))
        self._workers.shutdown()
        left = [report for report in reports if report is not None]
        problems = [report.problem for report in left]
        unsent = Unsent()
        if self._forwarder is not None:
            unsent = self._forwarder.finish(_FORWARD_SECONDS)
            problems.append(self._forwarder.problem)
        self._undo.close()
        remainders = [report.remainder for report in left]
        return HostReport(
            len(left),
            tuple(problem for problem in dict.fromkeys(problems) if problem is not None),
            Remainder(sum(each.journals for each in remainders), sum(each.size for each in remainders), unsent),
        )

    def _work(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                self._look()
            except Exception:  # noqa: BLE001
                # One bad look must not end the service: the channels keep everything.
                _log.exception("the host's sidecar stumbled")

    def _look(self) -> None:
        there = set()
        for channel in self._directory.channels():
            name = channel.directory.name
            there.add(name)
            if name not in self._served and time.monotonic() >= self._refused.get(name, 0.0):
                self._serve(channel)
        for name, served in list(self._served.items()):
            if served.ending is None:
                self._end_if_over(served)
            elif served.ending.done():
                del self._served[name]
                self._ended(served, served.ending)
        self._refused = {name: moment for name, moment in self._refused.items() if name in there}
        self._metrics.states(
            served=sum(served.ending is None for served in self._served.values()),
            ending=sum(served.ending is not None for served in self._served.values()),
            refused=len(self._refused),
        )

    def _serve(self, channel: Channel) -> None:
        name, identity = channel.directory.name, channel.identity
        registry = CollectorRegistry()
        info = RunInfo(channel.run, None, channel.created, identity)
        try:
            sidecar = Sidecar.start(
                channel.spool, self._url, info, registry=registry, settings=channel.settings, committed=self._committed
            )
        except InterposeError as error:
            if name not in self._refused:
                _log.warning("container %s is not served: %s", identity.name or identity.id, error)
            self._refused[name] = time.monotonic() + _RETRY_SECONDS
            self._give_up(channel, error)
            return
        self._refused.pop(name, None)
        self._served[name] = _Served(channel, sidecar, registry)
        self._metrics.add(name, identity, registry)

    def _give_up(self, channel: Channel, error: InterposeError) -> None:
        """Remove a channel that its container has made useless, when that has ended; what fails otherwise may mend."""
        if isinstance(error, SpoolError) and channel.is_spoilt() and channel.ended() is not None:
            _log.error("what was captured of %s is lost: %s", channel.identity.name or channel.identity.id, error)
            self._metrics.spoilt()
            self._remove(channel)

    def _end_if_over(self, served: _Served) -> None:
        if served.channel.ended() is not None and not self._lives(served):
            served.ending = self._workers.submit(self._finish, served)

    def _lives(self, served: _Served) -> bool:
        return bool(served.registry.get_sample_value("interpose_journals_live"))

    def _finish(self, served: _Served) -> bool:
        if not served.sidecar.drain(_DRAIN_SECONDS):
            served.sidecar.stop()
            return False
        report = served.sidecar.stop(ended=served.channel.ended())
        return report.problem is None and report.pending == 0

    def _ended(self, served: _Served, ending: "Future[bool]") -> None:
        channel = served.channel
        self._metrics.remove(channel.directory.name)
        if ending.exception() is None and ending.result():
            self._remove(channel)
        else:
            self._refused[channel.directory.name] = time.monotonic() + _RETRY_SECONDS

    def _remove(self, channel: Channel) -> None:
        if not remove_tree(channel.directory):
            # Somebody with more rights made what is in it: out of the way with it, `interpose docker` empties that.
            self._directory.discard(channel)

    def _leave(self, served: _Served) -> Report | None:
        """None if nothing is left to do for this channel."""
        if served.ending is not None:
            if served.ending.exception() is None and served.ending.result():
                self._remove(served.channel)
                return None
            return served.sidecar.stop()
        return served.sidecar.stop()
