"""Capture.Stream with real gRPC clients."""

import asyncio
import os
import socket
import stat
import threading
import time
import urllib.request
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from interpose.sidecar import service
from interpose.sidecar.batch import split
from interpose.sidecar.errors import MalformedError
from interpose.sidecar.journal import UNFINISHED, scan
from interpose.sidecar.service import RunInfo, Sidecar
from interpose.sidecar.shared import SharedDirectory
from interpose.v1.capture_pb2 import Acknowledgement, Batch, Forwarded
from interpose.v1.event_pb2 import Close, Event
from support.journals import Writer, origin, record
from support.rows import rows
from support.waiting import soon

MAKE = origin(10, 100, 1000, executable=b"/bin/make")
CLOSES = [Event(time=1001 + n, function="close", close=Close(fd=n)) for n in range(300)]


class Place:
    def __init__(self, folder):
        self.folder, self.spool = folder, folder / "spool"
        self.start()

    def start(self, **more):
        self.registry = CollectorRegistry()
        self.sidecar = Sidecar.start(
            self.spool, f"sqlite:///{self.folder}/db", RunInfo("run", None, 5), registry=self.registry, **more
        )
        self.channel = grpc.insecure_channel(f"unix:{self.spool}/capture.sock")
        self.stream = self.channel.stream_stream(
            "/interpose.v1.Capture/Stream", response_deserializer=Acknowledgement.FromString
        )

    def stop(self):
        self.channel.close()
        return self.sidecar.stop()

    def effects(self):
        assert self.sidecar.drain(10)
        events = sorted(rows(self.folder / "db")["events"], key=lambda row: row[:2])
        return [row[3] for row in events]

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"interpose_{name}", labels)


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    assert made.stop().problem is None


def prefix(number, offset):
    return Batch(journal=number, offset=offset).SerializeToString()


def batches(writer, size):
    """The journal's bytes in messages of about `size` bytes."""
    data, start = writer.events(), 0
    places = [*scan(data, 0).offsets, len(data)]
    messages = []
    for after in places[1:]:
        if after - start >= size or after == len(data):
            messages.append(prefix(writer.number, start) + data[start:after])
            start = after
    return messages


