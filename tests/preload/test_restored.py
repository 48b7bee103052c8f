"""A process whose journals are no longer its own, as after a restore from a checkpoint, goes on in others.

What a restore does is done here to a live process: other bytes stand under its mappings, or the sidecar's word that
the journal is given up.
"""

import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from interpose.sidecar.spool import CONTROL, JOURNAL, Spool
from interpose.v1.event_pb2 import Gap, Origin
from support.capture import Capture
from support.journals import Writer, origin
from support.roots import TARGETS

HOST = TARGETS["host"]
CALLS = 100
MORE = 5000
"""Than one journal holds."""


@contextmanager
def standing_at_the_gate(capture, programs, folder, calls=CALLS):
    """The process between the two halves of its calls; `pass_gate` lets it on."""
    for name in ("before", "after"):
        (folder / name).touch()
    command = [str(programs.program(HOST, "goes_on.c")), str(calls)]
    process = subprocess.Popen(
        command, cwd=folder, env=capture.variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert b"." == process.stdout.read(1)
        yield process
    finally:
        process.kill()
        process.communicate()


def pass_gate(process) -> int:
    """Its status."""
    process.stdin.write(b".")
    process.stdin.flush()
    return process.wait(timeout=60)


def put_another_spool_under(capture: Capture, another: Path) -> None:
    """The files keep their inodes, which are mapped, and get the bytes of another spool's."""
    for file in sorted(another.glob("*")):
        if file.name == "control" or file.name.startswith("segment-"):
            with (capture.spool.directory / file.name).open("r+b") as mapped:
                mapped.write(file.read_bytes())


def changed_paths(process) -> list[bytes]:
    return [event.chmod.name.path for event in process.of("chmod")]


def written(process) -> list[int]:
    """The bytes that it told to have written into its file, which is 3."""
    return [event.io.bytes_written for event in process.of("io") if event.io.fd == 3 and event.io.bytes_written]


@pytest.mark.parametrize("calls", [CALLS, MORE])
@pytest.mark.parametrize("claimed", [0, 1, 2])
def test_in_another_spool_it_claims_anew_and_leaves_the_journals_of_others_alone(claimed, calls, programs, tmp_path):
    """The journals that it had mapped are nobody's there, or other processes' by now."""
    HOST.require()
    with Capture(tmp_path / "capture", HOST) as capture:
        with standing_at_the_gate(capture, programs, tmp_path, calls) as process:
            with Spool.create(tmp_path / "another", journals_per_segment=16) as another:
                writers = [Writer(another.directory, pid=1000 + number) for number in range(claimed)]
                for writer in writers:
                    writer.append([origin(1000 + writer.number, 5, 10)])
                    writer.die()
                before = [bytes(segment.read_bytes()) for segment in sorted(another.directory.glob("segment-*"))]
            put_another_spool_under(capture, another.directory)
            assert 3 == pass_gate(process)
        *others, restored = capture.processes()
        size = capture.spool.settings.journal_size
        after = (capture.spool.directory / "segment-00000000").read_bytes()

    assert after[: claimed * size] == before[0][: claimed * size]
    assert [1000 + number for number in range(claimed)] == [other.pid for other in others]
    assert (process.pid, claimed) == (restored.pid, restored.home)
    assert Origin.REASON_RESTORED == restored.events[0].origin.reason
    assert [b"after"] * calls == changed_paths(restored)
    assert [5] == written(restored)
    assert {b"libc.so.6"} <= {Path(event.load.name.path.decode()).name.encode() for event in restored.of("load")}
    assert (0, 0, 0) == (restored.lost, restored.gaps, restored.unfinished)


def test_where_the_other_spool_has_no_room_it_is_counted_as_lost(programs, tmp_path):
    HOST.require()
    with Capture(tmp_path / "capture", HOST) as capture:
        with standing_at_the_gate(capture, programs, tmp_path) as process:
            with Spool.create(tmp_path / "another", journals_per_segment=16, quota=0) as another:
                pass
            put_another_spool_under(capture, another.directory)
            assert 3 == pass_gate(process)
        lost = capture.spool.lost_processes()
        assert [] == capture.processes()

    assert (1, 1) == (lost[Gap.CAUSE_QUOTA], sum(lost))


@pytest.mark.parametrize("damage", ["magic", "version", "journal_size", "journals_per_segment"])
def test_a_spool_that_it_cannot_use_ends_the_recording_and_nothing_else(damage, programs, tmp_path):
    HOST.require()
    with Capture(tmp_path / "capture", HOST) as capture:
        with standing_at_the_gate(capture, programs, tmp_path) as process:
            with Spool.create(tmp_path / "another", journals_per_segment=16) as another:
                page = bytearray((another.directory / "control").read_bytes())
                page[CONTROL.offsets[damage] + 2] ^= 1
                (another.directory / "control").write_bytes(page)
            put_another_spool_under(capture, another.directory)
            assert 3 == pass_gate(process)
        after = (capture.spool.directory / "segment-00000000").read_bytes()

    assert bytes(len(after)) == after


def give_up(capture: Capture, number: int) -> None:
    segment, slot = divmod(number, capture.spool.settings.journals_per_segment)
    with (capture.spool.directory / f"segment-{segment:08x}").open("r+b", buffering=0) as file:
        file.seek(slot * capture.spool.settings.journal_size + JOURNAL.offsets["owner"])
        file.write(bytes(8))


def test_a_journal_that_the_sidecar_gave_up_is_appended_to_no_more(programs, tmp_path):
    HOST.require()
    with Capture(tmp_path / "capture", HOST) as capture:
        with standing_at_the_gate(capture, programs, tmp_path) as process:
            (before,) = capture.processes()
            give_up(capture, before.home)
            assert 3 == pass_gate(process)
        former, restored = capture.processes()

    assert [b"before"] * CALLS == changed_paths(former)
    assert [b"after"] * CALLS == changed_paths(restored)
    assert ([6], [5]) == (written(former), written(restored))
    assert Origin.REASON_RESTORED == restored.events[0].origin.reason
    assert (0, 0) == (restored.lost, restored.gaps)


@pytest.mark.parametrize("threads", [1, 8])
def test_each_event_is_in_one_journal_whenever_the_sidecar_gives_journals_up(threads, programs, tmp_path):
    HOST.require()
    calls = 200_000 // threads
    with Capture(tmp_path / "capture", HOST, quota=4096) as capture:
        command = [str(programs.program(HOST, "many.c")), str(threads), str(calls)]
        given_up = 0
        with subprocess.Popen(command, cwd=tmp_path, env=capture.variables, stdout=subprocess.PIPE) as process:
            while process.poll() is None:
                capture.spool.refresh()
                for number in range(max(capture.spool.claimed() - 20, 0), capture.spool.claimed()):
                    with suppress(FileNotFoundError):  # It is claimed, and its segment is yet to be made.
                        give_up(capture, number)
                given_up += 1
                time.sleep(0.001)
        found = capture.processes()

    assert 3 == process.returncode
    assert given_up > 10
    told, lost = (
        sum(map(count, found)) for count in (lambda each: len(each.of("chmod")), lambda each: each.lost + each.gaps)
    )
    assert (threads * calls, 0) == (told, lost)
