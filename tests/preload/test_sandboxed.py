"""A program in seccomp mode, and what it executes there, is not ended for a call of the library's, and never silent."""

import re
import subprocess

import pytest

from interpose.v1.event_pb2 import BlindSpot
from support.capture import Capture
from support.cli import need
from support.events import effect_of
from support.own_calls import own_calls, traced
from support.roots import ENVIRONMENT, TARGETS, missing, run

HOST = TARGETS["host"]
TRUE = "/bin/true"
PLACES = ("exec", "fork", "vfork")
HARMFUL = (
    *("allow-few", "allow-few-trap", "allow-few-errno", "kill-statx", "trap-statx", "errno-statx", "kill-uname"),
    *("kill-some-statx", "endless", "kill-ptrace+kill-statx", "kill-statx+kill-faccessat", "kill-statx+allow-few"),
)
HARMLESS = ("errno-uname+kill-ptrace", "kill-ptrace", "kill-netlink", "errno-uname")
TELLING = ("kill-ptrace+kill-statx", "kill-statx", "trap-statx", "errno-statx", "kill-uname", "kill-some-statx")
"""Those that leave the library enough to tell what is executed."""


@pytest.fixture(scope="module")
def sandboxes(programs):
    HOST.require()
    return str(programs.program(HOST, "sandboxes.c", ["-pthread", "-ldl"]))


def _both(program, name, place, folder, executed=TRUE):
    """The processes of a program that behaves as it does bare."""
    bare = run(HOST, [program, name, place, executed], folder)
    with Capture(folder / "capture", HOST) as capture:
        assert bare == capture.run([program, name, place, executed], folder)
        return bare, capture.processes()


def _executed(processes):
    """The blind spots of the Execs of TRUE."""
    return [
        event.exec.blind_spot.cause
        for process in processes
        for event in process.of("exec")
        if event.exec.name.path.decode() == TRUE and not event.error
    ]


def _captured(processes):
    return [process for process in processes if b"true" in process.events[0].origin.arguments[0]]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_executed_under_a_filter_that_could_end_it_is_not_captured_and_lives(name, place, sandboxes, tmp_path):
    bare, processes = _both(sandboxes, name, place, tmp_path)
    assert 0 == bare.status
    assert [] == _captured(processes)
    spots = [event for process in processes for event in process.of("blind_spot")]
    assert [BlindSpot.CAUSE_SECCOMP] == [event.blind_spot.cause for event in spots]
    assert ([BlindSpot.CAUSE_SECCOMP] if name in TELLING else []) == _executed(processes)
    assert [(0, 0)] * len(processes) == [(process.unfinished, process.lost) for process in processes]


def test_the_parent_of_a_vfork_child_that_enters_alone_is_recorded_on(sandboxes, tmp_path):
    _, processes = _both(sandboxes, "kill-statx", "vfork", tmp_path)
    written = [event for process in processes for event in process.of("open") if event.open.name.path == b"written"]
    assert [False] == [event.HasField("process") for event in written]
    (execution,) = [event for process in processes for event in process.of("exec")]
    (entry,) = [event for process in processes for event in process.of("blind_spot")]
    assert (entry.process, entry.thread) == (execution.process, execution.thread)
    assert entry.process.pid


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HARMLESS)
def test_a_filter_that_lets_the_library_be_changes_nothing(name, place, sandboxes, tmp_path):
    _, processes = _both(sandboxes, name, place, tmp_path)
    assert 1 == len(_captured(processes))
    assert [] == [event for process in processes for event in process.of("blind_spot")]
    assert set(_executed(processes)) <= {BlindSpot.CAUSE_UNSPECIFIED}


def test_an_exec_that_fails_in_the_sandbox_is_taken_back(sandboxes, tmp_path):
    _, (process,) = _both(sandboxes, "kill-statx", "failing-exec", tmp_path)
    told = [(event.error, event.exec.blind_spot.cause) for event in process.of("exec")]
    assert [(0, BlindSpot.CAUSE_SECCOMP), (2, BlindSpot.CAUSE_UNSPECIFIED)] == told
    assert effect_of(process.events[-1]) == "exec"


def test_a_library_that_the_program_hands_on_by_itself_is_left_out(sandboxes, tmp_path):
    with Capture(tmp_path / "capture", HOST) as capture:
        code = (
            "import os, sys\n"
            "entries = open('/proc/self/environ').read().split(chr(0))\n"
            "environment = dict(entry.split('=', 1) for entry in entries if '=' in entry)\n"
            "assert 'LD_PRELOAD' in environment\n"
            "os.execve(sys.argv[1], sys.argv[1:], environment)\n"
        )
        script = ["python3", "-c", code, sandboxes, "kill-statx", "exec", "/usr/bin/env"]
        need("python3")
        outcome = capture.run(script, tmp_path)
    assert (0, False) == (outcome.status, b"LD_PRELOAD" in outcome.stdout), outcome


def test_where_system_calls_become_signals_those_of_the_library_are_none_of_them(programs, tmp_path):
    HOST.require()
    dispatches = str(programs.program(HOST, "dispatches.c"))
    bare = run(HOST, [dispatches], tmp_path)
    if bare.status == 77:
        missing("system call user dispatch", "use Linux 5.11 or newer, on x86-64")
    with Capture(tmp_path / "capture", HOST) as capture:
        assert bare == capture.run([dispatches], tmp_path)
        (process,) = capture.processes()
    assert (0, b"0\n") == (bare.status, bare.stdout)
    told = [event.open.name.path for event in process.of("open") if event.open.write]
    assert [b"before", b"after"] == told
    assert [BlindSpot.CAUSE_SYSCALL_DISPATCH] == [event.blind_spot.cause for event in process.of("blind_spot")]


def test_what_is_executed_where_system_calls_become_signals_is_captured(programs, tmp_path):
    HOST.require()
    dispatches = str(programs.program(HOST, "dispatches.c"))
    bare = run(HOST, [dispatches, TRUE], tmp_path)
    if bare.status == 77:
        missing("system call user dispatch", "use Linux 5.11 or newer, on x86-64")
    with Capture(tmp_path / "capture", HOST) as capture:
        assert bare == capture.run([dispatches, TRUE], tmp_path)
        assert 1 == len(_captured(capture.processes()))


def _without_vfork(calls):
    """That one is the program's, by an instruction of the library's."""
    return [call for call in calls if call[0] != "vfork"]


@pytest.mark.parametrize(("name", "place"), [*(("allow-few-errno", place) for place in PLACES), ("kill-statx", "busy")])
def test_in_a_sandbox_that_forbids_all_of_them_the_library_makes_no_system_call(name, place, sandboxes, tmp_path):
    need("strace")
    log = tmp_path / "log"
    with Capture(tmp_path / "capture", HOST) as capture:
        command = traced(log, capture.library, sandboxes, name, place, TRUE)
        subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, check=True)
    lines = log.read_text().splitlines()
    entry = next(number for number, line in enumerate(lines) if re.search("SECCOMP_(SET_)?MODE_FILTER", line))
    alone = lines[entry].split()[0] if place == "vfork" else ""
    after = [line for line in lines[entry + 1 :] if line.startswith(alone)]
    before = _without_vfork(own_calls(lines[: entry + 1]))
    assert "statx" in [name for name, _ in before]
    assert any("exit_group(0)" in line for line in after)
    assert before == _without_vfork(own_calls([*lines[: entry + 1], *after]))
