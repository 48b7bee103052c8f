"""The library's gRPC client against a real gRPC server, and against peers that misbehave."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.cli import need

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "libinterpose"
DRIVER = Path(__file__).with_name("grpc_client_driver.c")
FUZZER = ROOT / "tests/fuzz/grpc_reader.c"
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
ZIG = [sys.executable, "-m", "ziglang", "cc"]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wconversion"]

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK = END_STREAM = 1
END_HEADERS = 4
PADDED = 8

NEVER, UNREACHABLE, BROKEN, FINISHED, MALFORMED, TAKEN, CLOSED = range(7)


# --- journals ---------------------------------------------------------------------------------------------------------


def record(size: int, rng: random.Random) -> bytes:
    """A record of `size` bytes in all: a multiple of 8, five of them its head."""
    length = size - 5
    head = bytes([0x0A, *(length >> shift & 0x7F | 0x80 for shift in (0, 7, 14)), length >> 21 & 0x7F])
    return head + rng.randbytes(length)


def journal(seed: int, sizes: Sequence[int] = ()) -> bytes:
    """Records of the given sizes, or of those that a process leaves: most are small, some larger than any frame."""
    rng = random.Random(seed)
    if not sizes:
        sizes = [8 * rng.randint(1, 60) for _ in range(4000)] + [16376, 16384, 16392, 20000, 65536, 70000, 200_000]
        rng.shuffle(sizes)
    return b"".join(record(size, rng) for size in sizes)


# --- the client -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    fd: int
    end: int
    streams: int
    sent: int
    acknowledged: int
    sends: int
    receives: int
    connects: int


class Client:
    """The driver: a process that holds one client and does what it is told, step by step."""

    def __init__(self, driver: Sequence[str | Path], path: Path, events: bytes, faults: int = 0) -> None:
        file = path.with_name("journal")
        file.write_bytes(events)
        self.process = subprocess.Popen(
            [*driver, path, file, str(faults)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.state = State(-1, NEVER, 0, 0, 0, 0, 0, 0)

    def __call__(self, command: str, argument: object = "") -> str:
        assert self.process.stdin and self.process.stdout
        print(command, argument, file=self.process.stdin, flush=True)
        answer, _, state = self.process.stdout.readline().partition("; ")
        assert state, f"the driver died: {self.process.wait()}"
        self.state = State(*map(int, state.split()))
        return answer

    def push(self, to: int) -> int:
        return int(self("push", to))

    def poll(self, times: int = 1) -> list[tuple[int, int]]:
        """The acknowledgements that so many polls bring."""
        answers = (answer.split(":") for answer in self("poll", times).split())
        return [(int(number), int(offset)) for number, offset in answers]

    def run(self, milliseconds: int = 60_000) -> State:
        """Push and poll until everything is acknowledged."""
        self("run", milliseconds)
        return self.state

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(10) == 0


def compile_hosted(compiler: Sequence[str], source: Path, target: Path) -> Path:
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*compiler, *flags, "-iquote", LIBRARY / "include", source, "-o", target], check=True)
    return target


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    need("gcc")  # its sanitizers
    return [compile_hosted(["gcc", *SANITIZE], DRIVER, tmp_path_factory.mktemp("driver") / "driver")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "capture.sock"


Start = Callable[..., Client]


@pytest.fixture
def start(driver: list[str | Path], path: Path) -> Iterator[Start]:
    clients: list[Client] = []

    def start(events: bytes, faults: int = 0) -> Client:
        clients.append(Client(driver, path, events, faults))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


# --- a real server ----------------------------------------------------------------------------------------------------


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def encode_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def parse_batch(batch: bytes) -> tuple[int, int, bytes]:
    assert batch[0] == 2 << 3
    number, at = varint(batch, 1)
    assert batch[at] == 3 << 3
    offset, at = varint(batch, at + 1)
    return number, offset, batch[at:]


def acknowledgement(number: int, offset: int) -> bytes:
    return b"\x08" + encode_varint(number) + b"\x10" + encode_varint(offset)


@dataclass
class Store:
    """What a sidecar keeps: the journals as far as they came, whatever stream brought them."""

    journals: dict[int, bytes] = field(default_factory=dict)
    batches: int = 0
    metadata: dict[str, str | bytes] = field(default_factory=dict)

    def take(self, batch: bytes) -> bytes:
        number, offset, events = parse_batch(batch)
        have = self.journals.get(number, b"")
        assert offset <= len(have), "a hole"
        assert have[offset : offset + len(events)] == events[: len(have) - offset], "not what came before"
        self.journals[number] = have + events[len(have) - offset :]
        self.batches += 1
        return acknowledgement(number, len(self.journals[number]))


class Server:
    def __init__(self, path: Path, store: Store, options: Sequence[tuple[str, Any]] = (), end_after: int = 0) -> None:
        self.store = store
        self.end_after = end_after
        self.server = grpc.server(ThreadPoolExecutor(4), options=options)
        handler = grpc.stream_stream_rpc_method_handler(self.stream)
        self.server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("interpose.v1.Capture", {"Stream": handler})]
        )
        assert self.server.add_insecure_port(f"unix:{path}")
        self.server.start()

    def stream(self, batches: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self.store.metadata = dict(context.invocation_metadata())
        for number, batch in enumerate(batches, 1):
            yield self.store.take(batch)
            if number == self.end_after:
                context.abort(grpc.StatusCode.UNAVAILABLE, "enough")

    def stop(self, grace: float | None = None) -> None:
        self.server.stop(grace).wait()


@pytest.fixture
def serve(path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def serve(store: Store, **arguments: Any) -> Server:
        servers.append(Server(path, store, **arguments))
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


@pytest.mark.parametrize("faults", [0, 1, 2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything_arrives_once_and_in_order(
    seed: int, faults: int, start: Start, serve: Callable[..., Server]
) -> None:
    events, store = journal(seed), Store()
    serve(store)
    client = start(events, faults)
    client("slices", seed)
    state = client.run()
    assert store.journals == {0: events}
    assert (state.acknowledged, state.sent, state.streams) == (len(events), len(events), 1)


def test_server_sees_a_grpc_call(start: Start, serve: Callable[..., Server]) -> None:
    store = Store()
    serve(store)
    start(journal(1, [64])).run()
    assert store.metadata["user-agent"] == "interpose/1"


@pytest.mark.parametrize(
    "options",
    [
        [("grpc.http2.lookahead_bytes", 1), ("grpc.http2.bdp_probe", 0)],
        [("grpc.http2.lookahead_bytes", 1000), ("grpc.http2.bdp_probe", 0)],
        [("grpc.http2.max_frame_size", 16384)],
        [("grpc.http2.max_frame_size", 16777215), ("grpc.http2.lookahead_bytes", 1 << 24)],
        [("grpc.http2.write_buffer_size", 1)],
    ],
)
def test_window_and_frame_sizes_of_a_real_server(
    options: list[tuple[str, Any]], start: Start, serve: Callable[..., Server]
) -> None:
    events, store = journal(4), Store()
    serve(store, options=options)
    assert start(events).run().acknowledged == len(events)
    assert store.journals == {0: events}


@pytest.mark.parametrize("faults", [0, 3])
def test_stream_that_the_server_ends_is_renewed_behind_the_last_acknowledgement(
    faults: int, start: Start, serve: Callable[..., Server]
) -> None:
    events, store = journal(5), Store()
    serve(store, end_after=10)
    state = start(events, faults).run()
    assert store.journals == {0: events}
    assert state.streams > 1
    assert state.end == FINISHED


@pytest.mark.parametrize("grace", [None, 0.01])
def test_server_that_is_restarted_gets_the_rest(
    grace: float | None, start: Start, serve: Callable[..., Server], path: Path
) -> None:
    events, store = journal(6), Store()
    client = start(events)
    for _ in range(5):
        server = serve(store)
        client.run(2)
        server.stop(grace)
        path.unlink(missing_ok=True)
        client.run(2)
    serve(store)
    state = client.run()
    assert store.journals == {0: events}
    assert state.streams > 1


def test_two_journals_follow_each_other(start: Start, serve: Callable[..., Server]) -> None:
    events, store = journal(7), Store()
    serve(store)
    client = start(events, faults=5)
    client.run()
    client("journal", 1 << 63)
    client.run()
    assert store.journals == {0: events, 1 << 63: events}
    assert client.state.streams == 1


# --- a peer by hand ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    type: int
    flags: int = 0
    stream: int = 0
    payload: bytes = b""

    def __bytes__(self) -> bytes:
        head = len(self.payload).to_bytes(3, "big") + bytes([self.type, self.flags])
        return head + self.stream.to_bytes(4, "big") + self.payload


def settings(**values: int) -> Frame:
    numbers = {"initial_window": 4, "frame_max": 5, "unknown": 0x4A4A}
    return Frame(
        SETTINGS, payload=b"".join(numbers[k].to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in values.items())
    )


def window_update(stream: int, increment: int) -> Frame:
    return Frame(WINDOW_UPDATE, stream=stream, payload=increment.to_bytes(4, "big"))


def message(payload: bytes) -> bytes:
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def data(payload: bytes, flags: int = 0) -> Frame:
    return Frame(DATA, flags, 1, payload)


def acknowledge(number: int, offset: int) -> Frame:
    return data(message(acknowledgement(number, offset)))


RESPONSE = Frame(HEADERS, END_HEADERS, 1, b"\x88\x0f\x10\x10application/grpc")
TRAILERS = Frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x0bgrpc-status\x010")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Connection:
    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.received = b""

    def send(self, *frames: Frame | bytes) -> None:
        self.stream.sendall(b"".join(map(bytes, frames)))

    def receive(self) -> bytes:
        """Everything that has come so far."""
        self.stream.setblocking(False)
        try:
            while some := self.stream.recv(1 << 20):
                self.received += some
        except BlockingIOError:
            pass
        self.stream.setblocking(True)
        return self.received

    def frames(self) -> list[Frame]:
        """All frames that have come so far; the last one may not be whole."""
        rest = self.receive()
        assert rest.startswith(PREFACE)
        at, frames = len(PREFACE), []
        while at + 9 <= len(rest):
            size = int.from_bytes(rest[at : at + 3], "big")
            stream = int.from_bytes(rest[at + 5 : at + 9], "big")
            if at + 9 + size > len(rest):
                break
            frames.append(Frame(rest[at + 3], rest[at + 4], stream, rest[at + 9 : at + 9 + size]))
            at += 9 + size
        return frames

    def of_type(self, kind: int) -> list[Frame]:
        return [frame for frame in self.frames() if frame.type == kind]

    def events(self) -> dict[int, bytes]:
        """The journals that came, put together from whole messages."""
        stream = b"".join(frame.payload for frame in self.of_type(DATA))
        at, store = 0, Store()
        while at + 5 <= len(stream):
            size = int.from_bytes(stream[at + 1 : at + 5], "big")
            assert stream[at] == 0
            if at + 5 + size > len(stream):
                break
            store.take(stream[at + 5 : at + 5 + size])
            at += 5 + size
        return store.journals


class Peer:
    def __init__(self, path: Path, backlog: int = 8) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(backlog)
        self.listener.settimeout(5)
        self.connections: list[Connection] = []

    def accept(self) -> Connection:
        self.connections.append(Connection(self.listener.accept()[0]))
        return self.connections[-1]

    def close(self) -> None:
        for connection in self.connections:
            connection.stream.close()
        self.listener.close()


@pytest.fixture
def peer(path: Path) -> Iterator[Peer]:
    peer = Peer(path)
    yield peer
    peer.close()


SMALL = journal(8, [64] * 10)


def test_opening_is_preface_settings_and_request(start: Start, peer: Peer) -> None:
    start(SMALL).push(64)
    frames = peer.accept().frames()
    assert frames[0] == Frame(SETTINGS, payload=b"\x00\x02\x00\x00\x00\x00")
    assert (frames[1].type, frames[1].flags, frames[1].stream) == (HEADERS, END_HEADERS, 1)
    assert frames[2:] == [data(message(b"\x10\x00\x18\x00" + SMALL[:64]))]


def test_nothing_is_done_while_there_is_nothing_to_send(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    assert client.push(0) == 0
    assert client.poll() == []
    assert (client.state.streams, client.state.connects, client.state.receives) == (0, 0, 0)
    client.push(640)
    sends = client.state.sends
    assert client.push(640) == 640
    assert client.state.sends == sends


def test_record_that_is_not_whole_is_not_sent(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    assert client.push(64 + 63) == 64
    assert client.push(128) == 128
    assert peer.accept().events() == {0: SMALL[:128]}


@pytest.mark.parametrize(
    "head", [b"\0\0\0\0\0", b"\x0a\xff\xff\xff\x7f", b"\x0a\x84\x80\x80\x00", b"\x12\xbb\x80\x80\x00"]
)
def test_bytes_that_are_no_record_are_not_sent(head: bytes, start: Start, peer: Peer) -> None:
    events = SMALL[:128] + head + SMALL[133:]
    assert start(events).push(640) == 128


def test_settings_and_pings_are_answered(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(64)
    connection = peer.accept()
    connection.send(settings(unknown=7), Frame(PING, payload=b"12345678"), Frame(PING, ACK, payload=b"abcdefgh"))
    client.poll()
    assert connection.of_type(SETTINGS)[1:] == [Frame(SETTINGS, ACK)]
    assert connection.of_type(PING) == [Frame(PING, ACK, payload=b"12345678")]


def test_acknowledgements_come_one_by_one(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(640)
    both = message(acknowledgement(0, 192)) + message(acknowledgement(5, 77))
    peer.accept().send(settings(), RESPONSE, acknowledge(0, 64), acknowledge(0, 128), data(both))
    assert client.poll(10) == [(0, 64), (0, 128), (0, 192), (5, 77)]
    assert client.state.acknowledged == 192


def test_acknowledgement_of_nothing_is_an_empty_message(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(640)
    peer.accept().send(settings(), RESPONSE, data(message(b"")))
    assert client.poll() == [(0, 0)]


def test_fields_to_come_are_skipped(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(640)
    fields = b"\x18\x80\x01" + b"\x21" + bytes(8) + b"\x08\x00" + b"\x2a\x03abc" + b"\x35" + bytes(4) + b"\x10\x40"
    peer.accept().send(settings(), RESPONSE, data(message(fields)))
    assert client.poll() == [(0, 64)]


def peer_that_says_everything() -> list[Frame]:
    """Every kind of frame that a peer may send, in an order that is allowed."""
    return [
        settings(unknown=1, initial_window=70_000, frame_max=20_000),
        Frame(SETTINGS, ACK),
        window_update(0, 100_000),
        Frame(HEADERS, 0, 1, b"\x88"),
        Frame(CONTINUATION, 0, 1, b"\x0f\x10\x10"),
        Frame(CONTINUATION, END_HEADERS, 1, b"application/grpc"),
        data(message(acknowledgement(0, 64))),
        data(b""),
        data(b"\x05" + message(acknowledgement(0, 128)) + bytes(5), PADDED),
        data(b"\x00", PADDED),
        Frame(PRIORITY, 0, 3, bytes(5)),
        Frame(0xBE, 0xFF, 77, bytes(300)),
        Frame(0xBE),
        data(message(acknowledgement(0, 192))[:3]),
        Frame(PING, payload=b"12345678"),
        data(b"\xff" + message(acknowledgement(0, 192))[3:] + bytes(255), PADDED),
        window_update(1, 5),
        Frame(SETTINGS),
        data(message(acknowledgement(0, 256)) + message(acknowledgement(0, 320))),
    ]


@pytest.mark.parametrize("faults", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 7, 100, 5000])
def test_frames_are_read_however_they_are_cut(size: int, faults: int, start: Start, peer: Peer) -> None:
    client = start(SMALL, faults)
    while client.push(640) < 640:
        pass
    connection = peer.accept()
    stream = b"".join(map(bytes, peer_that_says_everything()))
    got = []
    for at in range(0, len(stream), size):
        connection.send(stream[at : at + size])
        got += client.poll()
    got += client.poll(1000)
    assert got == [(0, offset) for offset in (64, 128, 192, 256, 320)]
    assert connection.of_type(PING) == [Frame(PING, ACK, payload=b"12345678")]
    assert connection.of_type(SETTINGS)[1:] == [Frame(SETTINGS, ACK)] * 2
    assert client.state.fd >= 0


def test_connection_that_breaks_at_any_byte_is_renewed(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    stream = b"".join(map(bytes, peer_that_says_everything()))
    for at in range(len(stream)):
        client("wait", 20_000)
        client.push(640)
        connection = peer.accept()
        connection.receive()
        connection.send(stream[:at])
        connection.stream.close()
        client.poll(20)
        assert (client.state.fd, client.state.end) == (-1, BROKEN)
    client("wait", 20_000)
    assert client.push(640) == 640
    assert peer.accept().frames()[2] == data(message(b"\x10\x00\x18\x80\x02" + SMALL[256:]))


def test_client_survives_a_peer_that_reads_any_number_of_bytes(start: Start, peer: Peer) -> None:
    client = start(SMALL, faults=7)
    for size in range(1, 200, 3):
        client("wait", 20_000)
        while client.push(640) < 640:
            pass
        connection = peer.accept()
        connection.stream.recv(size)
        connection.stream.close()
        for _ in range(30):
            client.push(640)
            client.poll()
        assert client.state.fd == -1


# --- flow control -----------------------------------------------------------------------------------------------------


def test_default_windows_are_kept(start: Start, peer: Peer) -> None:
    events = journal(9, [8000] * 20)
    client = start(events)
    pushed = client.push(len(events))
    assert pushed == 8 * 8000
    frames = peer.accept().of_type(DATA)
    assert max(len(frame.payload) for frame in frames) <= 16384
    assert sum(len(frame.payload) for frame in frames) == 65535


@pytest.mark.parametrize("window", [0, 1, 5, 26, 27, 28, 100])
def test_tiny_window_is_used_to_the_last_byte(window: int, start: Start, peer: Peer) -> None:
    client = start(journal(10, [70_000]) + SMALL)
    client.push(70_000)  # uses the whole connection window, while the stream's is not known yet
    connection = peer.accept()
    connection.send(settings(initial_window=window), window_update(0, 1 << 20))
    client.poll()
    client.push(70_640)
    sent = sum(len(frame.payload) for frame in connection.of_type(DATA))
    assert sent == 65535, "the stream's window is negative or nothing now"
    connection.send(window_update(1, 65535))
    client.poll()
    client.push(70_640)
    assert sum(len(frame.payload) for frame in connection.of_type(DATA)) == 65535 + window
    connection.send(settings(initial_window=1 << 20))
    client.poll()
    assert client.push(70_640) == 70_640
    assert connection.events() == {0: journal(10, [70_000]) + SMALL}


@pytest.mark.parametrize("step", [1, 3, 26, 50])
def test_window_that_grows_by_little_steps_lets_everything_through(step: int, start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(8)  # less than a record: connects and sends nothing of the journal
    connection = peer.accept()
    connection.send(settings(initial_window=0))
    client.poll()
    for allowed in range(0, 2000, step):
        client.push(640)
        assert sum(len(frame.payload) for frame in connection.of_type(DATA)) <= allowed
        if client.state.sent == 640:
            break
        connection.send(window_update(1, step))
        client.poll()
    assert connection.events() == {0: SMALL}


def test_connections_window_is_kept_where_the_streams_is_larger(start: Start, peer: Peer) -> None:
    events = journal(9, [8000] * 20)
    client = start(events)
    client.push(8000)
    connection = peer.accept()
    connection.send(settings(initial_window=1 << 20))
    client.poll()
    client.push(len(events))
    assert sum(len(frame.payload) for frame in connection.of_type(DATA)) == 65535


def test_settings_that_repeat_a_window_do_not_widen_it(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(8)  # connects only
    connection = peer.accept()
    connection.send(settings(initial_window=200), settings(initial_window=100), settings(initial_window=100))
    client.poll()
    client.push(640)
    assert sum(len(frame.payload) for frame in connection.of_type(DATA)) == 100


def test_larger_frames_are_used_when_allowed(start: Start, peer: Peer) -> None:
    events = journal(11, [1000] * 100)
    client = start(events)
    client.push(8)
    connection = peer.accept()
    connection.send(settings(frame_max=1 << 20, initial_window=1 << 20), window_update(0, 1 << 20))
    client.poll()
    assert client.push(len(events)) == len(events)
    assert 32768 < max(len(frame.payload) for frame in connection.of_type(DATA)) <= 65536
    assert connection.events() == {0: events}


def test_record_larger_than_a_frame_is_one_message_in_several_frames(start: Start, peer: Peer) -> None:
    events = journal(12, [50_000, 64])
    client = start(events)
    assert client.push(len(events)) == len(events)
    frames = peer.accept().of_type(DATA)
    assert [len(frame.payload) for frame in frames[:3]] == [16384] * 3
    assert peer.connections[0].events() == {0: events}


def test_message_that_waits_when_the_journal_changes_is_taken_back(start: Start, peer: Peer) -> None:
    events = journal(13, [8000] * 4)
    client = start(events)
    client.push(8000)
    client("block", 1)
    assert client.push(16_000) == 8000
    client("journal", 3)
    assert client.push(32_000) == 0
    client("block", 0)
    assert client.push(32_000) == 32_000
    assert client.state.streams == 1
    connection = peer.accept()
    assert connection.events() == {0: events[:8000], 3: events}
    client("journal", 4)
    client.push(32_000)
    sent = sum(len(frame.payload) for frame in connection.of_type(DATA))
    assert sent == 65535, "and so is what it has taken of the windows"


def test_journal_that_changes_before_anything_is_sent(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client("block", 1)
    assert client.push(640) == 0
    client("journal", 3)
    assert client.push(640) == 0
    client("block", 0)
    assert client.push(640) == 640
    assert peer.accept().events() == {3: SMALL}


def test_message_that_is_half_sent_when_the_journal_changes_ends_the_stream(start: Start, peer: Peer) -> None:
    events = journal(13, [80_000])
    client = start(events)
    client.push(80_000)
    client("journal", 3)
    assert client.push(80_000) == 0
    assert (client.state.fd, client.state.end) == (-1, CLOSED)
    assert peer.accept().events() == {}
    client("wait", 100)
    client.push(80_000)
    connection = peer.accept()
    connection.send(settings(initial_window=1 << 20), window_update(0, 1 << 20))
    client.poll()
    assert client.push(80_000) == 80_000
    assert connection.events() == {3: events}


def test_receive_windows_are_given_back(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(640)
    connection = peer.accept()
    connection.send(settings(), RESPONSE)
    frame = data(b"\xff" + message(acknowledgement(0, 64)) + bytes(255), PADDED)
    for _ in range(2000):
        connection.send(frame)
        assert client.poll() == [(0, 64)]
        client.poll()
    given = [int.from_bytes(frame.payload, "big") for frame in connection.of_type(WINDOW_UPDATE)]
    total = 2000 * len(frame.payload)
    assert total - 65535 <= sum(given) / 2 <= total
    streams = [frame.stream for frame in connection.of_type(WINDOW_UPDATE)]
    assert streams == [0, 1] * (len(streams) // 2)


# --- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [0, 1, 2, 3])
def test_pings_are_answered_in_order_and_never_inside_a_frame(faults: int, start: Start, peer: Peer) -> None:
    events = journal(14, [15_000] * 60)
    client = start(events, faults)
    client.push(len(events))
    connection = peer.accept()
    connection.send(settings(initial_window=1 << 24), window_update(0, 1 << 24))
    pings = [Frame(PING, payload=number.to_bytes(8, "big")) for number in range(1000)]
    for at in range(0, 1000, 50):
        connection.send(*pings[at : at + 50])
        client.push(len(events))
        client.poll(2)
    for _ in range(2000):
        client.push(len(events))
        client.poll(2)
        connection.receive()
    assert connection.of_type(PING) == [Frame(PING, ACK, payload=ping.payload) for ping in pings]
    assert connection.events() == {0: events}


def test_peer_that_asks_and_never_reads_costs_nothing(start: Start, peer: Peer) -> None:
    events = journal(15, [15_000] * 60)
    client = start(events)
    client.push(len(events))
    connection = peer.accept()
    connection.send(settings(initial_window=1 << 24), window_update(0, 1 << 24))
    connection.stream.setblocking(False)
    pings = b"".join(bytes(Frame(PING, payload=bytes(8))) for _ in range(1000))
    for _ in range(200):
        try:
            connection.stream.send(pings)
        except BlockingIOError:
            break
        client.poll(100)
        client.push(len(events))
    else:
        pytest.fail("the client reads without end")
    sends, receives = client.state.sends, client.state.receives
    client.poll(10)
    assert client.state.sends - sends <= 30
    assert client.state.receives == receives
    connection.frames()
    for _ in range(2000):
        client.push(len(events))
        client.poll(2)
        connection.receive()
    assert connection.events() == {0: events}


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        [Frame(GOAWAY, payload=b"\x7f\xff\xff\xff\0\0\0\0shutdown")],
        [Frame(RST_STREAM, stream=1, payload=b"\0\0\0\x08")],
        [RESPONSE, TRAILERS],
        [TRAILERS],
        [Frame(HEADERS, END_STREAM, 1, b"\x88"), Frame(CONTINUATION, END_HEADERS, 1)],
        [RESPONSE, data(b"", END_STREAM)],
    ],
)
def test_stream_that_ends_is_renewed_after_a_pause(end: list[Frame], start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(640)
    connection = peer.accept()
    connection.send(settings(), RESPONSE, acknowledge(0, 128), *end)
    assert client.poll(5) == [(0, 128)]
    assert (client.state.fd, client.state.end) == (-1, FINISHED)
    assert connection.stream.recv(1 << 20) and not connection.stream.recv(1 << 20)
    assert client.push(640) == 128
    assert client.state.fd == -1
    client("wait", 100)
    assert client.push(640) == 640
    assert peer.accept().frames()[2] == data(message(b"\x10\x00\x18\x80\x01" + SMALL[128:]))


def test_what_a_peer_said_before_it_went_counts(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(64)
    connection = peer.accept()
    connection.receive()
    connection.send(settings(), *[Frame(PING, payload=bytes(8))] * 20, RESPONSE, acknowledge(0, 64))
    connection.stream.close()
    client.push(640)
    assert client.poll(5) == [(0, 64)]
    assert (client.state.fd, client.state.end) == (-1, BROKEN)


def test_what_a_peer_said_counts_though_the_answers_to_it_found_no_room(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(64)
    connection = peer.accept()
    connection.receive()
    connection.send(settings(), *[Frame(PING, payload=bytes(8))] * 20, RESPONSE, acknowledge(0, 64))
    client("block", 1)
    assert client.poll(5) == []
    connection.stream.close()
    client("block", 0)
    assert client.poll(5) == [(0, 64)]
    assert (client.state.fd, client.state.end) == (-1, BROKEN)


def test_peer_that_stops_reading_and_does_not_go_is_left(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(64)
    connection = peer.accept()
    connection.stream.shutdown(socket.SHUT_RD)
    connection.send(settings(), RESPONSE, acknowledge(0, 64))
    client.push(640)
    assert client.poll(5) == [(0, 64)]
    assert (client.state.fd, client.state.end) == (-1, BROKEN)


@pytest.mark.parametrize(
    ("offset", "resumed"), [(0, 0), (63, 0), (64, 64), (100, 64), (640, 640), (641, 0), (2**64 - 1, 0)]
)
def test_stream_resumes_between_records_whatever_is_acknowledged(
    offset: int, resumed: int, start: Start, peer: Peer
) -> None:
    client = start(SMALL + SMALL)
    client.push(640)
    peer.accept().send(settings(), RESPONSE, acknowledge(0, offset), TRAILERS)
    assert client.poll(2) == [(0, offset)]
    client("wait", 100)
    client.push(1280)
    batch = peer.accept().of_type(DATA)[0].payload[5:]
    assert parse_batch(batch) == (0, resumed, (SMALL + SMALL)[resumed:])


def test_pause_is_short_again_after_an_acknowledgement(start: Start, path: Path) -> None:
    client = start(SMALL)
    for _ in range(20):
        client.push(640)
        client("wait", 20_000)
    peer = Peer(path)
    client.push(640)
    peer.accept().send(settings(), RESPONSE, acknowledge(0, 64), TRAILERS)
    client.poll(2)
    client("wait", 100)
    assert client.push(640) == 640
    peer.close()


def test_acknowledgement_in_the_last_frame_counts(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(640)
    peer.accept().send(settings(), RESPONSE, data(message(acknowledgement(0, 640)), END_STREAM))
    assert client.poll(2) == [(0, 640)]
    assert client.state.end == FINISHED


MALFORMED_FRAMES: dict[str, list[Frame | bytes]] = {
    "HTTP/1": [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "no settings first": [RESPONSE],
    "acknowledged settings first": [Frame(SETTINGS, ACK)],
    "frame larger than we allow": [settings(), Frame(0xBE, payload=bytes(16385))],
    "frame as large as can be": [settings(), b"\xff\xff\xff" + bytes(Frame(PING))[3:]],
    "settings cut off": [Frame(SETTINGS, payload=bytes(5))],
    "settings of a stream": [Frame(SETTINGS, stream=1)],
    "acknowledged settings that say something": [settings(), Frame(SETTINGS, ACK, payload=bytes(6))],
    "initial window too large": [settings(initial_window=1 << 31)],
    "initial window that makes the stream's overflow": [
        settings(),
        window_update(1, (1 << 31) - 1 - 65535),
        settings(initial_window=(1 << 31) - 1),
    ],
    "frame size too small": [settings(frame_max=16383)],
    "frame size too large": [settings(frame_max=1 << 24)],
    "ping cut off": [settings(), Frame(PING, payload=bytes(7))],
    "ping of a stream": [settings(), Frame(PING, stream=1, payload=bytes(8))],
    "window update of nothing": [settings(), window_update(1, 0)],
    "window update of the connection of nothing": [settings(), window_update(0, 0)],
    "connection window overflow": [settings(), window_update(0, (1 << 31) - 1)],
    "stream window overflow": [settings(), window_update(1, (1 << 31) - 1)],
    "window update of another stream": [settings(), window_update(3, 1)],
    "window update cut off": [settings(), Frame(WINDOW_UPDATE, payload=bytes(3))],
    "data of the connection": [settings(), Frame(DATA)],
    "data of another stream": [settings(), Frame(DATA, stream=3)],
    "data with nothing but a flag for padding": [settings(), data(b"", PADDED)],
    "more padding than data": [settings(), data(b"\x05abcd", PADDED)],
    "headers of another stream": [settings(), Frame(HEADERS, END_HEADERS, 2)],
    "continuation of nothing": [settings(), Frame(CONTINUATION, END_HEADERS, 1)],
    "header block that is interrupted": [settings(), Frame(HEADERS, 0, 1), Frame(PING, payload=bytes(8))],
    "push": [settings(), Frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4))],
    "reset of another stream": [settings(), Frame(RST_STREAM, stream=3, payload=bytes(4))],
    "reset cut off": [settings(), Frame(RST_STREAM, stream=1, payload=bytes(3))],
    "goaway cut off": [settings(), Frame(GOAWAY, payload=bytes(7))],
    "goaway of a stream": [settings(), Frame(GOAWAY, stream=1, payload=bytes(8))],
    "compressed message": [settings(), RESPONSE, data(b"\1" + message(b"")[1:])],
    "message that is too long": [settings(), RESPONSE, data(b"\0\0\0\0\x41")],
    "message of 4 GiB": [settings(), RESPONSE, data(b"\0\xff\xff\xff\xff")],
    "message that is no acknowledgement": [settings(), RESPONSE, data(message(b"\x08"))],
    "field longer than its message": [settings(), RESPONSE, data(message(b"\x1a\x05abc"))],
    "field as long as can be": [settings(), RESPONSE, data(message(b"\x1a" + b"\xff" * 9 + b"\x01"))],
    "varint without an end": [settings(), RESPONSE, data(message(b"\x08" + b"\xff" * 11))],
    "group": [settings(), RESPONSE, data(message(b"\x0b\x0c"))],
}


@pytest.mark.parametrize("name", MALFORMED_FRAMES)
def test_what_no_peer_may_send_ends_the_connection(name: str, start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(640)
    connection = peer.accept()
    connection.send(*MALFORMED_FRAMES[name])
    client.poll(100)
    assert (client.state.fd, client.state.end) == (-1, MALFORMED)
    client("wait", 100)
    assert client.push(640) == 640
    assert client.state.streams == 2


def test_noise_is_survived(start: Start, peer: Peer) -> None:
    rng = random.Random(1)
    client = start(SMALL, faults=1)
    good = [bytes(frame) for frame in peer_that_says_everything()]
    for _ in range(300):
        client("wait", 20_000)
        for _ in range(10):
            client.push(640)
        connection = peer.accept()
        noise = bytearray(b"".join([good[0], *rng.choices(good, k=rng.randint(0, 10))]))
        for _ in range(rng.randint(1, 4)):
            noise[rng.randrange(len(noise))] = rng.randrange(256)
        connection.send(bytes(noise))
        client.poll(20)
        connection.stream.close()
        client.poll(40)
        assert client.state.fd == -1


# --- the other side is not there --------------------------------------------------------------------------------------


def refuse(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize("prepare", [lambda path: None, refuse, Path.touch, Path.mkdir])
def test_absent_peer_is_asked_ever_less_often(prepare: Callable[[Path], None], start: Start, path: Path) -> None:
    prepare(path)
    client = start(SMALL)
    for _ in range(1000):  # a hundred seconds
        assert client.push(640) == 0
        client("wait", 100)
    assert client.state.end == UNREACHABLE
    assert 10 <= client.state.connects <= 20
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    peer = Peer(path)
    client("wait", 10_000)
    assert client.push(640) == 640
    peer.close()


def test_full_queue_is_not_waited_for(start: Start, path: Path) -> None:
    peer = Peer(path, backlog=0)
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(str(path))
    client = start(SMALL)
    began = time.monotonic()
    assert client.push(640) == 0
    assert time.monotonic() - began < 1
    assert client.state.end == UNREACHABLE
    peer.accept()
    client("wait", 100)
    assert client.push(640) == 640
    waiting.close()
    peer.close()


def test_path_that_is_too_long_is_no_peer(driver: list[str | Path], tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 108)
    folder.mkdir()
    client = Client(driver, folder / "capture.sock", SMALL)
    assert client.push(640) == 0
    assert (client.state.connects, client.state.end) == (0, UNREACHABLE)
    client.close()


# --- the descriptor ---------------------------------------------------------------------------------------------------


def descriptor_flags(client: Client, fd: int) -> int:
    text = Path(f"/proc/{client.process.pid}/fdinfo/{fd}").read_text()
    return int(text.split("flags:")[1].split()[0], 8)


@pytest.mark.parametrize(("limit", "fd"), [(100_000, 1000), (1024, 1000), (256, 232), (64, 40)])
def test_descriptor_is_high_and_closed_on_exec(limit: int, fd: int, start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client("limit", min(limit, 16_384))
    client.push(640)
    assert client.state.fd == fd
    assert descriptor_flags(client, fd) & os.O_CLOEXEC
    assert descriptor_flags(client, fd) & os.O_NONBLOCK
    assert len(os.listdir(f"/proc/{client.process.pid}/fd")) == 4


def test_descriptor_stays_low_where_there_is_no_higher_one(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client("limit", 4)
    assert client.push(640) == 640
    assert client.state.fd == 3
    client("limit", 64)  # the leak check at exit needs some


def test_standard_descriptor_is_never_taken(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client("shut", 2)
    client("limit", 4)
    assert client.push(640) == 640
    assert client.state.fd == 3
    client("close")
    client("limit", 3)
    assert client.push(640) == 0
    assert client.state.fd == -1
    assert len(os.listdir(f"/proc/{client.process.pid}/fd")) == 2
    client("limit", 64)


def test_descriptor_that_the_application_closed_is_left_alone(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(64)
    client("shut", 0)
    assert client.push(640) == 0
    assert client.state.end == TAKEN
    client("wait", 100)
    assert client.push(640) == 640


@pytest.mark.parametrize("command", ["push", "poll", "close"])
def test_descriptor_that_became_a_file_of_the_application_is_left_alone(
    command: str, start: Start, peer: Peer, tmp_path: Path
) -> None:
    client = start(SMALL)
    client.push(64)
    fd = client.state.fd
    client("steal", tmp_path / "precious")
    client(command, 640)
    assert client.state.fd == -1
    assert (tmp_path / "precious").read_bytes() == b""
    assert os.readlink(f"/proc/{client.process.pid}/fd/{fd}") == str(tmp_path / "precious")


def test_fork_child_does_not_disturb_its_parents_stream(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(320)
    client("fork")
    assert client.push(640) == 640
    connection = peer.accept()
    connection.send(settings(), RESPONSE, acknowledge(0, 640))
    assert client.poll() == [(0, 640)]
    assert connection.events() == {0: SMALL}


def test_close_sends_nothing(start: Start, peer: Peer) -> None:
    client = start(SMALL)
    client.push(64)
    before = peer.accept().receive()
    client("close")
    assert client.state.end == CLOSED
    assert peer.connections[0].receive() == before


# --- compilers --------------------------------------------------------------------------------------------------------


def compilers() -> list[Any]:
    zig = pytest.mark.skipif(not find_spec("ziglang"), reason="no zig")
    return [
        pytest.param(["gcc"], id="gcc"),
        *(
            pytest.param([*ZIG, "-target", f"{machine}-linux-gnu"], id=f"zig-{machine}", marks=zig)
            for machine in ("x86_64", "aarch64")
        ),
    ]


def test_frame_reader_survives_the_changed_corpus(tmp_path: Path) -> None:
    need("gcc")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    inputs: list[Sequence[Frame | bytes]] = [peer_that_says_everything(), *MALFORMED_FRAMES.values()]
    for number, frames in enumerate(inputs):
        (corpus / str(number)).write_bytes(bytes([number]) + b"".join(map(bytes, frames)))
    reader = compile_hosted(["gcc", "-DREPLAY", *SANITIZE], FUZZER, tmp_path / "reader")
    replayed = subprocess.run([reader, corpus, "200"], check=True, capture_output=True, text=True).stdout
    assert int(replayed) == len(MALFORMED_FRAMES) + 1


@pytest.mark.parametrize("compiler", compilers())
def test_client_needs_no_libc(compiler: list[str], tmp_path: Path) -> None:
    need(compiler[0], "nm")
    target = tmp_path / "grpc.o"
    flags = ["-ffreestanding", "-fPIC", "-O2", "-std=c11", *WARNINGS, f"-I{LIBRARY / 'include'}"]
    subprocess.run([*compiler, *flags, "-c", LIBRARY / "grpc.c", "-o", target], check=True)
    undefined = subprocess.run(["nm", "-u", target], check=True, capture_output=True, text=True).stdout
    assert set(undefined.replace("U", "").split()) <= {"memcpy", "memset", "memmove"}


def test_client_works_on_aarch64(path: Path, tmp_path: Path, serve: Callable[..., Server]) -> None:
    need("qemu-aarch64")
    compiler = [*ZIG, "-target", "aarch64-linux-musl", "-static"]
    driver = compile_hosted(compiler, DRIVER, tmp_path / "driver")
    events, store = journal(16), Store()
    serve(store)
    client = Client(["qemu-aarch64", driver], path, events, faults=1)
    assert client.run().acknowledged == len(events)
    assert store.journals == {0: events}
    client.close()
