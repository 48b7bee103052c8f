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
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from prometheus_client import CollectorRegistry

from interpose.sidecar import metrics as metrics_
from interpose.sidecar.allowance import DAILY_LIMIT, Allowance
from interpose.sidecar.errors import InterposeError, SpoolError
from interpose.sidecar.forward import Forwarder, Forwarding
from interpose.sidecar.host_metrics import HostMetrics
from interpose.sidecar.hostdir import Channel, HostDirectory, Identity
from interpose.sidecar.remainder import Remainder
from interpose.sidecar.retention import Retention
from interpose.sidecar.service import Report, RunInfo, Sidecar
from interpose.sidecar.shared import remove_tree
from interpose.sidecar.store import Store, Unsent

__all__ = ["Host", "HostReport"]

_LOOK_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 5.0
_LONGEST_RETRY_SECONDS: Final = 300.0
_WORKERS: Final = 4
_DRAIN_SECONDS: Final = 30.0
_FORWARD_SECONDS: Final = 10.0
_REMOVE_SECONDS: Final = 5.0

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
class _Refusal:
    """A channel that could not be served."""

    again: float
    """When (monotonic) to try again."""
    wait: float = _RETRY_SECONDS
    """Seconds that were waited for that; each time that it fails again, twice as many."""
    ended: bool = False
    """Whether its container had ended by then."""

    @classmethod
    def after(cls, former: "_Refusal | None", *, ended: bool) -> Self:
        wait = _RETRY_SECONDS if former is None else min(2 * former.wait, _LONGEST_RETRY_SECONDS)
        return cls(time.monotonic() + wait, wait, ended)

    def is_over(self, channel: Channel) -> bool:
        """Whether to try again: it is time, or what its container did to it has an end."""
        return time.monotonic() >= self.again or (not self.ended and _has_ended(channel))


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

    def __init__(self, directory: HostDirectory, url: str, metrics: HostMetrics, daily_limit: int | None) -> None:
        """Use `start`."""
        self._directory, self._url, self._metrics = directory, url, metrics
        self._daily_limit = daily_limit
        self._allowances: dict[str, Allowance] = {}
        """By container, which has what it had when it is started again."""
        self._served: dict[str, _Served] = {}
        self._refused: dict[str, _Refusal] = {}
        """Channels that could not be served."""
        self._stumbled: str | None = None
        """Why the last look failed; None after one that did not."""
        self._workers = ThreadPoolExecutor(_WORKERS, "interpose-ending")
        self._remover = ThreadPoolExecutor(1, "interpose-removing")
        self._removals: list[Future[bool]] = []
        self._enough = threading.Event()
        """Set when what is removed by then has to do."""
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
        daily_limit: int | None = DAILY_LIMIT,
        metrics_address: tuple[str, int] | None = None,
        registry: CollectorRegistry | None = None,
    ) -> Self:
        """Serve every channel that is there and every one that comes. Raises InterposeError.

        `url` is SQLAlchemy's. `forward` sends on what the database has; `retain` is as for Sidecar.start.
        `daily_limit`: bytes of journals that are read of one container that runs, a day; None for no limit.
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
            host = cls(directory, url, HostMetrics(registry, directory), daily_limit)
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
            host._remove_discarded()
            host._look_once()
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
        self._look_once()
        reports = list(self._workers.map(self._leave, self._served.values()))
        self._workers.shutdown()
        self._finish_removing()
        left = [report for report in reports if isinstance(report, Report)]
        failed = [report for report in reports if isinstance(report, OSError)]
        problems = [report.problem for report in left] + [f"a channel cannot be left: {error}" for error in failed]
        unsent = Unsent()
        if self._forwarder is not None:
            unsent = self._forwarder.finish(_FORWARD_SECONDS)
            problems.append(self._forwarder.problem)
        self._undo.close()
        remainders = [report.remainder for report in left]
        return HostReport(
            len(left) + len(failed),
            tuple(problem for problem in dict.fromkeys(problems) if problem is not None),
            Remainder(sum(each.journals for each in remainders), sum(each.size for each in remainders), unsent),
        )

    def _work(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            self._look_once()

    def _look_once(self) -> None:
        """One bad look must neither end the service nor keep it from its start: the channels keep everything."""
        try:
            self._look()
            self._stumbled = None
        except Exception as error:  # noqa: BLE001
            if self._stumbled != repr(error):  # once, not five times a second
                _log.exception("the host's sidecar stumbled")
            self._stumbled = repr(error)

    def _look(self) -> None:
        there = set()
        for channel in self._directory.channels():
            name = channel.directory.name
            there.add(name)
            refusal = self._refused.get(name)
            if name not in self._served and (refusal is None or refusal.is_over(channel)):
                self._serve(channel)
        for served in list(self._served.values()):
            try:
                self._look_after(served)
            except OSError as error:
                self._refuse(served.channel, error)
        self._refused = {name: refusal for name, refusal in self._refused.items() if name in there}
        self._metrics.states(
            served=sum(served.ending is None for served in self._served.values()),
            ending=sum(served.ending is not None for served in self._served.values()),
            refused=len(self._refused),
        )

    def _serve(self, channel: Channel) -> None:
        name, identity = channel.directory.name, channel.identity
        registry = CollectorRegistry()
        info = RunInfo(channel.run, None, channel.created, identity, channel.unseen)
        try:
            sidecar = Sidecar.start(
                channel.spool,
                self._url,
                info,
                registry=registry,
                settings=channel.settings,
                committed=self._committed,
                allowance=self._allowance_of(identity),
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this channel's trouble and no other's
            self._refuse(channel, error)
            try:
                self._give_up(channel, error)
            except OSError:
                _log.exception("cannot remove what %s left", identity.name or identity.id)
            return
        self._refused.pop(name, None)
        self._served[name] = _Served(channel, sidecar, registry)
        self._metrics.add(name, identity, registry)

    def _allowance_of(self, identity: Identity) -> Allowance | None:
        if self._daily_limit is None:
            return None
        self._allowances = {id_: each for id_, each in self._allowances.items() if not each.is_unused()}
        return self._allowances.setdefault(identity.id, Allowance(self._daily_limit))

    def _refuse(self, channel: Channel, error: Exception) -> None:
        """Try again later, and say why once."""
        name, identity = channel.directory.name, channel.identity
        if name not in self._refused:
            unexpected = None if isinstance(error, (InterposeError, OSError)) else error
            _log.warning("container %s is not served: %s", identity.name or identity.id, error, exc_info=unexpected)
        self._refused[name] = _Refusal.after(self._refused.get(name), ended=_has_ended(channel))

    def _give_up(self, channel: Channel, error: Exception) -> None:
        """Remove a channel that its container has made useless, when that has ended; what fails otherwise may mend."""
        if isinstance(error, SpoolError) and channel.is_spoilt() and channel.ended() is not None:
            _log.error("what was captured of %s is lost: %s", channel.identity.name or channel.identity.id, error)
            self._metrics.spoilt()
            self._remove(channel)

    def _look_after(self, served: _Served) -> None:
        if served.ending is None:
            self._end_if_over(served)
            self._refused.pop(served.channel.directory.name, None)  # it could not be looked after, and now can be
        elif served.ending.done():
            del self._served[served.channel.directory.name]
            self._ended(served, served.ending)

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
            name = channel.directory.name
            self._refused[name] = _Refusal.after(self._refused.get(name), ended=_has_ended(channel))

    def _remove(self, channel: Channel) -> None:
        """Out of the way at once, and removed in the background: a container can make millions of files.

        What stays there was made by somebody with more rights; `interpose docker uninstall` removes that.
        """
        self._remove_in_background(self._directory.discard(channel))

    def _remove_discarded(self) -> None:
        """What former sidecars did not get done."""
        with contextlib.suppress(FileNotFoundError):
            for discarded in self._directory.discarded.iterdir():
                self._remove_in_background(discarded)

    def _remove_in_background(self, directory: Path) -> None:
        self._removals = [removal for removal in self._removals if not removal.done()]
        self._removals.append(self._remover.submit(remove_tree, directory, self._enough.is_set))

    def _finish_removing(self) -> None:
        wait(self._removals, _REMOVE_SECONDS)
        self._enough.set()
        self._remover.shutdown()

    def _leave(self, served: _Served) -> Report | OSError | None:
        """How a channel was left, or why it could not be asked; None if nothing is left to do for it."""
        try:
            if served.ending is not None and served.ending.exception() is None and served.ending.result():
                self._remove(served.channel)
                return None
            return served.sidecar.stop()
        except OSError as error:
            return error


def _has_ended(channel: Channel) -> bool:
    """As far as can be told just now."""
    with contextlib.suppress(OSError):
        return channel.ended() is not None
    return False
