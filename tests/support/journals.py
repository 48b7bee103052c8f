"""A process, as far as a spool can tell: claims journals and fills them the way the C library does."""

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interpose.sidecar.journal import EVENT, HEAD, SEALED, UNFINISHED, head
from interpose.sidecar.spool import CONTROL, FD, JOURNAL, JOURNAL_MAGIC
from interpose.v1.event_pb2 import Event, Origin, Process

__all__ = ["EVENTS_OFFSET", "Writer", "origin", "record"]

NAMESPACE = 4026531836
OFFSET = 1_700_000_000_000_000_000
"""CLOCK_REALTIME minus CLOCK_BOOTTIME of all journals made here."""

_F_OFD_SETLK = 37
_FLOCK = struct.Struct("hhqqi0q")
_U64 = struct.Struct("<Q")
EVENTS_OFFSET = 16384
"""Of a home journal: IP_EVENTS_OFFSET of libinterpose/include/spool.h."""
_CONTROL_SIZE = 4096
_MADE_SECONDS = 60


def record(event: Event, tag: int = EVENT) -> bytes:
    """An event as it stands in a journal, brought to a multiple of 8 bytes by its padding."""
    body = event.SerializeToString()
    missing = -(len(body) + HEAD) % 8
    if missing == 1:
        missing += 8
    if missing:
        # Field 15, varint: its tag and a zero that is `missing - 1` bytes long.
        body += b"\x78" + b"\x80" * (missing - 2) + b"\x00"
    return head(tag, len(body)) + body


def origin(pid: int, start_time: int, time: int, reason: Origin.Reason = Origin.REASON_IMAGE, **fields: Any) -> Event:
    """An Origin event of a process in the one pid namespace that these tests know."""
    process = Process(pid=pid, start_time=start_time)
    return Event(
        time=time,
        thread=pid,
        origin=Origin(reason=reason, process=process, pid_namespace=NAMESPACE, realtime_offset=OFFSET, **fields),
    )


class Writer:
    """One claimed journal: locked and mapped until `die`."""

    def __init__(
        self, spool: Path, pid: int = 1, start_time: int = 0, *, home: bool = True, born: bool = True, lock: bool = True
    ) -> None:
        """Claim the next journal; `born` says whether its header is written, `lock` whether it is locked."""
        with control(spool) as page:
            size, per = struct.unpack_from("<II", page, CONTROL.offsets["journal_size"])
            self.number = _U64.unpack_from(page, CONTROL.offsets["next_journal"])[0]
            # In one piece: what struct packs is zero for a moment, and the sidecar looks meanwhile.
            with memoryview(page) as words, words.cast("Q") as numbers:
                numbers[CONTROL.offsets["next_journal"] // 8] = self.number + 1
        segment, slot = divmod(self.number, per)
        self._segment, self._whole, self._place = spool / f"segment-{segment:08x}", size, slot * size
        file = _opened(self._segment)
        if lock:
            fcntl.fcntl(file, _F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, self._place, 1, 0))
        self.map = self._mapped(file)
        self.start = EVENTS_OFFSET if home else 256
        self.size = size - self.start
        self.tail = 0
        if born:
            values = {
                "kind": (1 if home else 2, 4),
                "pid": (pid, 4),
                "start_time": (start_time, 8),
                "fds_offset": (256 if home else 0, 4),
                "fds_count": (124 if home else 0, 4),
                "events_offset": (self.start, 4),
                "events_size": (self.size, 4),
                "number": (self.number, 8),
                "owner": (1 + self.number, 8),
                "magic": (JOURNAL_MAGIC, 8),
            }
            for name, (value, width) in values.items():
                self.poke(JOURNAL.offsets[name], value.to_bytes(width, "little"))

    def _mapped(self, file: int) -> mmap.mmap:
        try:
            return mmap.mmap(file, self._whole, offset=self._place)
        finally:
            os.close(file)

    def poke(self, offset: int, content: bytes) -> None:
        """Write anything anywhere in the journal."""
        self.map[offset : offset + len(content)] = content

    def append(self, events: Iterable[Event], tag: int = EVENT) -> int:
        """Append records; returns the place of the last one."""
        place = self.tail
        for event in events:
            place = self.tail
            self.raw(record(event, tag))
        return place

    def raw(self, content: bytes) -> None:
        """Append bytes as they are."""
        assert self.tail + len(content) <= self.size
        self.poke(self.start + self.tail, content)
        self.tail += len(content)
        self.poke(JOURNAL.offsets["tail"], _U64.pack(self.tail))

    def finish(self, place: int) -> None:
        """Turn an unfinished record into an event."""
        self.poke(self.start + place, bytes([EVENT]))

    def unfinished(self, event: Event) -> int:
        """Append a record that is begun and not finished; returns its place."""
        return self.append([event], UNFINISHED)

    def seal(self) -> None:
        """Mark the end: the process goes on in another journal."""
        self.raw(head(SEALED, 3) + bytes(3))

    def descriptor(self, fd: int, **members: int) -> None:
        """Set counters of an open descriptor."""
        for name, value in members.items():
            place, after = FD.offsets[name], [other for other in FD.offsets.values() if other > FD.offsets[name]]
            width = min(after, default=FD.size) - place
            self.poke(256 + fd * FD.size + place, value.to_bytes(width, "little"))

    def lose(self, events: int, first: int, last: int, cause: int) -> None:
        """Count events that could not be recorded."""
        for name, value in (("lost_events", events), ("lost_first", first), ("lost_last", last), ("lost_cause", cause)):
            self.poke(JOURNAL.offsets[name], _U64.pack(value))

    def acknowledged(self) -> int:
        """What the sidecar has told this process, bytes."""
        return int(_U64.unpack_from(self.map, JOURNAL.offsets["acknowledged"])[0])

    def events(self) -> bytes:
        """All records so far."""
        return self.map[self.start : self.start + self.tail]

    def owner(self) -> int:
        """Its mark; 0 when the sidecar has given the journal up."""
        return int(_U64.unpack_from(self.map, JOURNAL.offsets["owner"])[0])

    def vanish(self) -> None:
        """Lose the lock and keep the journal, as a process does that a checkpoint brings back at once."""
        locked, self.map = self.map, self._mapped(_opened(self._segment))
        locked.close()

    def die(self) -> None:
        """Unmap, as SIGKILL does: the lock ends with the mapping."""
        self.map.close()


def _opened(segment: Path) -> int:
    """The segment, which a sidecar makes as journals are claimed: it may be late."""
    deadline = time.monotonic() + _MADE_SECONDS
    while True:
        try:
            return os.open(segment, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)


@contextmanager
def control(spool: Path) -> Iterator[mmap.mmap]:
    """The spool's control page."""
    with open(spool / "control", "r+b") as file, mmap.mmap(file.fileno(), _CONTROL_SIZE) as page:
        yield page
