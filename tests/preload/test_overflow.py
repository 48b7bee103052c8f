"""Journals that fill up, quotas that are used up, disks that are full: nothing is lost silently."""

import contextlib
import dataclasses
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from interpose.sidecar.decode import events_of
from interpose.sidecar.journal import scan
from interpose.sidecar.spool import CONTROL
from interpose.v1.event_pb2 import Gap
from support.capture import CALLS, SUMMARY, Capture
from support.roots import ENVIRONMENT, TARGETS, Outcome, missing, run

HOST = TARGETS["host"]


def _chmods(process) -> int:
    return len(process.of("chmod"))


@pytest.mark.parametrize("level", [SUMMARY, CALLS])
@pytest.mark.parametrize("threads", [1, 8])
def test_a_full_journal_is_continued_in_another_and_every_event_is_there(level, threads, programs, tmp_path):
    HOST.require()
    calls = 20000 // threads
    with Capture(tmp_path / "capture", HOST, level=level) as capture:
        assert capture.run([str(programs.program(HOST, "many.c")), str(threads), str(calls)], tmp_path).status == 3
        (process,) = capture.processes()
    assert _chmods(process) == threads * calls
    assert (process.lost, process.gaps, process.unfinished) == (0, 0, 0)
    assert process.journals > 10


def test_each_continued_journal_says_which_it_continues(programs, tmp_path):
    HOST.require()
    with Capture(tmp_path / "capture", HOST) as capture:
        capture.run([str(programs.program(HOST, "many.c")), "1", "5000"], tmp_path)
        (process,) = capture.processes()
    origins = [event.origin for event in process.of("origin")]
    assert len(origins) == process.journals
    assert [origin.previous for origin in origins[1:]] == list(range(process.journals - 1))
    assert {origin.process.pid for origin in origins} == {process.pid}


@pytest.mark.parametrize("threads", [1, 8])
def test_every_journal_begins_with_its_origin_whatever_other_threads_do(threads, programs, tmp_path):
    """Or a thread that is held up before it tells the Origin leaves a full journal, and nobody knows whose it is."""
    HOST.require()
    with Capture(tmp_path / "capture", HOST) as capture:
        capture.run([str(programs.program(HOST, "many.c")), str(threads), "5000"], tmp_path)
        headers = [(journal, journal.header()) for journal in capture._journals()]
        begun = [scan(journal.read(each.events_offset, each.events_size), 0) for journal, each in headers if each]
    assert len(begun) > 5
    assert {"origin"} == {events_of(records)[0].WhichOneof("effect") for records in begun}


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("quota", [1, 3])
def test_what_a_quota_kept_out_is_counted_exactly(quota, threads, programs, tmp_path):
    HOST.require()
    calls = 10000
    with Capture(tmp_path / "capture", HOST, quota=quota) as capture:
        outcome = capture.run([str(programs.program(HOST, "many.c")), str(threads), str(calls)], tmp_path)
        (process,) = capture.processes()
    assert outcome == Outcome(3, b"done\n", b"")
    assert process.journals == quota
    in_passing = ("origin", "load", "consult", "env", "gap")
    told = [event for event in process.events if event.time and event.WhichOneof("effect") not in in_passing]
    # Each thread's start and end, the write to stdout, its end and the exit are events too.
    assert threads * calls + 2 * (threads - 1) + 3 == len(told) + process.lost + process.gaps
    assert process.lost > 0
    # What no event could tell is still in the descriptor's counters.
    assert [(1, 5, 1)] == [(event.io.fd, event.io.bytes_written, event.io.writes) for event in process.of("io")]


def test_events_of_a_process_that_got_no_journal_are_counted_as_a_process(programs, tmp_path):
    HOST.require()
    with Capture(tmp_path / "capture", HOST, quota=0) as capture:
        outcome = capture.run([str(programs.program(HOST, "ordinary.c"))], tmp_path)
        bare = run(HOST, [str(programs.program(HOST, "ordinary.c"))], tmp_path)
        assert capture.processes() == []
        lost = capture.spool.lost_processes()
    assert outcome == bare
    assert lost[Gap.CAUSE_QUOTA] == 3  # the program, its shell, its child
    assert sum(lost) == 3


