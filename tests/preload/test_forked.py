"""Children are told apart from their parents, however made, and also where the kernel wipes no memory of theirs."""

import sys

import pytest

from support.capture import Capture
from support.roots import HOST, TARGETS, run

FORBID = """
import ctypes, os, struct, sys
def one(code, true, false, value): return struct.pack("HBBI", code, true, false, value)
LOAD, IF, RETURN = 0x20, 0x15, 0x06
code = one(LOAD, 0, 0, 0) + one(IF, 0, 3, int(sys.argv[1])) + one(LOAD, 0, 0, 32) + one(IF, 0, 1, 18)
code += one(RETURN, 0, 0, 0x50000 + 22) + one(RETURN, 0, 0, 0x7FFF0000)
filter = ctypes.create_string_buffer(code)
program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(filter))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execve(sys.argv[3], sys.argv[3:], {**os.environ, "LD_PRELOAD": sys.argv[2]})
"""
"""Executes a program, with LD_PRELOAD, for which madvise(2) knows no MADV_WIPEONFORK."""
MADVISE = {"x86_64": 28, "aarch64": 233}[HOST]
PLACES = [pytest.param(TARGETS[name], id=name) for name in ("host", "musl")]


@pytest.mark.parametrize("wipes", [True, False], ids=["wiped", "unwiped"])
@pytest.mark.parametrize("target", PLACES)
def test_each_process_s_events_are_its_own(target, wipes, programs, tmp_path):
    target.require()
    program = str(programs.program(target, "forks.c"))
    (tmp_path / "work").mkdir()
    with Capture(tmp_path / "capture", target) as capture:
        if wipes:
            outcome = capture.run([program], tmp_path / "work")
        else:
            forbid = [sys.executable, "-c", FORBID, str(MADVISE), str(capture.library), program]
            outcome = run(TARGETS["host"], forbid, tmp_path / "work")
        assert (0, b"", b"") == (outcome.status, outcome.stdout, outcome.stderr)
        processes = capture.processes()
    opened = [
        (event.open.name.path.decode(), str(event.process.pid or process.pid))
        for process in processes
        for event in process.of("open")
    ]
    made = {path.name for path in (tmp_path / "work").iterdir()}
    assert len(made) == 5
    assert made == {name for name, _ in opened}
    assert [] == [(name, pid) for name, pid in opened if name != pid]
    assert (4 if wipes else 3) == len(processes)
