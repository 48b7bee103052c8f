"""What must hold of each reader whatever it is given. An input that breaks it raises."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from google.protobuf.message import DecodeError

from interpose.sidecar.accesses import Accesses
from interpose.sidecar.batch import split, take_apart
from interpose.sidecar.decode import events_of
from interpose.sidecar.errors import MalformedError
from interpose.sidecar.journal import HEAD, Records, Stop, measure, scan
from interpose.sidecar.mend import mend
from interpose.sidecar.spool import JOURNAL, JOURNAL_MAGIC, Journal, Level, Redaction, Segment, Settings
from interpose.v1.capture_pb2 import Batch
from support.said import WANTED, as_protobuf_reads, as_read

__all__ = ["READERS"]

_SIZE: Final = 65536
_IDENTITY: Final = {"magic": (JOURNAL_MAGIC, 8), "number": (0, 8)}
"""What an input need not guess: it stands in every journal."""


@cache
def _journal() -> Journal:
    """One journal of a segment in memory."""
    file = os.memfd_create("segment", os.MFD_CLOEXEC)
    os.truncate(file, _SIZE)
    return Journal(Segment(0, file, Settings(Level.SUMMARY, _SIZE, 1, 1, bytes(16), Redaction.SECRETS)), 0)


@cache
def _accesses() -> Accesses:
    return Accesses(WANTED)


def read_journal(data: bytes) -> None:
    """A journal whose owner is dead: its header, its descriptors and its records. `data` is its beginning."""
    journal = _journal()
    content = bytearray(data[:_SIZE].ljust(_SIZE, b"\0"))
    for member, (value, size) in _IDENTITY.items():
        content[JOURNAL.offsets[member] : JOURNAL.offsets[member] + size] = value.to_bytes(size, "little")
    os.pwrite(journal.segment.file, content, 0)
    assert journal.is_born()
    header = journal.header()
    if header is None:
        return
    assert len(journal.descriptors(header, lambda number, _: bool(number % 2))) <= header.fds_count
    _check_records(journal.read(header.events_offset, header.events_size), 0)


def read_batch(data: bytes) -> None:
    """A message of Capture.Stream, from a process or from a sidecar."""
    try:
        number, records, forwarded = take_apart(data)
    except MalformedError:
        return
    if forwarded is None:
        assert split(data) == (number, records)
    assert records.start % 8 == 0 or not records.data
    assert 0 <= number < 1 << 64
    _check_places(records)
    events = events_of(records)
    assert len(events) == len(records.bodies)
    try:
        batch = Batch.FromString(data)
    except DecodeError:
        return
    assert (batch.journal, batch.offset) == (number, records.start)
    assert batch.HasField("forwarded") == (forwarded is not None)
    if not batch.sealed:
        assert list(batch.events) == list(events)


def _check_records(data: bytes, start: int) -> None:
    records = scan(data, start)
    assert records.data == data[: len(records.data)]
    _check_places(records)
    # A reader of the living goes exactly as far once it has given up what stays unfinished.
    extent = measure(data, start, set(records.unfinished))
    assert extent.size == len(records.data)
    assert [start + place for place in extent.skipped] == records.unfinished
    careful = measure(data, start)
    assert careful.size == (records.unfinished[0] - start if records.unfinished else len(records.data))
    # The same records, whatever was committed before.
    for place in (records.offsets + records.unfinished)[:3]:
        rest, again = records.since(place), scan(data[place - start :], place)
        assert (rest.data, rest.offsets, rest.bodies, rest.unfinished, rest.stop) == (
            again.data,
            again.offsets,
            again.bodies,
            again.unfinished,
            again.stop,
        )
    assert len(events_of(records)) == len(records.bodies)
    places = [offset - records.start + HEAD for offset in records.offsets]
    assert as_read(_accesses(), records.data, places, 0) == as_protobuf_reads(records.bodies, 0)
    mended = mend(data, start)
    _check_places(mended.records)
    assert mended.records.end <= start + len(data)
    assert set(mended.damaged) <= set(mended.records.unfinished)
    again = scan(mended.records.data, start)
    assert (again.offsets, again.unfinished) == (mended.records.offsets, mended.records.unfinished)
    if not mended.damaged:
        assert mended.records.offsets == records.offsets


def _check_places(records: Records) -> None:
    assert len(records.offsets) == len(records.bodies)
    places = sorted(records.offsets + records.unfinished)
    assert len(places) == len(set(places))
    assert all(place % 8 == records.start % 8 for place in places)
    assert all(records.start <= place < records.end for place in places)
    assert isinstance(records.stop, Stop)


READERS: Final[Mapping[str, Callable[[bytes], None]]] = {"journal": read_journal, "batch": read_batch}
"""By the name of their corpus."""
