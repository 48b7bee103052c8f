"""Who asks the loader which libraries a program has is not told of ours: whoever packs what ldd lists would pack it."""

import re
import sys
from pathlib import Path

import pytest

from support.capture import Capture
from support.cli import need
from support.roots import TARGETS, Target, run

HOST, MUSL = TARGETS["host"], TARGETS["musl"]
SPAWN = "import os; os.waitpid(os.posix_spawn('/bin/true', ['true'], {'LD_TRACE_LOADED_OBJECTS': '1'}), 0)"
COMMANDS = {
    "ldd": ["ldd", "/bin/true"],
    "given": ["env", "LD_TRACE_LOADED_OBJECTS=1", "/bin/true"],
    "exported": ["sh", "-c", "export LD_TRACE_LOADED_OBJECTS=1; /bin/true; exec /bin/cat"],
    "spawned": [sys.executable, "-c", SPAWN],
    "by system": [sys.executable, "-c", "import os; os.system('LD_TRACE_LOADED_OBJECTS=1 /bin/true')"],
    "--list": ["sh", "-c", "{loader} --list /bin/true"],
    "after another option": ["sh", "-c", "exec {loader} --library-path /nowhere --list /bin/true"],
}


def _loader(target: Target) -> Path:
    pattern = "ld-musl-*.so.1" if target.libc == "musl" else "ld-linux-*.so.*"
    return next(path for folder in ("/lib64", "/lib") for path in Path(folder).glob(pattern))


def _listed(output: bytes) -> list[str]:
    """What is listed, without the addresses."""
    return [re.sub(r"\(?0x[0-9a-f]+\)?", "", line).strip() for line in output.decode().splitlines()]


@pytest.mark.parametrize("how", COMMANDS)
def test_the_library_is_not_listed(how, tmp_path):
    need("ldd")
    command = [part.replace("{loader}", str(_loader(HOST))) for part in COMMANDS[how]]
    bare = run(HOST, command, tmp_path)
    assert any("libc" in line for line in _listed(bare.stdout))
    with Capture(tmp_path / "capture", HOST) as capture:
        captured = capture.run(command, tmp_path)
        assert capture.processes()
    assert (bare.status, _listed(bare.stdout), bare.stderr) == (
        captured.status, _listed(captured.stdout), captured.stderr,
    )  # fmt: skip


def test_musls_loader_does_not_list_it_either(programs, tmp_path):
    MUSL.require()
    program = programs.program(MUSL, "executes.c")
    (tmp_path / "ldd").symlink_to(_loader(MUSL))
    for command in ([str(_loader(MUSL)), "--list", str(program)], [str(tmp_path / "ldd"), str(program)]):
        arguments = [str(program), *command]
        bare = run(MUSL, arguments, tmp_path)
        assert b"libc" in bare.stdout
        with Capture(tmp_path / f"capture-{len(command)}", MUSL) as capture:
            captured = capture.run(arguments, tmp_path)
        assert _listed(bare.stdout) == _listed(captured.stdout)


def test_a_program_that_the_loader_runs_is_captured(tmp_path):
    with Capture(tmp_path / "capture", HOST) as capture:
        script = f"{_loader(HOST)} --library-path /nowhere /bin/cat --list /etc/hostname"
        capture.run(["sh", "-c", script], tmp_path)
        names = [process.events[0].origin.arguments for process in capture.processes()]
    assert any(b"--list" in arguments for arguments in names)
