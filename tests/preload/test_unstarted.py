"""A library that cannot start lets the program run as if it were not there, and leaves a mark in the spool."""

import os
from pathlib import Path

import pytest

from support.capture import Capture
from support.roots import TARGETS, run

HOST = TARGETS["host"]
PLACES = {"errno-statx": 0, "no-shared-memory": 1}
"""Filters, which nobody that is captured installs, and where what they bring about is counted."""


def _script(path: Path, variables) -> Path:
    """Executes a program with these variables; the script itself has none of them."""
    settings = " ".join(f"{name}={value}" for name, value in variables.items())
    path.write_text(f"#!/bin/sh\nexec /usr/bin/env {settings} /bin/ls /nowhere\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", PLACES)
def test_a_process_that_cannot_be_recorded_leaves_a_mark_that_says_which_and_why(name, programs, tmp_path):
    HOST.require()
    sandboxes = str(programs.program(HOST, "sandboxes.c", ["-pthread", "-ldl"]))
    with Capture(tmp_path / "capture", HOST) as capture:
        bare, captured = (
            run(HOST, [sandboxes, name, "exec", str(_script(tmp_path / "script", variables))], tmp_path)
            for variables in ({}, capture.variables)
        )
        assert bare == captured
        assert 2 == bare.status
        counts, marks = list(capture.spool.unstarted()), capture.spool.unstarted_marks()
        assert [] == capture.processes()
    expected = [0, 0]
    expected[PLACES[name]] = 1
    assert expected == counts
    (mark, *others) = marks
    assert {(0, 0, 0)} == {(other.time, other.pid, other.cause) for other in others}
    assert (PLACES[name] + 1, b"/bin/ls") == (mark.cause, mark.program.rstrip(b"\0"))
    assert mark.pid > 0
    assert mark.start_time > 0
    assert mark.time >= mark.start_time
    assert os.stat("/proc/self/ns/pid").st_ino == mark.pid_namespace


def test_marks_take_turns_and_all_are_counted(programs, tmp_path):
    HOST.require()
    sandboxes = str(programs.program(HOST, "sandboxes.c", ["-pthread", "-ldl"]))
    with Capture(tmp_path / "capture", HOST) as capture:
        script = str(_script(tmp_path / "script", capture.variables))
        for _ in range(11):
            run(HOST, [sandboxes, "errno-statx", "exec", script], tmp_path)
        assert (11, 0) == capture.spool.unstarted()
        times = [mark.time for mark in capture.spool.unstarted_marks()]
    assert sorted(times) == times[2:] + times[:2]


def test_a_control_page_that_is_none_is_not_written_into(programs, tmp_path):
    HOST.require()
    sandboxes = str(programs.program(HOST, "sandboxes.c", ["-pthread", "-ldl"]))
    with Capture(tmp_path / "capture", HOST) as capture:
        script = str(_script(tmp_path / "script", capture.variables))
        control = tmp_path / "capture/spool/control"
        whole = control.read_bytes()
        for content in (b"", b"x" * 100, b"y" * 4096):
            control.write_bytes(content)
            run(HOST, [sandboxes, "errno-statx", "exec", script], tmp_path)
            assert content == control.read_bytes()
        control.write_bytes(whole)
