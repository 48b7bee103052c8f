"""What the writer makes of events, in whatever order and however often they come."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import sleep, time_ns
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from interpose.sidecar import events, graph, store
from interpose.sidecar.events import stored_events
from interpose.sidecar.graph import join
from interpose.sidecar.ingest import Item, Writer
from interpose.sidecar.journal import UNFINISHED, Records, scan
from interpose.sidecar.memory import Run, signed
from interpose.sidecar.metrics import Metrics
from interpose.sidecar.packing import unpack
from interpose.sidecar.store import Store
from interpose.v1 import event_pb2 as pb
from interpose.v1.event_pb2 import Event, File, Name, Origin, Process
from support.databases import Databases, engine_of
from support.journals import NAMESPACE, OFFSET, origin, record
from support.rows import Rows, rows

REGULAR = 0o100644


class Database:
    """A writer and its database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = Store.open(url)
        self.id = self.store.open_run("run", "spool", ["make"], 0)
        self.metrics = Metrics(CollectorRegistry())
        self.begin()

    def begin(self) -> None:
        self.run = Run(self.id, OFFSET)
        self.writer = Writer(self.store, self.metrics)
        self.writer.start()
        self.writer.hurry(on=True)

    def restart(self) -> None:
        """Another sidecar: nothing is remembered but what the database has."""
        self.writer.stop(1)
        self.begin()

    def another(self) -> "Database":
        """A second writer on the same database."""
        return Database(self.url)

    @contextmanager
    def writer_waits(self) -> Iterator[None]:
        """What is submitted meanwhile goes into one transaction."""
        with self.store.transaction() as rows:
            rows.one("revise", (1, self.id))
            self.writer.submit(Item(self.run, 99, Records(0, b""), "stream"))
            sleep(0.1)
            yield

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with engine_of(self.url) as engine, engine.connect() as connection:
            yield connection

    def ranges(self) -> list[tuple[Any, ...]]:
        """All ranges: the journal's number, offset, size, events, first, last, bytes."""
        query = (
            'SELECT number, x."offset", size, events, first, last, data FROM ranges x'
            ' JOIN journals j ON j.id = x.journal_id ORDER BY number, x."offset"'
        )
        with self.reading() as connection:
            return [(*row[:6], unpack(row[6])) for row in connection.exec_driver_sql(query)]

    def add(self, number, events, *, start=0, close=False, notes=()):
        data = b"".join(map(record, events))
        return self.add_bytes(number, data, start=start, close=close, notes=notes)

    def add_bytes(self, number, data, *, start=0, close=False, notes=()):
        item = Item(self.run, number, scan(data, start), "stream", notes, close)
        return self.writer.submit(item).result(10)

    def close(self) -> None:
        self.writer.stop(1)
        self.store.close()

    def rows(self) -> Rows:
        return rows(self.url)

    def kinds(self) -> list[tuple[str, int]]:
        """Kind and inode of all accesses but those of programs that were begun."""
        return [(row[-4], row[6]) for row in self.rows()["accesses"] if row[6] != EXECUTABLE.inode]


@pytest.fixture
def db(database):
    made = Database(database)
    yield made
    made.close()


def file(inode, mode=REGULAR, *, birth_time=5, size=9, modified=7, device=1):
    return File(device=device, inode=inode, birth_time=birth_time, mode=mode, size=size, modified=modified)


def name(path, base=b""):
    return Name(path=path, base=base)


EXECUTABLE = file(1, 0o100755)
MAKE = origin(
    10, 100, 1000, executable=b"/bin/make", executable_file=EXECUTABLE, arguments=[b"make", b""], directory=b"/"
)
AT = OFFSET + 1000


def test_an_event_is_stored_as_it_was_sent_with_its_place_and_time(db):
    event = Event(time=1500, thread=10, function="close", close=pb.Close(fd=3))
    db.add(7, [MAKE, event])
    place = len(record(MAKE))

    image = (NAMESPACE, 10, 100, "exec", AT)
    assert (7, place, OFFSET + 1500, "close", event.SerializeToString(), *image) in db.rows()["events"]
    assert [(7, place + len(record(event)), OFFSET, 0, *image)] == db.rows()["journals"]


def test_an_origin_makes_process_and_image(db):
    first = Event()
    first.CopyFrom(MAKE)
    first.origin.parent.CopyFrom(Process(pid=1, start_time=50))
    first.origin.user, first.origin.group = 1000, 100
    db.add(0, [first])

    assert [(NAMESPACE, 10, 100, 1, 50, AT, None, None, 1000, 100)] == db.rows()["processes"]
    arguments = b"make\0\0"
    assert [(NAMESPACE, 10, 100, "exec", AT, None, b"/bin/make", 1, arguments, b"/", None, None)] == db.rows()["images"]
    assert [(NAMESPACE, 10, 100, "exec", AT, 1, 1, AT, "execute", 0, 9, 7)] == db.rows()["accesses"]


