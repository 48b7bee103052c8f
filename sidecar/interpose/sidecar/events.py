"""Reading events back: the ranges of a run's journals, decoded and merged in the order of their times.

A range is read when the first of its events is due and dropped after its last, so memory holds the ranges of the
processes that lived at one time, however long the run was.
"""

from collections.abc import Iterator
from functools import lru_cache
from heapq import heappop, heappush, merge
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select, tuple_

from interpose.sidecar.decode import events_of
from interpose.sidecar.journal import scan
from interpose.sidecar.memory import clipped, identity_of
from interpose.sidecar.models import Image, Journal, Note, Process, Range
from interpose.sidecar.packing import unpack
from interpose.v1 import event_pb2

__all__ = ["Stored", "stored_events"]

_READ_AT_ONCE: Final = 64
_BORROWERS: Final = 4096


class Stored(NamedTuple):
    """An event and where it stands. Sorts by time, journal and offset."""

    time: int
    """Nanoseconds since 1970."""
    journal: int
    """The journal's number."""
    offset: int
    effect: str
    event: event_pb2.Event
    pid: int | None
    image: int | None
    """The id of the image that did it."""


class _Owner(NamedTuple):
    """Whose a journal is."""

    number: int
    shift: int
    """realtime_offset"""
    image: int | None
    pid: int | None
    pid_namespace: int | None


_OWNER: Final = (Journal.number, Journal.realtime_offset, Journal.image_id, Process.pid, Process.pid_namespace)


class _Due(NamedTuple):
    """A range."""

    first: int
    offset: int
    data: bytes
    owner: _Owner


def stored_events(connection: Connection, run: str) -> Iterator[Stored]:
    """The run's events in the order of their times, without reading them all at once."""
    borrowers = _Borrowers(connection, run)
    yield from merge(_of_ranges(connection, run, borrowers), _of_notes(connection, run, borrowers), key=_place)


class _Borrowers:
    """Finds the images of vfork children, which record in the journals of their parents."""

    def __init__(self, connection: Connection, run: str) -> None:
        self._connection, self._run = connection, run
        self.image = lru_cache(_BORROWERS)(self._image)

    def _image(self, identity: tuple[int, int, int]) -> int | None:
        return self._connection.execute(
            select(Image.id)
            .join(Process, Process.id == Image.process_id)
            .where(
                Process.run_id == self._run,
                Process.pid_namespace == identity[0],
                Process.pid == identity[1],
                Process.start_time == identity[2],
                Image.reason == "fork",
            )
        ).scalar()


def _place(stored: Stored) -> tuple[int, int, int]:
    return stored[:3]


def _of_ranges(connection: Connection, run: str, borrowers: _Borrowers) -> Iterator[Stored]:
    due: list[tuple[int, int, int, Iterator[Stored], Stored]] = []
    for row in _in_order(connection, run):
        while due and due[0][0] < row.first:
            yield from _first(due)
        _queue(due, iter(_decoded(row, borrowers)))
    while due:
        yield from _first(due)


def _first(due: list[Any]) -> Iterator[Stored]:
    *_, rest, stored = heappop(due)
    _queue(due, rest)
    yield stored


def _queue(due: list[Any], rest: Iterator[Stored]) -> None:
    if (stored := next(rest, None)) is not None:
        heappush(due, (*stored[:3], rest, stored))


def _in_order(connection: Connection, run: str) -> Iterator[Any]:
    """The run's ranges that have events, by the times of their first ones."""
    wanted = (
        select(Range.journal_id, Range.offset, Range.first, *_OWNER)
        .join(Journal, Journal.id == Range.journal_id)
        .outerjoin(Image, Image.id == Journal.image_id)
        .outerjoin(Process, Process.id == Image.process_id)
        .where(Journal.run_id == run, Range.events > 0)
        .order_by(Range.first)
    )
    # The bytes are fetched by place: a sort that carried them along would write them all to disk.
    key = tuple_(Range.journal_id, Range.offset)
    for rows in connection.execution_options(yield_per=_READ_AT_ONCE).execute(wanted).partitions():
        places = [(row.journal_id, row.offset) for row in rows]
        data = {
            (journal, offset): stored
            for journal, offset, stored in connection.execute(
                select(Range.journal_id, Range.offset, Range.data).where(key.in_(places))
            )
        }
        for row in rows:
            yield _Due(row.first, row.offset, data[row.journal_id, row.offset], _Owner(*row[3:]))


def _decoded(due: _Due, borrowers: _Borrowers) -> list[Stored]:
    """A range's events in the order of their times. Threads of one process can be out of it."""
    records = scan(unpack(due.data), due.offset)
    found = [
        _stored(due.owner, offset, event, borrowers)
        for offset, event in zip(records.offsets, events_of(records), strict=True)
        if event.time or event.WhichOneof("effect") is not None
    ]
    found.sort(key=_place)
    return found


def _of_notes(connection: Connection, run: str, borrowers: _Borrowers) -> Iterator[Stored]:
    wanted = (
        select(Note.offset, Note.body, *_OWNER)
        .join(Journal, Journal.id == Note.journal_id)
        .outerjoin(Image, Image.id == Journal.image_id)
        .outerjoin(Process, Process.id == Image.process_id)
        .where(Journal.run_id == run)
        .order_by(Note.time, Journal.number, Note.offset)
    )
    for row in connection.execution_options(yield_per=_READ_AT_ONCE).execute(wanted):
        yield _stored(_Owner(*row[2:]), row.offset, event_pb2.Event.FromString(row.body), borrowers)


def _stored(owner: _Owner, offset: int, event: event_pb2.Event, borrowers: _Borrowers) -> Stored:
    pid, image = owner.pid, owner.image
    if event.HasField("process"):
        pid = event.process.pid
        image = borrowers.image(identity_of(owner.pid_namespace or 0, event.process))
    effect = event.WhichOneof("effect") or "unknown"
    return Stored(clipped(event.time + owner.shift), owner.number, offset, effect, event, pid, image)
