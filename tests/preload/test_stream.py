"""The one descriptor that the library keeps, a long-lived process's stream, is none of the program's."""

import socket
import threading
from contextlib import contextmanager

import pytest

from support.capture import Capture
from support.roots import TARGETS, run

HOST = TARGETS["host"]


@contextmanager
def _silent_sidecar(path):
    """Takes every stream and says nothing; yields how many bytes came."""
    came: list[int] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def read(connection):
        with connection:
            while taken := connection.recv(65536):
                came.append(len(taken))

    def accept():
        with listener:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=read, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield came


@pytest.mark.parametrize("way", ["close", "closefrom", "close_range", "dup2", "syscall"])
def test_whatever_a_program_does_to_all_descriptors_it_sees_what_it_would_without_a_stream(way, programs, tmp_path):
    HOST.require()
    if HOST.version < (2, 34):
        pytest.skip("glibc before 2.34 has no closefrom")
    program = [str(programs.program(HOST, "closes.c")), way]
    (tmp_path / "bare").mkdir()
    (tmp_path / "work").mkdir()
    bare = run(HOST, program, tmp_path / "bare")
    with (
        Capture(tmp_path / "capture", HOST) as capture,
        _silent_sidecar(capture.spool.directory / "capture.sock") as came,
    ):
        assert bare == capture.run(program, tmp_path / "work")
        (process,) = capture.processes()
    assert ["0", "1"] == [(tmp_path / folder / "sockets").read_text() for folder in ("bare", "work")]
    assert sum(came) > 1000
    assert 160 == len(process.of("chmod"))
    assert (0, 0, 0) == (process.lost, process.gaps, process.unfinished)
