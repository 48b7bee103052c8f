"""Finding the records again that stand behind damaged bytes.

A record's head says where the next one starts, so one wrong byte would take everything behind it along. But records
start on multiples of 8, and an event begins with its time: what looks so is one. The bytes between are made into one
unfinished record, which every reader passes over.
"""

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from interpose.sidecar.journal import EVENT, HEAD, UNFINISHED, Records, Stop, head, length_at, scan
from interpose.sidecar.spool import is_blank
from interpose.v1.event_pb2 import Event

__all__ = ["Mended", "mend"]

_BLANK: Final = b"\xfa\x07"
_BEGINNINGS: Final = (b"\x09", _BLANK)
"""Of an event: its time, or the blank of one that could not be encoded."""
_LOOKS_SO: Final = re.compile(rb"\x0a(?=[\x80-\xff]{3}[\x00-\x7f](?:\x09|\xfa\x07))")
_MOST_LOOKS: Final = 8
"""Into one record; a journal may be made to look so everywhere."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A journal's records."""

    records: Records
    damaged: tuple[int, ...]
    """Where in the journal's events bytes stand that are no records any more."""


def mend(data: bytes, start: int) -> Mended:
    """All records in `data`: what stands from `start` on in a journal that nobody writes in any more.

    Where no event stands behind the last damaged bytes, these are left out, and the records' `stop` is Stop.CORRUPT.
    """
    pieces: list[bytes] = []
    damaged = []
    at, rest = start, data
    while True:
        records = scan(rest, at)
        broken = _swallowing(records, rest) or _broken(records, rest)
        if broken is None:
            break
        begin, found = broken
        if not found:
            records.stop = Stop.CORRUPT
            break
        damaged.append(at + begin)
        length = found - begin - HEAD
        pieces += [rest[:begin], head(UNFINISHED, length), bytes(length)]
        at, rest = at + found, rest[found:]
    if damaged:
        stop = records.stop
        records = scan(b"".join([*pieces, records.data]), start)
        records.stop = stop
    return Mended(records, tuple(damaged))


def _broken(records: Records, data: bytes) -> tuple[int, int] | None:
    """Where in `data` there are no records any more, and where the next event stands: 0 if there is none."""
    end = len(records.data)
    if records.stop is not Stop.CORRUPT and is_blank(data, end):
        return None
    last = max([*records.offsets[-1:], *records.unfinished[-1:]], default=records.start) - records.start
    if records.stop is Stop.SEALED:  # a seal reaches to the end of the journal: this is none
        end = last + length_at(data, last) if records.offsets or records.unfinished else 0
        return end, _next_event(data, end + 8)
    found = _next_event(data, last + 8)
    # Where an event stands within the last record, that one's length is what is wrong.
    return (last if found < end else end), found


def _next_event(data: bytes, first: int) -> int:
    for position in range(first, len(data) - HEAD, 8):
        if (
            data[position] == EVENT
            and data[position + HEAD : position + HEAD + 2].startswith(_BEGINNINGS)
            and 0 < length_at(data, position) <= len(data) - position
        ):
            return position
    return 0


def _swallowing(records: Records, data: bytes) -> tuple[int, int] | None:
    """An event whose length was made such that it ends with another one: where it stands, and the first within it.

    Who reads it skips what it swallowed, as fields that he does not know; a name that looks so is no such field.
    """
    if not records.hidden:
        return None
    places = [offset - records.start for offset in records.offsets]
    starts, bodies, looks = set(places), records.bodies, Counter[int]()
    for match in _LOOKS_SO.finditer(data, 0, len(records.data)):
        place = match.start()
        number = bisect_right(places, place) - 1
        if place % 8 or place in starts or number < 0 or looks[number] == _MOST_LOOKS:
            continue
        looks[number] += 1
        end = places[number] + HEAD + len(bodies[number])
        if place < end and not _is_sound(bodies[number]) and _is_all_there(data[place:end]):
            return places[number], place
    return None


def _is_all_there(data: bytes) -> bool:
    """Whether records stand in `data` to its end, or to where nothing stands any more."""
    records = scan(data, 0)
    return records.stop in (Stop.END, Stop.SEALED) or (records.stop is Stop.EMPTY and is_blank(data, records.end))


def _is_sound(body: bytes) -> bool:
    try:
        return body.startswith(_BLANK) or not len(UnknownFieldSet(Event.FromString(body)))
    except DecodeError:
        return False
