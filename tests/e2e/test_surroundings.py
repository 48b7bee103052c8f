"""Every command in surroundings that are wrong: what cannot be done is one line and a status, never a traceback.

The commands run in children of one process that has everything imported, as starting Python takes longer than they do.
"""

import contextlib
import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from interpose.cli.command import interpose as root
from support.roots import library

COMMANDS = [
    ["runs"],
    ["runs", "--json"],
    ["ps"],
    ["ps", "nope"],
    ["files", "--container", "nope"],
    ["events", "--effect", "nope"],
    ["lineage", "made"],
    ["lineage", "."],
    ["lineage", "--container", "nope", "x"],
    ["lineage", "\udcff\udcfe"],
    ["coverage", "open"],
    ["coverage", "nope"],
    ["compose"],
    ["compose", "-f", "made"],
    ["run", "--", "true"],
    ["run", "--metrics-file", "/none/m", "--", "true"],
    ["sidecar", "--capture", "made"],
    ["sidecar", "--capture", "a b:c", "--forward-to", "unix:socket"],
    ["collector", "--listen", "unix:socket", "--listen", "unix:/none/socket"],
    ["host", "made"],
    ["docker", "status", "--host", "made", "-H", "unix:///none/docker.sock"],
    ["docker", "install", "--host", "host", "--config-file", "config", "-H", "unix:///none/docker.sock"],
    ["docker", "uninstall", "--host", "host", "-H", "unix:///none/docker.sock"],
    ["docker", "watch", "--once", "--host", "host", "-H", "unix:///none/docker.sock"],
    ["docker", "run", "--host", "host", "-H", "tcp://127.0.0.1:1", "image"],
    ["docker", "cdi", "--host", "made", "--directory", "made", "device"],
    ["docker", "nope"],
    ["nope"],
    [],
    ["--help"],
    ["--version"],
]
MEANT_FOR_A_TERMINAL = ([], ["--help"])


def plain(_folder):
    """Nothing is wrong but what was asked."""


def closed(_folder):
    os.closerange(0, 3)


def no_room_on_stdout(_folder):
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def no_room_on_stderr(_folder):
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)


def nobody_who_reads(_folder):
    ours, theirs = os.pipe()
    os.close(ours)
    os.dup2(theirs, 1)


def no_directory(folder):
    place = os.path.join(folder, "gone")
    os.mkdir(place)
    os.chdir(place)
    os.rmdir(place)


def relative_database_without_directory(folder):
    no_directory(folder)
    os.environ["INTERPOSE_DB"] = "sqlite:///db"


def a_directory(folder):
    os.environ["INTERPOSE_DB"] = folder


def no_database(folder):
    os.environ["INTERPOSE_DB"] = os.path.join(folder, "made")


def nothing_there(folder):
    os.environ["INTERPOSE_DB"] = os.path.join(folder, "none/db")


def of_another_version(folder):
    os.environ["INTERPOSE_DB"] = os.path.join(folder, "older")


def nonsense(_folder):
    os.environ["INTERPOSE_DB"] = "non:sense://me:secret@"


def without_driver(_folder):
    os.environ["INTERPOSE_DB"] = "mysql://me:secret@host/name?password=secret"


def unreachable(_folder):
    os.environ["INTERPOSE_DB"] = "postgres://me:secret@127.0.0.1:1/name?sslpassword=secret"


def odd_database(folder):
    os.environ["INTERPOSE_DB"] = os.path.join(folder, "\udcff")


def no_home(_folder):
    for name in ("HOME", "XDG_STATE_HOME", "INTERPOSE_DB", "TMPDIR", "PATH", "TERM"):
        os.environ.pop(name, None)


def narrow(_folder):
    os.environ |= {"COLUMNS": "1", "LINES": "1", "TERM": "dumb", "NO_COLOR": "1", "FORCE_COLOR": ""}


SURROUNDINGS = [
    plain, closed, no_room_on_stdout, no_room_on_stderr, nobody_who_reads, no_directory, a_directory, no_database,
    relative_database_without_directory, nothing_there, of_another_version, nonsense, without_driver, unreachable,
    odd_database, no_home, narrow,
]  # fmt: skip


