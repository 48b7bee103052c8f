"""A whole sidecar on a spool whose processes are played by the test."""

import os
import re
import sqlite3
import stat
import struct
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from interpose.sidecar import collector, service, store
from interpose.sidecar.allowance import Allowance
from interpose.sidecar.errors import SpoolBusyError, StoreError
from interpose.sidecar.ids import new_run_id
from interpose.sidecar.service import RunInfo, Sidecar
from interpose.sidecar.spool import CONTROL, JOURNAL, UNSTARTED, UNSTARTED_OFFSET, Journal, Kind, Spool
from interpose.v1 import event_pb2 as pb
from interpose.v1.event_pb2 import Event
from support.databases import sqlite_url
from support.journals import OFFSET, Writer, control, origin, record
from support.rows import Rows, rows
from support.waiting import soon

MAKE = origin(10, 100, 1000, executable=b"/bin/make", arguments=[b"make"])
CLOSES = [Event(time=1001 + n, thread=10, function="close", close=pb.Close(fd=n)) for n in range(6)]


class Place:
    """A spool and a database, and the sidecars that come and go there."""

    def __init__(self, folder, database, **more):
        self.folder, self.database = folder, database
        self.spool = folder / "spool"
        self.registry = CollectorRegistry()
        self.sidecar = None
        self.start(**more)

    def start(self, **more):
        self.registry = CollectorRegistry()
        self.sidecar = Sidecar.start(
            self.spool,
            self.database,
            RunInfo("run" if self.sidecar is None else new_run_id(), ("make",), 5),
            registry=self.registry,
            **more,
        )

    def stop(self, **more):
        return self.sidecar.stop(**more)

    def drained(self) -> Rows:
        assert self.sidecar.drain(10)
        return self.rows()

    def rows(self) -> Rows:
        return rows(self.database)

    def effects(self) -> list[str]:
        """Of all events, in the order of journals and places."""
        return [row[3] for row in sorted(self.drained()["events"], key=lambda row: row[:2])]

    def metric(self, name, **labels) -> float | None:
        return self.registry.get_sample_value(f"interpose_{name}", labels)


@pytest.fixture
def place(tmp_path, database):
    made = Place(tmp_path, database)
    yield made
    report = made.stop()
    assert report.problem is None


@contextmanager
def patched(module, **values):
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


@pytest.mark.parametrize("count", range(8))
def test_a_process_that_is_killed_leaves_every_record_it_has_finished(place, count):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES][:count])
    writer.die()

    assert (["origin"] + ["close"] * 6)[:count] == place.effects()
    assert [(0, writer.tail, 1)] == [(row[0], row[1], row[3]) for row in place.rows()["journals"]]


