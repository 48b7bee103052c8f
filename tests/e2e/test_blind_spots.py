"""What runs unseen is said to, wherever one looks at its result: no silence."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.cli import INTERPOSE, need, summary
from support.programs import PROGRAMS
from support.roots import missing


@pytest.fixture
def zig(interpose):
    """zig's C compiler, which is a static program, and something for it to compile."""
    if importlib.util.find_spec("ziglang") is None:
        missing("ziglang", "run make install")
    (interpose.folder / "hello.c").write_text("int main(void) { return 0; }\n")
    return [sys.executable, "-m", "ziglang", "cc", "-c", "hello.c", "-o", "hello.o"]


@pytest.fixture
def direct(tmp_path):
    """Compiles what has system call instructions of its own."""
    need("gcc")
    source = Path(__file__).parents[1] / "preload/programs/direct.c"

    def make(*options):
        subprocess.run(["gcc", "-O2", "-w", "-o", tmp_path / "direct", source, *options], check=True)
        return tmp_path / "direct"

    return make


def test_a_static_compiler_shows_in_the_summary_and_among_the_processes(interpose, zig):
    result = interpose.run(*zig)
    assert 0 == result.returncode, result.stderr.decode()
    assert 1 == summary(result.stderr).blind_spots
    programs = [program for process in interpose.ask("ps", "last") for program in process["programs"]]
    blind = [
        (program["executable"].rsplit("/")[-1], program["blind_spot"]) for program in programs if program["blind_spot"]
    ]
    assert [("zig", "static")] == blind
    assert "hello.o [ran unseen: static]" in interpose("ps", "last").stdout.decode()


def test_the_lineage_of_what_no_captured_program_saw_tells_who_may_have_made_it(interpose, zig):
    run = summary(interpose.run(*zig).stderr).run
    answer = interpose("lineage", "hello.o")
    assert (1, b"") == (answer.returncode, answer.stdout)
    line = answer.stderr.decode()
    assert line.startswith(f"interpose: never seen: {interpose.folder}/hello.o; it changed while programs ran unseen: ")
    assert line.endswith(f"zig cc -c hello.c -o hello.o (run {run})\n")


def test_the_lineage_of_a_copy_tells_that_its_source_was_made_unseen(interpose, zig):
    result = interpose.run("sh", "-c", f"{shlex.join(zig)} && cp hello.o copy.o")
    assert (0, 1) == (result.returncode, summary(result.stderr).blind_spots)
    lineage = interpose.lineage("copy.o")
    (object_,) = [file for file in lineage.files if file["path"] == f"{interpose.folder}/hello.o"]
    (compiler,) = lineage.into(object_["id"], "unseen")
    assert (True, "static", "zig") == (
        object_["unseen"],
        compiler["blind_spot"],
        compiler["executable"].rsplit("/")[-1],
    )
    shown = interpose("lineage", "copy.o").stdout.decode()
    assert f"hello.o (not seen being written; these programs ran unseen: {compiler['executable']} cc" in shown


def test_a_program_that_the_kernel_refuses_what_recording_takes_is_a_blind_spot(interpose, tmp_path):
    need("gcc")
    sandboxes = tmp_path / "sandboxes"
    subprocess.run(["gcc", "-static", "-o", sandboxes, PROGRAMS / "sandboxes.c"], check=True)
    result = interpose.run(str(sandboxes), "errno-statx", "exec", "/bin/true")
    assert 0 == result.returncode, result.stderr.decode()
    assert 2 == summary(result.stderr).blind_spots
    programs = [program for process in interpose.ask("ps", "last") for program in process["programs"]]
    assert {(str(sandboxes), "static"), ("/bin/true", "refused")} == {
        (program["executable"], program["blind_spot"]) for program in programs
    }
    assert 2 == interpose.ask("runs")[-1]["blind_spots"]


def test_a_set_user_id_program_is_a_blind_spot(interpose, compiled, tmp_path):
    program = tmp_path / "privileged"
    program.write_bytes(open_bytes(compiled("touch")))
    program.chmod(0o4755)
    ordinary = ["setpriv", "--reuid=65534", "--clear-groups", str(program), "made"]
    need("setpriv")
    if os.geteuid() != 0:
        missing("root's permission to become another user", "run as root")
    interpose.folder.chmod(0o777)
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.name.startswith("pytest-"):
            parent.chmod(parent.stat().st_mode | 0o011)
    result = interpose.run(*ordinary)
    assert 0 == result.returncode, result.stderr.decode()
    programs = [program for process in interpose.ask("ps", "last") for program in process["programs"]]
    assert "secure_exec" in [program["blind_spot"] for program in programs], json.dumps(programs)


def test_a_program_that_makes_its_own_system_calls_may_act_unseen(interpose, direct):
    program = direct("-DWRITES")
    result = interpose.run("sh", "-c", f"{program} > made; cat made > copy; :")
    assert 1 == summary(result.stderr).blind_spots
    assert f"{program} [may act unseen: direct_syscalls]" in interpose("ps", "last").stdout.decode()
    (run,) = interpose.ask("runs")
    assert 1 == run["blind_spots"]


def test_an_object_that_makes_its_own_system_calls_is_named(interpose, direct):
    object_ = direct("-DWRITES", "-DOBJECT", "-shared", "-fPIC")
    code = f"import ctypes; ctypes.CDLL({str(object_)!r}).act()"
    result = interpose.run(sys.executable, "-c", code)
    assert b"written" in result.stdout
    assert 1 == summary(result.stderr).blind_spots
    assert f" [may act unseen: direct_syscalls in {object_}]" in interpose("ps", "last").stdout.decode()


