"""Real programs' journals, recorded once and played again as other processes at other times.

A round of them is the recorded bytes with other numbers in the same places: the clock, pids and starts of processes,
and the identities of files, pipes and sockets that the programs made themselves. What they only read stays the same.
"""

import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from sqlalchemy import create_engine, select

from interpose.sidecar.journal import EVENT, HEAD, head, scan
from interpose.sidecar.models import Journal, Range, Run
from interpose.sidecar.packing import unpack
from interpose.v1.event_pb2 import Event, File, Origin
from support.journals import EVENTS_OFFSET

__all__ = ["Played", "Recording", "record"]

_PID_FIELDS: Final = {("Process", "pid"), ("Fork", "child"), ("Spawn", "child"), ("Wait", "child")}
_FIRST_PID: Final = 1 << 21
_PIDS: Final = 1 << 21
_PID_BYTES: Final = 4
"""What a number from _FIRST_PID on takes."""
_FIRST_INODE: Final = 1 << 28
_INODES: Final = 1 << 34
_INODE_BYTES: Final = 5
_ROOM: Final = (64 << 10) - EVENTS_OFFSET
"""Bytes of events in the first journal of an image."""
_S_IFMT, _S_IFIFO, _S_IFSOCK = 0o170000, 0o010000, 0o140000
_FIXED64, _BYTES, _FIXED32 = 1, 2, 5
"""Types of the wire."""
_U64: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Played:
    """A journal of one round."""

    home: bool
    """The first of its image, not a continuation."""
    pid: int
    start_time: int
    data: bytes
    events: int


@dataclass(slots=True)
class _Journal:
    """A recorded journal, and where in its bytes stands what differs from round to round."""

    home: bool = True
    pid: int = 0
    start_time: int = 0
    data: bytes = b""
    events: int = 0
    times: list[int] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)
    inodes: list[int] = field(default_factory=list)
    previous: dict[int, int] = field(default_factory=dict)
    """Where the number of another journal stands, and which of the recording that is."""


def record(program: str, directory: Path) -> "Recording":
    """Run a shell program captured, in an empty directory."""
    url = f"sqlite:///{directory}/recording.db"
    work = directory / "work"
    work.mkdir()
    command = [sys.executable, "-m", "interpose.cli", "run", "-q", "--db", url, "--", "sh", "-c", program]
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
    engine = create_engine(url)
    journals: dict[int, bytes] = {}
    with engine.connect() as connection:
        (started,) = connection.execute(select(Run.started)).one()
        ranges = (
            select(Journal.number, Range.data)
            .join(Range, Range.journal_id == Journal.id)
            .order_by(Journal.number, Range.offset)
        )
        for number, data in connection.execute(ranges):
            journals[number] = journals.get(number, b"") + unpack(data)
    engine.dispose()
    return Recording(journals, started)


