"""`make equivalence` on suites made for it: one that can tell must be called different, whatever way it shows."""

from functools import partial
from pathlib import Path

import pytest

from equivalence.examine import examine
from equivalence.suites import Step, Suite
from equivalence.tap import read_tap
from support.roots import library

SHELL = Path("/bin/sh")
IF_CAPTURED = "if grep -q libinterpose /proc/self/maps; then {}; fi\n"
PASS = "echo 1..1; echo ok 1\n"


def compared(script, *, program=SHELL, seconds=60.0):
    library()
    step = Step("t", (str(SHELL), "-c", script), partial(read_tap, "t"), seconds=seconds)
    comparison, _ = examine(Suite("suite", program, (), lambda: [step]), lambda _: None)
    return comparison.tests, comparison.same, comparison.different


def test_a_suite_that_cannot_tell_is_the_same():
    assert (3, 3, []) == compared(PASS)


@pytest.mark.parametrize(
    ("script", "difference"),
    [
        (
            "echo 1..1\n" + IF_CAPTURED.format("echo not ok 1; exit 0") + "echo ok 1",
            "t: 1: bare passed, captured failed",
        ),
        ("echo 1..1\n" + IF_CAPTURED.format("exit 0") + "echo ok 1", "t: 1: bare passed, captured missing"),
        (PASS + IF_CAPTURED.format("kill -SEGV $$"), "t: bare exit 0, captured killed by SIGSEGV"),
        (PASS + IF_CAPTURED.format("exit 3"), "t: bare exit 0, captured exit 3"),
    ],
)
def test_a_suite_that_can_tell_is_different(script, difference):
    assert difference in compared(script)[2]


def test_a_suite_that_hangs_on_the_captured_side_is_different():
    assert ["t: bare exit 0, captured hung"] == compared(PASS + IF_CAPTURED.format("sleep 100"), seconds=2)[2]


def test_a_suite_whose_program_was_not_captured_shows_nothing_and_is_different():
    absent = Path("/bin/true")
    assert [f"suite: {absent} ran 1 times and was captured 0 times"] == compared(PASS, program=absent)[2]
