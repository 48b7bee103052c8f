"""What a descriptor moved is told once, whatever instruction a process dies at and whoever else reports it."""

import mmap
import os
import subprocess
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from support.capture import CALLS, SUMMARY, Capture
from support.roots import ENVIRONMENT, TARGETS
from support.traced import Traced

HOST = TARGETS["host"]
MOVED = (4, 3)
"""Bytes written and read before the gate."""


@contextmanager
def standing_at_the_gate(capture, program, action, folder):
    """The process, stopped before the call that tells, and the gate's two words."""
    (folder / "gate").write_bytes(bytes(4096))
    (folder / "input").write_bytes(bytes(10))
    process = subprocess.Popen([program, action], cwd=folder, env={**ENVIRONMENT, **capture.variables})
    try:
        with (folder / "gate").open("r+b") as file, mmap.mmap(file.fileno(), 4096) as page, memoryview(page) as bytes_:
            words = bytes_.cast("I")
            while words[1] != 1:
                time.sleep(0.001)
                assert process.poll() is None
            traced = Traced(process.pid)
            words[0] = 1
            yield traced, words
            words.release()
    finally:
        process.kill()
        process.wait()


def told(capture) -> tuple[int, int]:
    """Bytes written and read that are known if the process dies now."""
    (process,) = capture.processes()
    ios = [event.io for event in process.of("io")]
    return sum(io.bytes_written for io in ios), sum(io.bytes_read for io in ios)


@pytest.mark.parametrize("level", [SUMMARY, CALLS])
@pytest.mark.parametrize(("action", "moves"), [("write", 5), ("close", 0), ("exit", 0)])
def test_a_death_at_any_instruction_of_a_report_loses_and_doubles_nothing(action, moves, level, programs, tmp_path):
    HOST.require()
    after = (MOVED[0] + moves, MOVED[1])
    found, left = Counter(), None
    with Capture(tmp_path / "capture", HOST, level=level) as capture:
        program = programs.program(HOST, "tells.c")
        with standing_at_the_gate(capture, program, action, tmp_path) as (traced, words):
            (journal, *_) = capture._journals()
            try:
                while words[1] != 2:
                    # What a process that is killed leaves behind is what it has written there, and nothing else.
                    if left != (left := journal.read(0, 65536)):
                        found[told(capture)] += 1
                        assert set(found) <= {MOVED, after}, f"at the {sum(found.values())}th change"
                    traced.step()
            except ProcessLookupError:
                assert action == "exit"
        assert after == told(capture)
    assert sum(found.values()) > 30
    assert set(found) == {MOVED, after}


@pytest.mark.parametrize("level", [SUMMARY, CALLS])
def test_threads_and_handlers_that_report_one_descriptor_tell_each_call_once(level, programs, tmp_path):
    HOST.require()
    (tmp_path / "input").write_bytes(bytes(10))
    with Capture(tmp_path / "capture", HOST, level=level, quota=4096) as capture:
        outcome = capture.run([str(programs.program(HOST, "shares.c")), "3000"], tmp_path)
        (process,) = capture.processes()
    written, were_read = map(int, outcome.stdout.split())
    ios = [event.io for event in process.of("io") if event.io.fd != 1]
    size = os.stat(tmp_path / "output").st_size
    assert (outcome.status, outcome.stderr, were_read) == (0, b"", 3000)
    assert written == size > 9000
    assert (size, size) == (sum(io.writes for io in ios), sum(io.bytes_written for io in ios))
    assert (3000, 3000) == (sum(io.reads for io in ios), sum(io.bytes_read for io in ios))
    assert (process.lost, process.gaps, process.unfinished) == (0, 0, 0)