@pytest.mark.parametrize(
    ("effect", "kinds"),
    [
        ({"open": pb.Open(name=name(b"a"), file=file(2))}, ["open"]),
        ({"open": pb.Open(file=file(2), create=True)}, ["create"]),
        ({"open": pb.Open(file=file(2), create=True, truncate=True)}, ["create", "truncate"]),
        ({"io": pb.Io(file=file(2), reads=1)}, ["read"]),
        ({"io": pb.Io(file=file(2), reads=1, bytes_read=5, writes=2, bytes_written=6)}, ["read", "write"]),
        ({"map": pb.Map(file=file(2), read=True, execute=True)}, ["load"]),
        ({"map": pb.Map(file=file(2), read=True)}, ["read"]),
        ({"map": pb.Map(file=file(2), read=True, write=True)}, ["read", "write"]),
        ({"load": pb.Load(file=file(2))}, ["load"]),
        ({"unlink": pb.Unlink(file=file(2))}, ["remove"]),
        ({"mkdir": pb.Mkdir(file=file(2))}, ["create"]),
        ({"mknod": pb.Mknod(file=file(2))}, ["create"]),
        ({"symlink": pb.Symlink(file=file(2))}, ["create"]),
        ({"rename": pb.Rename(file=file(2))}, ["metadata"]),
        ({"link": pb.Link(file=file(2))}, ["metadata"]),
        ({"truncate": pb.Truncate(file=file(2))}, ["truncate"]),
        ({"truncate": pb.Truncate(file=file(2), length=1)}, ["write"]),
        ({"chmod": pb.Chmod(file=file(2))}, ["metadata"]),
        ({"chown": pb.Chown(file=file(2))}, ["metadata"]),
        ({"utime": pb.Utime(file=file(2))}, ["metadata"]),
        ({"xattr": pb.Xattr(file=file(2), write=True)}, ["metadata"]),
        ({"xattr": pb.Xattr(file=file(2))}, []),
        ({"stat": pb.Stat(file=file(2))}, []),
        ({"open": pb.Open(file=file(2)), "error": 2}, []),
        ({"connect": pb.Connect(file=file(2)), "error": 115}, ["open"]),
        ({"connect": pb.Connect(file=file(2)), "error": 111}, []),
        ({"open": pb.Open(name=name(b"a"))}, []),
    ],
)
def test_an_effect_is_an_access_of_these_kinds(db, effect, kinds):
    db.add(0, [MAKE, Event(time=1500, **effect)])

    assert [(kind, 2) for kind in kinds] == db.kinds()


def test_a_transfer_reads_its_source_and_writes_its_target(db):
    db.add(0, [MAKE, Event(time=1500, transfer=pb.Transfer(source=file(2), target=file(3), bytes=9))])

    assert [("read", 2), ("write", 3)] == db.kinds()


def test_a_rename_removes_what_it_displaced_and_an_exchange_gives_it_the_other_name(db):
    plain = pb.Rename(to=name(b"/b"), file=file(2), displaced=file(3))
    exchange = pb.Rename(to=name(b"/d"), file=file(4), displaced=file(5), exchange=True)
    for rename, old in ((plain, b"/a"), (exchange, b"/c")):
        getattr(rename, "from").path = old
    db.add(0, [MAKE, Event(time=1500, rename=plain), Event(time=1501, rename=exchange)])

    assert [("metadata", 2), ("metadata", 4), ("metadata", 5), ("remove", 3)] == sorted(db.kinds())
    names = [row[1:3] for row in db.rows()["names"] if row[1] > 1]
    assert [(2, b"/a"), (2, b"/b"), (3, b"/b"), (4, b"/c"), (4, b"/d"), (5, b"/c")] == sorted(names)


def test_a_name_is_seen_from_its_first_to_its_last_event(db):
    for number, time in enumerate((1500, 1400, 1600)):
        event = Event(time=time, open=pb.Open(name=name(b"./src//x.c", b"/home"), file=file(2)))
        db.add(number, [MAKE, event])

    assert (1, 2, b"/home/src/x.c", OFFSET + 1400, OFFSET + 1600) in db.rows()["names"]


@pytest.mark.parametrize(
    ("base", "path", "joined"),
    [
        (b"/a", b"b", b"/a/b"),
        (b"/a", b"/b", b"/b"),
        (b"/a", b"../b/./c//d/", b"/a/../b/c/d"),
        (b"/", b".", b"/"),
        (b"", b"b/./c", b"b/c"),
        (b"", b".", b"."),
        (b"/a", b"", b"/a"),
        (b"/", b"\xff", b"/\xff"),
    ],
)
def test_a_path_is_joined_to_its_base(base, path, joined):
    assert joined == join(base, path)


