"""An encoded interpose.v1.Batch, taken apart by hand: where a record stands in it says where it does in the journal."""

from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from interpose.sidecar.errors import MalformedError
from interpose.sidecar.journal import Records, Stop, scan
from interpose.v1.capture_pb2 import Forwarded

__all__ = ["Batch", "split", "take_apart"]

_JOURNAL: Final = 0x10
_OFFSET: Final = 0x18
_FORWARDED: Final = 0x22
_MOST_PIECES: Final = 8
"""Other fields may stand between records; nobody puts any there, and each piece costs a copy of the rest."""
_WRAP: Final = 0xFFFF_FFFF_FFFF_FFFF


class Batch(NamedTuple):
    """A range of a journal."""

    number: int
    """The journal's."""
    records: Records
    forwarded: Forwarded | None
    """What the sidecar that sent it says; None from a process."""


def split(message: bytes) -> tuple[int, Records]:
    """A process's Batch: the journal's number, and the records. Raises MalformedError."""
    number, records, forwarded = take_apart(message)
    if forwarded is not None:
        raise MalformedError("a process forwards nothing: its batches are of its own spool")
    return number, records


def take_apart(message: bytes) -> Batch:
    """Any Batch. Raises MalformedError."""
    number = start = position = 0
    pieces: list[bytes] = []
    records: Records | None = None
    forwarded: Forwarded | None = None
    while position < len(message):
        tag = message[position]
        if tag in (_JOURNAL, _OFFSET):
            value, position = _varint(message, position + 1)
            if tag == _JOURNAL:
                number = value
            else:
                start = value
            continue
        if tag == _FORWARDED:
            size, position = _varint(message, position + 1)
            forwarded = _forwarded(message[position : position + size], size)
            position += size
            continue
        if len(pieces) == _MOST_PIECES:
            raise MalformedError(f"byte {position} of a batch begins too many pieces")
        records = scan(message[position:] if position else message, start)
        if not records.data or records.stop is Stop.EMPTY:
            raise MalformedError(f"byte {position} of a batch begins no record")
        if records.stop is Stop.CORRUPT:
            records.stop = Stop.END  # another field follows, or the next turn says that none does
        pieces.append(records.data)
        position += len(records.data)
    if records is None:
        records = Records(start, b"")
    elif len(pieces) > 1 or records.start != start:
        records = scan(b"".join(pieces), start)
    if start % 8 and records.data:
        raise MalformedError(f"offset {start} is no record's")
    return Batch(number, records, forwarded)


def _forwarded(content: bytes, size: int) -> Forwarded:
    try:
        if len(content) == size:
            return Forwarded.FromString(content)
    except DecodeError:
        pass
    raise MalformedError("what a sidecar says of a batch cannot be read")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[position : position + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & _WRAP, position + place + 1
    raise MalformedError(f"byte {position} of a batch begins no number")
