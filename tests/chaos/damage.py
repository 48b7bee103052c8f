"""Journals as they lie in the spool, read and damaged past everybody who works on them."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from chaos.stored import identity_of, key_of, number_of
from chaos.tally import Key
from interpose.sidecar.journal import HEAD, Records, scan
from interpose.sidecar.query import _fields
from interpose.sidecar.spool import CONTROL, Header, Journal, Segment, _read_settings
from interpose.v1.event_pb2 import Event

__all__ = ["Damage", "damage", "unfinished_records"]

_MOST_FLIPS: Final = 3


@dataclass
class Damage:
    """What was done to whom."""

    records: int = 0
    calls: Counter[Key] = field(default_factory=Counter)
    """That the records told of, and that they tell of now: of these nothing is certain any more."""
    heads: Counter[Key] = field(default_factory=Counter)
    """Of these the records' heads were damaged: what is lost of them must be told by a gap."""
    files: set[int] = field(default_factory=set)
    """Whose opening was told in one of them: what was read and written there has no name now."""


def _journals(spool: Path) -> Iterator[tuple[Journal, Header, Records]]:
    settings = _read_settings((spool / "control").read_bytes()[: CONTROL.size], spool)
    for path in sorted(spool.glob("segment-*")):
        segment = Segment(int(path.name.removeprefix("segment-"), 16), os.open(path, os.O_RDWR), settings)
        for slot in range(settings.journals_per_segment):
            journal = Journal(segment, slot)
            header = journal.header()
            if header is not None:
                yield journal, header, scan(journal.read(header.events_offset, header.events_size), 0)
        segment.close()


def unfinished_records(spool: Path) -> int:
    """How many records were begun and are not finished."""
    return sum(len(records.unfinished) for _, _, records in _journals(spool))


def damage(spool: Path, rng: random.Random, most: int) -> Damage:
    """Change some bytes in up to `most` finished records, first ones (Origin) excepted, of any journals."""
    found = Damage()
    places = [
        (number, place)
        for number, (_, _, records) in enumerate(_journals(spool))
        for place in range(1, len(records.offsets))
    ]
    chosen = set(rng.sample(places, min(most, len(places))))
    files = {
        identity: number
        for _, _, records in _journals(spool)
        for body in records.bodies
        for identity, number in _opened(body)
    }
    for number, (journal, header, records) in enumerate(_journals(spool)):
        for place in range(1, len(records.offsets)):
            if (number, place) in chosen:
                body = records.bodies[place]
                start, size = header.events_offset + records.offsets[place], HEAD + len(body)
                of_head = _flip(journal, start, size, rng)
                found.records += 1
                told = _calls(found, header.pid, body, files)
                found.calls += told + _calls(found, header.pid, journal.read(start, size)[HEAD:], files)
                if of_head:
                    found.heads += told
    return found


def _flip(journal: Journal, start: int, size: int, rng: random.Random) -> bool:
    """Change a few bytes of a record, half of the time in its head; returns whether one of the head is among them."""
    base = journal.slot * journal.segment.settings.journal_size + start
    reach = rng.choice([HEAD, size])
    places = {rng.randrange(reach) for _ in range(rng.randint(1, _MOST_FLIPS))}
    for place in places:
        (byte,) = os.pread(journal.segment.file, 1, base + place)
        os.pwrite(journal.segment.file, bytes([byte ^ rng.randrange(1, 256)]), base + place)
    return min(places) < HEAD


def _event(body: bytes) -> Event | None:
    try:
        return Event.FromString(body)
    except DecodeError:
        return None


def _opened(body: bytes) -> Iterator[tuple[tuple[int, int, int], int]]:
    event = _event(body)
    if event is not None and event.HasField("open") and event.open.HasField("file"):
        fields = _fields(event.open)
        if number := number_of(fields.get("name")):
            yield identity_of(fields["file"]), number


def _calls(found: Damage, pid: int, body: bytes, files: dict[tuple[int, int, int], int]) -> Counter[Key]:
    """The calls that a record tells of."""
    event, calls = _event(body), Counter[Key]()
    effect = None if event is None else event.WhichOneof("effect")
    if event is None or effect is None:
        return calls
    fields = _fields(getattr(event, effect))
    found.files.update(number for _, number in _opened(body))
    if effect == "io" and "file" in fields:
        number = files.get(identity_of(fields["file"]))
        if number is not None:
            calls[Key(pid, "write", number)] += fields["writes"]
            calls[Key(pid, "read", number)] += fields["reads"]
    elif (key := key_of(effect, event.error, pid, fields)) is not None:
        calls[key] += 1
    return calls