def test_a_pipe_is_of_one_run_and_a_regular_file_of_all(db):
    files = [file(2), file(3, 0o010600, birth_time=0), file(4, 0o140777, birth_time=0), file(5, 0o010600)]
    db.add(0, [MAKE, *(Event(time=1500, io=pb.Io(file=each, reads=1)) for each in files)])

    found = {row[1]: row[3:] for row in db.rows()["files"]}
    assert ("", "regular") == found[2]
    assert ("run", "pipe") == found[3]
    assert ("run", "socket") == found[4]
    assert ("", "pipe") == found[5]


def test_a_kind_that_was_not_known_is_filled_in(db):
    for mode in (0, REGULAR, 0):
        db.restart()
        event = Event(time=1500, io=pb.Io(file=file(2, mode), reads=1))
        db.add(mode % 2 + len(db.rows()["journals"]), [MAKE, event])

    assert [(1, 1, 5, "", "regular"), (1, 2, 5, "", "regular")] == db.rows()["files"]


@given(st.integers(0, 2**64 - 1))
def test_unsigned_numbers_fit_into_signed_columns_and_stay_distinct(value):
    assert -(2**63) <= signed(value) < 2**63
    assert value == signed(value) % 2**64


def test_numbers_beyond_all_bounds_are_stored(db):
    most = 2**64 - 1
    wild = file(most, most & 0xFFFFFFFF, device=most, birth_time=most, size=most, modified=most)
    first = origin(2**32 - 1, most, most)
    first.origin.pid_namespace = most
    first.origin.realtime_offset = 2**63 - 1
    event = Event(time=most, io=pb.Io(file=wild, bytes_read=most, bytes_written=most))
    gap = Event(time=most, gap=pb.Gap(events=most, first=most, last=most))
    wait = Event(time=most, wait=pb.Wait(child=2**32 - 1, signal=most & 0xFFFFFFFF))
    continued = origin(1, 1, 1, Origin.REASON_CONTINUED, previous=most)
    result = db.add(0, [first, event, gap, gap, wait])

    assert result.accepted
    assert db.add(1, [continued]).accepted
    assert 6 == len(db.rows()["events"])


# How often, and in which pieces.


def test_bytes_that_came_before_are_stored_once(db):
    events = [MAKE, *(Event(time=1500 + n, close=pb.Close(fd=n)) for n in range(5))]
    data = b"".join(map(record, events))
    cut = len(b"".join(map(record, events[:3])))
    db.add_bytes(0, data[:cut])
    before = db.rows()["events"]
    again = db.add_bytes(0, data[:cut])
    db.add_bytes(0, data)

    assert (cut, True) == (again.committed, again.accepted)
    assert 3 == len(before)
    assert list(range(6)) == [row[2] - OFFSET - 1499 if row[2] != AT else 0 for row in db.rows()["events"]]


def test_bytes_from_beyond_the_committed_ones_are_not_accepted(db):
    db.add(0, [MAKE])
    result = db.add(0, [Event(time=1500, close=pb.Close())], start=len(record(MAKE)) + 8)

    assert (False, len(record(MAKE))) == (result.accepted, result.committed)
    assert 1 == len(db.rows()["events"])


def test_a_closed_journal_takes_nothing_more(db):
    note = (-1, Event(time=5, gap=pb.Gap(events=3)))
    db.add(0, [MAKE], close=True, notes=[note])
    result = db.add(0, [MAKE, Event(time=1500, close=pb.Close())], close=True, notes=[note])

    assert (True, len(record(MAKE))) == (result.closed, result.committed)
    assert 3 == db.rows()["runs"][0][-1]


def test_an_unfinished_record_is_passed_over_and_not_an_event(db):
    data = (
        record(MAKE) + record(Event(time=1, close=pb.Close()), UNFINISHED) + record(Event(time=1500, close=pb.Close()))
    )
    result = db.add_bytes(0, data)

    assert len(data) == result.committed
    assert ["close", "origin"] == sorted(row[3] for row in db.rows()["events"])


def test_a_run_loses_no_more_events_than_its_time_allows(db):
    db.run = Run(db.id, OFFSET, started=time_ns() - 100 * 10**9)
    many = 9 * 10**9  # of the 10^10 that may be lost in 100 seconds
    gaps = [Event(time=1500, gap=pb.Gap(events=n, cause=pb.Gap.CAUSE_QUOTA)) for n in (many, many, 4)]
    db.add(0, [MAKE, *gaps])
    db.add(1, [MAKE, gaps[0]])

    registry = db.metrics.registry
    labels = {"stage": "library", "reason": "quota"}
    assert many + 4 == registry.get_sample_value("interpose_events_lost_total", labels)
    assert 2 == registry.get_sample_value("interpose_poisoned_total", {"where": "journal"})


