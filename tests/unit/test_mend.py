"""One damaged record takes no other along, and what is damaged is known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interpose.sidecar.decode import events_of
from interpose.sidecar.journal import EVENT, HEAD, SEALED, UNFINISHED, Stop, head, scan
from interpose.sidecar.mend import mend
from interpose.v1.event_pb2 import Close, Event, Name, Open
from support.journals import record

EVENTS = [Event(time=(n + 1) << 40, function="open", open=Open(fd=n, name=Name(path=b"x" * n))) for n in range(9)]
RECORDS = [record(event) for event in EVENTS]
PLACES = [sum(map(len, RECORDS[:n])) for n in range(10)]
WHOLE = b"".join(RECORDS) + bytes(64)
START = 800


def descriptors(records):
    return [event.open.fd for event in events_of(records) if event.HasField("open")]


def test_sound_records_are_what_scanning_them_gives():
    for data in (WHOLE, WHOLE[: PLACES[9]], b"", RECORDS[0] + record(EVENTS[1], UNFINISHED) + RECORDS[2]):
        assert (scan(data, START), ()) == (mend(data, START).records, mend(data, START).damaged)


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(b"\xff", id="no tag"),
        pytest.param(b"\x00", id="a tag as if nothing stood here"),
        pytest.param(bytes([SEALED]), id="a tag as if the journal ended here"),
        pytest.param(head(EVENT, 1 << 20), id="a length beyond the end"),
        pytest.param(head(EVENT, 11), id="a length that is too short"),
        pytest.param(bytes(8), id="no head"),
    ],
)
def test_a_wrong_head_costs_one_record(place, wrong):
    data = bytearray(WHOLE)
    data[PLACES[place] : PLACES[place] + len(wrong)] = wrong
    mended = mend(bytes(data), START)

    assert [n for n in range(9) if n != place] == [fd for fd in descriptors(mended.records) if fd != place]
    assert [True] == [PLACES[place] <= damaged - START < PLACES[place + 1] for damaged in mended.damaged]
    assert (START + PLACES[9], Stop.EMPTY) == (mended.records.end, mended.records.stop)


@pytest.mark.parametrize("more", [8, 16, 24])
def test_a_length_that_reaches_into_the_next_record_costs_one_record(more):
    data = bytearray(WHOLE)
    data[PLACES[3] : PLACES[3] + HEAD] = head(EVENT, len(RECORDS[3]) - HEAD + more)
    mended = mend(bytes(data), START)

    assert [0, 1, 2, 4, 5, 6, 7, 8] == descriptors(mended.records)
    assert (START + PLACES[3],) == mended.damaged


@pytest.mark.parametrize("more", range(1, 6))
def test_a_length_that_takes_whole_records_along_costs_one_record(more):
    """Read as they stand, the others would be fields that nobody knows."""
    data = bytearray(WHOLE)
    data[PLACES[3] : PLACES[3] + HEAD] = head(EVENT, PLACES[4 + more] - PLACES[3] - HEAD)
    mended = mend(bytes(data), START)

    assert [0, 1, 2, 4, 5, 6, 7, 8] == descriptors(mended.records)
    assert (START + PLACES[3],) == mended.damaged


def test_a_name_that_looks_like_records_is_a_name():
    inner = record(Event(time=1, close=Close(fd=1)))
    for shift in range(8):
        outer = record(Event(time=2, open=Open(name=Name(path=b"x" * shift + inner * 3))))
        for end in range(len(outer), len(outer) - 8, -1):
            data = outer[:end] + bytes(len(outer) - end)
            assert ((), 0) == (mend(data, 0).damaged, mend(data, 0).records.start)


def test_several_damaged_records_are_told_one_by_one():
    data = bytearray(WHOLE)
    for place in (1, 4, 5, 7):
        data[PLACES[place]] = 0xFF
    mended = mend(bytes(data), START)

    assert [0, 2, 3, 6, 8] == descriptors(mended.records)
    assert tuple(START + PLACES[place] for place in (1, 4, 7)) == mended.damaged  # the fifth goes with the fourth


def test_behind_the_last_damaged_record_reading_ends():
    data = bytearray(WHOLE)
    data[PLACES[8]] = 0xFF
    mended = mend(bytes(data), START)

    assert (list(range(8)), Stop.CORRUPT) == (descriptors(mended.records), mended.records.stop)
    assert (START + PLACES[8], ()) == (mended.records.end, mended.damaged)


def test_a_seal_behind_damage_is_still_one():
    data = bytearray(WHOLE[: PLACES[9]] + head(SEALED, 11) + bytes(11))
    data[PLACES[2]] = 0xFF

    assert Stop.SEALED is mend(bytes(data), START).records.stop


@settings(max_examples=500)
@given(st.data())
def test_changed_bytes_of_one_record_never_cost_another(data):
    place = data.draw(st.integers(0, 8))
    changed = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[PLACES[place] + data.draw(st.integers(0, len(RECORDS[place]) - 1))] ^= data.draw(st.integers(1, 255))
    records = mend(bytes(changed), START).records

    assert {EVENTS[n].time for n in range(9) if n != place} <= {event.time for event in events_of(records)}


@given(st.binary(max_size=300))
def test_anything_can_be_mended(garbage):
    mended = mend(garbage, START)

    assert mended.records.end <= START + len(garbage)
    assert scan(mended.records.data, START).offsets == mended.records.offsets
    assert set(mended.damaged) <= set(mended.records.unfinished)


def test_what_is_mended_is_an_event_only_if_it_begins_as_one():
    inner = record(Event(time=1, close=Close(fd=1)))
    data = b"\xff" * 8 + inner.replace(b"\x09", b"\x0a", 1) + RECORDS[0]
    (event,) = events_of(mend(data, 0).records)

    assert EVENTS[0].time == event.time