def test_a_record_that_a_killed_process_did_not_finish_is_passed_over(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    writer.unfinished(CLOSES[0])
    writer.append([CLOSES[1]])
    writer.die()

    assert ["origin", "close"] == place.effects()
    assert 0 == place.rows()["runs"][0][-1]


TAIL = JOURNAL.offsets["tail"]


@pytest.mark.parametrize("tail", [0, 8, len(record(MAKE)), 1 << 20, (1 << 64) - 1])
def test_a_tail_is_a_hint_and_no_more(place, tail):
    """Who is killed behind a record may not have raised it yet, and a damaged one says anything."""
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    writer.poke(TAIL, tail.to_bytes(8, "little"))
    writer.die()

    assert ["origin", *["close"] * len(CLOSES)] == place.effects()
    assert [writer.tail] == [row[1] for row in place.rows()["journals"]]


def test_behind_a_tail_that_is_true_nothing_is_read(place, monkeypatch):
    read = []
    monkeypatch.setattr(
        Journal, "read", lambda journal, *at, reads=Journal.read: read.append(at) or reads(journal, *at)
    )
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    writer.die()

    assert ["origin", *["close"] * len(CLOSES)] == place.effects()
    assert max(offset + size for offset, size in read) <= writer.start + collector._FIRST_READ < writer.size


@pytest.mark.parametrize("finished", [False, True])
def test_a_process_that_a_checkpoint_brings_back_is_told_that_its_journal_is_read(place, finished, monkeypatch):
    """What it was about to finish then counts, or it says it again in another journal."""
    mended = collector.mend
    looks = []

    def look(data, start):
        looks.append(writer.owner())
        found = mended(data, start)
        if finished:
            writer.finish(begun)
        return found

    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    begun = writer.unfinished(CLOSES[0])
    time.sleep(0.3)
    assert 0 != writer.owner()
    monkeypatch.setattr(collector, "mend", look)
    writer.vanish()

    assert ["origin", "close"][: 1 + finished] == place.effects()
    assert [0, 0] == looks
    writer.die()


def test_what_restored_processes_map_is_left_as_it_is(tmp_path, database):
    with Spool.create(tmp_path / "spool", mapped=(0, 2)) as spool:
        settings = spool.settings
    place = Place(tmp_path, database, settings=settings)
    (tmp_path / "spool/segment-00000000").write_bytes(b"x" * settings.segment_size)
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    writer.die()

    assert ["origin"] == place.effects()
    assert [3 * 64] == [row[0] for row in place.rows()["journals"]]
    assert (tmp_path / "spool/segment-00000002").exists()
    report = place.stop()
    assert (None, 0) == (report.problem, report.pending)
    assert place.metric("batches_refused_total", reason="header") is None


def test_a_living_process_is_read_up_to_a_record_that_it_has_not_finished(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    begun = writer.unfinished(CLOSES[0])
    writer.append([CLOSES[1]])

    assert soon(lambda: writer.acknowledged() == begun)
    writer.finish(begun)
    assert soon(lambda: writer.acknowledged() == writer.tail)
    assert ["origin", "close", "close"] == place.effects()


def test_a_record_that_nobody_will_finish_is_given_up_and_accounted_for(place):
    with patched(collector, _ABANDONED_SECONDS=0.3):
        writer = Writer(place.spool, 10, 100)
        writer.append([MAKE])
        writer.unfinished(CLOSES[0])
        time.sleep(0.6)
        assert writer.acknowledged() < writer.tail
        writer.append([CLOSES[1]])
        assert soon(lambda: writer.acknowledged() == writer.tail)
    writer.die()

    assert ["origin", "gap", "close"] == place.effects()
    assert 1 == place.rows()["runs"][0][-1]
    assert 1 == place.metric("events_lost_total", stage="sidecar", reason="abandoned")


def test_what_a_living_process_appends_arrives_without_its_death(place):
    writer = Writer(place.spool, 10, 100)
    for event in [MAKE, *CLOSES]:
        writer.append([event])
        assert soon(lambda: writer.acknowledged() == writer.tail)
    assert 1 == place.metric("journals_live")
    assert 7 == len(place.rows()["events"])


def test_an_end_is_noticed_at_once_and_not_at_the_next_look(place):
    with patched(collector, _LOOK_SECONDS=30):
        time.sleep(0.2)  # the last look of the former kind
        for pid in range(10):
            writer = Writer(place.spool, 10 + pid, 100)
            writer.append([MAKE])
            time.sleep(0.03)
            writer.die()
            assert soon(lambda n=pid: place.metric("events_total", effect="origin") == n + 1, 2)


def test_a_killed_processs_counters_become_its_last_io(place):
    home = Writer(place.spool, 10, 100)
    home.append([MAKE, CLOSES[0]])
    home.descriptor(4, device=1, inode=2, birth_time=3, bytes_read=5, reads=1, state=1, mode=0o100644)
    home.descriptor(5, device=1, inode=4, birth_time=3, bytes_written=6, writes=2, state=1, mode=0o100644)
    home.descriptor(6, device=1, inode=5, birth_time=3, bytes_read=7, reads=1, state=17, mode=0o100644)  # libc's own
    went_on = Writer(place.spool, 10, 100, home=False)
    went_on.append([origin(10, 100, 1500, pb.Origin.REASON_CONTINUED, previous=home.number), CLOSES[1]])
    home.die()
    went_on.die()
    found = place.drained()

    last = OFFSET + 1500
    accesses = [row[4:] for row in found["accesses"]]
    assert [
        (AT, 1, 2, last, "read", 5, None, None),
        (AT, 1, 4, last, "write", 6, None, None),
        (AT, 1, 5, last, "consult", 7, None, None),
    ] == accesses
    ios = {row[1]: Event.FromString(row[4]).io for row in found["events"] if row[3] == "io"}
    assert {-6: 4, -7: 5, -8: 6} == {place: io.fd for place, io in ios.items()}
    assert all(io.final for io in ios.values())


AT = OFFSET + 1000


def name_of(number, place):
    """IP_RECORD_NAME."""
    return number + 1 << 28 | place


TOLD = Event(time=1400, thread=10, function="write", io=pb.Io(fd=4, bytes_written=9, writes=3))


def died_telling(place, record, *, begun=None, finished=False):
    """The Io that the sidecar finds of a process that had moved 10 bytes, reported 1 and was telling of 9.

    `record` makes the descriptor's of the journal and the place of the record that tells, which is in a continuation.
    """
    home = Writer(place.spool, 10, 100)
    home.append([MAKE])
    home.seal()
    went_on = Writer(place.spool, 10, 100, home=False)
    went_on.append([origin(10, 100, 1300, pb.Origin.REASON_CONTINUED, previous=home.number)])
    at = went_on.append([TOLD]) if finished else went_on.unfinished(TOLD)
    home.descriptor(4, inode=2, state=1, mode=0o100644, bytes_written=10, writes=4, record=record(went_on, at))
    home.descriptor(4, reported_bytes_written=1, reported_writes=1, telling_bytes_written=10, telling_writes=4)
    home.die()
    went_on.die()
    ios = [Event.FromString(row[4]).io for row in place.drained()["events"] if row[3] == "io" and row[1] < 0]
    return [(io.bytes_written, io.writes) for io in ios]


@pytest.mark.parametrize("finished", [False, True])
def test_what_a_finished_record_tells_is_told_and_no_more(place, finished):
    told = died_telling(place, lambda journal, at: name_of(journal.number, at), finished=finished)

    assert ([] if finished else [(9, 3)]) == told


def test_what_no_record_has_its_name_on_yet_is_not_told(place):
    assert [(9, 3)] == died_telling(place, lambda _, at: 10 << 3 | 1, finished=True)


@pytest.mark.parametrize("name", [2, name_of(1 << 30, 8), (1 << 64) - 2])
def test_a_record_in_a_journal_that_is_gone_was_finished(place, name):
    assert [] == died_telling(place, lambda *_: name)


def test_a_descriptor_that_has_reported_more_than_it_moved_has_nothing_to_tell(place):
    home = Writer(place.spool, 10, 100)
    home.append([MAKE])
    home.descriptor(4, bytes_read=5, reads=1, reported_bytes_read=9, reported_reads=1)
    home.descriptor(5, bytes_read=5, reads=0, reported_bytes_read=9, reported_reads=(1 << 32) - 1)  # of 2**32 reads
    home.die()

    ios = [Event.FromString(row[4]).io for row in place.drained()["events"] if row[3] == "io"]
    assert [(5, 0, 1)] == [(io.fd, io.bytes_read, io.reads) for io in ios]


def test_a_continuation_is_kept_until_its_home_is_read(place, monkeypatch):
    read, left = collector.Collector._read_dead, [5]

    def late(self, reader):
        """A home journal's turn comes some looks later."""
        if reader.header.kind is not Kind.HOME or left[0] == 0:
            read(self, reader)
        elif all(other.done for other in self._continuations(reader)):
            left[0] -= 1

    place.stop()
    place.spool = place.folder / "small"
    Spool.create(place.spool, journals_per_segment=1).close()
    monkeypatch.setattr(collector.Collector, "_read_dead", late)
    place.start()

    assert [(9, 3)] == died_telling(place, lambda journal, at: name_of(journal.number, at))


def test_events_that_a_killed_process_could_not_record_become_a_gap(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    writer.lose(7, 1100, 1200, pb.Gap.CAUSE_DISK_FULL)
    writer.die()

    assert ["gap", "origin"] == place.effects()
    (body,) = [row[4] for row in place.rows()["events"] if row[1] == -1]
    gap = Event.FromString(body).gap
    assert 7 == place.metric("events_lost_total", stage="library", reason="disk_full")
    assert (7, 1100, 1200, pb.Gap.CAUSE_DISK_FULL) == (gap.events, gap.first, gap.last, gap.cause)
    assert 7 == place.rows()["runs"][0][-1]


def test_processes_that_got_no_journal_are_accounted_for_once(place):
    def lose(count):
        with control(place.spool) as page:
            offset = CONTROL.offsets["lost_processes"] + 8 * pb.Gap.CAUSE_QUOTA
            struct.pack_into("<Q", page, offset, count)

    lose(3)
    assert soon(lambda: place.rows()["runs"][0][-1] == 3)
    place.stop()
    place.start()
    assert 3 == place.drained()["runs"][0][-1]
    lose(5)
    assert soon(lambda: place.rows()["runs"][0][-1] == 5)
    assert [(-1, 0, "gap"), (-1, 1, "gap")] == [(row[0], row[1], row[3]) for row in place.rows()["events"]]


@pytest.mark.parametrize("nonsense", [(1 << 64) - 1, 1 << 62, (1 << 40) + 1])
def test_lost_processes_that_cannot_be_are_no_losses_and_hide_no_later_ones(place, nonsense):
    def lose(count):
        with control(place.spool) as page, memoryview(page) as words, words.cast("Q") as numbers:
            numbers[CONTROL.offsets["lost_processes"] // 8 + pb.Gap.CAUSE_QUOTA] = count

    lose(nonsense)
    assert soon(lambda: place.metric("poisoned_total", where="control") == 1)
    lose(nonsense + 3 if nonsense < (1 << 64) - 1 else 0)
    if nonsense == (1 << 64) - 1:
        time.sleep(0.3)
        lose(3)

    assert soon(lambda: place.metric("events_lost_total", stage="library", reason="quota") == 3)
    assert 1 == place.metric("poisoned_total", where="control")


def let_go(spool, counts, marks=()):
    """As the library does for a process that it cannot record; `marks` by place."""
    with control(spool) as page:
        for place, mark in marks:
            UNSTARTED.struct.pack_into(page, UNSTARTED_OFFSET + place * UNSTARTED.size, *mark)
        struct.pack_into("<QQ", page, CONTROL.offsets["unstarted"], *counts)


def unseen(place):
    return sorted((row[1], row[-1], row[-3], row[3]) for row in place.rows()["images"] if row[3] == "blind")


def test_processes_that_the_library_let_go_are_blind_spots_that_name_the_program_once(place):
    mark = (1500, 100, 7, 12, 1, b"/bin/one")
    let_go(place.spool, (1, 0), [(0, mark)])
    assert soon(lambda: len(unseen(place)) == 1)
    place.stop()
    place.start()
    let_go(place.spool, (1, 2), [(1, (1600, 100, 7, 13, 2, b"x" * 96)), (2, (1 << 63, 100, 7, 14, 2, b"/bin/three"))])
    assert soon(lambda: len(unseen(place)) == 3)
    assert [(12, "refused"), (13, "no_memory"), (14, "no_memory")] == [row[:2] for row in unseen(place)]
    assert 2 == place.metric("blind_spots_total", cause="no_memory")
    place.stop()
    place.start()
    place.drained()
    assert 3 == len(unseen(place))


def test_those_of_which_no_mark_is_left_are_counted_and_no_more_than_enough_get_a_row(place):
    let_go(place.spool, (2000, 0), [(n, (1500, 100, 7, 20 + n, 1, b"/bin/last")) for n in range(9)])
    assert soon(lambda: place.metric("blind_spots_total", cause="refused") == 2000)
    assert 1024 == len(unseen(place))
    assert {0, *range(20, 29)} == {row[0] for row in unseen(place)}


@pytest.mark.parametrize("nonsense", [((1 << 64) - 1, 0), (0, 1 << 62)])
def test_processes_let_go_that_cannot_be_are_none_and_hide_no_later_ones(place, nonsense):
    let_go(place.spool, nonsense)
    assert soon(lambda: place.metric("poisoned_total", where="control") == 1)
    assert [] == unseen(place)
    let_go(place.spool, (0, 0))
    time.sleep(0.3)
    let_go(place.spool, (1, 0), [(0, (1500, 100, 7, 12, 1, b"/bin/one"))])
    assert soon(lambda: len(unseen(place)) == 1)


@pytest.mark.parametrize("nonsense", [(1 << 64) - 1, 1 << 62, (1 << 40) + 1])
def test_lost_events_that_cannot_be_are_no_losses(place, nonsense):
    assert not any(place.metric("poisoned_total", where=where) for where in ("control", "journal"))
    for pid, events in ((10, nonsense), (11, 7)):
        writer = Writer(place.spool, pid, 100)
        writer.lose(events, 1100, 1200, pb.Gap.CAUSE_DISK_FULL)
        writer.die()
    place.drained()

    assert 7 == place.metric("events_lost_total", stage="library", reason="disk_full")
    assert 1 == place.metric("poisoned_total", where="journal")


def test_a_journal_goes_on_in_another(place):
    first = Writer(place.spool, 10, 100)
    first.append([MAKE])
    first.seal()
    second = Writer(place.spool, 10, 100, home=False)
    second.append([origin(10, 100, 1500, pb.Origin.REASON_CONTINUED, previous=first.number), CLOSES[0]])
    second.die()
    first.die()

    assert ["origin", "origin", "close"] == place.effects()
    assert 1 == len(place.rows()["images"])


# Restarts.


@pytest.mark.parametrize("stopped_at", range(8))
def test_a_restarted_sidecar_loses_and_doubles_nothing(place, stopped_at):
    events = [MAKE, *CLOSES]
    writer = Writer(place.spool, 10, 100)
    writer.append(events[:stopped_at])
    if stopped_at % 2:
        soon(lambda: writer.acknowledged() == writer.tail)
    place.stop()
    writer.append(events[stopped_at:])
    if stopped_at % 3 == 0:
        writer.die()
    place.start()
    if stopped_at % 3:
        writer.die()

    assert ["origin", *["close"] * 6] == place.effects()
    assert ["run"] == [row[0] for row in place.rows()["runs"]]
    assert 1 == len(place.rows()["processes"])


def test_a_database_that_was_lost_is_filled_again_from_what_the_spool_has(place, databases):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    writer.die()
    before = place.drained()
    place.stop()
    databases.empty(place.database)
    place.sidecar = None
    place.start()

    assert before == place.drained()


def test_a_segment_is_removed_when_all_its_journals_are_stored(place):
    writers = [Writer(place.spool, 10 + n, 100) for n in range(64)]
    for n, writer in enumerate(writers):
        writer.append([origin(10 + n, 100, 1000)])
    for writer in writers[:-1]:
        writer.die()
    assert place.sidecar.drain(10)
    assert (place.spool / "segment-00000000").exists()
    writers[-1].die()
    assert place.sidecar.drain(10)

    assert soon(lambda: not (place.spool / "segment-00000000").exists())
    assert (place.spool / "segment-00000002").exists()
    with control(place.spool) as page:
        assert 64 == struct.unpack_from("<Q", page, CONTROL.offsets["released"])[0]
    assert 64 == len(place.rows()["processes"])


def test_hundreds_of_short_processes_are_all_stored(place):
    for n in range(500):
        writer = Writer(place.spool, 10 + n, 100)
        writer.append([origin(10 + n, 100, 1000 + n), *CLOSES])
        writer.die()
        if n % 50 == 0:
            time.sleep(0.02)

    assert 500 == len(place.drained()["processes"])
    assert 3500 == len(place.rows()["events"])


# What a process may do to a spool.


def test_processes_that_are_over_are_read_however_busy_others_are(place, monkeypatch):
    held = []

    def submit(item):
        held.append((item, Future()))
        return held[-1][1]

    store_it = place.sidecar._writer.submit
    monkeypatch.setattr(place.sidecar._writer, "submit", submit)
    monkeypatch.setattr(collector, "_MOST_PENDING", 4)
    busy = [Writer(place.spool, 100 + n, 1) for n in range(12)]
    short = [Writer(place.spool, 200 + n, 1) for n in range(2)]
    for writer in busy + short:
        writer.append([MAKE, *CLOSES])
    for writer in short:
        writer.die()

    assert soon(lambda: {writer.number for writer in short} <= {item.number for item, _ in held})
    assert 4 + len(short) == len(held)

    monkeypatch.undo()
    for item, future in held:
        future.set_result(store_it(item).result())
    for writer in busy:
        writer.die()
    assert 14 == len({row[0] for row in place.drained()["journals"]})


def test_a_look_costs_what_is_new_and_not_what_waits(place, monkeypatch):
    held, calls, look = [], [], collector.Collector._look

    def submit(item):
        held.append((item, Future()))
        return held[-1][1]

    def counted(self):
        events = []
        sys.setprofile(lambda _frame, what, _argument: events.append(what))
        try:
            look(self)
        finally:
            sys.setprofile(None)
        calls.append(len(events))

    def quiet_look():
        for _ in range(3):  # the first may have begun before
            seen = len(calls)
            place.sidecar._collector._notify()
            assert soon(lambda seen=seen: len(calls) > seen)
        return calls[-1]

    def die(first, last):
        for n in range(first, last):
            writer = Writer(place.spool, n, 1)
            writer.append([MAKE, *CLOSES])
            writer.die()
        assert soon(lambda: place.metric("journals_live") == 0)
        return quiet_look()

    store_it = place.sidecar._writer.submit
    monkeypatch.setattr(place.sidecar._writer, "submit", submit)
    monkeypatch.setattr(collector, "_MOST_PENDING", 4)
    monkeypatch.setattr(collector.Collector, "_look", counted)
    few = die(100, 120)
    assert 4 == len(held)
    assert die(200, 500) - few < 300

    monkeypatch.undo()
    for item, future in held:
        future.set_result(store_it(item).result())
    assert 320 == len(place.drained()["journals"])


def test_a_journal_that_makes_the_collector_stumble_holds_up_nobody_else(place, monkeypatch):
    mend, stumbled = collector.mend, []

    def stumbling(data, start):
        if b"/bad" in data:
            stumbled.append(data)
            raise ValueError("nobody thought of that")
        return mend(data, start)

    monkeypatch.setattr(collector, "mend", stumbling)
    for n, executable in enumerate([b"/bad", b"/good", b"/bad", b"/good"]):
        writer = Writer(place.spool, 10 + n, 100)
        writer.append([origin(10 + n, 100, 1000, executable=executable), *CLOSES])
        writer.die()

    assert soon(lambda: len(place.rows()["processes"]) == 2)
    assert "nobody thought of that" in place.sidecar._collector.problem
    assert soon(lambda: len(stumbled) > 4)
    monkeypatch.undo()
    assert 4 == len(place.drained()["processes"])
    assert place.sidecar._collector.problem is None


def test_a_journal_that_was_claimed_and_never_begun_does_not_hold_up_a_drain(place):
    late = Writer(place.spool, 10, 100, born=False, lock=False)
    writer = Writer(place.spool, 11, 100)
    writer.append([MAKE])
    writer.die()

    assert ["origin"] == place.effects()
    with pytest.raises(BlockingIOError):
        again = Writer.__new__(Writer)
        with control(place.spool) as page:
            struct.pack_into("<Q", page, CONTROL.offsets["next_journal"], late.number)
        again.__init__(place.spool)


def test_a_journal_that_is_locked_and_not_yet_begun_is_waited_for(place):
    writer = Writer(place.spool, 10, 100, born=False)
    time.sleep(0.3)
    assert place.sidecar.drain(5)
    writer.poke(JOURNAL.offsets["kind"], struct.pack("<IIQIIIIQ", 1, 10, 100, 0, 0, 16384, 65536 - 16384, 0))
    writer.append([MAKE])
    writer.poke(0, struct.pack("<Q", 0x314C4E524A505049))
    writer.die()

    assert ["origin"] == place.effects()


def test_a_process_that_begins_between_two_questions_is_not_taken_for_dead(place, monkeypatch):
    is_live = Journal.is_live
    writers = []

    def then_begin(journal):
        answer = is_live(journal)
        if not writers:
            with control(place.spool) as page:
                struct.pack_into("<Q", page, CONTROL.offsets["next_journal"], 0)
            writers.append(Writer(place.spool, 10, 100))
            writers[0].append([MAKE])
        return answer

    monkeypatch.setattr(Journal, "is_live", then_begin)
    with control(place.spool) as page:
        struct.pack_into("<Q", page, CONTROL.offsets["next_journal"], 1)
    assert soon(lambda: writers and writers[0].acknowledged() == writers[0].tail)
    writers[0].append(CLOSES)
    writers[0].die()

    assert ["origin", *["close"] * 6] == place.effects()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: w.raw(b"\xff" * 64),
        lambda w: w.raw(record(CLOSES[1])[:5] + b"\xff" * (len(record(CLOSES[1])) - 5)),
        lambda w: w.raw(b"\x0a\xff\xff\xff\x7f" + bytes(11)),
        lambda w: w.poke(JOURNAL.offsets["events_offset"], b"\xff" * 4),
        lambda w: w.poke(JOURNAL.offsets["magic"] + 8, b"\xff" * 248),
        lambda w: w.poke(0, b"IPPJRNL1" + b"\xff" * 65000),
    ],
)
def test_garbage_in_a_journal_is_a_gap_and_the_others_stay(place, spoil):
    writers = [Writer(place.spool, 10 + n, 100) for n in range(3)]
    for n, writer in enumerate(writers):
        writer.append([origin(10 + n, 100, 1000), CLOSES[0]])
    spoil(writers[1])
    for writer in writers:
        writer.die()
    found = place.drained()

    assert 1 == found["runs"][0][-1]
    assert 1 == place.metric("events_lost_total", stage="sidecar", reason="corrupt")
    assert ["close", "origin"] == sorted(row[3] for row in found["events"] if row[0] == 2)
    assert [1, 1, 1] == [row[3] for row in found["journals"]]
    kept = [(path.name, path.stat()) for path in place.spool.glob("corrupt-*")]
    # An event that cannot be parsed stays in the database: only what is no journal has no other place.
    assert [] == [name for name, found in kept if name != "corrupt-00000001" or found.st_mode != stat.S_IFREG | 0o600]


def test_a_few_journals_of_garbage_are_kept(place):
    for pid in range(30):
        writer = Writer(place.spool, pid, 100)
        writer.raw(b"\xff" * 64)
        writer.die()
    place.drained()

    assert 16 == len(list(place.spool.glob("corrupt-*")))


def test_a_name_that_is_longer_than_any_is_not_stored_and_its_event_is(place):
    opened = [
        Event(time=2000, open=pb.Open(name=pb.Name(path=path), file=pb.File(inode=1 + n, mode=0o100644)))
        for n, path in enumerate([b"/" + b"n" * 2590, b"/" + bytes(range(1, 256)) * 170])
    ]
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *opened])
    writer.die()

    assert ["origin", "open", "open"] == place.effects()
    assert [2591] == [len(row[2]) for row in place.rows()["names"]]
    assert 1 == place.metric("batches_refused_total", reason="name")