def test_the_runs_losses_are_the_sum_of_its_gaps(db):
    gaps = [Event(time=1500, gap=pb.Gap(events=n, cause=pb.Gap.CAUSE_QUOTA)) for n in (3, 4)]
    db.add(0, [MAKE, *gaps])

    assert 7 == db.rows()["runs"][0][-1]
    assert 7 == db.metrics.registry.get_sample_value(
        "interpose_events_lost_total", {"stage": "library", "reason": "quota"}
    )


def test_an_event_that_does_not_parse_is_a_gap_of_one(db):
    broken = b"\x0a\x8b\x80\x80\x00" + b"\xff" * 11
    db.add_bytes(0, record(MAKE) + broken)

    assert ["gap", "origin"] == sorted(row[3] for row in db.rows()["events"])
    assert 1 == db.rows()["runs"][0][-1]


def test_what_the_library_blanked_out_is_no_event(db):
    blank = b"\x0a\x8b\x80\x80\x00" + b"\xfa\x07\x86\x80\x00" + bytes(6)
    db.add_bytes(0, record(MAKE) + blank)

    assert ["origin"] == [row[3] for row in db.rows()["events"]]


def test_an_item_that_cannot_be_stored_does_not_hold_up_the_others(db):
    db.add(0, [MAKE])
    bad = Item(Run("no such run", 0), 1, scan(record(MAKE), 0), "stream")
    refused = db.writer.submit(bad)
    good = db.add(2, [MAKE])

    assert "foreign key" in str(refused.exception(10)).casefold()
    assert good.accepted
    assert 1 == db.metrics.registry.get_sample_value("interpose_batches_refused_total", {"reason": "unstorable"})


# Ranges: the bytes of events.


def closes(count, start=1500):
    return [Event(time=start + n, close=pb.Close(fd=n)) for n in range(count)]


def test_a_range_is_stored_byte_for_byte_with_its_count_and_times(db):
    unfinished = record(Event(time=1, close=pb.Close()), UNFINISHED)
    data = record(MAKE) + unfinished + b"".join(map(record, closes(3)))
    db.add_bytes(5, data)

    assert [(5, 0, len(data), 4, AT, OFFSET + 1502, data)] == db.ranges()


def test_a_range_without_events_has_no_times(db):
    data = record(Event(time=1, close=pb.Close()), UNFINISHED)
    db.add_bytes(5, data)

    assert [(5, 0, len(data), 0, 0, 0, data)] == db.ranges()


@pytest.mark.parametrize("size", [1, 40])
def test_the_ranges_of_a_closed_journal_are_one_row(db, size):
    events = [MAKE, *closes(50)]
    pieces = [events[first : first + size] for first in range(0, len(events), size)]
    place = 0
    for number, piece in enumerate(pieces):
        assert number == len(db.ranges())
        place = db.add(0, piece, start=place).committed
    db.add(0, [], start=place, close=True)

    data = b"".join(map(record, events))
    assert [(0, 0, len(data), 51, AT, OFFSET + 1549, data)] == db.ranges()
    assert 51 == len(db.rows()["events"])


def test_rows_of_a_closed_journal_are_no_larger_than_a_reader_likes(db):
    big = Event(time=1500, exec=pb.Exec(arguments=[bytes(60_000)]))
    place = 0
    for piece in ([MAKE, big], [big], [big], [big], [big], [big]):
        place = db.add(0, piece, start=place, close=False).committed
    db.add(0, [], start=place, close=True)

    assert [5, 2] == [row[3] for row in db.ranges()]
    assert place == sum(row[2] for row in db.ranges())


def test_ranges_that_come_together_are_one_row(db):
    events = [MAKE, *closes(20)]
    place, futures = 0, []
    with db.writer_waits():
        for event in events:
            data = record(event)
            futures.append(db.writer.submit(Item(db.run, 0, scan(data, place), "stream")))
            place += len(data)
    assert place == futures[-1].result(10).committed

    assert 1 == len(db.ranges())


def test_events_before_a_late_origin_get_its_clock(db):
    db.run.shift = OFFSET + 10**9
    early = Event(time=900, open=pb.Open(file=file(2)))
    place = db.add(0, [early]).committed
    db.add(0, [MAKE], start=place)

    assert [OFFSET + 900, AT] == [row[4] for row in db.ranges()]
    assert [OFFSET + 900, AT] == sorted(row[2] for row in db.rows()["events"])


@pytest.mark.parametrize(("offset", "time"), [((1 << 63) - 1, (1 << 63) - 1), (-1 << 63, 0)])
def test_a_late_origin_with_a_clock_that_makes_no_sense_loses_nothing(db, offset, time):
    db.run.shift = -(10**6) if offset > 0 else 10**9
    place = db.add(0, [Event(time=2 * 10**6, close=pb.Close())]).committed
    mad = Event(time=1000, origin=pb.Origin(realtime_offset=offset))
    db.add(0, [mad], start=place)

    assert [time, time] == [row[4] for row in db.ranges()]