def test_once_there_is_room_again_a_gap_says_what_is_missing_and_recording_goes_on(programs, tmp_path):
    HOST.require()
    calls = 400_000
    with Capture(tmp_path / "capture", HOST, quota=1) as capture:
        arguments = [str(programs.program(HOST, "many.c")), "1", str(calls)]
        process = subprocess.Popen(arguments, cwd=tmp_path, env=capture.variables, stdout=subprocess.PIPE)
        while not any(each.lost for each in capture.processes()):
            assert process.poll() is None
        # The sidecar's own number: it believes nothing that a process can write into `control`.
        capture.spool.settings = dataclasses.replace(capture.spool.settings, quota=1000)
        _set(capture, "quota", 1000, 8)
        process.communicate()
        (found,) = capture.processes()
    gaps = [event.gap for event in found.of("gap")]
    assert [Gap.CAUSE_QUOTA] == [gap.cause for gap in gaps]
    assert 0 < gaps[0].first <= gaps[0].last
    assert found.journals > 2
    assert calls == _chmods(found) + found.gaps + found.lost
    assert found.events[-1].exit.status == 3


def _set(capture: Capture, setting: str, value: int, width: int) -> None:
    with open(capture.spool.directory / "control", "r+b") as control:
        control.seek(CONTROL.offsets[setting])
        control.write(value.to_bytes(width, "little"))


