"""Numbers that no descriptor has: a call that failed changes nothing, and nobody walks up to its number."""

import sys

import pytest

from support.cli import Interpose, need, summary

CALLS = ["os.close(2147483647)", "os.close(65535)", "os.read(2147483647, 1)", "os.dup2(0, 2147483647)"]


@pytest.mark.parametrize("call", CALLS)
def test_a_failed_call_of_a_large_number_costs_the_end_nothing(tmp_path, call):
    interpose = Interpose(tmp_path, {})
    limits = "import os, resource; resource.setrlimit(resource.RLIMIT_CPU, (2, 2))"
    program = f"{limits}\ntry:\n    {call}\nexcept OSError:\n    pass"
    result = interpose.run(sys.executable, "-c", program)
    assert 0 == result.returncode, result.stderr.decode()
    assert 0 == summary(result.stderr).lost


def test_a_program_that_closes_every_number_goes_on(tmp_path):
    need("tmux")
    interpose = Interpose(tmp_path, {})
    socket = str(interpose.temporary / "tmux")
    script = """
        export SHELL=/bin/sh
        tmux -S "$0" -f /dev/null new-session -d 'echo inside > made' || exit
        while tmux -S "$0" list-sessions; do sleep 0.05; done 2> /dev/null > /dev/null
    """
    result = interpose.run("sh", "-c", script, socket)
    assert (0, 0) == (result.returncode, summary(result.stderr).lost), result.stderr.decode()
    assert "inside\n" == (interpose.folder / "made").read_text()
    assert any(program["arguments"][:1] == ["tmux"] for program in interpose.lineage("made").programs)