def test_events_are_read_in_the_order_of_their_times_over_all_journals(db):
    def at(time):
        return Event(time=time, close=pb.Close())

    db.add(1, [MAKE, at(5000), at(1200)])
    db.add(0, [origin(11, 110, 1100), at(1300), at(1250), at(6000)], close=True, notes=[(-1, Event(time=5500))])
    db.add(2, [origin(12, 120, 1260), at(5100)])

    with db.reading() as connection:
        found = [(event.time - OFFSET, event.journal) for event in stored_events(connection, "run")]
    assert [
        (1000, 1), (1100, 0), (1200, 1), (1250, 0), (1260, 2), (1300, 0), (5000, 1), (5100, 2), (5500, 0), (6000, 0),
    ] == found  # fmt: skip


def test_reading_events_holds_only_the_ranges_of_processes_that_lived_at_one_time(db, monkeypatch):
    held, most = set(), []
    decoded = events._decoded

    def counted(due, borrowers):
        held.add(due.owner.number)
        for event in decoded(due, borrowers):
            yield event
            most.append(len(held))
        held.discard(due.owner.number)

    monkeypatch.setattr(events, "_decoded", counted)
    for number in range(100):
        db.add(number, [origin(100 + number, 1, 1000 + 20 * number), *closes(10, 1001 + 20 * number)], close=True)

    with db.reading() as connection:
        assert 1100 == len(list(stored_events(connection, "run")))
    assert max(most) <= 2


def test_a_run_is_discarded_without_what_others_know_of_its_files(db):
    ours = [MAKE, Event(time=1500, io=pb.Io(file=file(2), reads=1)), Event(time=1501, fork=pb.Fork(child=11))]
    db.add(0, [*ours, Event(time=1502, io=pb.Io(file=file(3), reads=1, name=name(b"/x")))], close=True)
    db.store.open_run("other", "other spool", None, 0)
    item = Item(Run("other", OFFSET), 0, scan(b"".join(map(record, ours)), 0), "stream", [], close=True)
    db.writer.submit(item).result(10)
    db.store.end_run("run", 9, 0)
    ((run, revision),) = db.store.old_runs(before=10, delivered=False).items()

    assert db.store.discard_run(run, revision)
    left = db.rows()
    assert ["other"] == [row[0] for row in left["runs"]]
    assert {1, 2} == {row[1] for row in left["files"]}
    assert {"processes": 1, "images": 1, "journals": 1, "accesses": 2, "steps": 1, "events": 3, "names": 1} == {
        table: len(left[table]) for table in ("processes", "images", "journals", "accesses", "steps", "events", "names")
    }


def test_what_was_discarded_while_it_was_remembered_is_made_anew(db):
    io = Event(time=1500, io=pb.Io(file=file(2), reads=1))
    db.add(0, [MAKE, io])
    with db.store.transaction() as rows:
        for table in ("accesses", "steps", "names", "ranges", "journals", "images", "processes", "files"):
            rows._cursor.execute(f"DELETE FROM {table}")

    assert db.add(1, [MAKE, io]).accepted
    assert 2 == len(db.rows()["events"])


def test_a_file_that_was_discarded_while_it_was_remembered_is_made_anew(db):
    io = Event(time=1500, io=pb.Io(file=file(2), reads=1))
    db.add(0, [MAKE, io])
    with db.store.transaction() as rows:
        for what in ("accesses WHERE kind = 'read'", "files WHERE inode = 2"):
            rows._cursor.execute(f"DELETE FROM {what}")

    assert db.add(1, [origin(10, 100, 1000, Origin.REASON_CONTINUED), io]).accepted
    assert [("execute", 1), ("read", 2)] == sorted((row[-4], row[6]) for row in db.rows()["accesses"])


def test_a_file_that_somebody_is_about_to_use_is_not_discarded(db):
    db.add(0, [MAKE, Event(time=1500, io=pb.Io(file=file(2), reads=1))])
    other = db.store.open_run("other", "other spool", None, 1)
    db.store.end_run(db.id, 5, 0)
    ((run, revision),) = db.store.old_runs(before=10, delivered=False).items()
    with db.reading() as connection:
        (used,) = connection.exec_driver_sql("SELECT id FROM files WHERE inode = 2").scalars()
    discarding = threading.Thread(target=db.store.discard_run, args=(run, revision))
    with db.store.transaction() as rows:
        assert rows.hold_files({used})
        discarding.start()
        sleep(0.3)  # it gets as far as it can
        process, image = rows.new_id("processes"), rows.new_id("images")
        rows.many("add_process", [(process, other, 1, 1, 1, None, None, 1, None, None, None, None)])
        rows.many("add_image", [(image, process, 1, None, "exec", None, None, None, None)])
        rows.many("add_access", [(image, used, 1, "read", 0, None, None)])
    discarding.join()

    left = db.rows()
    assert [2] == [row[1] for row in left["files"]]
    assert [("read", 2)] == [(row[-4], row[6]) for row in left["accesses"]]


