"""A sidecar that forwards, and the collector that it forwards to."""

import os
import random
import shutil
import stat
import struct
import threading
import time

import grpc
import pytest

from interpose.sidecar import derive, forward, ingest
from interpose.sidecar.central import Central
from interpose.sidecar.endpoint import Unix
from interpose.sidecar.errors import EndpointError
from interpose.sidecar.spool import CONTROL
from interpose.v1 import event_pb2 as pb
from interpose.v1.capture_pb2 import Batch, Forwarded, Run
from interpose.v1.event_pb2 import Event
from support.forwarding import CLOSES, Collector, Place
from support.journals import Writer, control, origin, record
from support.waiting import soon


@pytest.fixture
def collector(tmp_path, database):
    made = Collector(tmp_path / "central", database)
    yield made
    assert made.stop() is None


@pytest.fixture
def place(tmp_path, collector):
    made = Place(tmp_path, collector)
    yield made
    made.stop()


def test_the_collector_has_what_the_sidecar_has(place, collector):
    for pid in range(10, 40):
        place.process(pid).die()
    odd = Writer(place.spool, 50, 100)
    odd.append([CLOSES[0]])
    odd.unfinished(CLOSES[1])
    odd.lose(7, 1100, 1200, pb.Gap.CAUSE_DISK_FULL)
    odd.descriptor(4, device=1, inode=2, birth_time=3, bytes_read=5, reads=1, state=1, mode=0o100644)
    odd.die()
    nobodys = Writer(place.spool, 51, 100)
    nobodys.raw(b"\xff" * 64)
    nobodys.die()
    report = place.stop(ended=77, status=3)

    assert (None, 0) == (report.problem, report.pending)
    assert 8 == report.lost
    assert place.rows() == collector.rows()
    assert 30 * 51 + 1 + 1 + 1 + 1 == len(collector.rows()["events"])  # a close, a gap, an io; a gap


def test_what_a_living_process_does_arrives_within_a_second(place, collector):
    writer = place.process(10)
    for n in range(3):
        writer.append([CLOSES[n]])
        began = time.monotonic()
        assert soon(lambda n=n: len(collector.rows()["events"]) == 52 + n)
        assert time.monotonic() - began < 1
    writer.die()


def test_a_collector_that_comes_later_gets_everything(tmp_path, collector):
    collector.stop()
    place = Place(tmp_path, collector)
    for pid in range(10, 20):
        place.process(pid).die()
    assert place.sidecar.drain(5)
    assert soon(lambda: place.metric("forward_failures_total") > 1)
    report = place.stop()
    assert report.problem.startswith(f"cannot forward to {collector.endpoint}: ")
    assert 0 == report.pending
    collector.start()
    place.start()

    assert soon(lambda: len(collector.rows()["events"]) == 510)
    assert place.stop(ended=9).problem is None
    assert place.rows() == collector.rows()


@pytest.mark.parametrize("seed", range(3))
def test_streams_that_break_at_random_lose_and_double_nothing(seed, place, collector, monkeypatch):
    monkeypatch.setattr(forward, "_PAUSES", (0.01,))
    moments = random.Random(seed)
    done = threading.Event()

    def disturb():
        while not done.is_set():
            time.sleep(moments.random() / 5)
            collector.stop()
            collector.start()

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    living = place.process(9)
    for pid in range(10, 60):
        writer = place.process(pid)
        living.append([CLOSES[pid - 10]])
        time.sleep(moments.random() / 20)
        writer.die()
    done.set()
    disturbing.join()
    living.die()

    assert place.stop(ended=77, status=0).problem is None
    assert place.rows() == collector.rows()
    assert 51 * 51 + 50 == len(collector.rows()["events"])


def test_a_sidecar_that_comes_back_goes_on_where_the_collector_is(place, collector):
    writer = place.process(10, CLOSES[:10])
    for n in range(10, 50, 10):
        place.stop(ended=7)
        assert [7] == [run[2] for run in collector.rows()["runs"]]
        place.start()
        writer.append(CLOSES[n : n + 10])
        assert soon(lambda n=n: len(collector.rows()["events"]) == 11 + n)
        assert [None] == [run[2] for run in place.rows()["runs"]]
    writer.die()
    place.stop()

    assert place.rows() == collector.rows()


def test_several_sidecars_forward_to_one_collector(tmp_path, collector):
    places = [Place(tmp_path, collector, name) for name in ("one", "two", "three")]
    for pid in range(10, 30):
        for place in places:
            place.process(pid).die()
    for place in places:
        assert place.stop(ended=7).problem is None
    found = collector.rows()

    assert ["one", "three", "two"] == [run[0] for run in found["runs"]]
    assert 3 * 20 * 51 == len(found["events"])
    assert 60 == len(found["processes"])


