"""From what is stored to the batches that go to a collector."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from interpose.sidecar.errors import UnsendableError
from interpose.sidecar.ingest import OWN_JOURNAL
from interpose.sidecar.journal import measure
from interpose.sidecar.store import Pending, RunRow, Store
from interpose.v1.capture_pb2 import Batch, Container, Forwarded, Note, Run
from interpose.v1.event_pb2 import Event

__all__ = ["LARGEST_MESSAGE", "Parcel", "parcel_of_run", "parcels"]

_SIZE: Final = 256 << 10
"""Bytes of records that go together, about."""
_MOST: Final = 1 << 20
"""Bytes that are not exceeded, except by a single record."""
LARGEST_MESSAGE: Final = 4 << 20
"""Bytes of a batch that a collector takes."""
_UNSIGNED: Final = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class Parcel:
    """An encoded Batch, and what its acknowledgement means."""

    message: bytes
    run: str
    ended: int | None
    """The run's end, if it tells of that."""
    journal: int | None
    """Its id in the database; None if it is about the run alone."""
    start: int
    end: int
    """Where in the journal it begins and ends."""
    closing: bool
    """It is the journal's last one."""


def parcels(store: Store, run: RunRow, pending: Pending, start: int, *, describe: bool) -> Iterator[Parcel]:
    """A journal from `start` to its end; with the run's description in front. Raises UnsendableError, StoreError."""
    if pending.number == OWN_JOURNAL:
        notes = store.notes(pending.id, start)
        end = start + len(notes)
        yield _parcel(run, pending, start, end, b"", notes, closing=False, describe=describe)
        return
    while True:
        data = _records(store, pending.id, start)
        end = start + len(data)
        if end == start < pending.offset:
            raise UnsendableError(
                f"journal {pending.number} of run {run.id}: what stands at {start} is deleted already"
            )
        if len(data) > LARGEST_MESSAGE - _MOST:
            raise UnsendableError(f"journal {pending.number} of run {run.id}: the record at {start} is too large")
        closing = pending.closed and end >= pending.offset
        notes = store.notes(pending.id, None if closing else start)
        notes = [(place, body) for place, body in notes if place < 0 or (start <= place and (closing or place < end))]
        yield _parcel(run, pending, start, end, data, notes, closing=closing, describe=describe)
        describe, start = False, end
        if end >= pending.offset:
            return


def parcel_of_run(run: RunRow) -> Parcel:
    """A run's description alone."""
    forwarded = Forwarded(spool=bytes.fromhex(run.spool), run=_description(run))
    message = Batch(journal=OWN_JOURNAL & _UNSIGNED, forwarded=forwarded).SerializeToString()
    return Parcel(message, run.id, run.ended, None, 0, 0, closing=False)


def _records(store: Store, journal: int, start: int) -> bytes:
    data = b"".join(piece.data for piece in store.ranges(journal, start, _SIZE))
    limit = _MOST
    while len(data) > limit:
        size = measure(data[:limit], start, range(1 << 63)).size
        if size:
            return data[:size]
        limit *= 2
    return data


def _parcel(
    run: RunRow,
    pending: Pending,
    start: int,
    end: int,
    data: bytes,
    notes: list[tuple[int, bytes]],
    *,
    closing: bool,
    describe: bool,
) -> Parcel:
    forwarded = Forwarded(
        spool=bytes.fromhex(run.spool),
        run=_description(run) if describe else None,
        realtime_offset=pending.realtime_offset,
        notes=[Note(offset=place, event=Event.FromString(body)) for place, body in notes],
        closed=closing,
    )
    head = Batch(journal=pending.number & _UNSIGNED, offset=start, forwarded=forwarded).SerializeToString()
    return Parcel(head + data, run.id, run.ended if describe else None, pending.id, start, end, closing)


def _description(run: RunRow) -> Run:
    return Run(
        id=run.id,
        command=[argument.encode(errors="surrogateescape") for argument in json.loads(run.command or "[]")],
        started=run.started,
        ended=run.ended or 0,
        status=run.status,
        container=None if run.container is None else Container(**asdict(run.container)),
    )
