"""A journal's events: records that start on multiples of 8, as libinterpose/include/spool.h describes them.

A record's head says how long it is before its content stands, so a reader finds its way past what a killed process left
unfinished. Reading never raises: what does not follow the layout ends the reading and is reported.
"""

import ctypes
import enum
import struct
import threading
from bisect import bisect_left
from collections.abc import Container
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from interpose.sidecar.native import library
from interpose.sidecar.spool import EVENT

__all__ = ["EVENT", "HEAD", "Extent", "Records", "Stop", "head", "length_at", "measure", "scan"]

HEAD: Final = 5
"""Bytes of a record's head: the tag and the padded length."""
UNFINISHED: Final = 0x72
SEALED: Final = 0x6A
MOST_RECORDS: Final = 8192
"""That are found at once."""

_HEAD: Final = struct.Struct("<BI")
_MORE: Final = 0x00808080
_LONGEST: Final = (1 << 28) - 1
_lengths: dict[int, int] = {}


class Stop(enum.Enum):
    """Why reading went no further."""

    END = "end"
    """The bytes ended, between two records."""
    EMPTY = "empty"
    """No record has been begun here yet."""
    UNFINISHED = "unfinished"
    """A record is being written."""
    SEALED = "sealed"
    """The owner went on in another journal."""
    CORRUPT = "corrupt"
    """What stands here is no record, or one that does not end within the journal."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Whole records at the beginning of some bytes."""

    size: int
    """Bytes."""
    stop: Stop
    skipped: tuple[int, ...] = ()
    """Where, in these bytes, unfinished records stand that were passed over."""


@dataclass(slots=True)
class Records:
    """A range of a journal, in whole records."""

    start: int
    """Where in the journal's events it begins, bytes."""
    data: bytes
    offsets: list[int] = field(default_factory=list)
    """Where in the journal's events the finished events stand."""
    unfinished: list[int] = field(default_factory=list)
    """Where records stand that were begun and not finished."""
    stop: Stop = Stop.END
    hidden: int = 0
    """Heads of events that stand within records."""

    @property
    def end(self) -> int:
        """Where in the journal's events it ends, bytes."""
        return self.start + len(self.data)

    @property
    def bodies(self) -> list[bytes]:
        """Each finished event's encoded interpose.v1.Event."""
        places = [offset - self.start for offset in self.offsets]
        words = (_HEAD.unpack_from(self.data, place)[1] for place in places)
        return [self.data[place + HEAD : place + _length(word)] for place, word in zip(places, words, strict=True)]

    def since(self, offset: int) -> "Records":
        """The part from `offset` on, which must lie between two records."""
        if offset <= self.start:
            return self
        first = bisect_left(self.offsets, offset)
        rest = [place for place in self.unfinished if place >= offset]
        return Records(offset, self.data[offset - self.start :], self.offsets[first:], rest, self.stop)


def head(tag: int, length: int) -> bytes:
    """A record's head: `length` counts the bytes that follow these five."""
    padded = (length & 0x7F) | (length & 0x3F80) << 1 | (length & 0x1FC000) << 2 | (length & 0xFE00000) << 3
    return _HEAD.pack(tag, padded | _MORE)


def _length(word: int) -> int:
    """The record's whole length in bytes from the four bytes after its tag; 0 if they are no such length."""
    length = (word & 0x7F) | (word >> 1 & 0x3F80) | (word >> 2 & 0x1FC000) | (word >> 3 & 0xFE00000)
    if word & 0x80808080 != _MORE or (length + HEAD) % 8:
        return 0
    _lengths[word] = length + HEAD
    return length + HEAD


def length_at(data: bytes, position: int) -> int:
    """The whole length, in bytes, that the head at this position promises; 0 if it is none."""
    _, word = _HEAD.unpack_from(data, position)
    return _lengths.get(word) or _length(word)


def measure(data: bytes, start: int = 0, abandoned: Container[int] = ()) -> Extent:
    """How far a live journal can be read: up to a record that is unfinished and not at one of the places `abandoned`.

    `start` is where in the journal `data` begins; `abandoned` counts from the journal's start, too. `data` may end
    within a record: that one is left out. Read the bytes again after this, so that what flags promise stands in them.
    """
    position, size = 0, len(data)
    skipped: list[int] = []
    while position + HEAD <= size:
        tag, word = _HEAD.unpack_from(data, position)
        if tag == 0:
            return Extent(position, Stop.EMPTY, tuple(skipped))
        length = _lengths.get(word) or _length(word)
        if not length or tag not in (EVENT, UNFINISHED, SEALED):
            return Extent(position, Stop.CORRUPT, tuple(skipped))
        if position + length > size:
            break
        if tag == UNFINISHED:
            if start + position not in abandoned:
                return Extent(position, Stop.UNFINISHED, tuple(skipped))
            skipped.append(position)
        position += length
        if tag == SEALED:
            return Extent(position, Stop.SEALED, tuple(skipped))
    return Extent(position, Stop.END, tuple(skipped))


def scan(data: bytes, start: int) -> Records:
    """All records at the beginning of `data`, which stands at `start` of its journal; unfinished ones are passed over.

    The result's `data` ends with the last whole record. A record that does not end within `data` is Stop.CORRUPT.
    """
    scanner = _OF_THREAD.scanner
    offsets: list[int] = []
    unfinished: list[int] = []
    scanner.begin(data)
    while (stop := scanner.go_on(start, offsets, unfinished)) is None:
        pass
    end, hidden = scanner.native.at, scanner.native.hidden
    scanner.native.data = None
    return Records(start, data if end == len(data) else data[:end], offsets, unfinished, stop, hidden)


class _Native(ctypes.Structure):
    """struct ip_records."""

    _fields_ = (
        ("data", ctypes.c_char_p),
        ("size", ctypes.c_uint64),
        ("at", ctypes.c_uint64),
        ("hidden", ctypes.c_uint64),
        ("event_count", ctypes.c_uint64),
        ("unfinished_count", ctypes.c_uint64),
        ("events", ctypes.c_uint64 * MOST_RECORDS),
        ("unfinished", ctypes.c_uint64 * MOST_RECORDS),
    )


class _Scanner:
    """Goes through one journal's records after the other."""

    def __init__(self) -> None:
        self.native = _Native()
        self._scan, self._pointer = library().ip_scan, ctypes.byref(self.native)
        self._events, self._unfinished = (
            memoryview(places).cast("B").cast("Q") for places in (self.native.events, self.native.unfinished)
        )

    def begin(self, data: bytes) -> None:
        native = self.native
        native.data, native.size, native.at, native.hidden = data, len(data), 0, 0

    def go_on(self, start: int, offsets: list[int], unfinished: list[int]) -> Stop | None:
        """Add places to the lists; None if there are more."""
        native = self.native
        native.event_count = native.unfinished_count = 0
        stop = _STOPS[self._scan(self._pointer)]
        events = self._events[: native.event_count].tolist()
        offsets += [start + place for place in events] if start else events
        if native.unfinished_count:
            unfinished += [start + place for place in self._unfinished[: native.unfinished_count].tolist()]
        return stop


class _OfThread(threading.local):
    """What each thread has for itself."""

    @cached_property
    def scanner(self) -> _Scanner:
        return _Scanner()


_STOPS: Final = (Stop.END, Stop.EMPTY, Stop.SEALED, Stop.CORRUPT, None)
"""By enum ip_end."""
_OF_THREAD: Final = _OfThread()
