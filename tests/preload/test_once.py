"""What a call does to the world is done once: no FIFO or device is opened again, and no parent's memory is copied."""

import re

from support.capture import Capture
from support.cli import need
from support.roots import TARGETS, run

HOST = TARGETS["host"]
OPENED = re.compile(r'open(?:at)?\((?:AT_FDCWD, )?"(link|fifo|folder|/dev/\w+)", ([A-Z_|]+)')


def _opens(folder, program, variables):
    """Every open of what is no ordinary file, as strace saw it, and what the program said."""
    folder.mkdir()
    log = folder.with_suffix(".log")
    options = [f"-E{name}={value}" for name, value in variables.items()]
    outcome = run(HOST, ["strace", "-f", "-o", str(log), "-e", "trace=open,openat", *options, program], folder)
    return OPENED.findall(log.read_text()), outcome


def test_a_fifo_and_a_device_are_opened_as_often_as_without_the_library(programs, tmp_path):
    HOST.require()
    need("strace")
    program = str(programs.program(HOST, "opens.c"))
    bare, said = _opens(tmp_path / "bare", program, {})
    with Capture(tmp_path / "capture", HOST) as capture:
        assert (bare, said) == _opens(tmp_path / "captured", program, capture.variables)
        (process,) = capture.processes()
    assert len(bare) >= 15
    assert len(process.of("open")) >= 10


def _faults(outcome) -> dict[str, int]:
    return {name: int(count) for name, count in (line.split() for line in outcome.stdout.decode().splitlines())}


def test_a_vfork_of_a_large_process_copies_none_of_it(programs, tmp_path):
    HOST.require()
    program = [str(programs.program(HOST, "borrows.c"))]
    bare = _faults(run(HOST, program, tmp_path))
    with Capture(tmp_path / "capture", HOST) as capture:
        captured = _faults(capture.run(program, tmp_path))
        made = [event for process in capture.processes() for event in (*process.of("fork"), *process.of("spawn"))]
    assert len(made) == 12
    assert min(bare["fork"], captured["fork"]) > 16384  # else this shows nothing
    for way in ("vfork", "clone", "spawn"):
        assert captured[way] < bare[way] + 100, way


def test_a_wait_says_whether_a_core_was_dumped(programs, tmp_path):
    HOST.require()
    program = [str(programs.program(HOST, "dumps.c"))]
    (tmp_path / "bare").mkdir()
    bare = run(HOST, program, tmp_path / "bare")
    (tmp_path / "work").mkdir()
    with Capture(tmp_path / "capture", HOST) as capture:
        assert bare == capture.run(program, tmp_path / "work")
        waits = capture.processes()[0].of("wait")
    told = [f"{event.wait.signal} {int(event.wait.core_dumped)}" for event in waits]
    assert bare.stdout.decode().splitlines() == told
    assert told[0] == "6 0"