class Recording:
    """What one run recorded."""

    def __init__(self, journals: dict[int, bytes], started: int) -> None:
        """`started` in nanoseconds since 1970: files that are younger were made by the programs."""
        self._started = started
        self._pids: dict[int, int] = {}
        self._inodes: dict[tuple[int, int], int] = {}
        numbers = {number: place for place, number in enumerate(journals)}
        self._journals = [self._moved(data, numbers) for data in journals.values()]
        self.events = sum(journal.events for journal in self._journals)
        self.processes = len(self._pids)
        self.journals = len(self._journals)
        clock = [_U64.unpack_from(journal.data, journal.times[0])[0] for journal in self._journals]
        self._span = max(clock) - min(clock) + 1_000_000

    def play(self, turn: int, first_number: int) -> Iterator[Played]:
        """The journals of a round; `first_number` is that of the first of them."""
        later, pids, inodes = turn * self._span, turn * len(self._pids), turn * len(self._inodes)
        for journal in self._journals:
            data = bytearray(journal.data)
            for place in journal.times:
                _U64.pack_into(data, place, _U64.unpack_from(data, place)[0] + later)
            for place in journal.pids:
                _put(data, place, _PID_BYTES, _turned(_get(data, place), pids, _FIRST_PID, _PIDS))
            for place in journal.inodes:
                _put(data, place, _INODE_BYTES, _turned(_get(data, place), inodes, _FIRST_INODE, _INODES))
            for place, number in journal.previous.items():
                _put(data, place, _INODE_BYTES, first_number + number)
            yield Played(
                journal.home,
                _turned(journal.pid, pids, _FIRST_PID, _PIDS),
                journal.start_time + later,
                bytes(data),
                journal.events,
            )

    def _moved(self, data: bytes, numbers: dict[int, int]) -> _Journal:
        journal, pieces, position = _Journal(), [], 0
        for body in scan(data, 0).bodies:
            event = Event.FromString(body)
            if event.WhichOneof("effect") is None:
                continue
            event.ClearField("padding")
            self._rename(event)
            previous = numbers.get(event.origin.previous, 0)
            if event.HasField("origin"):
                journal.home = event.origin.reason != Origin.REASON_CONTINUED
                journal.pid, journal.start_time = event.origin.process.pid, event.origin.process.start_time
                event.origin.previous = 0 if journal.home else _FIRST_INODE
            encoded = event.SerializeToString()
            encoded += b"\x78" + b"\x80" * (-(len(encoded) + HEAD + 2) % 8) + b"\x00"
            if position + HEAD + len(encoded) > _ROOM:
                break  # as some bytes are added, the last events of a full journal find no room
            for name, place in _places(Event.DESCRIPTOR, encoded, 0, len(encoded)):
                self._take(journal, name, encoded, place, position + HEAD + place, previous)
            pieces.append(head(EVENT, len(encoded)) + encoded)
            position += len(pieces[-1])
            journal.events += 1
        journal.data = b"".join(pieces)
        return journal

    def _rename(self, message: Message) -> None:
        """Give pids, and the inodes of what was made, numbers that all take as many bytes."""
        kind = message.DESCRIPTOR.name
        for member, value in message.ListFields():
            if isinstance(value, Message):
                self._rename(value)
            elif (kind, member.name) in _PID_FIELDS and value:
                setattr(message, member.name, self._pids.setdefault(value, _FIRST_PID + len(self._pids)))
        if isinstance(message, File) and self._was_made(message):
            key = (message.device, message.inode)
            message.inode = self._inodes.setdefault(key, _FIRST_INODE + len(self._inodes))

    def _was_made(self, file: File) -> bool:
        return file.birth_time >= self._started or file.mode & _S_IFMT in (_S_IFIFO, _S_IFSOCK)

    def _take(
        self, journal: _Journal, name: tuple[str, str], encoded: bytes, place: int, at: int, previous: int
    ) -> None:
        """Note a field's place in the journal, `at`, if its value differs from round to round."""
        if name in {("Event", "time"), ("Process", "start_time")} or (
            name == ("File", "birth_time") and _U64.unpack_from(encoded, place)[0] >= self._started
        ):
            journal.times.append(at)
        elif name in _PID_FIELDS:
            journal.pids.append(at)
        elif name == ("File", "inode") and 0 <= _get(encoded, place) - _FIRST_INODE < len(self._inodes):
            journal.inodes.append(at)
        elif name == ("Origin", "previous"):
            journal.previous[at] = previous


def _places(kind: Descriptor, data: bytes, position: int, end: int) -> Iterator[tuple[tuple[str, str], int]]:
    """Where in an encoded message, and in those inside it, the values of numbers stand, by message and field."""
    while position < end:
        tag, position = _varint(data, position)
        member = kind.fields_by_number[tag >> 3]
        size = 0
        if tag & 7 == _BYTES:
            size, position = _varint(data, position)
            if member.message_type is not None:
                yield from _places(member.message_type, data, position, position + size)
        else:
            yield (kind.name, member.name), position
            size = {_FIXED64: 8, _FIXED32: 4}.get(tag & 7) or _varint(data, position)[1] - position
        position += size


def _varint(data: bytes | bytearray, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _get(data: bytes | bytearray, place: int) -> int:
    return _varint(data, place)[0]


def _put(data: bytearray, place: int, size: int, value: int) -> None:
    for byte in range(place, place + size - 1):
        data[byte] = value & 0x7F | 0x80
        value >>= 7
    data[place + size - 1] = value


def _turned(value: int, by: int, first: int, many: int) -> int:
    return first + (value - first + by) % many
