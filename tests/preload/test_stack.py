"""Stacks that are just large enough stay so: hooks run on one of ours where it is not known that there is room."""

import pytest

from support.capture import CALLS, SUMMARY, Capture
from support.roots import TARGETS, run

HOST = TARGETS["host"]
HANDLER = 256
"""Bytes that may be used on a signal's stack before the program's handler: little of what the kernel's least leaves."""
WRAPPER = 512
"""The same in a call."""
HOOKS = 16384
"""Half of a stack of ours: stack.h."""


def _depths(output: bytes) -> dict[str, int]:
    return {name: int(depth) for name, depth in map(str.split, output.decode().splitlines())}


def _added(programs, folder, where, level) -> dict[str, int]:
    """How many bytes of stack each call takes more than bare, at most."""
    arguments = [str(programs.program(HOST, "depth.c", ("-Wl,-z,now",))), where]
    bare = _depths(run(HOST, arguments, folder).stdout)
    with Capture(folder / "capture", HOST, level=level) as capture:
        captured = _depths(capture.run(arguments, folder).stdout)
        assert {0} == {process.lost + process.gaps for process in capture.processes()}
    assert len(bare) > 10
    assert bare.keys() == captured.keys()
    return {name: depth - bare[name] for name, depth in captured.items()}


@pytest.mark.parametrize("level", [SUMMARY, CALLS])
def test_on_a_stack_that_is_not_known_to_suffice_next_to_nothing_is_used(programs, tmp_path, level):
    added = _added(programs, tmp_path, "coroutine", level)
    assert {} == {name: more for name, more in added.items() if more > (HANDLER if name == "handler" else WRAPPER)}


@pytest.mark.parametrize("level", [SUMMARY, CALLS])
def test_hooks_need_less_than_half_of_a_stack_of_ours(programs, tmp_path, level):
    added = _added(programs, tmp_path, "thread", level)
    assert max(added.values()) <= HOOKS, added
    assert max(added.values()) > WRAPPER  # it was measured at all