def child(surroundings, arguments, folder, out, err):
    """One command, to its end."""
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.closerange(3, 64)
    os.chdir(folder)
    surroundings(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
            setattr(sys, name, open(number, "w", closefd=False, errors="backslashreplace"))  # noqa: SIM115
        except OSError:
            setattr(sys, name, None)
    signal.alarm(60)
    status = 0
    try:
        root.main(args=arguments, prog_name="interpose")
    except SystemExit as end:
        status = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 99
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        status = 120  # as the interpreter ends, if something is left to be written
    os._exit(status or 0)


def zygote(folder):
    """Answers each line of JSON, a surrounding's number and arguments, with a status."""
    for name in ("listings", "lineage", "coverage", "compose", "run", "serve", "collect", "host", "keeping", "docker"):
        importlib.import_module(f"interpose.cli.{name}")
    for name in ("install", "status", "run", "watch", "cdi"):
        importlib.import_module(f"interpose.cli.docker_{name}")
    for line in sys.stdin:
        number, arguments = json.loads(line)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            child(SURROUNDINGS[number], arguments, f"{folder}/work", f"{folder}/out", f"{folder}/err")
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Asks the zygote: asked(surroundings, arguments) is status, stdout and stderr."""
    library()
    folder = tmp_path_factory.mktemp("surroundings")
    work = folder / "work"
    work.mkdir()
    (folder / "tmp").mkdir()
    (work / "made").write_text("this is nothing that anybody wants\n" * 99)
    with closing(sqlite3.connect(work / "older")) as other:
        other.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, spool TEXT, started INTEGER, ended INTEGER)")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
        "TMPDIR": str(folder / "tmp"),
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "INTERPOSE_DB": str(folder / "db"),
        "GRPC_VERBOSITY": "NONE",  # as the command has it, before it is imported
    }
    command = [sys.executable, __file__, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:

        def ask(surroundings, arguments):
            process.stdin.write(json.dumps([SURROUNDINGS.index(surroundings), arguments]) + "\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            return status, (folder / "out").read_text(), (folder / "err").read_text()

        yield ask
        process.stdin.close()


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_what_cannot_be_done_is_one_line(asked, surroundings):
    for arguments in COMMANDS:
        status, out, err = asked(surroundings, arguments)
        told = (surroundings.__name__, arguments, status, out, err)
        assert "Traceback" not in err, told
        assert "secret" not in out + err, told
        assert status in (0, 1, 2, 125, -signal.SIGPIPE), told
        lines = err.splitlines()
        if arguments in MEANT_FOR_A_TERMINAL:
            continue
        # A run has a summary, and tells what former ones left that could not be stored.
        assert len(lines) <= 1 + 2 * (arguments[0] == "run"), told
        assert all(line.startswith("interpose: ") for line in lines), told
        if status > 0 and surroundings not in (closed, no_room_on_stderr):
            assert lines or arguments[:2] == ["docker", "status"], told
        if arguments[0] == "run":
            assert 0 == status, told  # that of the command


def test_a_reader_who_has_seen_enough_is_no_failure_of_ours(asked):
    for arguments in (["coverage"], ["coverage", "--json"], ["--help"], ["--version"]):
        assert (-signal.SIGPIPE, "", "") == asked(nobody_who_reads, arguments)


def test_output_that_cannot_be_written_is_told(asked):
    for arguments in (["coverage", "open"], ["coverage", "--json", "open"], ["--help"], ["--version"]):
        expected = (1, "", "interpose: output: No space left on device\n")
        assert expected == asked(no_room_on_stdout, arguments)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["rusn"], "No such command 'rusn': did you mean run or runs? (see interpose --help)"),
        (["docker", "instal"], "No such command 'instal': did you mean install or uninstall? (see interpose docker"),
        (["ls"], "No such command 'ls': to capture a program, put run before it: interpose run -- ls"),
        (["lineage", "."], "never seen: "),
    ],
)
def test_what_was_meant_is_told(asked, arguments, line):
    asked(plain, ["run", "-q", "--", "true"])
    status, _, err = asked(plain, arguments)
    assert status in (1, 2)
    assert err.startswith(f"interpose: {line}")
    if arguments == ["lineage", "."]:
        assert err.endswith(": it is a directory: ask for a file in it\n")


def test_of_a_copy_the_files_of_its_name_are_told(asked):
    asked(plain, ["run", "-q", "--", "sh", "-c", "echo content > original"])
    status, out, err = asked(plain, ["lineage", "/none/original"])
    assert (1, "") == (status, out)
    assert err.startswith(
        "interpose: never seen: /none/original: a copy that no captured program made has no history; "
    )
    assert err.endswith("/work/original\n")


if __name__ == "__main__":
    zygote(sys.argv[1])
