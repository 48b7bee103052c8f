"""What cannot be captured is named, and runs as if nothing were there."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from interpose.v1.event_pb2 import BlindSpot
from support.capture import Capture
from support.cli import need
from support.events import effect_of
from support.roots import ENVIRONMENT, TARGETS, ZIG, Outcome, missing, run

HOST = TARGETS["host"]
PROGRAM = '#include <unistd.h>\nint main(void) { write(1, "ran\\n", 4); return 6; }\n'


def _compile(path: Path, *options: str, compiler: tuple[str, ...] = ("gcc",)) -> Path:
    need(compiler[0])
    command = [*compiler, "-O1", "-o", str(path), *options, "-x", "c", "-"]
    result = subprocess.run(command, input=PROGRAM, capture_output=True, text=True, check=False)
    if result.returncode:
        missing(f"gcc {' '.join(options)}")
    return path


def _script(path: Path, interpreter: Path) -> Path:
    path.write_text(f"#!{interpreter}\n")
    path.chmod(0o755)
    return path


def _spots(capture: Capture) -> dict[str, BlindSpot]:
    """The blind spot by the kind of event that named it."""
    found = {}
    for process in capture.processes():
        for event in process.events:
            effect = effect_of(event)
            if effect in ("exec", "spawn") and not event.error:
                spot = getattr(event, effect).blind_spot
                found[f"{'vfork ' if event.HasField('process') else ''}{effect}"] = spot
    return found


def _check(program: Path, folder: Path, programs, cause, named: Path) -> None:
    arguments = [str(programs.program(HOST, "runs.c")), str(program)]
    bare = run(HOST, arguments, folder)
    with Capture(folder / "capture", HOST) as capture:
        assert bare == capture.run(arguments, folder)
        spots = _spots(capture)
    assert {"exec", "vfork exec", "spawn"} == set(spots)
    for spot in spots.values():
        assert cause == spot.cause
        assert str(named) == spot.name.path.decode()
        assert named.stat().st_ino == spot.file.inode


def test_a_static_program_is_a_blind_spot(programs, tmp_path):
    program = _compile(tmp_path / "static", "-static")
    _check(program, tmp_path, programs, BlindSpot.CAUSE_STATIC, program)


def test_a_static_position_independent_program_is_a_blind_spot(programs, tmp_path):
    program = _compile(tmp_path / "static", "-static-pie")
    _check(program, tmp_path, programs, BlindSpot.CAUSE_STATIC, program)


def test_a_32_bit_program_is_a_blind_spot_and_its_loader_has_nothing_to_complain_of(programs, tmp_path):
    if not Path("/lib/ld-linux.so.2").exists():
        missing("/lib/ld-linux.so.2")
    program = _compile(tmp_path / "narrow", compiler=(*ZIG, "-target", "x86-linux-gnu.2.31"))
    _check(program, tmp_path, programs, BlindSpot.CAUSE_OTHER_MACHINE, program)


def test_a_program_of_another_machine_is_a_blind_spot(programs, tmp_path):
    other = TARGETS["aarch64"]
    other.require()
    program = programs.program(other, "ordinary.c")
    with Capture(tmp_path / "capture", HOST) as capture:
        capture.run([str(programs.program(HOST, "runs.c")), str(program)], tmp_path)
        causes = {spot.cause for spot in _spots(capture).values()}
    assert {BlindSpot.CAUSE_OTHER_MACHINE} == causes


def test_a_script_with_a_static_interpreter_is_a_blind_spot_of_the_interpreter(programs, tmp_path):
    interpreter = _compile(tmp_path / "static", "-static")
    script = _script(tmp_path / "script", interpreter)
    arguments = [str(programs.program(HOST, "runs.c")), str(script)]
    bare = run(HOST, arguments, tmp_path)
    with Capture(tmp_path / "capture", HOST) as capture:
        assert bare == capture.run(arguments, tmp_path)
        spots = _spots(capture)
    assert {(BlindSpot.CAUSE_STATIC, str(interpreter))} == {
        (spot.cause, spot.name.path.decode()) for spot in spots.values()
    }


@pytest.fixture
def open_folder():
    """A folder that everybody may use."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_a_program_that_gains_privileges_is_a_blind_spot(mode, programs, open_folder):
    if os.geteuid() != 0:
        missing("root's permission to become another user", "run as root")
    program = _compile(open_folder / "privileged")
    program.chmod(mode)
    runner = shutil.copy(programs.program(HOST, "runs.c"), open_folder)
    with Capture(open_folder / "capture", HOST) as capture:
        bare, captured = (
            subprocess.run(
                [runner, program], cwd=open_folder, env=each, capture_output=True, user=65534, group=65534,
                extra_groups=[], check=False,
            )
            for each in (ENVIRONMENT, {**ENVIRONMENT, **capture.variables})
        )  # fmt: skip
        spots = _spots(capture)
    assert Outcome(bare.returncode, bare.stdout, bare.stderr) == Outcome(
        captured.returncode, captured.stdout, captured.stderr
    )
    assert {BlindSpot.CAUSE_SECURE_EXEC} == {spot.cause for spot in spots.values()}