# Several who write.


def test_what_another_writer_added_is_found(db):
    other = db.another()
    db.add(0, [MAKE])
    other.add(1, [origin(10, 100, 1000, Origin.REASON_CONTINUED, previous=0), *closes(1)])
    db.add(2, [origin(10, 100, 1000, Origin.REASON_CONTINUED, previous=1), Event(time=1600, exit=pb.Exit(status=3))])
    other.add(3, [origin(11, 110, 1100), Event(time=1700, wait=pb.Wait(child=12, exit_status=4))])
    db.add(4, [origin(12, 120, 1200)])
    other.close()

    status = {row[1]: row[6:8] for row in db.rows()["processes"]}
    assert {10: (OFFSET + 1600, 3), 11: (None, None), 12: (OFFSET + 1700, 4)} == status
    assert 3 == len(db.rows()["images"])


def test_a_range_that_another_writer_stored_is_not_stored_again(db):
    other = db.another()
    data = b"".join(map(record, [MAKE, *closes(9)]))
    cuts = scan(data, 0).offsets
    for turn, cut in enumerate(cuts[1:]):
        assert cut == (other if turn % 2 else db).add_bytes(0, data[:cut]).committed
    other.close()

    assert 9 == len(db.rows()["events"])
    assert cuts[-1] == sum(row[2] for row in db.ranges())


# Processes.


def test_another_origin_ends_the_image_before(db):
    db.add(0, [MAKE])
    db.add(1, [origin(10, 100, 3000, executable=b"/bin/sh")])

    assert [("exec", AT, OFFSET + 3000), ("exec", OFFSET + 3000, None)] == [row[3:6] for row in db.rows()["images"]]


def test_a_vfork_child_has_an_image_of_its_own_before_it_executes_a_program(db):
    child = Process(pid=11, start_time=110)
    db.add(0, [MAKE, Event(time=1500, process=child, open=pb.Open(file=file(2)))])
    db.add(1, [origin(11, 110, 2000, executable=b"/bin/cc", parent=Process(pid=10, start_time=100))])

    images = [row[1:6] for row in db.rows()["images"] if row[1] == 11]
    assert [(11, 110, "exec", OFFSET + 2000, None), (11, 110, "fork", OFFSET + 1500, OFFSET + 2000)] == images
    assert (NAMESPACE, 11, 110, 10, 100) == db.rows()["processes"][1][:5]
    assert (NAMESPACE, 11, 110, "fork", OFFSET + 1500, 1, 2) == db.rows()["accesses"][1][:7]


def blind(cause=pb.BlindSpot.CAUSE_STATIC):
    return pb.BlindSpot(cause=cause, file=file(8, 0o100755), name=name(b"/bin/static"))


def test_a_program_that_runs_unseen_is_an_image(db):
    db.add(0, [MAKE, Event(time=1500, exec=pb.Exec(arguments=[b"static"], blind_spot=blind()))])

    image = (NAMESPACE, 10, 100, "blind", OFFSET + 1500)
    assert (*image, None, b"/bin/static", 8, b"static\0", None, b"", "static") in db.rows()["images"]
    assert (*image, 1, 8, OFFSET + 1500, "execute", 0, 9, 7) in db.rows()["accesses"]


def test_a_program_that_was_spawned_and_runs_unseen_is_a_process(db):
    db.add(0, [MAKE, Event(time=1500, spawn=pb.Spawn(child=12, blind_spot=blind()))])

    assert (NAMESPACE, 12, 0, 10, 100, OFFSET + 1500, None, None, None, None) in db.rows()["processes"]
    assert "blind" in [row[3] for row in db.rows()["images"] if row[1] == 12]


def acts_unseen(time, cause=pb.BlindSpot.CAUSE_IO_URING, path=b""):
    spot = pb.BlindSpot(cause=cause, name=name(path)) if path else pb.BlindSpot(cause=cause)
    return Event(time=time, blind_spot=spot)


def blind_spots(db):
    return {row[-2:] for row in db.rows()["images"]}


def test_a_captured_program_that_may_act_unseen_is_marked(db):
    db.add(0, [MAKE, acts_unseen(1500, path=b"/lib/./rings.so")])

    assert {(b"/lib/rings.so", "io_uring")} == blind_spots(db)
    assert ["exec"] == [row[3] for row in db.rows()["images"]]
    assert 1 == db.metrics.registry.get_sample_value("interpose_blind_spots_total", {"cause": "io_uring"})


