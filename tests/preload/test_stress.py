"""Threads, signal handlers and children of every kind at once leave every event: a few rounds of `make stress`."""

import pytest

from stress.rounds import run_round
from support.roots import TARGETS

HOST = TARGETS["host"]


def _round(programs, folder, seed, **options):
    HOST.require()
    program = programs.program(HOST, "stress.c")
    return run_round(program, folder, seed, **{"operations": 60, "threads": 4, "timeout": 120, **options})


@pytest.mark.parametrize("seed", range(1001, 1006))
def test_a_round_neither_hangs_nor_crashes_and_its_events_are_the_program_s_own_account(seed, programs, tmp_path):
    done = _round(programs, tmp_path, seed)
    assert (False, "", {}) == (done.hung, done.crash, done.lost)
    assert done.events > 500


def test_a_round_that_lost_events_is_not_good(programs, tmp_path):
    done = _round(programs, tmp_path, 1, quota=8)
    assert (False, "") == (done.hung, done.crash)
    assert done.lost["calls of children"] > 0
    assert not done.good


def test_a_round_that_hangs_is_not_good(programs, tmp_path):
    done = _round(programs, tmp_path, 1, operations=100_000, timeout=0.5)
    assert done.hung
    assert not done.good


def test_a_round_whose_program_ends_early_is_not_good(tmp_path):
    HOST.require()
    done = run_round("/bin/false", tmp_path, 1, operations=1, threads=1, timeout=60)
    assert done.crash == "1 failed, status 1, b''"
    assert not done.good