@pytest.fixture
def small_disk(tmp_path):
    """A folder with a file system of its own that has room for one segment and a half."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        missing("root's permission to mount", "run as root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=7m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("threads", [1, 8])
def test_a_full_disk_costs_events_that_are_counted_and_nothing_else(threads, programs, small_disk, tmp_path):
    HOST.require()
    calls = 10_000
    # Segments of one journal: two stand ready, the library makes what else it needs.
    with Capture(small_disk / "capture", HOST, journals_per_segment=1) as capture:
        _fill(small_disk)
        outcome = capture.run([str(programs.program(HOST, "many.c")), str(threads), str(calls)], tmp_path)
        (process,) = capture.processes()
    assert outcome == Outcome(3, b"done\n", b"")
    assert process.journals == 2
    assert threads * calls <= _chmods(process) + process.lost + process.gaps
    assert process.lost > 0
    assert [] == list(small_disk.glob("capture/spool/.draft*"))


def test_a_limit_on_the_size_of_files_ends_no_program(programs, tmp_path):
    """The library makes a segment that is missing, but not one for which the kernel would send SIGXFSZ."""
    HOST.require()
    program = str(programs.program(HOST, "many.c"))
    with Capture(tmp_path / "capture", HOST, journals_per_segment=1) as capture:
        for segment in capture.spool.directory.glob("segment-*"):
            segment.unlink()
        limited = ["/bin/sh", "-c", f"ulimit -f 8; {program} 1 10; {program} 1 10"]
        assert capture.run(limited, tmp_path) == Outcome(3, b"done\ndone\n", b"")
        assert sum(capture.spool.lost_processes()) == 2


def _fill(folder) -> None:
    with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def _garble(capture: Capture, how: str) -> None:
    spool = capture.spool.directory
    control = spool / "control"
    match how:
        case "no spool":
            shutil.rmtree(spool)
        case "no control":
            control.unlink()
        case "control is a folder":
            control.unlink()
            control.mkdir()
        case "control is a FIFO":
            control.unlink()
            os.mkfifo(control)
        case "control is a link":
            control.rename(spool / "elsewhere")
            control.symlink_to("elsewhere")
        case "control is empty":
            control.write_bytes(b"")
        case "control is short":
            control.write_bytes(control.read_bytes()[:300])
        case "control is garbage":
            control.write_bytes(random.Random(1).randbytes(4096))
        case "control of another version":
            page = bytearray(control.read_bytes())
            page[CONTROL.offsets["version"]] = 99
            control.write_bytes(page)
        case "journals of no size" | "journals of a huge size" | "no journals in a segment":
            name = "journals_per_segment" if how.startswith("no journals") else "journal_size"
            page = bytearray(control.read_bytes())
            page[CONTROL.offsets[name] : CONTROL.offsets[name] + 4] = (
                b"\0\0\xff\xff" if how == "journals of a huge size" else bytes(4)
            )
            control.write_bytes(page)
        case "segments are short":
            for segment in spool.glob("segment-*"):
                os.truncate(segment, 100)
        case "segments are folders":
            for segment in spool.glob("segment-*"):
                segment.unlink()
                segment.mkdir()
        case "segments are FIFOs":
            for segment in spool.glob("segment-*"):
                segment.unlink()
                os.mkfifo(segment)
        case "segments are garbage":
            for segment in spool.glob("segment-*"):
                segment.write_bytes(random.Random(1).randbytes(segment.stat().st_size))
        case "next journal is huge":
            page = bytearray(control.read_bytes())
            page[CONTROL.offsets["next_journal"] : CONTROL.offsets["next_journal"] + 8] = b"\xff" * 7 + b"\x0f"
            control.write_bytes(page)


@pytest.mark.parametrize(
    "how",
    [
        "no spool",
        "no control",
        "control is a folder",
        "control is a FIFO",
        "control is a link",
        "control is empty",
        "control is short",
        "control is garbage",
        "control of another version",
        "journals of no size",
        "journals of a huge size",
        "no journals in a segment",
        "segments are short",
        "segments are folders",
        "segments are FIFOs",
        "segments are garbage",
        "next journal is huge",
    ],
)
def test_a_spool_that_is_none_changes_nothing_for_the_program(how, programs, tmp_path):
    HOST.require()
    program = str(programs.program(HOST, "ordinary.c"))
    (tmp_path / "work").mkdir()
    bare = run(HOST, [program], tmp_path / "work")
    with Capture(tmp_path / "capture", HOST) as capture:
        _garble(capture, how)
        assert bare == capture.run([program], tmp_path / "work")


@pytest.mark.parametrize("value", [0, 4096, 0xFFFF0000])
@pytest.mark.parametrize("setting", ["journal_size", "journals_per_segment"])
def test_a_control_page_that_is_spoilt_under_a_program_does_nothing_to_it(setting, value, programs, tmp_path):
    HOST.require()
    calls = 100_000
    with Capture(tmp_path / "capture", HOST) as capture:
        arguments = [str(programs.program(HOST, "many.c")), "1", str(calls)]
        process = subprocess.Popen(arguments, cwd=tmp_path, env=capture.variables, stdout=subprocess.PIPE)
        while not capture.processes():
            assert process.poll() is None
        _set(capture, setting, value, 4)
        assert process.poll() is None
        said, _ = process.communicate()
        (found,) = capture.processes()
    assert (3, b"done\n") == (process.returncode, said)
    assert calls == _chmods(found)


@pytest.fixture
def open_folder():
    """A folder that everybody may use."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@pytest.mark.parametrize("which", ["control", "segment-*", "."])
def test_a_spool_that_may_not_be_written_changes_nothing_for_the_program(which, programs, open_folder):
    HOST.require()
    if os.geteuid() != 0:
        missing("root's permission to become another user", "run as root")
    program = shutil.copy(programs.program(HOST, "ordinary.c"), open_folder)
    with Capture(open_folder / "capture", HOST) as capture:
        spool = capture.spool.directory
        for path in [spool] if which == "." else list(spool.glob(which)):
            path.chmod(0o600)
        bare, captured = (
            subprocess.run([program], cwd=open_folder, env=variables, capture_output=True, user=65534, check=False)
            for variables in (ENVIRONMENT, {**ENVIRONMENT, **capture.variables})
        )
    assert (bare.returncode, bare.stdout, bare.stderr) == (captured.returncode, captured.stdout, captured.stderr)
