"""What a descriptor moved is told once, whatever instruction a process dies at and whoever else reports it."""

import mmap
import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.capture import CALLS, SUMMARY, Capture
from support.roots import ENVIRONMENT, TARGETS
from support.traced import Traced

HOST = TARGETS["host"]
MOVED = (4, 3)
"""Bytes written and read before the gate."""
PARTS = 60
"""At how many instructions of a call it is interrupted."""


@contextmanager
def standing_at_the_gate(capture, program, action, folder):
    """The process, stopped before the call that tells, and the gate's two words."""
    (folder / "gate").write_bytes(bytes(4096))
    (folder / "input").write_bytes(bytes(10))
    process = subprocess.Popen([program, action], cwd=folder, env={**ENVIRONMENT, **capture.variables})
    try:
        with (
            (folder / "gate").open("r+b") as file,
            mmap.mmap(file.fileno(), 4096) as page,
            memoryview(page) as content,
            content.cast("I") as words,
        ):
            while words[1] != 1:
                time.sleep(0.001)
                assert process.poll() is None
            traced = Traced(process.pid)
            words[0] = 1
            yield traced, words
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


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_handler_that_uses_or_closes_the_descriptor_of_the_report_that_it_interrupts(number, programs, tmp_path):
    HOST.require()
    program = programs.program(HOST, "tells.c")
    length, sizes = None, set()
    for part in range(1, PARTS):
        with (
            Capture(tmp_path / f"capture-{part}", HOST) as capture,
            standing_at_the_gate(capture, program, "write", tmp_path) as (traced, words),
        ):
            length = length or count_steps(tmp_path / "measured", program)
            for _ in range(length * part // PARTS):
                if words[1] == 2:  # the same call takes a few instructions less at times, and then the program waits
                    break
                traced.step()
            traced.give(number)
            traced.step()
            traced.release()
            while words[1] != 2 and not has_ended(traced.thread):
                time.sleep(0.001)
            size = (tmp_path / "output").stat().st_size
            sizes.add(size)
            assert (size, MOVED[1]) == told(capture), f"part {part}"
    assert sizes == ({10} if number == signal.SIGUSR1 else {4, 9})


def count_steps(folder, program) -> int:
    """How many instructions the write takes, the library's among them."""
    folder.mkdir()
    with (
        Capture(folder / "capture", HOST) as capture,
        standing_at_the_gate(capture, program, "write", folder) as (traced, words),
    ):
        steps = 0
        while words[1] != 2:
            traced.step()
            steps += 1
    return steps


def has_ended(process) -> bool:
    """Whether it waits for its parent."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


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
