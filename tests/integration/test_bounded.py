"""What a sidecar holds in memory is bounded, whatever is sent, and whatever its database does."""

import contextlib
import random
import socket
import sqlite3
import struct
import threading
import time

import grpc
import pytest

from interpose.sidecar.spool import CONTROL
from interpose.v1.capture_pb2 import Acknowledgement, Batch
from interpose.v1.event_pb2 import Close, Event
from support.cli import Interpose
from support.journals import Writer, control, origin, record
from support.services import sidecar

MOST_MIB = 192
DEAD, STREAMING = 600, 200
CLOSE = record(Event(time=2000, thread=1, function="close" * 200, close=Close(fd=3)))


@pytest.fixture
def interpose(tmp_path):
    return Interpose(tmp_path)


@pytest.fixture
def service(interpose):
    with sidecar(interpose) as running:
        yield running


@contextlib.contextmanager
def locked(path):
    """A database that takes nothing."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def peak(service):
    """MiB of memory that the process has held at most."""
    with open(f"/proc/{service.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024


def full(interpose, pid):
    """A journal that is filled to its end."""
    spool = interpose.capture / "spool"
    with control(spool) as page:
        (claimed,) = struct.unpack_from("<Q", page, CONTROL.offsets["next_journal"])
    while not (spool / f"segment-{claimed // 64:08x}").exists():
        time.sleep(0.01)  # the sidecar makes it; a process would by itself
    writer = Writer(spool, pid, 100)
    writer.append([origin(pid, 100, 1000)])
    writer.raw(CLOSE * ((writer.size - writer.tail) // len(CLOSE)))
    return writer


def stream(interpose, messages):
    """What a process that streams without waiting is told: one connection, the last acknowledgement."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"unix:{interpose.capture}/spool/capture.sock", options=own) as channel:
        call = channel.stream_stream("/interpose.v1.Capture/Stream", response_deserializer=Acknowledgement.FromString)
        return max((answer.offset for answer in call(iter(messages))), default=None)


def test_a_database_that_stands_still_does_not_fill_memory(interpose, service):
    """Full journals of the dead, and twice as many bytes by streams as all of them may hold together."""
    with locked(interpose.database):
        before = peak(service)
        for pid in range(DEAD):
            full(interpose, 1000 + pid).die()
        living = [full(interpose, 10 + n) for n in range(STREAMING)]
        answers = {}

        def send(writer):
            head = Batch(journal=writer.number).SerializeToString()
            answers[writer.number] = stream(interpose, [head + writer.events()] * 20)

        threads = [threading.Thread(target=send, args=[writer]) for writer in living]
        for thread in threads:
            thread.start()
        time.sleep(5)
        held = peak(service)
    for thread in threads:
        thread.join(60)
    for writer in living:
        writer.die()
    assert (0, b"") == service.stop()
    (run,) = interpose.ask("runs")

    assert held < MOST_MIB, f"{held:.0f} MiB, {before:.0f} before"
    assert {writer.tail for writer in living} == set(answers.values())
    assert (0, DEAD + STREAMING) == (run["lost"], run["processes"])


def test_connections_that_say_nothing_keep_out_nobody_for_long(interpose, service):
    idle = []
    for _ in range(400):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(f"{interpose.capture}/spool/capture.sock")
        idle.append(client)
    writer = full(interpose, 10)
    end = time.monotonic() + 5
    while writer.acknowledged() != writer.tail:  # from its journal, if not by a stream
        assert time.monotonic() < end
        time.sleep(0.01)
    assert peak(service) < MOST_MIB
    for client in idle:
        while client.recv(4096):  # the server's preface, and then the end
            pass
        client.close()
    head = Batch(journal=writer.number).SerializeToString()
    assert writer.tail == stream(interpose, [head + writer.events()])
    writer.die()


def test_noise_on_the_socket_is_survived(interpose, service):
    """HTTP/2's preface, and then frames of every type with any content."""
    noise = random.Random(7)
    for _ in range(300):
        frames = b"".join(
            len(content).to_bytes(3) + bytes((noise.randrange(12), noise.randrange(256))) + noise.randbytes(4) + content
            for content in (noise.randbytes(noise.choice((0, 4, 8, 6, 300))) for _ in range(20))
        )
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{interpose.capture}/spool/capture.sock")
            with contextlib.suppress(OSError):
                client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)) + frames)
    writer = full(interpose, 10)
    head = Batch(journal=writer.number).SerializeToString()

    assert writer.tail == stream(interpose, [head + writer.events()])
    assert peak(service) < MOST_MIB
    writer.die()
