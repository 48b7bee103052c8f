"""What real programs do is captured, and nothing else: a few of those that `make completeness` looks at."""

import shutil

import pytest

from completeness.__main__ import examine
from completeness.programs import PROGRAMS
from support.roots import missing

LOOKED_AT = ("cp -a", "sed and awk", "make -j", "python and what passes between processes")


@pytest.mark.parametrize("program", [each for each in PROGRAMS if each.name in LOOKED_AT], ids=lambda each: each.name)
def test_a_program_s_events_are_those_that_strace_sees(program):
    for need in (*program.needs, "strace"):
        if not shutil.which(need):
            missing(need)
    comparison = examine(program)
    assert ([], []) == (comparison.missed, comparison.invented)
    assert comparison.seen > 10