def test_a_client_is_told_what_is_in_the_database(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    answers = list(place.stream(iter(batches(writer, 1000))))

    assert writer.tail == answers[-1].offset
    assert {writer.number} == {answer.journal for answer in answers}
    offsets = [answer.offset for answer in answers]
    assert sorted(offsets) == offsets
    assert 301 == len(rows(place.folder / "db")["events"])
    writer.die()


def test_an_acknowledgement_comes_while_the_stream_goes_on(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    more = threading.Event()

    def messages():
        yield batches(writer, 1)[0]
        more.wait(5)

    answers = place.stream(messages())
    assert writer.tail == next(answers).offset
    more.set()
    assert [] == list(answers)
    writer.die()


def test_a_process_that_says_nothing_for_a_while_is_kept_connected_no_longer(tmp_path, monkeypatch):
    """Or its container could not be checkpointed."""
    monkeypatch.setattr(service, "_IDLE_SECONDS", 0.4)
    monkeypatch.setattr(service, "_UNUSED_SECONDS", 0.3)
    place = Place(tmp_path)
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    states = []
    place.channel.subscribe(states.append)
    gone = threading.Event()

    def messages():
        for message in batches(writer, 2000):
            yield message
            time.sleep(0.2)
        gone.wait(10)

    begun = time.monotonic()
    answers = list(place.stream(messages()))
    gone.set()
    assert (writer.tail, True) == (answers[-1].offset, len(answers) > 3)
    assert soon(lambda: grpc.ChannelConnectivity.IDLE in states)
    assert (len(answers) - 1) * 0.2 + 0.4 <= time.monotonic() - begun
    writer.die()
    assert place.stop().problem is None


def test_what_comes_by_the_stream_and_from_the_spool_is_stored_once(place):
    writers = [Writer(place.spool, 10 + n, 100) for n in range(8)]
    for n, writer in enumerate(writers):
        writer.append([origin(10 + n, 100, 1000), *CLOSES])
    messages = [batches(writer, 700) for writer in writers]
    threads = [threading.Thread(target=lambda m=m: list(place.stream(iter(m)))) for m in messages for _ in range(2)]
    for thread in threads:
        thread.start()
    for writer in writers:
        time.sleep(0.01)
        writer.die()
    for thread in threads:
        thread.join()

    assert (["origin"] + ["close"] * 300) * 8 == place.effects()


def test_a_stream_that_is_cut_off_is_completed_from_the_spool(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    first, *_ = batches(writer, 1000)

    def messages():
        yield first
        raise RuntimeError("the process is killed")

    with pytest.raises(grpc.RpcError):
        list(place.stream(messages()))
    writer.die()

    assert ["origin", *["close"] * 300] == place.effects()


def test_a_stream_after_a_restart_goes_on_where_the_database_is(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, *CLOSES])
    messages = batches(writer, 1000)
    list(place.stream(iter(messages[:2])))
    place.stop()
    place.start()
    answers = list(place.stream(iter(messages)))
    writer.die()

    assert writer.tail == answers[-1].offset
    assert ["origin", *["close"] * 300] == place.effects()


def test_a_range_from_beyond_is_answered_with_what_is_there_and_read_from_the_spool(place):
    writer = Writer(place.spool, 10, 100)
    with_gap = None
    writer.append([MAKE, *CLOSES])
    with_gap = batches(writer, 1000)[2]
    (answer,) = list(place.stream(iter([with_gap])))
    assert writer.tail > answer.offset or answer.offset == writer.tail
    deadline = time.monotonic() + 5
    while writer.acknowledged() != writer.tail and time.monotonic() < deadline:
        time.sleep(0.01)

    assert writer.tail == writer.acknowledged()
    writer.die()
    assert ["origin", *["close"] * 300] == place.effects()


def test_an_unfinished_record_in_a_stream_is_a_gap(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    writer.unfinished(CLOSES[0])
    writer.append([CLOSES[1]])
    list(place.stream(iter([prefix(writer.number, 0) + writer.events()])))
    writer.die()

    assert ["origin", "gap", "close"] == place.effects()
    assert 1 == rows(place.folder / "db")["runs"][0][-1]


MALFORMED = {
    "no protobuf": b"\xff" * 20,
    "cut short": prefix(0, 0) + record(MAKE)[:-8],
    "zeros": prefix(0, 0) + bytes(64),
    "a number that does not end": b"\x10" + b"\xff" * 20,
    "an offset that is no record's": prefix(0, 3) + record(MAKE),
    "a journal that nobody claimed": prefix(5, 0) + record(MAKE),
    "a journal beyond all numbers": prefix(2**64 - 1, 0) + record(MAKE),
    "an offset beyond the journal": prefix(0, 65536) + record(MAKE),
    "another field": prefix(0, 0) + b"\x2a\x00" + record(MAKE),
    "what only a sidecar may say": Batch(forwarded=Forwarded(spool=bytes(16))).SerializeToString() + record(MAKE),
    "nothing, as a sidecar": b"\x22\x00",
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_batch_ends_its_stream_and_nothing_else(place, message):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, CLOSES[0]])
    good = prefix(writer.number, 0) + writer.events()
    answers = []
    with pytest.raises(grpc.RpcError) as caught:
        answers.extend(place.stream(iter([message])))

    assert grpc.StatusCode.INVALID_ARGUMENT == caught.value.code()
    assert "\n" not in caught.value.details()
    assert 1 == place.metric("batches_refused_total", reason="malformed")
    assert [writer.tail] == [answer.offset for answer in place.stream(iter([good]))]
    writer.die()
    assert ["origin", "close"] == place.effects()


def test_what_came_before_a_malformed_batch_is_acknowledged(place):
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    answers = []
    with pytest.raises(grpc.RpcError):
        for answer in place.stream(iter([prefix(writer.number, 0) + writer.events(), b"\xff" * 9])):
            answers.append(answer.offset)

    assert [writer.tail] == answers
    writer.die()


def test_a_message_that_is_too_large_is_refused(place):
    with pytest.raises(grpc.RpcError) as caught:
        list(place.stream(iter([bytes(5 << 20)])))

    assert grpc.StatusCode.RESOURCE_EXHAUSTED == caught.value.code()


def test_bytes_that_are_no_http2_are_survived(place):
    for content in (b"GET / HTTP/1.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500, b""):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place.spool / "capture.sock"))
            client.sendall(content)
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])

    assert [writer.tail] == [a.offset for a in place.stream(iter(batches(writer, 1)))]
    writer.die()


def test_many_streams_at_once_are_all_served(place):
    async def run():
        writers = [Writer(place.spool, 10 + n, 100) for n in range(100)]
        for n, writer in enumerate(writers):
            writer.append([origin(10 + n, 100, 1000), *CLOSES[:50]])
        async with grpc.aio.insecure_channel(f"unix:{place.spool}/capture.sock") as channel:
            stream = channel.stream_stream(
                "/interpose.v1.Capture/Stream", response_deserializer=Acknowledgement.FromString
            )

            async def send(writer):
                last = 0
                async for answer in stream(iter(batches(writer, 300))):
                    last = answer.offset
                return last == writer.tail

            sent = await asyncio.gather(*(send(writer) for writer in writers))
        for writer in writers:
            writer.die()
        return sent

    assert all(asyncio.run(run()))
    assert 100 * 51 == len(place.effects())
    assert 0 == place.metric("queue_items")
    total = place.metric("bytes_total", path="stream") + place.metric("bytes_total", path="collected")
    assert total == sum(row[1] for row in rows(place.folder / "db")["journals"])


def test_processes_of_all_users_may_connect(place):
    assert 0o666 == stat.S_IMODE((place.spool / "capture.sock").stat().st_mode)


def test_a_spool_with_a_long_path_is_served(tmp_path):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    sidecar = Sidecar.start(folder / "spool", f"sqlite:///{folder}/db", RunInfo("run", None, 5))
    writer = Writer(folder / "spool", 10, 100)
    writer.append([MAKE])
    directory = os.open(folder / "spool", os.O_PATH)
    with grpc.insecure_channel(f"unix:/proc/self/fd/{directory}/capture.sock") as channel:
        stream = channel.stream_stream("/interpose.v1.Capture/Stream", response_deserializer=Acknowledgement.FromString)
        assert [writer.tail] == [a.offset for a in stream(iter(batches(writer, 1)))]
    os.close(directory)
    writer.die()
    assert sidecar.stop().problem is None


def test_a_socket_that_a_killed_sidecar_left_is_replaced(place):
    place.stop()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place.spool / "capture.sock"))
    place.start()
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])

    assert [writer.tail] == [a.offset for a in place.stream(iter(batches(writer, 1)))]
    writer.die()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("/etc/passwd")])