def test_a_program_of_ones_own_is_no_blind_spot_whatever_its_bits(programs, tmp_path):
    program = _compile(tmp_path / "own")
    program.chmod(0o4755)
    with Capture(tmp_path / "capture", HOST) as capture:
        capture.run([str(programs.program(HOST, "runs.c")), str(program)], tmp_path)
        spots = _spots(capture)
    assert {0} == {spot.cause for spot in spots.values()}


def test_a_program_that_cannot_reach_the_library_is_a_blind_spot_and_its_loader_does_not_complain(
    programs, open_folder
):
    if os.geteuid() != 0:
        missing("root's permission to become another user", "run as root")
    runner = shutil.copy(programs.program(HOST, "runs.c"), open_folder)
    code = (
        "import os, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"os.execv({runner!r}, [{runner!r}, '/bin/true'])\n"
    )
    with Capture(open_folder / "capture", HOST) as capture:
        (open_folder / "capture").chmod(0o700)
        outcome = capture.run([shutil.which("python3") or "python3", "-c", code], open_folder)
        spots = _spots(capture)
    assert outcome == Outcome(0, b"fork 0\nvfork 0\n0\nposix_spawn 0\n", b"")
    assert {BlindSpot.CAUSE_LIBRARY_UNREACHABLE} == {spot.cause for spot in spots.values()}


def test_a_program_that_landlock_keeps_from_the_spool_is_a_blind_spot(programs, tmp_path):
    program = _compile(tmp_path / "program")
    (tmp_path / "writable").mkdir()
    arguments = [str(programs.program(HOST, "landlocked.c")), str(tmp_path / "writable"), str(program)]
    bare = run(HOST, arguments, tmp_path)
    if bare.status == 77:
        missing("Landlock", "use a kernel that has it enabled")
    with Capture(tmp_path / "capture", HOST) as capture:
        assert bare == capture.run(arguments, tmp_path)
        causes = [spot.cause for spot in _spots(capture).values()]
    assert (6, [BlindSpot.CAUSE_SPOOL_UNREACHABLE]) == (bare.status, causes)


def _opens(capture: Capture | None, program: Path, folder: Path, programs, times: int = 3) -> list[int]:
    """How often a program is opened each time that it is executed."""
    arguments = [str(programs.program(HOST, "watched.c")), str(program), str(times)]
    outcome = capture.run(arguments, folder) if capture else run(HOST, arguments, folder)
    lines = [list(map(int, line.split())) for line in outcome.stdout.splitlines() if line != b"ran"]
    assert [6] * times == [status for _, status in lines], outcome
    return [opens for opens, _ in lines]


def test_a_program_is_opened_by_us_once_in_a_run(programs, tmp_path):
    program = _compile(tmp_path / "program")
    with Capture(tmp_path / "capture", HOST) as capture:
        assert [1, 1, 1] == _opens(None, program, tmp_path, programs)
        assert [2, 1, 1] == _opens(capture, program, tmp_path, programs)
        assert [1, 1, 1] == _opens(capture, program, tmp_path, programs)


def test_a_program_that_was_started_is_not_opened_by_us(programs, tmp_path):
    program = _compile(tmp_path / "program")
    with Capture(tmp_path / "capture", HOST) as capture:
        assert 6 == capture.run([str(program)], tmp_path).status
        assert [1, 1] == _opens(capture, program, tmp_path, programs, 2)


def test_a_program_that_has_become_another_is_looked_at_again(programs, tmp_path):
    program = _compile(tmp_path / "program")
    with Capture(tmp_path / "capture", HOST) as capture:
        _opens(capture, program, tmp_path, programs)
        _compile(program, "-static")
        _opens(capture, program, tmp_path, programs, 1)
        causes = [spot.cause for spot in _spots(capture).values()]
    assert [BlindSpot.CAUSE_STATIC] == causes


def test_a_program_that_is_known_and_gets_privileges_is_looked_at_again(programs, open_folder):
    if os.geteuid() != 0:
        missing("root's permission to become another user", "run as root")
    program = _compile(open_folder / "program")
    runner = shutil.copy(programs.program(HOST, "runs.c"), open_folder)
    found = []
    with Capture(open_folder / "capture", HOST) as capture:
        for mode in (0o755, 0o4755):
            program.chmod(mode)
            variables = {**ENVIRONMENT, **capture.variables}
            subprocess.run([runner, program], env=variables, stdout=subprocess.DEVNULL, user=65534, check=False)
            found.append({spot.cause for spot in _spots(capture).values()})
    assert [{0}, {BlindSpot.CAUSE_SECURE_EXEC}] == found


def test_nobody_s_words_about_programs_are_followed_out_of_the_page(programs, tmp_path):
    program = _compile(tmp_path / "program")
    with Capture(tmp_path / "capture", HOST) as capture:
        with (tmp_path / "capture/spool/control").open("r+b") as control:
            control.seek(1536)
            control.write(b"\xff" * (4096 - 1536))
        assert [2, 1, 1] == _opens(capture, program, tmp_path, programs)
