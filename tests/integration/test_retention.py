"""What is old enough leaves the database, at the end of the line as before a collector; what grows stays."""

import time

import grpc
import pytest

from interpose.sidecar import collector as spool_collector
from interpose.sidecar import forward, retention
from interpose.v1.capture_pb2 import Batch, Forwarded, Run
from support.databases import sqlite_url
from support.forwarding import CLOSES, Collector, Place
from support.journals import origin, record
from support.waiting import soon

DAY = 86400.0
ENDED = Run(id="late", started=5, ended=7)


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(retention, "_LOOK_SECONDS", (0.3, 0.3))


@pytest.fixture
def over(tmp_path, database):
    """The URL of a database that has one run which is over, with ten processes."""
    place = Place(tmp_path, None, "over", database=database)
    for pid in range(10, 20):
        place.process(pid).die()
    assert place.stop(ended=7, status=0).problem is None
    return database


def runs(place):
    return [run[0] for run in place.rows()["runs"]]


def test_a_sidecar_that_forwards_nothing_deletes_what_is_old_and_keeps_what_grows(tmp_path, over):
    place = Place(tmp_path, None, "grows", retain=0, database=over)
    living = place.process(9)
    place.process(10).die()

    assert soon(lambda: runs(place) == ["grows"])
    assert soon(lambda: len(place.rows()["events"]) == 51)  # of who lives
    assert 2 == len(place.rows()["processes"])
    living.append(CLOSES)
    assert soon(lambda: len(place.rows()["events"]) == 101)
    living.die()
    assert soon(lambda: place.rows()["events"] == [])
    assert ["grows"] == runs(place)
    assert place.stop(ended=8).problem is None


def test_a_collector_at_the_end_of_the_line_deletes_what_is_old_and_keeps_what_grows(tmp_path, over):
    collector = Collector(tmp_path / "central", over, retain=0)
    place = Place(tmp_path, collector, "grows")
    living = place.process(9)
    place.process(10).die()

    assert soon(lambda: runs(collector) == ["grows"])
    assert soon(lambda: len(collector.rows()["events"]) == 51)
    living.die()
    assert place.stop(ended=8).problem is None
    assert soon(lambda: runs(collector) == [])
    assert [[], [], [], []] == [collector.rows()[table] for table in ("events", "processes", "files", "names")]
    assert 102 == len(place.rows()["events"])
    assert collector.stop() is None


def test_what_is_not_old_stays(tmp_path, over):
    now = time.time_ns()
    place = Place(tmp_path, None, "recent", retain=DAY, database=over)
    place.process(10).die()
    assert place.stop(ended=now).problem is None
    place = Place(tmp_path, None, "grows", retain=DAY, database=over)

    assert soon(lambda: runs(place) == ["grows", "recent"])
    assert not soon(lambda: runs(place) != ["grows", "recent"], 0.5)
    assert place.stop().problem is None


def test_without_a_retention_everything_stays(tmp_path, over):
    place = Place(tmp_path, None, "grows", database=over)
    assert not soon(lambda: runs(place) != ["grows", "over"], 0.5)
    assert 510 == len(place.rows()["events"])
    assert place.stop().problem is None


def batch(number, run=None):
    """All that one process does, as a sidecar forwards it."""
    forwarded = Forwarded(spool=bytes(16), run=run, closed=True)
    return Batch(journal=number, forwarded=forwarded).SerializeToString() + record(origin(10 + number, 100, 1000))


def test_a_run_that_is_added_to_stays_however_old_its_end_is(tmp_path, database):
    """A sidecar that was cut off for long tells first when the run ended, and then what was done."""
    collector = Collector(tmp_path / "central", database, retain=0)
    there = []

    def messages():
        yield batch(0, ENDED)
        for number in range(1, 60):
            time.sleep(0.02)
            yield batch(number)
            there.append(len(collector.rows()["processes"]))

    assert 60 == len(collector.stream(messages()))
    assert sorted(there) == there
    assert there[-1] > 50
    assert soon(lambda: runs(collector) == [])
    assert collector.stop() is None


def test_who_sends_more_of_a_run_that_was_deleted_has_to_describe_it_again(tmp_path, database):
    collector = Collector(tmp_path / "central", database, retain=0)

    def messages():
        yield batch(0, ENDED)
        assert soon(lambda: len(runs(collector)) == 1)
        assert soon(lambda: runs(collector) == [])
        yield batch(1)

    with pytest.raises(grpc.RpcError) as caught:
        collector.stream(messages())
    assert grpc.StatusCode.UNAVAILABLE == caught.value.code()
    (answer,) = collector.stream([batch(1, ENDED)])
    assert ("", 1) == (answer.refused, answer.journal)
    assert collector.stop() is None


def test_a_run_that_was_deleted_is_taken_again_from_who_goes_on_with_it(tmp_path, database):
    collector = Collector(tmp_path / "central", database, retain=0)
    place = Place(tmp_path, collector, "again")
    living = place.process(9)
    other = Place(tmp_path, collector, "other")
    other.process(11).die()
    place.stop(ended=7)
    assert soon(lambda: runs(collector) == ["other"])
    place.start()
    living.append(CLOSES)
    assert soon(lambda: runs(collector) == ["again", "other"])
    living.die()
    place.process(10).die()
    assert soon(lambda: len(collector.rows()["processes"]) == 3)
    assert [place.stop(ended=8).problem, other.stop(ended=8).problem] == [None, None]
    assert soon(lambda: runs(collector) == [])
    assert collector.stop() is None


def test_a_run_whose_sidecar_never_comes_back_has_ended_and_one_that_is_silent_has_not(tmp_path, database, monkeypatch):
    for module, seconds in ((spool_collector, 0.1), (forward, 0.1), (retention, 0.5)):
        monkeypatch.setattr(module, "SIGN_SECONDS", seconds)
    monkeypatch.setattr(retention, "_SILENT_SECONDS", 1.0)
    collector = Collector(tmp_path / "central", database, retain=1.0)
    relay = Collector(tmp_path / "relay", sqlite_url(tmp_path / "relay.db"), collector)
    silent, gone = Place(tmp_path, relay, "silent"), Place(tmp_path, relay, "gone")
    living = silent.process(9)
    gone.process(9)
    assert soon(lambda: runs(collector) == ["gone", "silent"])
    gone.stop()

    assert soon(lambda: runs(collector) == ["silent"], 20)
    assert not soon(lambda: runs(collector) != ["silent"], 4)
    assert [None] == [run[2] for run in collector.rows()["runs"]]
    gone.start()
    gone.process(10)
    assert soon(lambda: runs(collector) == ["gone", "silent"])
    assert [None, None] == [run[2] for run in collector.rows()["runs"]]
    living.die()
    assert [silent.stop().problem, gone.stop().problem] == [None, None]
    assert [relay.stop(), collector.stop()] == [None, None]
