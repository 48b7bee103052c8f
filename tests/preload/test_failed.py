"""What a failed call named leaves nothing behind: no memory, no walk up to its number, no other way of recording."""

import pytest

from support.capture import CALLS, SUMMARY, Capture
from support.roots import TARGETS, run

HOST = TARGETS["host"]
MOST = 2048
"""KiB of address space; the counters of high descriptors take 8 MiB."""


@pytest.mark.parametrize("level", [SUMMARY, CALLS])
def test_calls_that_fail_change_nothing_of_what_is_kept(level, programs, tmp_path):
    program = [str(programs.program(HOST, "failing.c"))]
    bare = [int(size) for size in run(HOST, program, tmp_path).stdout.split()]
    with Capture(tmp_path / "capture", HOST, level=level) as capture:
        captured = [int(size) for size in capture.run(program, tmp_path).stdout.split()]
        main, child = capture.processes()
    more = [after - before for before, after in zip(bare, captured, strict=True)]
    assert [0, 0] == [size // MOST for size in more], more
    (file,) = {event.open.file.inode for event in main.of("open") if event.open.name.path == b"made"}
    written = [event.io for event in main.of("io") if event.io.file.inode == file]
    assert 63 == sum(io.bytes_written for io in written)
    if level == SUMMARY:
        assert len(written) < 6  # they were counted, not told one by one
    assert 1 == sum(event.io.bytes_written for event in child.of("io") if event.io.file.inode == file)