@pytest.mark.parametrize("path", [b"", b"/lib/a.so"])
def test_of_several_reasons_to_act_unseen_the_first_by_name_is_kept(db, path):
    told = [
        acts_unseen(1500, pb.BlindSpot.CAUSE_SECCOMP),
        acts_unseen(1501, path=b"/lib/b.so"),
        acts_unseen(1502, path=path),
    ]
    for number, order in enumerate([told, told[::-1]]):
        db.add(number, [origin(10 + number, 100, 1000), *order])

    assert {(path, "io_uring")} == blind_spots(db)


def test_what_a_forked_child_tells_of_itself_is_not_its_parents(db):
    child = Process(pid=11, start_time=110)
    db.add(0, [MAKE, Event(time=1500, process=child, blind_spot=pb.BlindSpot(cause=pb.BlindSpot.CAUSE_SECCOMP))])

    assert {(11, "seccomp"), (10, None)} == {(row[1], row[-1]) for row in db.rows()["images"]}


def test_an_exec_that_failed_leaves_no_image_behind(db):
    db.add(
        0,
        [
            MAKE,
            Event(time=1500, exec=pb.Exec(blind_spot=blind())),
            Event(time=1501, error=8, exec=pb.Exec(blind_spot=blind())),
        ],
    )

    assert ["exec"] == [row[3] for row in db.rows()["images"]]
    assert [] == db.kinds()


def test_events_before_their_origin_are_of_the_same_image(db):
    early = Event(time=900, open=pb.Open(file=file(2)))
    for number, pieces in enumerate([[[early, MAKE]], [[early], [MAKE]]]):
        start = 0
        for piece in pieces:
            start = db.add(number, piece, start=start).committed

    assert {10} == {row[1] for table in ("images", "processes") for row in db.rows()[table]}
    assert {10} == {row[6] for row in db.rows()["events"]}


def test_a_journal_without_an_origin_is_of_nobody(db):
    db.add(0, [Event(time=900, open=pb.Open(file=file(2)))])

    assert [(0, 0, 0, "unknown", OFFSET + 900)] == [row[:5] for row in db.rows()["images"]]


# Order.


def story() -> dict[int, list[Event]]:
    """Journals of a make that forks, vforks, spawns, waits, continues in other journals; one pid is used twice."""
    source, target, pipe = file(20), file(21), file(22, 0o010600, birth_time=0)
    make, shell = Process(pid=10, start_time=100), Process(pid=20, start_time=200)
    borrower = Process(pid=30, start_time=300)

    def opened(time, of, path, **more):
        return Event(time=time, open=pb.Open(name=name(path, b"/w"), file=of), **more)

    def io(time, of, *, read=0, written=0):
        return Event(time=time, io=pb.Io(file=of, bytes_read=read, bytes_written=written))

    def went_on(pid, start, time, previous):
        return origin(pid, start, time, Origin.REASON_CONTINUED, previous=previous, user=3)

    return {
        0: [
            MAKE,
            opened(1010, source, b"./Makefile"),
            io(1020, source, read=100),
            Event(time=1030, fork=pb.Fork(child=20)),
            opened(1040, target, b"out", process=borrower),
            Event(time=1050, process=borrower, exec=pb.Exec(name=name(b"/bin/cc"))),
        ],
        1: [
            went_on(10, 100, 1100, 0),
            Event(time=1110, wait=pb.Wait(child=20, exit_status=3)),
            Event(time=1120, wait=pb.Wait(child=30, signal=9)),
            Event(time=1130, spawn=pb.Spawn(child=40, blind_spot=blind())),
            Event(time=1140, wait=pb.Wait(child=40, exit_status=1)),
            acts_unseen(1145, path=b"/lib/rings.so"),
            Event(time=1150, gap=pb.Gap(events=2)),
        ],
        2: [
            went_on(10, 100, 1200, 1),
            acts_unseen(1210, path=b"/lib/another.so"),
            Event(time=1290, wait=pb.Wait(child=20, exit_status=4)),
            Event(time=1300, exit=pb.Exit(status=2)),
        ],
        3: [
            origin(20, 200, 1031, Origin.REASON_FORK, executable=b"/bin/make", parent=make, user=1),
            opened(1032, source, b"Makefile"),
            io(1033, pipe, written=10),
        ],
        4: [
            origin(20, 200, 1060, executable=b"/bin/sh", executable_file=file(6), parent=Process(pid=1), user=2),
            io(1061, pipe, read=10),
        ],
        5: [went_on(20, 200, 1070, 4), io(1071, target, written=7)],
        6: [went_on(20, 200, 1080, 5), io(1081, target, written=8), Event(time=1090, exit=pb.Exit(status=3))],
        7: [
            origin(30, 300, 1051, executable=b"/bin/cc", parent=make),
            Event(time=1052, exec=pb.Exec(blind_spot=blind())),
        ],
        8: [
            went_on(30, 300, 1053, 7),
            Event(time=1054, error=8, exec=pb.Exec(blind_spot=blind())),
            Event(time=1055, exec=pb.Exec(blind_spot=blind(pb.BlindSpot.CAUSE_SECURE_EXEC))),
        ],
        9: [
            origin(20, 1250, 1251, Origin.REASON_FORK, executable=b"/bin/make", parent=shell),
            io(1252, file(22, 0o010600, birth_time=0), read=3),
        ],
        10: [went_on(50, 500, 1400, 99), acts_unseen(1400), Event(time=1401, close=pb.Close(fd=1))],
    }


