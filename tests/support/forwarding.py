"""A sidecar, and the collector that it forwards to, in the tests' own process."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from prometheus_client import CollectorRegistry

from interpose.sidecar.central import Central
from interpose.sidecar.endpoint import Unix
from interpose.sidecar.forward import Forwarding
from interpose.sidecar.service import Report, RunInfo, Sidecar
from interpose.v1.capture_pb2 import Acknowledgement
from interpose.v1.event_pb2 import Close, Event
from support.databases import sqlite_url
from support.journals import Writer, origin
from support.rows import rows

__all__ = ["CLOSES", "Collector", "Place"]

CLOSES: Final = [Event(time=1001 + n, function="close", close=Close(fd=n)) for n in range(50)]


class Collector:
    """A collector at a Unix socket, which may be stopped and started."""

    def __init__(self, folder: Path, database: str, upper: "Collector | None" = None, retain: float | None = None):
        self.folder, self.database, self.retain = folder, database, retain
        folder.mkdir(exist_ok=True)
        self.endpoint = Unix(folder / "collector.sock")
        self._forward = None if upper is None else Forwarding(upper.endpoint, None)
        self.central: Central | None = None
        self.start()

    def start(self) -> None:
        """Start it on the database that it had."""
        self.registry = CollectorRegistry()
        self.central = Central.start(
            [self.endpoint], self.database, registry=self.registry, forward=self._forward, retain=self.retain
        )

    def stop(self) -> str | None:
        """Stop it: its problem."""
        problem, self.central = self.central and self.central.stop(), None
        return problem

    def rows(self) -> dict[str, Any]:
        """What it has stored."""
        return rows(self.database)

    def metric(self, name: str, **labels: str) -> float | None:
        """One of its metrics."""
        return self.registry.get_sample_value(f"interpose_{name}", labels)

    def stream(self, messages: Iterable[bytes]) -> list[Acknowledgement]:
        """The answers to these batches, as to a sidecar."""
        with grpc.insecure_channel(str(self.endpoint)) as channel:
            stream = channel.stream_stream(
                "/interpose.v1.Capture/Stream", response_deserializer=Acknowledgement.FromString
            )
            return list(stream(iter(messages)))


class Place:
    """A sidecar with its spool and database; without a collector it is the end of the line."""

    def __init__(
        self,
        folder: Path,
        collector: Collector | None,
        name: str = "side",
        retain: float | None = None,
        database: str | None = None,
    ) -> None:
        self.folder, self.collector, self.name, self.retain = folder / name, collector, name, retain
        self.folder.mkdir()
        self.spool, self.database = self.folder / "spool", database or sqlite_url(self.folder / "db")
        self.start()

    def start(self) -> None:
        """Start it on the spool and the database that it had."""
        self.registry = CollectorRegistry()
        self.sidecar = Sidecar.start(
            self.spool,
            self.database,
            RunInfo(self.name, ("make", "\udcff"), 5),
            registry=self.registry,
            forward=None if self.collector is None else Forwarding(self.collector.endpoint, None),
            retain=self.retain,
        )

    def stop(self, **more: int) -> Report:
        """Stop it."""
        return self.sidecar.stop(**more)

    def rows(self) -> dict[str, Any]:
        """What it has stored."""
        return rows(self.database)

    def metric(self, name: str, **labels: str) -> float | None:
        """One of its metrics."""
        return self.registry.get_sample_value(f"interpose_{name}", labels)

    def process(self, pid: int, events: Sequence[Event] = CLOSES) -> Writer:
        """A process that has done something, and lives."""
        writer = Writer(self.spool, pid, 100)
        writer.append([origin(pid, 100, 1000, executable=b"/bin/make"), *events])
        return writer