def test_a_run_whose_id_is_taken_gets_another(tmp_path, collector):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        place = Place(tmp_path / name, collector, "same")
        place.process(10).die()
        assert place.stop(ended=7).problem is None
    one, two = (run[0] for run in collector.rows()["runs"])

    assert one != two
    assert "same" in (one, two)
    assert 102 == len(collector.rows()["events"])


def test_processes_without_a_journal_are_told_of_once(place, collector):
    def lose(count):
        with control(place.spool) as page:
            struct.pack_into("<Q", page, CONTROL.offsets["lost_processes"] + 8 * pb.Gap.CAUSE_QUOTA, count)

    for count in (3, 5):
        lose(count)
        assert soon(lambda count=count: [run[-1] for run in collector.rows()["runs"]] == [count])
        place.stop()
        place.start()
    place.process(10).die()
    place.stop()

    assert place.rows() == collector.rows()
    assert 5 == collector.rows()["runs"][0][-1]


def test_what_has_arrived_is_deleted_after_a_while_and_a_run_when_it_is_over(tmp_path, collector):
    place = Place(tmp_path, collector, retain=0)
    living = place.process(9, [])
    for pid in range(10, 20):
        place.process(pid).die()

    assert soon(lambda: len(place.rows()["events"]) == 1)
    assert 11 == len(place.rows()["processes"])
    place.stop(ended=7, status=0)
    assert soon(lambda: [run[2] for run in collector.rows()["runs"]] == [7])
    place.start()  # which opens the run again: nothing of it may be gone
    living.append([CLOSES[0]])
    living.die()
    place.stop(ended=8, status=0)
    other = Place(tmp_path, collector, "other")
    other.stop(ended=9)

    assert 11 * 51 - 50 + 1 == len(collector.rows()["events"])
    assert [8, 9] == sorted(run[2] for run in collector.rows()["runs"])


def test_runs_that_are_over_are_deleted(tmp_path, collector):
    place = Place(tmp_path, collector, retain=0)
    place.process(10).die()
    place.stop(ended=7, status=0)
    os.rename(place.spool, place.folder / "gone")
    place.name = "next"
    place.start()
    assert soon(lambda: [run[2] for run in place.rows()["runs"]] == [None])
    place.stop()

    assert ([], []) == (place.rows()["events"], place.rows()["accesses"])
    assert ["side"] == [run[0] for run in collector.rows()["runs"] if run[2]]


def test_a_collector_whose_database_is_an_older_one_is_sent_what_it_lacks(tmp_path):
    collector = Collector(tmp_path / "central", f"sqlite:///{tmp_path}/central/db")
    place = Place(tmp_path, collector)
    writer = place.process(10, CLOSES[:10])
    assert soon(lambda: len(collector.rows()["events"]) == 11)
    collector.stop()
    shutil.copy(collector.folder / "db", tmp_path / "older")
    collector.start()
    writer.append(CLOSES[10:20])
    assert soon(lambda: len(collector.rows()["events"]) == 21)
    collector.stop()
    for name in os.listdir(collector.folder):
        os.unlink(collector.folder / name)
    shutil.copy(tmp_path / "older", collector.folder / "db")
    collector.start()
    writer.append(CLOSES[20:30])

    assert soon(lambda: len(collector.rows()["events"]) == 31)
    writer.die()
    place.stop()
    assert place.rows() == collector.rows()
    collector.stop()


def test_a_journal_that_can_never_be_stored_does_not_hold_up_the_others(place, collector, monkeypatch):
    add = derive.add

    def refuse(graph, run, number, *rest, **more):
        if number == 1 and threading.current_thread() is collector.central._writer._thread:
            raise ValueError("a fault")
        add(graph, run, number, *rest, **more)

    monkeypatch.setattr(ingest, "add", refuse)
    for pid in range(10, 15):
        place.process(pid).die()

    assert soon(lambda: place.metric("batches_refused_total", reason="forward") == 1)
    assert soon(lambda: len(collector.rows()["events"]) == 4 * 51)
    assert {0, 2, 3, 4} == {row[0] for row in collector.rows()["journals"]}


# What a peer may do to a collector.


SPOOL = bytes(range(16))
SAID = Run(id="mine", command=[b"make"], started=5)


def batch(writer_records=b"", **fields):
    return Batch(**fields).SerializeToString() + writer_records


def test_a_batch_that_comes_twice_is_stored_once(collector):
    first = batch(record(origin(10, 100, 1000)), forwarded=Forwarded(spool=SPOOL, run=SAID))
    size = len(record(origin(10, 100, 1000)))
    second = batch(record(CLOSES[0]), offset=size, forwarded=Forwarded(spool=SPOOL, closed=True))
    for _ in range(2):
        answers = collector.stream([first, second, first, second])
        assert [size, size + len(record(CLOSES[0]))] == [answer.offset for answer in answers[:2]] or answers

    assert 2 == len(collector.rows()["events"])
    assert [1] == [row[3] for row in collector.rows()["journals"]]


