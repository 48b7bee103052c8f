"""What a host's sidecar tells Prometheus: the sums of what its channels' sidecars tell, and some of it by container.

Labels are the container's name and its image, never an id or a path, and of at most so many containers at a time.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from interpose.sidecar.decisions import Decisions
from interpose.sidecar.hostdir import HostDirectory, Identity
from interpose.sidecar.metrics import Metrics

__all__ = ["MOST_CONTAINERS", "HostMetrics"]

MOST_CONTAINERS: Final = 100
"""Containers that have series of their own; all others together are the container `(other)`."""
_LINGER_SECONDS: Final = 900.0
"""How long the series of a container that has ended stay, so that they are scraped at their last values."""
_OTHER: Final = ("(other)", "")
_BY_CONTAINER: Final = {
    "interpose_events_total": ("interpose_container_events", "Events stored, by container."),
    "interpose_processes_total": ("interpose_container_processes", "Processes seen, by container."),
    "interpose_events_lost_total": ("interpose_container_events_lost", "Events not recorded, by container."),
    "interpose_blind_spots_total": (
        "interpose_container_blind_spots",
        "Programs that were started and run unseen, by container.",
    ),
    "interpose_bytes_total": ("interpose_container_bytes", "Journal bytes stored, by container."),
}
_LIVE: Final = "interpose_journals_live"

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and labels."""


@dataclass(slots=True, eq=False)
class _Source:
    """The registry of a channel that is served."""

    registry: CollectorRegistry
    owner: tuple[str, str] | None


class HostMetrics(Collector):
    """Registered in the registry that is served; `add` and `remove` from the host's thread, `collect` from any."""

    def __init__(self, registry: CollectorRegistry, directory: HostDirectory) -> None:
        self._lock = threading.Lock()
        self._sources = {"(nobody)": _Source(_nothing(), None)}
        self._gone: dict[Key, float] = defaultdict(float)
        """Counters of channels that are served no more."""
        self._gone_by_owner: dict[tuple[str, str], Counter[str]] = {}
        self._owners: dict[tuple[str, str], float | None] = {}
        """Names and images with series of their own, and since when (monotonic) nothing of theirs runs."""
        self._families: dict[str, Metric] = {}
        self._containers = Gauge(
            "interpose_containers", "Captured containers, by what is done with them.", ["state"], registry=registry
        )
        self._spoilt = PrometheusCounter(
            "interpose_channels_spoilt", "Channels that their containers made unreadable.", registry=registry
        )
        self.states(served=0, ending=0, refused=0)
        self._decisions = Decisions(directory)
        registry.register(self)

    def states(self, *, served: int, ending: int, refused: int) -> None:
        """Set how many channels are in which state."""
        for state, amount in (("served", served), ("ending", ending), ("refused", refused)):
            self._containers.labels(state).set(amount)

    def spoilt(self) -> None:
        """A channel's content is lost."""
        self._spoilt.inc()

    def add(self, name: str, identity: Identity, registry: CollectorRegistry) -> None:
        """A channel is served from now on."""
        owner = (identity.name or "(unnamed)", identity.image or "")
        with self._lock:
            self._expire()
            if owner not in self._owners and len(self._owners) >= MOST_CONTAINERS:
                owner = _OTHER
            else:
                self._owners[owner] = None
            self._sources[name] = _Source(registry, owner)

    def add_unowned(self, name: str, registry: CollectorRegistry) -> None:
        """What is counted for no container in particular."""
        with self._lock:
            self._sources[name] = _Source(registry, None)

    def remove(self, name: str) -> None:
        """A channel is served no more: what it had counted goes on to count."""
        with self._lock:
            source = self._sources.pop(name, None)
            if source is None or source.owner is None:
                return
            for family in source.registry.collect():
                for sample in family.samples:
                    if family.type in ("counter", "histogram") and not sample.name.endswith("_created"):
                        self._gone[sample.name, tuple(sorted(sample.labels.items()))] += sample.value
            totals = self._gone_by_owner.setdefault(source.owner, Counter())
            totals.update(_by_container(source.registry))
            if source.owner in self._owners and all(other.owner != source.owner for other in self._sources.values()):
                self._owners[source.owner] = time.monotonic()

    def _expire(self) -> None:
        now = time.monotonic()
        for owner, since in list(self._owners.items()):
            if since is not None and now - since > _LINGER_SECONDS:
                del self._owners[owner]
                self._gone_by_owner.pop(owner, None)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names depend on what is served."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The families of all channels, summed, and those by container."""
        with self._lock:
            self._expire()
            families = self._summed()
            by_owner = self._counted_by_owner()
            live: Counter[tuple[str, str]] = Counter()
            for source in self._sources.values():
                if source.owner is not None:
                    live[source.owner] += int(source.registry.get_sample_value(_LIVE) or 0)
        yield from families
        for total, (name, text) in _BY_CONTAINER.items():
            counter = CounterMetricFamily(name, text, labels=["container", "image"])
            for owner, values in sorted(by_owner.items()):
                counter.add_metric(owner, values[total])
            yield counter
        gauge = GaugeMetricFamily(
            "interpose_container_journals_live",
            "Journals whose processes live, by container.",
            labels=["container", "image"],
        )
        for owner, amount in sorted(live.items()):
            gauge.add_metric(owner, amount)
        yield gauge
        outcomes = CounterMetricFamily(
            "interpose_injections",
            "Containers that were asked to be captured, by what became of it.",
            labels=["outcome"],
        )
        for outcome, amount in sorted(self._decisions.count().items()):
            outcomes.add_metric([outcome], amount)
        yield outcomes

    def _summed(self) -> list[Metric]:
        sums: dict[Key, float] = defaultdict(float, self._gone)
        for source in self._sources.values():
            for family in source.registry.collect():
                known = self._families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    if sample.name.endswith("_created"):
                        continue
                    key = (sample.name, tuple(sorted(sample.labels.items())))
                    sums[key] = 1 if known.type == "info" else sums[key] + sample.value
        made = []
        for name, known in self._families.items():
            metric = Metric(name, known.documentation, known.type)
            for (sample_name, labels), value in sums.items():
                if sample_name == name or sample_name.removeprefix(name) in _SUFFIXES:
                    metric.add_sample(sample_name, dict(labels), value)
            made.append(metric)
        return made

    def _counted_by_owner(self) -> dict[tuple[str, str], Counter[str]]:
        counted = {owner: Counter(values) for owner, values in self._gone_by_owner.items()}
        for source in self._sources.values():
            if source.owner is not None:
                counted.setdefault(source.owner, Counter()).update(_by_container(source.registry))
        return counted


_SUFFIXES: Final = ("_total", "_sum", "_count", "_bucket", "_info")


def _nothing() -> CollectorRegistry:
    """What a channel's sidecar would tell of which nothing is known: with it every series is there from the start."""
    registry = CollectorRegistry()
    Metrics(registry).at_zero()
    return registry


def _by_container(registry: CollectorRegistry) -> Counter[str]:
    counted: Counter[str] = Counter()
    for family in registry.collect():
        for sample in family.samples:
            if sample.name in _BY_CONTAINER:
                counted[sample.name] += int(sample.value)
    return counted