def told(databases: Databases, order: list[int], *, pieces: bool, restarts: bool = False, cached: int = 4096) -> Rows:
    """The database after the journals came in this order; where in pieces, a number brings its journal's next one.

    `cached`: how many processes and journals may be remembered.
    """
    journals, places = story(), {number: [0, 0] for number in story()}
    url = databases.database()
    db = Database(url)
    for number in order:
        first, start = places[number]
        events = journals[number][first : first + 1] if pieces else journals[number]
        places[number] = [first + len(events), start + sum(len(record(event)) for event in events)]
        with patch.object(graph, "CACHED", cached):
            db.add(number, events, start=start)
        if restarts:
            db.restart()
    found = db.rows()
    db.close()
    databases.drop(url)
    return found


@lru_cache
def in_order(databases: Databases) -> Rows:
    return told(databases, sorted(story()), pieces=False)


def test_the_story_in_order_is_what_happened(databases):
    found = in_order(databases)
    status = {(row[1], row[2]): row[3:] for row in found["processes"]}
    images = {(row[1], row[2], row[3]): row for row in found["images"]}

    assert (None, None, AT, OFFSET + 1300, 2, 0, 0) == status[10, 100]
    assert (10, 100, OFFSET + 1031, OFFSET + 1090, 3, 1, 0) == status[20, 200]
    assert (20, 200, OFFSET + 1251, OFFSET + 1290, 4, 0, 0) == status[20, 1250]
    assert (10, 100, OFFSET + 1040, OFFSET + 1120, 137, 0, 0) == status[30, 300]
    assert (10, 100, OFFSET + 1130, OFFSET + 1140, 1, None, None) == status[40, 0]
    assert (OFFSET + 1031, OFFSET + 1060) == images[20, 200, "fork"][4:6]
    assert (OFFSET + 1060, OFFSET + 1090) == images[20, 200, "exec"][4:6]
    assert (OFFSET + 1051, OFFSET + 1055) == images[30, 300, "exec"][4:6]
    assert "secure_exec" == images[30, 300, "blind"][-1]
    assert (b"/lib/another.so", "io_uring") == images[10, 100, "exec"][-2:]
    assert "unknown" == images[50, 500, "unknown"][3]
    assert 9 == len(images)
    assert 2 == found["runs"][0][-1]


CACHED = st.sampled_from([0, 2, 4096])


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(sorted(story())), restarts=st.booleans(), cached=CACHED)
def test_journals_in_any_order_make_the_same_graph(databases, order, restarts, cached):
    assert in_order(databases) == told(databases, order, pieces=False, restarts=restarts, cached=cached)


@settings(max_examples=60, deadline=None)
@given(order=st.permutations([number for number, events in story().items() for _ in events]), cached=CACHED)
def test_journals_in_any_interleaving_make_the_same_graph(databases, order, cached):
    assert in_order(databases) == told(databases, order, pieces=True, cached=cached)


def test_processes_that_come_and_go_are_never_looked_up(db, monkeypatch):
    asked, run = Counter(), store.Transaction.run

    def counted(self, name, values):
        asked[name] += 1
        return run(self, name, values)

    db.add(0, [MAKE])
    monkeypatch.setattr(store.Transaction, "run", counted)
    monkeypatch.setattr(store.Transaction, "many", lambda self, name, rows: [counted(self, name, row) for row in rows])
    for n in range(20):
        told = [origin(20 + n, 200 + n, 1030, Origin.REASON_FORK), Event(time=1040, exit=pb.Exit(status=n))]
        db.add(1 + n, told, close=True)
    waits = [Event(time=1050 + n, wait=pb.Wait(child=20 + n, signal=9)) for n in range(20)]
    db.add(30, [origin(10, 100, 1049, Origin.REASON_CONTINUED), *waits])

    assert [137] * 20 == [process[7] for process in db.rows()["processes"] if process[1] >= 20]
    assert not asked.keys() & {"process", "images", "journal", "same_pid", "delete_image"}
    assert 20 == asked["add_process"] == asked["add_image"] == asked["change_process"]


def test_another_story_makes_another_graph(databases):
    changed = [number for number in sorted(story()) if number != 5]

    assert in_order(databases) != told(databases, changed, pieces=False)


def test_no_records_at_all_is_a_journal_that_is_closed(db):
    result = db.writer.submit(Item(db.run, 3, Records(0, b""), "collected", close=True)).result(10)

    assert (0, True, True) == (result.committed, result.closed, result.accepted)
