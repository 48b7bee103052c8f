"""A process that is killed at any instant leaves every event of a call that had returned."""

import random
import struct
import subprocess
import time
from collections import Counter

import pytest

from support.capture import Capture
from support.events import effect_of
from support.roots import ENVIRONMENT, TARGETS

HOST = TARGETS["host"]
ROUNDS = 50
ANNOUNCEMENT = struct.Struct("II")


def _run_and_kill(capture: Capture, program, threads: int, folder, seconds: float) -> Counter[int]:
    """How many calls each thread had announced when it was killed."""
    process = subprocess.Popen(
        [str(program), str(threads)], cwd=folder, env={**ENVIRONMENT, **capture.variables}, stdout=subprocess.PIPE
    )
    assert process.stdout
    announced = process.stdout.read(ANNOUNCEMENT.size)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        announced += process.stdout.read1(65536)
    process.kill()
    announced += process.stdout.read()
    process.wait()
    process.stdout.close()
    usable = len(announced) // ANNOUNCEMENT.size * ANNOUNCEMENT.size
    counts: Counter[int] = Counter()
    for thread, number in ANNOUNCEMENT.iter_unpack(announced[:usable]):
        counts[thread] = max(counts[thread], number + 1)
    return counts


@pytest.mark.parametrize("threads", [1, 4])
def test_every_call_that_had_returned_before_a_kill_has_its_event(threads, programs, tmp_path):
    HOST.require()
    program = programs.program(HOST, "opener.c")
    chance = random.Random(threads)
    unfinished = 0
    with Capture(tmp_path / "capture", HOST, quota=4096) as capture:
        expected = [_run_and_kill(capture, program, threads, tmp_path, chance.uniform(0, 0.02)) for _ in range(ROUNDS)]
        processes = capture.processes()
    assert len(processes) == ROUNDS
    for announced, process in zip(expected, processes, strict=True):
        recorded = Counter(
            event.open.name.path[-1] - ord("a") for event in process.events if effect_of(event) == "open"
        )
        for thread, count in announced.items():
            # One more may have returned and not been announced, or been announced into a pipe that nobody read.
            assert recorded[thread] >= count
        assert process.lost == 0
        unfinished += process.unfinished
    assert sum(map(sum, (counts.values() for counts in expected))) > ROUNDS
    # Threads die in the midst of a record, at most one each.
    assert unfinished <= ROUNDS * threads


def test_signal_handlers_threads_and_forks_at_once_leave_every_event(programs, tmp_path):
    HOST.require()
    program = programs.program(HOST, "storm.c")
    # Small segments: handlers interrupt their making too.
    with Capture(tmp_path / "capture", HOST, quota=4096, journals_per_segment=4) as capture:
        outcome = capture.run([str(program), "5000"], tmp_path)
        first, *others = capture.processes()
    handled, made, forked, failed = map(int, outcome.stdout.split())
    changed = Counter(event.chmod.name.path for event in first.of("chmod"))
    assert (outcome.status, outcome.stderr, failed) == (0, b"", 0)
    assert [] == [str(event.gap) for each in (first, *others) for event in each.of("gap")]
    assert {b"handler": handled, b"thread": made} == changed
    assert [forked] * 3 == [len(first.of("fork")), len(first.of("wait")), len(others)]
    assert handled > 50
    for child in others:
        names = [event.chmod.name.path for event in child.of("chmod")]
        assert names.count(b"child") == 1
        assert [3] == [event.exit.status for event in child.of("exit")]
    assert [0, 0] == [sum(each.lost + each.gaps for each in (first, *others)), first.unfinished]