def test_a_damaged_record_is_a_gap_and_those_behind_it_stay(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([origin(10, 100, 1000)])
    damaged = writer.append([CLOSES[0]])
    writer.append(CLOSES[1:3])
    writer.poke(writer.start + damaged + 2, b"\0")
    writer.die()
    found = place.drained()

    assert 1 == found["runs"][0][-1]
    assert 1 == place.metric("events_lost_total", stage="sidecar", reason="corrupt")
    assert ["close", "close", "gap", "origin"] == sorted(row[3] for row in found["events"])


def test_a_segment_that_is_cut_short_is_accounted_for(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    assert soon(lambda: writer.acknowledged() == writer.tail)
    os.truncate(place.spool / "segment-00000000", 4096)
    writer.die()

    assert soon(lambda: place.metric("events_lost_total", stage="sidecar", reason="corrupt") == 1)
    assert 7 + 1 == len(place.drained()["events"])


def test_a_foreign_file_in_the_spool_is_counted(place):
    with control(place.spool) as page:
        struct.pack_into("<Q", page, CONTROL.offsets["next_journal"], 0)
    os.mkfifo(place.spool / "segment-00000002")

    assert soon(lambda: place.metric("batches_refused_total", reason="segment") == 1)


def test_segments_without_end_keep_nobody_from_being_collected(place, caplog):
    for index in range(2, 20_000):
        with open(place.spool / f"segment-{index:08x}", "wb") as file:
            file.truncate(64 * 65536)
    with control(place.spool) as page:
        struct.pack_into("<Q", page, CONTROL.offsets["next_journal"], 1)
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    writer.die()
    with control(place.spool) as page:
        struct.pack_into("<Q", page, CONTROL.offsets["next_journal"], 1 << 40)

    assert soon(lambda: len(place.rows()["events"]) == 7)
    assert len(os.listdir("/proc/self/fd")) < 600
    assert max(len(line.getMessage()) for line in caplog.records) < 1000
    begun = time.monotonic()
    place.stop()
    assert time.monotonic() - begun < 30


def test_a_counter_of_claims_that_makes_no_sense_is_survived(tmp_path, database):
    place = Place(tmp_path, database, quota=256)
    with control(place.spool) as page:
        struct.pack_into("<Q", page, CONTROL.offsets["next_journal"], 1 << 62)
    time.sleep(0.5)

    assert 4 == len([name for name in os.listdir(place.spool) if name.startswith("segment")])
    assert place.stop().problem is None


# Databases and other sidecars.


def test_a_second_sidecar_is_refused_and_the_first_goes_on(place):
    with pytest.raises(SpoolBusyError):
        Sidecar.start(place.spool, place.database, RunInfo("other", None, 1))
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    writer.die()

    assert ["origin"] == place.effects()


def test_two_sidecars_write_one_database(place, tmp_path):
    (tmp_path / "other").mkdir()
    other = Place.__new__(Place)
    other.spool = tmp_path / "other" / "spool"
    other.sidecar = Sidecar.start(other.spool, place.database, RunInfo("other", None, 6), registry=CollectorRegistry())
    for n in range(100):
        for where in (place, other):
            writer = Writer(where.spool, 10 + n, 100)
            opened = Event(time=2000, open=pb.Open(file=pb.File(inode=n, mode=0o100644)))
            writer.append([origin(10 + n, 100, 1000), *CLOSES, opened])
            writer.die()
    assert place.sidecar.drain(10)
    assert other.sidecar.drain(10)
    found = place.rows()
    assert other.sidecar.stop().problem is None

    assert ["other", "run"] == [row[0] for row in found["runs"]]
    assert (200, 1600, 99) == (len(found["processes"]), len(found["events"]), len(found["files"]))


def test_a_database_that_is_locked_by_somebody_else_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_PRAGMAS", ("PRAGMA busy_timeout=50", *store._PRAGMAS[1:]))
    place = Place(tmp_path, sqlite_url(tmp_path / "db"))
    other = sqlite3.connect(place.folder / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    writer.die()
    assert not place.sidecar.drain(0.5)
    assert soon(lambda: place.metric("commit_failures_total") > 0)
    other.execute("ROLLBACK")

    assert ["origin"] == place.effects()
    assert place.stop().problem is None


def test_a_database_that_fails_to_the_end_is_reported_and_the_journals_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_PRAGMAS", ("PRAGMA busy_timeout=50", *store._PRAGMAS[1:]))
    monkeypatch.setattr(service, "_STOP_SECONDS", 0.3)
    place = Place(tmp_path, sqlite_url(tmp_path / "db"))
    other = sqlite3.connect(place.folder / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    writer.die()
    report = place.stop(ended=9, status=0)
    assert "locked" in report.problem
    assert "\n" not in report.problem
    assert 1 == report.pending
    other.execute("ROLLBACK")
    place.start()

    assert ["origin", *["close"] * 6] == place.effects()
    assert place.stop().problem is None


def test_a_full_disk_is_waited_out(tmp_path, monkeypatch):
    place = Place(tmp_path, sqlite_url(tmp_path / "db"))
    pages = sqlite3.connect(place.folder / "db").execute("PRAGMA page_count").fetchone()[0]
    enough = store._PRAGMAS
    monkeypatch.setattr(store, "_PRAGMAS", (*enough, f"PRAGMA max_page_count={pages}"))
    place.sidecar._store._engine.dispose()
    for n in range(60):
        writer = Writer(place.spool, 10 + n, 100)
        writer.append([origin(10 + n, 100, 1000), *CLOSES * 20])
        writer.die()
    assert soon(lambda: "database or disk is full" in (place.sidecar._writer.problem or ""))
    assert place.metric("commit_failures_total") > 0
    assert not place.sidecar.drain(0.2)
    monkeypatch.setattr(store, "_PRAGMAS", enough)
    place.sidecar._store._engine.dispose()

    assert 60 * 121 == len(place.drained()["events"])
    assert place.stop().problem is None


@pytest.mark.parametrize("content", [b"not a database" * 1000, b"#!/bin/sh\n"])
def test_a_file_that_is_no_database_is_one_line(tmp_path, content):
    (tmp_path / "db").write_bytes(content)
    with pytest.raises(StoreError, match=r"^cannot open the database /.*: file is not a database$"):
        Place(tmp_path, sqlite_url(tmp_path / "db"))
    assert not (tmp_path / "spool").exists()


def test_the_run_is_stored_with_its_end(tmp_path, database):
    place = Place(tmp_path, database)
    report = place.stop(ended=77, status=3)

    assert ("run", 0, 0, None) == (report.run_id, report.events, report.pending, report.problem)
    assert [("run", '["make"]', 77, 3, 0)] == place.rows()["runs"]
    assert report is place.stop()


def test_run_ids_are_eight_characters_and_differ():
    ids = {new_run_id() for _ in range(100)}

    assert 100 == len(ids)
    assert all(re.fullmatch("[a-z2-7]{8}", each) for each in ids)


def test_no_descriptor_and_no_thread_is_left_after_a_stop(tmp_path, databases):
    def start_and_stop(name):
        (tmp_path / name).mkdir()
        place = Place(tmp_path / name, databases.database())
        writer = Writer(place.spool, 10, 100)
        writer.append([MAKE])
        writer.die()
        place.stop()

    start_and_stop("first")
    before = len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    start_and_stop("second")

    assert len(os.listdir("/proc/self/fd")) <= before
    assert threading.active_count() <= threads


def test_who_is_over_its_daily_limit_is_read_when_there_is_room_again_and_at_its_end(place, monkeypatch, caplog):
    allowance = Allowance(100)
    place.stop()
    place.start(allowance=allowance)
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    assert soon(lambda: len(place.rows()["events"]) == 1 + len(CLOSES))  # what there was room for when it was read
    writer.append(CLOSES)
    assert soon(lambda: place.metric("slowed") == 1)
    for _ in range(3):
        assert place.sidecar._collector._looks  # a look reads nothing more
        time.sleep(0.15)
    assert 1 + len(CLOSES) == len(place.rows()["events"])
    assert 1 == sum("over its daily limit" in line.getMessage() for line in caplog.records)

    monkeypatch.setattr(allowance, "_left", 100)
    assert soon(lambda: len(place.rows()["events"]) == 1 + 2 * len(CLOSES))
    writer.append(CLOSES)
    writer.die()
    assert 1 + 3 * len(CLOSES) == len(place.drained()["events"])  # its container has ended


def test_an_allowance_comes_back_over_a_day(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    allowance = Allowance(86400)
    allowance.take(86400 + 10)
    assert not allowance.has_room()
    now[0] += 9
    assert not allowance.has_room()
    now[0] += 2
    assert allowance.has_room()
    assert not allowance.is_unused()
    now[0] += 10 * 86400
    assert allowance.is_unused()
    allowance.take(86400 - 1)
    assert allowance.has_room()


def test_claims_that_cannot_be_are_counted_once(place):
    with control(place.spool) as page:
        struct.pack_into("<Q", page, CONTROL.offsets["next_journal"], 1 << 62)
    assert soon(lambda: place.metric("poisoned_total", where="control") == 1)
    looks = place.sidecar._collector._looks
    assert soon(lambda: place.sidecar._collector._looks > looks + 2)
    assert 1 == place.metric("poisoned_total", where="control")