COMMANDS = [
    ["sh", "-c", "ls / | sort | head -3 | tr a-z A-Z; cp /etc/passwd p; mv p q; rm q; date; id"],
    ["python3", "-c", "import ssl, sqlite3, ctypes, json, threading"],
    ["perl", "-MPOSIX", "-e", "print time"],
    ["git", "init", "-q", "repository"],
    ["node", "-e", "require('fs').readdirSync('.')"],
    ["gcc", "-o", "hello", "hello.c"],
    ["make", "--version"],
    ["bash", "-c", "for i in 1 2 3; do echo $i; done | awk '{ print $1 * 2 }' | sed s/2/3/ | grep 3"],
    ["openssl", "version"],
    ["curl", "--version"],
    ["ssh", "-V"],
    ["tar", "cf", "t.tar", "hello.c"],
    ["clang", "--version"],
    ["gdb", "--version"],
    ["java", "-version"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
def test_an_ordinary_program_is_no_blind_spot(interpose, command):
    need(command[0])
    (interpose.folder / "hello.c").write_text("int main(void) { return 0; }\n")
    assert 0 == summary(interpose.run(*command).stderr).blind_spots


def open_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def _program(path, *options):
    need("gcc")
    source = '#include <stdio.h>\nint main(void) { fclose(fopen("made", "w")); return 3; }\n'
    command = ["gcc", "-O1", "-o", str(path), *options, "-x", "c", "-"]
    if subprocess.run(command, input=source, capture_output=True, text=True, check=False).returncode:
        missing(f"gcc {' '.join(options)}")
    return path


def _told_blind(interpose):
    (process,) = interpose.ask("ps", "last")
    (program,) = process["programs"]
    assert (True, False) == (process["pid"] > 1, process["captured"])
    return program


def test_a_command_that_is_static_itself_is_a_blind_spot(interpose, tmp_path):
    program = _program(tmp_path / "static", "-static")
    interpose.folder.chmod(0o777)
    result = interpose.run(str(program), "-x", options=("--metrics-file", "metrics"))
    told = summary(result.stderr)
    assert (3, 1, 1) == (result.returncode, told.processes, told.blind_spots)
    blind = _told_blind(interpose)
    assert ("static", str(program), [str(program), "-x"]) == (
        blind["blind_spot"], blind["executable"], blind["arguments"],
    )  # fmt: skip
    assert "-x [ran unseen: static]" in interpose("ps", "last").stdout.decode()
    assert [3] == [process["status"] for process in interpose.ask("ps", "last")]
    assert 1 == interpose.ask("runs")[-1]["blind_spots"]
    assert 'interpose_blind_spots_total{cause="static"} 1.0' in (interpose.folder / "metrics").read_text()
    line = interpose("lineage", "made").stderr.decode()
    assert line.endswith(f"it changed while programs ran unseen: {program} -x (run {told.run})\n")


def test_a_script_whose_interpreter_is_static_is_a_blind_spot_of_the_interpreter(interpose, tmp_path):
    program = _program(tmp_path / "static", "-static")
    (tmp_path / "script").write_text(f"#!{program}\n")
    (tmp_path / "script").chmod(0o755)
    assert 1 == summary(interpose.run(str(tmp_path / "script")).stderr).blind_spots
    assert ("static", str(program)) == tuple(_told_blind(interpose)[name] for name in ("blind_spot", "executable"))


def test_a_command_of_another_machine_is_a_blind_spot_and_its_loader_has_nothing_to_complain_of(interpose, tmp_path):
    if importlib.util.find_spec("ziglang") is None:
        missing("ziglang", "run make install")
    if not Path("/lib/ld-linux.so.2").exists():
        missing("/lib/ld-linux.so.2")
    source = tmp_path / "narrow.c"
    source.write_text("int main(void) { return 0; }\n")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "x86-linux-gnu.2.31", "-o", "narrow", str(source)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    bare = interpose.bare(str(tmp_path / "narrow"))
    result = interpose.run(str(tmp_path / "narrow"))
    assert (bare.returncode, b"") == (result.returncode, bare.stderr)
    assert 1 == result.stderr.count(b"\n"), "the summary, and nothing of its loader"
    assert (1, "other_machine") == (summary(result.stderr).blind_spots, _told_blind(interpose)["blind_spot"])


def test_a_command_that_gains_privileges_is_a_blind_spot(interpose, tmp_path):
    need("setpriv")
    if os.geteuid() != 0:
        missing("root's permission to become another user", "run as root")
    program = _program(tmp_path / "privileged")
    program.chmod(0o4755)
    for folder in (tmp_path, interpose.folder, interpose.temporary):
        folder.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.name.startswith("pytest-"):
            parent.chmod(parent.stat().st_mode | 0o011)
    interpose.bare("setpriv", "--reuid=65534", "--clear-groups", *INTERPOSE, "run", "--", str(program))
    if not interpose.database.exists():
        missing("an installation that other users may read")
    assert "secure_exec" == _told_blind(interpose)["blind_spot"]


def test_a_command_that_is_not_there_or_is_seen_is_no_blind_spot(interpose, tmp_path):
    program = _program(tmp_path / "static", "-static")
    program.chmod(0o644)
    for command in ("true", str(program), "missing"):
        assert 0 == summary(interpose.run(command).stderr).blind_spots, command
