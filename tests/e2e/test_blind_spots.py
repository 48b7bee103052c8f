"""What runs unseen is said to, wherever one looks at its result: no silence."""

import importlib.util
import json
import os
import shlex
import sys

import pytest

from support.cli import need, summary
from support.roots import missing


@pytest.fixture
def zig(interpose):
    """zig's C compiler, which is a static program, and something for it to compile."""
    if importlib.util.find_spec("ziglang") is None:
        missing("ziglang", "run make install")
    (interpose.folder / "hello.c").write_text("int main(void) { return 0; }\n")
    return [sys.executable, "-m", "ziglang", "cc", "-c", "hello.c", "-o", "hello.o"]


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


def open_bytes(path):
    with open(path, "rb") as file:
        return file.read()
