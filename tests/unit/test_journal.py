"""Reading records: never more than stands, never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interpose.sidecar import decode
from interpose.sidecar.journal import EVENT, SEALED, UNFINISHED, Stop, head, measure, scan
from interpose.v1.event_pb2 import Close, Event, Gap
from support.journals import record

EVENTS = [Event(time=n + 1, function="close" * n, close=Close(fd=n)) for n in range(5)]
RECORDS = [record(event) for event in EVENTS]
WHOLE = b"".join(RECORDS)
PLACES = [sum(map(len, RECORDS[:n])) for n in range(6)]


@given(st.integers(0, 200))
def test_a_record_is_a_multiple_of_eight_bytes_and_says_what_the_event_says(size):
    event = Event(time=1, function="f" * size)
    written = record(event)

    assert len(written) % 8 == 0
    (read,) = decode.events_of(scan(written, 0))
    assert (event.time, event.function) == (read.time, read.function)


@pytest.mark.parametrize("count", range(6))
def test_a_journal_of_a_killed_process_is_read_up_to_the_last_record(count):
    records = scan(WHOLE[: PLACES[count]] + bytes(64), 80)

    assert [80 + place for place in PLACES[:count]] == records.offsets
    assert EVENTS[:count] == [without_padding(event) for event in decode.events_of(records)]
    assert (80 + PLACES[count], Stop.EMPTY) == (records.end, records.stop)


def test_an_unfinished_record_is_passed_over():
    records = scan(RECORDS[0] + record(EVENTS[1], UNFINISHED) + RECORDS[2], 0)

    assert [EVENTS[0], EVENTS[2]] == [without_padding(event) for event in decode.events_of(records)]
    assert [PLACES[1]] == records.unfinished


def test_a_live_journal_is_measured_up_to_an_unfinished_record():
    data = RECORDS[0] + record(EVENTS[1], UNFINISHED) + RECORDS[2]

    assert (PLACES[1], Stop.UNFINISHED) == (measure(data).size, measure(data).stop)
    assert len(data) == measure(data, 0, {PLACES[1]}).size


def test_what_does_not_end_within_the_bytes_is_left_for_later_in_a_live_journal_and_corrupt_in_a_dead_one():
    cut = WHOLE[: PLACES[2] + 8]

    assert (PLACES[2], Stop.END) == (measure(cut).size, measure(cut).stop)
    assert (PLACES[2], Stop.CORRUPT) == (scan(cut, 0).end, scan(cut, 0).stop)


def test_nothing_is_read_beyond_a_seal():
    seal = head(SEALED, 11) + bytes(11)
    records = scan(RECORDS[0] + seal + RECORDS[1], 0)

    assert ([0], Stop.SEALED, PLACES[1] + 16) == (records.offsets, records.stop, records.end)


@given(st.binary(max_size=100), st.integers(0, 5))
def test_garbage_is_never_an_error(garbage, count):
    data = WHOLE[: PLACES[count]] + garbage
    records = scan(data, 0)

    assert PLACES[:count] == records.offsets[:count]
    assert data[: records.end] == records.data
    assert measure(data).size <= records.end
    decode.events_of(records)


@given(st.integers(0, 5), st.integers(0, 5))
def test_the_part_since_an_offset_is_what_scanning_it_gives(first, last):
    first, last = sorted((first, last))
    records = scan(WHOLE[: PLACES[last]], 0)

    assert scan(WHOLE[PLACES[first] : PLACES[last]], PLACES[first]) == records.since(PLACES[first])


def test_an_event_that_cannot_be_parsed_becomes_a_gap_and_the_others_stay():
    broken = head(EVENT, 11) + b"\xff" * 11
    records = scan(RECORDS[0] + broken + RECORDS[2], 0)
    events = decode.events_of(records)

    assert Gap.CAUSE_CORRUPT == events[1].gap.cause
    assert [EVENTS[0], EVENTS[2]] == [without_padding(events[0]), without_padding(events[2])]


def without_padding(event: Event) -> Event:
    copy = Event()
    copy.CopyFrom(event)
    copy.ClearField("padding")
    return copy
