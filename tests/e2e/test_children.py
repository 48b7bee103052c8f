"""Whatever starts a program, in whatever environment: it is captured, and told to be its starter's child."""

import os
import sys

import pytest

from support.cli import need


class Family:
    """The processes of a run, called by the arguments of what they ran last."""

    def __init__(self, interpose, run="last"):
        self.processes = {process["id"]: process for process in interpose.ask("ps", run)}

    def called(self, *arguments):
        """The one process that ran a program with these first arguments."""
        (found,) = (
            process
            for process in self.processes.values()
            if any(program["arguments"][: len(arguments)] == list(arguments) for program in process["programs"])
        )
        return found

    def parent(self, process):
        return self.processes[process["parent"]]


def check_copied(interpose, *starter):
    """A `cat in > out` was captured, below a process that ran `starter`."""
    family = Family(interpose)
    cat = family.called("cat", "in")
    assert cat["captured"]
    above = family.called(*starter)
    while cat["id"] != above["id"] and cat["parent"] is not None:
        cat = family.parent(cat)
    assert above["id"] == cat["id"]
    assert f"{interpose.folder}/in" in interpose.lineage("out").paths


@pytest.fixture
def folder(interpose):
    (interpose.folder / "in").write_text("content\n")
    return interpose.folder


def test_env_i(interpose, folder):
    result = interpose.run("env", "-i", "/bin/sh", "-c", "cat in > out")
    assert (0, b"") == (result.returncode, result.stdout)
    check_copied(interpose, "/bin/sh", "-c")
    assert [["env", "-i", "/bin/sh", "-c", "cat in > out"], ["/bin/sh", "-c", "cat in > out"]] == [
        program["arguments"] for program in Family(interpose).called("env")["programs"]
    ]


def test_env_i_of_env_i(interpose, folder):
    assert 0 == interpose.run("env", "-i", "env", "-i", "sh", "-c", "cat in > out").returncode
    check_copied(interpose, "env", "-i", "env")


def test_a_shell_with_functions_pipes_and_subshells(interpose, folder):
    need("bash")
    script = 'f() { (unset LD_PRELOAD; export -n LD_PRELOAD; cat "$1"); }; f in | { read x; echo "$x"; } > out'
    assert 0 == interpose.run("bash", "-c", script).returncode
    lineage = interpose.lineage("out")
    assert f"{folder}/in" in lineage.paths
    family = Family(interpose)
    cat = family.called("cat", "in")
    assert ["bash", "-c", script] == family.parent(cat)["programs"][0]["arguments"]


def test_a_python_subprocess_without_environment(interpose, folder):
    script = "import subprocess; subprocess.run(['/bin/sh', '-c', 'cat in > out'], env={}, check=True)"
    assert 0 == interpose.run(sys.executable, "-c", script).returncode
    check_copied(interpose, sys.executable, "-c")
    family = Family(interpose)
    assert sys.executable == family.parent(family.called("/bin/sh"))["programs"][-1]["arguments"][0]


def test_a_python_pool_of_processes(interpose, folder):
    for number in range(4):
        (folder / f"{number}").write_text(f"{number}\n")
    script = (
        "import multiprocessing, pathlib\n"
        "def double(name): pathlib.Path(name + '.out').write_text(pathlib.Path(name).read_text() * 2)\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool: pool.map(double, '0123')\n"
    )
    (folder / "pool.py").write_text(script)
    result = interpose.run(sys.executable, "pool.py")
    assert (0, b"") == (result.returncode, result.stdout), result.stderr.decode()
    for number in range(4):
        assert f"{folder}/{number}" in interpose.lineage(f"{number}.out").paths


@pytest.mark.parametrize(
    "way", ["clearenv", "unsetenv", "setenv", "environ", "no-environment", "vfork", "thread", "system"]
)
def test_a_program_that_takes_the_environment_away(interpose, folder, compiled, way):
    program = compiled("children")
    result = interpose.run(program, way)
    assert (0, b"content\n") == (result.returncode, (folder / "out").read_bytes()), result.stderr.decode()
    check_copied(interpose, program, way)
    family = Family(interpose)
    shell = family.called("sh", "-c")
    assert [program, way] == family.parent(shell)["programs"][-1]["arguments"]


def test_a_program_of_musl(interpose, folder, compiled):
    program = compiled("children", compiler=("musl-gcc",))
    assert 0 == interpose.run(program, "clearenv").returncode
    check_copied(interpose, program, "clearenv")


def test_threads(interpose, folder, compiled):
    names = [f"file{number}" for number in range(8)]
    for name in names:
        (folder / name).write_text(name)
    assert 0 == interpose.run(compiled("threads"), *names).returncode
    opened = {
        os.path.basename(event["fields"]["name"]["path"]): event["thread"]
        for event in interpose.ask("events", "last")
        if event["effect"] == "open" and event["fields"].get("read")
    }
    threads = {opened[name] for name in names}
    assert (8, 1) == (len(threads), len(interpose.ask("ps", "last")))


def test_programs_whose_libraries_call_before_the_captures_own_start_have_their_arguments(interpose, folder):
    assert 0 == interpose.run("cp", "in", "out").returncode
    assert [["cp", "in", "out"]] == [program["arguments"] for program in Family(interpose).called("cp")["programs"]]


def test_env_prints_what_it_prints_uncaptured(interpose):
    bare = interpose.bare("env")
    captured = interpose.run("env", options=("-q",))
    assert (bare.returncode, bare.stdout, bare.stderr) == (captured.returncode, captured.stdout, captured.stderr)


@pytest.mark.parametrize("value", ["", "/nonexistent.so", "libm.so.6 libm.so.6"])
def test_env_prints_the_users_own_preload(interpose, value):
    interpose.variables = {"LD_PRELOAD": value}
    bare, captured = interpose.bare("env"), interpose.run("env", options=("-q",))
    assert bare.stdout == captured.stdout


def test_a_forked_child_has_nothing_of_what_its_parent_read_later(interpose, folder, compiled):
    (folder / "secret").write_text("secret\n")
    assert 0 == interpose.run(compiled("late")).returncode
    lineage = interpose.lineage("out")
    assert [] == [path for path in lineage.paths if path.endswith("/secret")]
    assert 2 == len(lineage.programs)


@pytest.mark.parametrize("nested", [False, True], ids=["vfork", "nested"])
def test_a_vfork_child_that_acts_runs_its_parent_s_program(interpose, folder, compiled, nested):
    program, *words = command = [compiled("vforks"), "in", *(["nested"] if nested else [])]
    assert 0 == interpose.run(*command).returncode
    family = Family(interpose)
    children = [process for process in family.processes.values() if process["parent"] is not None]
    assert (2 if nested else 1) == len(children)
    assert [[[program, *words]]] * len(children) == [
        [each["arguments"] for each in one["programs"]] for one in children
    ]
    assert [[str(folder)]] * len(children) == [[each["directory"] for each in one["programs"]] for one in children]
    lineage = interpose.lineage("out")
    assert f"{folder}/in" in lineage.paths
    assert {("fork", program, program)} == {
        (each["reason"], each["executable"], each["arguments"][0])
        for each in lineage.programs
        if each["reason"] == "fork"
    }