def test_something_else_in_the_sockets_place_makes_way(tmp_path, make):
    place = Place(tmp_path)
    place.stop()
    make(place.spool / "capture.sock")
    place.start()
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])

    assert [writer.tail] == [a.offset for a in place.stream(iter(batches(writer, 1)))]
    writer.die()


def test_where_no_socket_can_be_had_the_journals_are_read_all_the_same(tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise PermissionError(1, "Operation not permitted")

    place = Place(tmp_path)
    place.stop()
    threads = set(threading.enumerate())
    with monkeypatch.context() as patch:
        patch.setattr(SharedDirectory, "clear", fail)
        place.start()
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE])
    writer.die()
    place.stop()

    assert 1 == len(rows(place.folder / "db")["events"])
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith("Operation not permitted; free it or use another")
    assert "read from its journals alone" in line
    assert threads >= set(threading.enumerate())


def test_metrics_are_served_over_http(tmp_path):
    place = Place(tmp_path)
    place.stop()
    place.start(metrics_address=("127.0.0.1", 0))
    writer = Writer(place.spool, 10, 100)
    writer.append([MAKE, CLOSES[0]])
    writer.die()
    assert place.sidecar.drain(5)
    with urllib.request.urlopen(f"http://127.0.0.1:{place.sidecar.metrics_port}/metrics") as answer:
        text = answer.read().decode()

    assert 'interpose_events_total{effect="close"} 1.0' in text
    assert f'interpose_bytes_total{{path="collected"}} {writer.tail}.0' in text
    assert "interpose_processes_total 1.0" in text
    assert "interpose_build_info" in text
    place.stop()


# Taking a batch apart.


@given(st.permutations(["journal", "offset", 0, 1, 2]))
def test_a_batchs_fields_may_come_in_any_order(order):
    records = [record(CLOSES[0]), record(CLOSES[1], UNFINISHED), record(CLOSES[2])]
    fields = {"journal": Batch(journal=7).SerializeToString(), "offset": Batch(offset=80).SerializeToString()}
    message = b"".join(fields[key] if isinstance(key, str) else records[key] for key in order)
    number, found = split(message)

    assert 7 == number
    assert found == scan(b"".join(records[key] for key in order if not isinstance(key, str)), 80)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_malformed(message):
    try:
        number, records = split(message)
    except MalformedError as error:
        assert "\n" not in str(error)
    else:
        assert number >= 0
        assert len(records.data) <= len(message)


def test_a_batch_in_thousands_of_pieces_is_malformed():
    piece = record(CLOSES[0]) + Batch(journal=7).SerializeToString()
    with pytest.raises(MalformedError, match="too many pieces"):
        split(piece * 10_000)


def test_an_empty_batch_is_of_no_bytes():
    assert (0, b"") == (split(b"")[0], split(b"")[1].data)
