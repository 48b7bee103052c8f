"""Frames of the library do not stand in the way of who unwinds the stack."""

from support.capture import Capture
from support.cli import need
from support.roots import TARGETS, run

HOST = TARGETS["host"]


def test_a_cancelled_thread_cleans_up_and_a_backtrace_reaches_the_program_s_start(programs, tmp_path):
    HOST.require()
    need("gcc")
    program = [str(programs.program(HOST, "cancelled.c", ("-fexceptions",)))]
    bare = run(HOST, program, tmp_path)
    assert b"frame 2\nhandler pushed\nframe 1\ncancelled: 1\nframe 3\nleft\n" in bare.stdout
    assert b"the backtrace reaches the start: 1" in bare.stdout
    with Capture(tmp_path / "capture", HOST) as capture:
        assert bare == capture.run(program, tmp_path)
