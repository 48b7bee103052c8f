"""Whatever is wrong on our side, the command of `interpose run` runs at once and unhurt; one line says what to do."""

import contextlib
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from support.databases import sqlite_url
from support.waiting import until

JOB = "echo ran; echo told >&2; echo content > made; until [ -e go ]; do sleep 0.02; done; exit 7"


@contextmanager
def locked(interpose):
    """Somebody else writes into the database, for as long as this takes."""
    interpose.run("true")
    with closing(sqlite3.connect(interpose.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield f"cannot open the database {interpose.database}: database is locked"


@contextmanager
def full(interpose):
    interpose.database.symlink_to("/dev/full")
    yield f"cannot open the database {interpose.database}: "


@contextmanager
def unreachable(interpose):
    interpose.url = "postgresql+psycopg://me:secret@127.0.0.1:1/none"
    yield "cannot open the database postgresql+psycopg://me:***@127.0.0.1:1/none: "


@contextmanager
def of_another_version(interpose):
    with closing(sqlite3.connect(interpose.database)) as other:
        other.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, spool TEXT, started INTEGER, ended INTEGER)")
    yield f"the database {interpose.database} was made by another version of interpose"


@contextmanager
def no_database(interpose):
    interpose.database.write_text("this is no database, however long one looks at it\n" * 99)
    yield f"cannot open the database {interpose.database}: file is not a database"


@contextmanager
def a_directory(interpose):
    interpose.database.mkdir()
    yield f"cannot open the database {interpose.database}: it is a directory"


@contextmanager
def in_a_directory_that_is_not_there(interpose):
    interpose.url = sqlite_url(interpose.base / "absent/db")
    absent = interpose.base / "absent"
    yield f"cannot open the database {absent}/db: there is no directory {absent}: make it first"


@contextmanager
def without_driver(interpose):
    interpose.url = "nonsense://x/y"
    reason = "Can't load plugin: sqlalchemy.dialects:nonsense"
    yield f"cannot use the database nonsense://x/y: {reason}: give a file, or postgresql"


TROUBLE_WITH_THE_DATABASE = [
    locked,
    full,
    unreachable,
    of_another_version,
    no_database,
    a_directory,
    in_a_directory_that_is_not_there,
    without_driver,
]


def ran(interpose, *options, before=(), **more):
    """How a command did that waits until it is seen to run: whatever is in its way stays there until then."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = interpose.start("run", *options, "--", "sh", "-c", JOB, before=before, **pipes, **more)
    until(30, (interpose.folder / "made").exists, "the command runs")
    (interpose.folder / "go").touch()
    out, said = process.communicate(timeout=60)
    assert (7, b"ran\n") == (process.returncode, out)
    lines = said.decode().splitlines()
    lines.remove("told")
    return lines


def captures(interpose):
    return [each for each in interpose.temporary.iterdir() if each.name.startswith("interpose-")]


@pytest.mark.parametrize("trouble", TROUBLE_WITH_THE_DATABASE)
def test_a_database_that_cannot_be_used_keeps_no_command_from_running(interpose, trouble):
    good = interpose.url
    with trouble(interpose) as problem:
        (line,) = ran(interpose, "-q")
    (capture,) = captures(interpose)
    assert line.startswith(f"interpose: {problem}"), line
    assert line.endswith(
        f"; what was captured is in {capture}: the next interpose run stores it, or now (--db for another database): "
        f"interpose sidecar --capture {capture}"
    )
    assert "secret" not in line

    # Nothing is lost: the next run stores it where it belongs, and where that cannot be, it is told, and stays.
    interpose.url = good
    if trouble is locked:
        interpose.run("true")
        until(30, lambda: [] == captures(interpose), "the next run has stored it")
        assert 7 == interpose.ask("runs")[1]["status"]
    else:
        shutil.rmtree(interpose.database) if interpose.database.is_dir() else interpose.database.unlink(missing_ok=True)
        elsewhere = sqlite_url(interpose.base / "elsewhere")
        service = interpose.start("sidecar", "--capture", str(capture), "--db", elsewhere, stderr=subprocess.PIPE)
        service.stderr.readline()
        service.terminate()
        assert (b"", 0) == (service.communicate(timeout=30)[1], service.returncode)
        interpose.url = elsewhere
    assert str(interpose.folder / "made") in {row["path"] for row in interpose.ask("files", "--written")} | {
        row["path"] for run in interpose.ask("runs") for row in interpose.ask("files", run["id"], "--written")
    }


def test_what_cannot_be_stored_by_the_next_run_either_is_told_by_the_one_after_that(interpose):
    with unreachable(interpose):
        ran(interpose, "-q")
    (capture,) = captures(interpose)
    interpose.url = sqlite_url(interpose.database)
    assert 1 == len(interpose.run("true").stderr.splitlines())
    until(30, lambda: b'"problem": "' in (capture / "run").read_bytes(), "it was tried")
    assert b"" == interpose.run("true", options=("-q",)).stderr
    _, line = interpose.run("true").stderr.decode().splitlines()
    assert line.startswith(f"interpose: what an earlier run left in {capture} is not stored: cannot open the database ")
    assert line.endswith(f"; to store it elsewhere: interpose sidecar --capture {capture} --db URL")


WITHOUT_LIBRARY = "import importlib.resources, pathlib; importlib.resources.files = lambda _: pathlib.Path('/none')"
WITHOUT_PROCESSES = """
import errno, os
def fork():
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
os.fork = fork
"""
KEEPERLESS = """
import sys
sys.modules["interpose.cli.keeping"] = None
"""


def patched(interpose, patch, *options):
    script = f"{patch}\nfrom interpose.cli import main\nmain()"
    environment = {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    command = [sys.executable, "-c", script, "run", *options, "--", "sh", "-c", "echo ran; echo > made; exit 7"]
    done = interpose.bare(*command, env=interpose.environment | environment)
    assert (7, b"ran\n") == (done.returncode, done.stdout), done.stderr
    return done.stderr.decode().splitlines()


@pytest.mark.parametrize(
    ("patch", "problem", "stays"),
    [
        (WITHOUT_LIBRARY, r"not captured: no libinterpose\.so for \w+ is installed: build it \(make\), .*", False),
        (WITHOUT_PROCESSES, r"there is no room for a process that stores while the command runs; what was .*", True),
        (KEEPERLESS, r"ModuleNotFoundError: .*; what was captured is in .*", True),
    ],
)
def test_an_installation_or_a_machine_that_lacks_something_keeps_no_command_from_running(
    interpose, patch, problem, stays
):
    (line,) = patched(interpose, patch, "-q")
    assert re.fullmatch(f"interpose: {problem}", line), line
    assert stays == bool(captures(interpose))
    if stays:
        interpose.run("true")
        until(30, lambda: [] == captures(interpose), "the next run has stored it")
        assert 2 == len(interpose.ask("runs"))


@pytest.mark.parametrize(
    ("limit", "value", "problem"),
    [
        (resource.RLIMIT_FSIZE, 1 << 20, "not captured: cannot make the .*: File too large.*"),
        (resource.RLIMIT_AS, 96 << 20, ".*; what was captured is in .*"),
        (resource.RLIMIT_NOFILE, 12, ".*; what was captured is in .*"),
    ],
)
def test_limits_that_are_too_narrow_for_us_keep_no_command_from_running(interpose, limit, value, problem):
    def narrow():
        resource.setrlimit(limit, (value, value))

    (line,) = ran(interpose, "-q", preexec_fn=narrow)
    assert re.fullmatch(f"interpose: {problem}", line), line


def test_what_stores_may_be_killed(interpose):
    siblings = "for each in $(cat /proc/$PPID/task/*/children); do [ $each = $$ ] || kill -9 $each; done"
    done = interpose.run("sh", "-c", f"{siblings}; echo > made; exit 3")
    assert (3, b"") == (done.returncode, done.stdout)
    (line,) = done.stderr.decode().splitlines()
    (capture,) = captures(interpose)
    assert line.startswith(f"interpose: what stores was ended by signal 9; what was captured is in {capture}: ")
    interpose.run("true")
    until(30, lambda: [] == captures(interpose), "the next run has stored it")
    assert [3, 0] == [run["status"] for run in interpose.ask("runs")]


def test_who_waits_for_the_end_of_the_commands_output_does_not_wait_for_us(interpose):
    """The command closes what it was given, and goes on."""
    ours, theirs = os.pipe()
    closing = f"import os, time; [os.close(each) for each in (0, 1, {theirs})]"
    waiting = "while not os.path.exists('go'): time.sleep(0.02)"
    command = [sys.executable, "-c", f"{closing}\n{waiting}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "pass_fds": [theirs]}
    process = interpose.start("run", "-q", "--", *command, **pipes)
    os.close(theirs)
    assert (b"", b"") == (process.stdout.read(), os.read(ours, 1))
    with pytest.raises(BrokenPipeError):
        while True:
            process.stdin.write(b"x" * 4096)
            process.stdin.flush()
    (interpose.folder / "go").touch()
    assert 0 == process.wait(30)
    os.close(ours)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
