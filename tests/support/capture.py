"""A program run under the library, and the events that it left: a spool without a sidecar."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from interpose.sidecar.decode import events_of
from interpose.sidecar.errors import SpoolError
from interpose.sidecar.journal import Stop, scan
from interpose.sidecar.spool import Descriptor, Journal, Level, Spool
from interpose.v1.event_pb2 import Event, File, Io
from support.roots import TARGETS, Outcome, Target, library, run

__all__ = ["Capture", "Process"]


@dataclass
class Process:
    """What one image of one process recorded: its home journal, and those that it continued in."""

    pid: int
    start_time: int
    home: int
    """The number of its first journal."""
    events: list[Event] = field(default_factory=list)
    lost: int = 0
    """Events counted as lost that no Gap tells of."""
    journals: int = 0
    stops: list[Stop] = field(default_factory=list)
    unfinished: int = 0

    def of(self, effect: str) -> list[Event]:
        """The events of one effect."""
        return [event for event in self.events if event.WhichOneof("effect") == effect]

    @property
    def gaps(self) -> int:
        """How many events its Gaps tell of."""
        return sum(event.gap.events for event in self.of("gap"))


class Capture:
    """A capture directory: the library and, beside it, a fresh spool. `settings` are those of Spool.create."""

    def __init__(self, directory: Path, target: Target = TARGETS["host"], **settings: Any) -> None:
        directory.mkdir(parents=True)
        self.target = target
        self.library = directory / "libinterpose.so"
        _place(library(target.machine), self.library)
        directory.chmod(0o755)
        self.spool = Spool.create(directory / "spool", **{"journals_per_segment": 16, **settings})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.spool.close()

    @property
    def variables(self) -> dict[str, str]:
        """What makes a program load the library."""
        return {"LD_PRELOAD": str(self.library)}

    def run(self, arguments: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None) -> Outcome:
        """Run a program under the library."""
        return run(self.target, arguments, folder, {**(variables or {}), **self.variables})

    def processes(self) -> list[Process]:
        """Every image that recorded something, in the order in which they claimed their journals."""
        found: list[Process] = []
        current: dict[tuple[int, int], Process] = {}
        for journal in self._journals():
            header = journal.header()
            if header is None:
                continue
            owner = (header.pid, header.start_time)
            if header.fds_offset:
                current[owner] = Process(header.pid, header.start_time, journal.number)
                found.append(current[owner])
            process = current[owner]
            records = scan(journal.read(header.events_offset, header.events_size), 0)
            process.events += events_of(records)
            process.stops.append(records.stop)
            process.unfinished += len(records.unfinished)
            process.journals += 1
            process.lost += header.lost_events
            process.events += map(_leftover, journal.descriptors(header, self.spool.is_told))
        return found

    def _journals(self) -> Iterator[Journal]:
        with contextlib.suppress(SpoolError):  # no room for the segments that it would keep ahead
            self.spool.refresh()
        per = self.spool.settings.journals_per_segment
        for number in range(self.spool.claimed()):
            if segment := self.spool.segments.get(number // per):
                yield Journal(segment, number % per)


def _place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _leftover(descriptor: Descriptor) -> Event:
    """What a process that was killed had counted and not told."""
    file = File(
        device=descriptor.device, inode=descriptor.inode, birth_time=descriptor.birth_time, mode=descriptor.mode
    )
    return Event(
        io=Io(
            fd=descriptor.fd,
            file=file,
            bytes_read=descriptor.bytes_read,
            bytes_written=descriptor.bytes_written,
            reads=descriptor.reads,
            writes=descriptor.writes,
            final=True,
        )
    )


SUMMARY, CALLS = Level.SUMMARY, Level.CALLS
