"""What is remembered of a run between transactions, so that an event costs no SELECT."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

from interpose.sidecar.cache import Cache
from interpose.v1 import event_pb2 as pb

__all__ = [
    "EARLIEST",
    "LATEST",
    "NOBODY",
    "Identity",
    "Image",
    "Journal",
    "Process",
    "Run",
    "clipped",
    "identity_of",
    "signed",
]

LATEST: Final = (1 << 63) - 1
"""The largest number that a column holds, and"""
EARLIEST: Final = -1 << 63
"""the smallest."""
CACHED: Final = 4096
"""Processes, and journals."""
_CACHED_FILES: Final = 1 << 14
_REMEMBERED_WAITS: Final = 1 << 14
_REMEMBERED_OF_ONE_PID: Final = 8
_SIGN: Final = 1 << 63
_EVENTS_A_SECOND: Final = 10**8
"""More than a machine makes."""
_MOST_LOST_AT_ONCE: Final = 1 << 40
_MOST_LOST: Final = 1 << 50
"""Of one run: a float still counts each event of eight such runs."""
_LEAST_AGE: Final = 60.0
_UNKNOWN_AGE: Final = 86400.0
"""Seconds; of a run that another sidecar began."""

Identity = tuple[int, int, int]
"""pid_namespace, pid, start_time."""
NOBODY: Final[Identity] = (0, 0, 0)
"""Whose events are those of a journal that does not say whose it is."""


def signed(value: int) -> int:
    """An unsigned 64-bit number as the signed one with the same bits: databases have no other."""
    return ((value & 0xFFFF_FFFF_FFFF_FFFF) ^ _SIGN) - _SIGN


def clipped(time: int) -> int:
    """The nearest time that a column holds."""
    return max(0, min(time, LATEST))


def identity_of(namespace: int, process: pb.Process) -> Identity:
    """The identity of a process of this pid namespace."""
    return namespace, process.pid & 0x7FFFFFFF, signed(process.start_time)


@dataclass(slots=True, eq=False)
class Image:
    """A row of `images`."""

    id: int
    process: "Process"
    started: int
    reason: str
    ended: int | None = None
    described: bool = False
    """Its Origin was seen."""
    changed: bool = False
    new: bool = False
    """It is not in the database yet."""
    program: tuple[Any, ...] = (None, None, None, None)
    """Of a new one: executable, file_id, arguments, directory."""


@dataclass(slots=True, eq=False)
class Process:
    """A row of `processes`."""

    id: int
    identity: Identity
    started: int
    ended: int | None = None
    exit_status: int | None = None
    has_parent: bool = False
    has_user: bool = False
    images: list[Image] = field(default_factory=list)
    changed: bool = False
    new: bool = False
    """It is not in the database yet."""
    parent: tuple[int | None, int | None] = (None, None)
    """Of a new one: pid and start_time."""
    owner: tuple[int | None, int | None] = (None, None)
    """Of a new one: user and group."""

    def fork_image(self) -> "Image | None":
        """A process is forked once, so it has one such image at most."""
        return next((image for image in self.images if image.reason == "fork"), None)


@dataclass(slots=True, eq=False)
class Journal:
    """A row of `journals`."""

    id: int
    number: int
    shift: int
    """realtime_offset"""
    offset: int = 0
    image_id: int | None = None
    process: Identity | None = None
    closed: bool = False
    new: bool = False
    """It is not in the database yet."""


class Run:
    """What is remembered of a run between transactions; `forget` it whenever one fails."""

    def __init__(self, run_id: str, shift: int, files: int = _CACHED_FILES, started: int | None = None) -> None:
        """`shift` is CLOCK_REALTIME minus CLOCK_BOOTTIME in nanoseconds, for journals whose Origin is lost.

        `files` is how many files are remembered. `started`: nanoseconds since 1970, if that is known.
        """
        self.id = run_id
        self._born = time.monotonic() - (
            _UNKNOWN_AGE if started is None else max((time.time_ns() - started) / 1e9, _LEAST_AGE)
        )
        """When it began, as time.monotonic tells it."""
        self.lost = 0
        """Events that were not recorded, of those counted since this was made."""
        self.shift = shift
        self.revision = -1
        """Run.revision after the transaction that this memory is of."""
        self.files: Cache[tuple[int, int, int], int] = Cache(files)
        self.vague: set[int] = set()
        """Files of the kind `other`."""
        self.processes: dict[Identity, Process] = {}
        self.journals: dict[int, Journal] = {}
        self.last_journal = LATEST
        """No journal with a larger number is in the database."""
        self.starts: dict[tuple[int, int], list[int]] = {}
        """The start times of the `processes` that had a pid, by pid_namespace and pid."""
        self.last_start = LATEST
        """Every process in the database that started later is in `processes`."""
        self.waits: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        """By pid_namespace and pid: boot time, time, exit status of each Wait that told of it."""

    def age(self) -> float:
        """Seconds since it began, or more."""
        return time.monotonic() - self._born

    def can_lose(self, events: int, before: int = 0) -> bool:
        """Whether so many events more can be lost, `before` apart: programs write those numbers, and write anything."""
        most = min(int(self.age() * _EVENTS_A_SECOND), _MOST_LOST)
        return events <= _MOST_LOST_AT_ONCE and self.lost + before + events <= most

    def forget(self) -> None:
        """Drop everything that can be read from the database."""
        self.files.clear()
        self.vague.clear()
        self.forget_processes()
        self.journals.clear()
        self.last_journal = self.last_start = LATEST
        self.revision = -1

    def add_process(self, process: Process) -> None:
        """Remember a process."""
        self.processes[process.identity] = process
        self.starts.setdefault(process.identity[:2], []).append(process.identity[2])

    def remove_process(self, process: Process) -> None:
        """Forget a process that is in the database no more."""
        if self.processes.pop(process.identity, None) is not None:
            self.starts[process.identity[:2]].remove(process.identity[2])

    def forget_processes(self) -> None:
        """Drop the processes, which are in the database."""
        self.last_start = max([self.last_start, *(start for _, _, start in self.processes)])
        for process in self.processes.values():
            process.images.clear()  # or each would keep the other until the next look for such circles
        self.processes.clear()
        self.starts.clear()

    def add_wait(self, namespace: int, child: int, boot: int, time: int, status: int) -> tuple[int, int]:
        """Remember that a child's end was told of; returns the namespace and pid that it is about."""
        key = (namespace, child)
        told = self.waits.setdefault(key, [])
        if (boot, time, status) not in told:
            told.append((boot, time, status))
            if len(told) > _REMEMBERED_OF_ONE_PID:
                told.remove(min(told))
        if len(self.waits) > _REMEMBERED_WAITS:
            del self.waits[next(iter(self.waits))]
        return key