def test_a_batch_from_beyond_is_answered_with_what_is_there(collector):
    (answer,) = collector.stream([batch(record(CLOSES[0]), offset=64, forwarded=Forwarded(spool=SPOOL, run=SAID))])

    assert (0, 0, "") == (answer.journal, answer.offset, answer.refused)
    assert [] == collector.rows()["events"]


def test_the_same_run_through_two_collectors_is_stored_once(tmp_path, collector):
    """Each remembers the run as it left it, and finds that another has added to it."""
    other = Collector(tmp_path / "other", collector.database)
    places = [0]
    messages = [
        batch(record(event), offset=0, forwarded=Forwarded(spool=SPOOL)) for event in [origin(10, 100, 1000), *CLOSES]
    ]
    messages[0] = batch(record(origin(10, 100, 1000)), forwarded=Forwarded(spool=SPOOL, run=SAID))
    for event, message in zip([origin(10, 100, 1000), *CLOSES], messages, strict=True):
        parsed = Batch.FromString(message)
        head = Batch(journal=0, offset=places[-1], forwarded=parsed.forwarded).SerializeToString()
        places.append(places[-1] + len(record(event)))
        for each in (collector, other)[:: 1 if len(places) % 2 else -1]:
            (answer,) = each.stream([head + record(event)])
            assert places[-1] == answer.offset
    assert other.stop() is None

    assert 51 == len(collector.rows()["events"])
    assert 1 == len(collector.rows()["processes"])


def test_collectors_of_one_database_store_the_same_runs_at_the_same_time_once(tmp_path, collector):
    other = Collector(tmp_path / "other", collector.database)
    opened = [Event(time=3000 + n, open=pb.Open(file=pb.File(inode=1 + n, mode=0o100644))) for n in range(20)]
    descriptions = {bytes([n]) * 16: Run(id=f"run{n}", started=5) for n in range(3)}
    messages = []
    for number in range(30):
        for spool, said in descriptions.items():
            place = 0
            for event in [origin(10 + number, 100, 1000), *opened]:
                forwarded = Forwarded(spool=spool, run=said, closed=event is opened[-1])
                messages.append(batch(record(event), journal=number, offset=place, forwarded=forwarded))
                place += len(record(event))
    results = {}

    def send(each, part):
        results[each] = {(a.journal, a.refused) for a in each.stream(part) if a.refused}

    # The second begins where the first will be later: what it says is beyond what is there, until it is not.
    threads = [
        threading.Thread(target=send, args=arguments)
        for arguments in ((collector, messages), (other, messages[len(messages) // 2 :] + messages))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = collector.rows()
    assert other.stop() is None

    assert {collector: set(), other: set()} == results
    assert 3 * 30 * 21 == len(found["events"])
    assert (90, 20) == (len(found["processes"]), len(found["files"]))
    assert [1] * 90 == [row[3] for row in found["journals"]]


MALFORMED = {
    "no spool": batch(record(CLOSES[0])),
    "a spool's id of another length": batch(forwarded=Forwarded(spool=b"x", run=SAID)),
    "a run that was never described": batch(record(CLOSES[0]), forwarded=Forwarded(spool=bytes(16))),
    "a run's id that is none": batch(forwarded=Forwarded(spool=SPOOL, run=Run(id="../x'; --"))),
    "a run that began before time": batch(forwarded=Forwarded(spool=SPOOL, run=Run(id="x", started=-5))),
    "a journal beyond all numbers": batch(journal=1 << 63, forwarded=Forwarded(spool=SPOOL, run=SAID)),
    "no protobuf": b"\x22\x05\xff\xff\xff\xff\xff",
    "cut short": batch(forwarded=Forwarded(spool=SPOOL, run=SAID))[:-3],
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_batch_ends_its_stream_and_nothing_else(collector, message):
    with pytest.raises(grpc.RpcError) as caught:
        collector.stream([message])

    assert grpc.StatusCode.INVALID_ARGUMENT == caught.value.code()
    assert 1 == collector.metric("batches_refused_total", reason="malformed")
    assert 1 == len(collector.stream([batch(record(CLOSES[0]), forwarded=Forwarded(spool=SPOOL, run=SAID))]))


def test_a_second_collector_on_the_same_socket_is_refused_and_the_first_goes_on(collector):
    with pytest.raises(EndpointError, match=r"^cannot listen on .*: somebody does already$"):
        Central.start([collector.endpoint], collector.database)

    assert 1 == len(collector.stream([batch(forwarded=Forwarded(spool=SPOOL, run=SAID))]))


def test_a_collectors_socket_is_its_users_alone(collector):
    assert 0o600 == stat.S_IMODE(collector.endpoint.path.stat().st_mode)


def test_a_file_in_a_sockets_place_stays(tmp_path):
    (tmp_path / "file").write_text("content")
    with pytest.raises(EndpointError, match=r"^cannot listen on "):
        Central.start([Unix(tmp_path / "file")], f"sqlite:///{tmp_path}/db")

    assert "content" == (tmp_path / "file").read_text()
