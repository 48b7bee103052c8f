"""From record bodies to events, and from what the sidecar finds by itself to events."""

import os
from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError

from interpose.sidecar.journal import Records
from interpose.sidecar.spool import Descriptor
from interpose.sidecar.unseen import Unseen
from interpose.v1.capture_pb2 import Batch
from interpose.v1.event_pb2 import BlindSpot, Event, File, Gap, Io, Origin, Process

__all__ = ["Note", "abandoned", "corrupt", "events_of", "gap", "last_io", "last_time", "unseen_origin"]

_UNSIGNED: Final = (1 << 64) - 1

Note = tuple[int, Event]
"""What the sidecar itself says of a journal: models.Note.offset, and the event (its time is CLOCK_BOOTTIME)."""


def events_of(records: Records) -> Sequence[Event]:
    """The events in order, one per body. A body that cannot be parsed is replaced by a Gap."""
    try:
        events = Batch.FromString(records.data).events
        if len(events) == len(records.offsets):
            return events
    except DecodeError:
        pass
    found: list[Event] = []
    for body in records.bodies:
        try:
            event = Event.FromString(body)
        except DecodeError:
            event = gap(found[-1].time if found else 0, 1, Gap.CAUSE_CORRUPT)
        found.append(event)
    return found


def gap(time: int, events: int, cause: int, first: int | None = None, last: int | None = None) -> Event:
    """A Gap of `events` events, all at `time` unless `first` and `last` are given; CLOCK_BOOTTIME, nanoseconds."""
    return Event(
        time=time,
        gap=Gap(
            events=events,
            cause=cause,  # type: ignore[arg-type]  # open enum: any number goes
            first=time if first is None else first,
            last=time if last is None else last,
        ),
    )


def abandoned(offset: int, time: int) -> Note:
    """The record at `offset` was begun and never finished."""
    return offset, gap(time, 1, Gap.CAUSE_ABANDONED)


def corrupt(offset: int, time: int) -> Note:
    """What stands at `offset` is no record: one event or more is lost."""
    return offset, gap(time, 1, Gap.CAUSE_CORRUPT)


def last_io(descriptor: Descriptor, time: int) -> Note:
    """The Io that a killed process would have recorded for this descriptor."""
    file = File(
        device=descriptor.device, inode=descriptor.inode, birth_time=descriptor.birth_time, mode=descriptor.mode
    )
    io = Io(
        fd=descriptor.fd,
        file=file if descriptor.inode else None,
        bytes_read=descriptor.bytes_read,
        bytes_written=descriptor.bytes_written,
        reads=descriptor.reads,
        writes=descriptor.writes,
        final=True,
        internal=descriptor.internal,
    )
    return -2 - descriptor.fd, Event(time=time, io=io)


def unseen_origin(unseen: Unseen, time: int) -> Event:
    """What the sidecar says of a run's first program that has no journal; `time` is CLOCK_BOOTTIME."""
    file = File(device=unseen.device, inode=unseen.inode, birth_time=unseen.birth_time & _UNSIGNED, mode=unseen.mode)
    origin = Origin(
        reason=Origin.REASON_IMAGE,
        process=Process(pid=unseen.pid, start_time=unseen.start_time),
        pid_namespace=unseen.pid_namespace,
        executable=os.fsencode(unseen.executable),
        executable_file=file if unseen.inode else None,
        arguments=[os.fsencode(argument) for argument in unseen.arguments],
        directory=os.fsencode(unseen.directory),
        user=unseen.user,
        group=unseen.group,
        blind_spot=BlindSpot(cause=f"CAUSE_{unseen.cause.upper()}"),
    )
    return Event(time=max(time, 0), origin=origin)


def last_time(records: Records) -> int:
    """The latest time that any of the events tells, CLOCK_BOOTTIME in nanoseconds; 0 if there is none."""
    return max((event.time for event in events_of(records)), default=0)
