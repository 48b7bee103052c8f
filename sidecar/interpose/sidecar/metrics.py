"""What a sidecar tells Prometheus."""

import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server

from interpose.sidecar.errors import InterposeError
from interpose.v1.event_pb2 import BlindSpot, Event, Gap

__all__ = ["Metrics", "serve"]

_COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
EFFECTS: Final = tuple(field.name for field in Event.DESCRIPTOR.oneofs_by_name["effect"].fields)
"""What events are counted by."""
_PATHS: Final = ("stream", "collected", "forwarded")
_REFUSALS: Final = (
    "ahead", "forward", "header", "journal", "malformed", "name", "peer", "segment", "unstorable",
)  # fmt: skip
_POISONED: Final = ("control", "journal")
_SIDECAR_CAUSES: Final = (Gap.CAUSE_ABANDONED, Gap.CAUSE_CORRUPT)


class Metrics:
    """All metrics of one sidecar, in a registry of the caller's choice."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.events = Counter("interpose_events", "Events stored, by effect.", ["effect"], registry=registry)
        self.bytes = Counter(
            "interpose_bytes", "Journal bytes stored, by the way they came.", ["path"], registry=registry
        )
        self.journals_live = Gauge("interpose_journals_live", "Journals whose processes live.", registry=registry)
        self.slowed = Gauge(
            "interpose_slowed", "Runs that are read no faster than their daily limit allows.", registry=registry
        )
        self.processes = Counter("interpose_processes", "Processes seen.", registry=registry)
        self.blind = Counter(
            "interpose_blind_spots",
            "Programs that ran or may act unseen.",
            ["cause"],
            registry=registry,
        )
        self.lost = Counter(
            "interpose_events_lost",
            "Events that were not recorded, by who lost them and why.",
            ["stage", "reason"],
            registry=registry,
        )
        self.refused = Counter(
            "interpose_batches_refused", "What came and was not believed, by reason.", ["reason"], registry=registry
        )
        self.poisoned = Counter(
            "interpose_poisoned",
            "Numbers of losses that cannot be true and are not counted, by where they stood.",
            ["where"],
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "interpose_commit_seconds", "Time of one transaction.", buckets=_COMMIT_BUCKETS, registry=registry
        )
        self.commit_failures = Counter(
            "interpose_commit_failures", "Transactions that the database refused.", registry=registry
        )
        self.queue_items = Gauge("interpose_queue_items", "Byte ranges that wait for the writer.", registry=registry)
        self.forwarded = Counter(
            "interpose_forwarded_bytes", "Journal bytes that the collector has acknowledged.", registry=registry
        )
        self.forward_failures = Counter(
            "interpose_forward_failures", "Streams to the collector that failed.", registry=registry
        )
        self.build = Info("interpose_build", "What is running.", registry=registry)
        self.build.info({"version": _version()})

    def at_zero(self) -> None:
        """Have every series that there can be, before anything is counted: what appears with 1 never rose to it."""
        for effect in (*EFFECTS, "unknown"):
            self.events.labels(effect)
        for cause in Gap.Cause.values():
            self.lost.labels(_stage(cause), _reason(cause))
        for counter, values in ((self.bytes, _PATHS), (self.refused, _REFUSALS), (self.poisoned, _POISONED)):
            for value in values:
                counter.labels(value)
        for name in map(BlindSpot.Cause.Name, BlindSpot.Cause.values()):
            self.blind.labels(name.removeprefix("CAUSE_").lower())

    def count(self, effects: Mapping[str, int], losses: Mapping[int, int], processes: int) -> None:
        """Account for a committed transaction: events by effect, lost events by Gap.Cause, new processes."""
        for effect, amount in effects.items():
            self.events.labels(effect).inc(amount)
        for cause, amount in losses.items():
            self.lost.labels(_stage(cause), _reason(cause)).inc(amount)
        if processes:
            self.processes.inc(processes)


def serve(registry: CollectorRegistry, host: str, port: int) -> tuple[int, Callable[[], None]]:
    """Answer GET /metrics over HTTP; port 0 takes a free one. Returns the port. Raises InterposeError."""
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise InterposeError(
            f"cannot listen for /metrics on {host}:{port}: {error.strerror}; choose another"
        ) from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, close


def _stage(cause: int) -> str:
    return "sidecar" if cause in _SIDECAR_CAUSES else "library"


def _reason(cause: int) -> str:
    if cause not in Gap.Cause.values():
        return "unspecified"
    return Gap.Cause.Name(cause).removeprefix("CAUSE_").lower()


def _version() -> str:
    try:
        return importlib.metadata.version("interpose")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
