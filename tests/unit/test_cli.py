"""The command: what it prints, and that a captured command cannot tell the difference."""

import dataclasses
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from interpose.cli.capture import CaptureError, built_library
from interpose.cli.command import interpose
from interpose.cli.coverage import FunctionInfo
from interpose.cli.lineage import EdgeLine, FileLine, ProcessLine
from interpose.cli.output import duration, printable
from interpose.sidecar import models, native
from interpose.sidecar.query import ContainerInfo, EventInfo, FileInfo, ProcessInfo, ProgramInfo, RunInfo
from support.databases import sqlite_url
from support.history import History
from support.waiting import until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "interpose.cli"]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("sidecar", "injector", "generator", "build/python"))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setenv("PYTHONPATH", PATHS)
    monkeypatch.setenv("INTERPOSE_DB", f"{tmp_path}/db")
    monkeypatch.setenv("XDG_STATE_HOME", f"{tmp_path}/state")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", f"{tmp_path}/tmp")
    monkeypatch.setattr(tempfile, "tempdir", f"{tmp_path}/tmp")


@pytest.fixture
def history(tmp_path):
    history = History(sqlite_url(tmp_path / "db"))
    history.run(command=("make", "all"), ended=10, status=0)
    return history


def call(*arguments, status=0):
    result = CliRunner().invoke(interpose, arguments)
    assert (result.exit_code, result.exception if not isinstance(result.exception, SystemExit) else None) == (
        status,
        None,
    )
    return result.output


def told(output):
    return output.splitlines()


# Listings


def test_runs(history):
    history.run("run2", command=None, started=60)
    history.image(history.process(10), "static", reason="blind", blind_spot="static")
    assert told(call("runs")) == [
        "RUN   STARTED              DURATION   STATUS  PROCESSES  LOST  UNSEEN  COMMAND",
        "run1  2023-11-14 22:13:20     10.0s        0          1     0       1  make all",
        "run2  2023-11-14 22:14:20            running          0     0       0  (container)",
    ]


def test_ps_is_a_tree(history):
    make = history.process(10, started=0, ended=10, status=0)
    image = history.image(make, "make", "all")
    shell = history.process(11, 10, started=1, ended=3.5, status=2)
    history.image(shell, "make", "all", reason="fork", ended=1.5)
    history.image(shell, "sh", "-c", "cc 'a b.c'", started=1.5)
    static = history.process(12, 11, started=2, ended=2.25, status=0)
    history.image(static, "busybox", "true", reason="blind", blind_spot="static")
    history.image(history.process(13, 10, started=4, ended=5), "make", "all", reason="fork")
    history.event(image, 6, fork={"child": 14})
    assert told(call("ps", "run1")) == [
        "PID  STATUS  DURATION  COMMAND",
        " 10       0     10.0s  make all",
        " 11       2      2.5s  ├── sh -c 'cc '\"'\"'a b.c'\"'\"''",
        " 12       0    0.250s  │   └── busybox true [ran unseen: static]",
        " 13       ?      1.0s  ├── (make all)",
        " 14       ?            └── (forked by make all, nothing recorded)",
    ]


def test_ps_tells_what_may_act_unseen(history):
    history.image(history.process(10), "mysqld", blind_spot="io_uring", blind_object=b"/lib/rings.so\n")
    history.image(history.process(11), "file", blind_spot="seccomp", blind_object=b"")
    assert [line.partition("mysqld")[2] or line.partition("file")[2] for line in told(call("ps", "run1"))[1:]] == [
        " [may act unseen: io_uring in /lib/rings.so\\n]",
        " [may act unseen: seccomp]",
    ]
    assert "       2  make all" in call("runs")
    programs = [json.loads(line)["programs"][0] for line in told(call("ps", "--json", "run1"))]
    assert [program["blind_object"] for program in programs] == ["/lib/rings.so\n", None]


def test_files(history):
    cc = history.program(10, None, "cc")
    history.access(cc, "read", "/w/a.c", 1, amount=1500)
    history.access(cc, "write", "/w/a.o", 2)
    history.access(cc, "read", "pipe", 2, kind="pipe", inode=77)
    assert told(call("files")) == [
        "PATH      READ   WRITTEN  READ BY  WRITTEN BY",
        "/w/a.c  1.5 kB            cc",
        "/w/a.o          10 bytes           cc",
    ]
    assert told(call("files", "last", "--written"))[1:] == ["/w/a.o        10 bytes           cc"]
    assert [line.split()[0] for line in told(call("files", "--all"))[1:]] == ["/w/a.c", "/w/a.o", "pipe:[77]"]


def test_nothing_is_cut_or_wrapped_where_there_is_no_terminal(history):
    path = "/" + "very-long/" * 100 + "[bold]file[/bold] :smile:"
    history.access(history.program(10, None, "cc", path), "read", path, 1)
    assert path in call("files")
    assert path in call("ps")
    assert path in call("lineage", path)


def test_nothing_printed_moves_the_cursor(history):
    path = "/a\n\x1b[2J\x7fb"
    cc = history.program(10, None, "cc", path)
    history.access(cc, "write", path, 1)
    for command in (["files"], ["ps"], ["lineage", path], ["events"]):
        assert "\x1b" not in call(*command)
    assert printable("a\udcffé\x9b\u202e") == "a\\xffé\\x9b\\u202e"


def test_events(history):
    cat = history.program(10, None, "cat")
    history.event(cat, 1.5, function="openat", open={"name": {"path": b"a b"}, "fd": 3, "read": True})
    history.event(cat, 2, function="open", error=2, open={"name": {"path": b"x"}, "fd": -1})
    history.event(cat, 3, exit={"status": 4})
    assert told(call("events")) == [
        "2023-11-14 22:13:21.500000 10 openat open name={path='a b'} fd=3 read=True mode=0",
        "2023-11-14 22:13:22.000000 10 open open error=2 name={path=x} fd=-1 mode=0",
        "2023-11-14 22:13:23.000000 10 - exit status=4",
    ]
    assert told(call("events", "run1", "--effect", "exit")) == ["2023-11-14 22:13:23.000000 10 - exit status=4"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0004, "0.000s"), (0.25, "0.250s"), (59, "59.0s"), (61, "1m01s"), (7260, "2h01m")]
)
def test_durations(seconds, shown):
    assert duration(0, int(seconds * 1e9)) == shown


# Lineage


@pytest.fixture
def built(history):
    """make runs cc, which reads a.c and writes a.o; ld, which make built before, links it to prog."""
    make = history.program(10, None, "make")
    history.access(make, "read", "/w/Makefile", 0.5)
    child = history.process(11, 10, started=1)
    history.image(child, "make", reason="fork", ended=1.1)
    cc = history.image(child, "cc", "-c", "a.c", started=1.1)
    history.access(cc, "execute", "/usr/bin/cc", 1.1)
    history.access(cc, "load", "/lib/libc.so.6", 1.1)
    history.access(cc, "read", "/etc/ld.so.cache", 1.1)
    history.access(cc, "read", "/w/a.c", 1.5)
    history.access(cc, "write", "/w/a.o", 2)
    linker = history.program(12, 10, "build-ld", started=2.1)
    history.access(linker, "write", "/w/ld", 2.2)
    ld = history.program(13, 10, "ld", "a.o", started=3, executable="/w/ld")
    history.access(ld, "execute", "/w/ld", 3)
    history.access(ld, "load", "/lib/libc.so.6", 3)
    history.access(ld, "read", "/w/a.o", 3.5)
    history.access(ld, "write", "/w/prog", 4)
    return history


def test_a_lineage_is_a_tree(built):
    assert told(call("lineage", "/w/prog")) == [
        "/w/prog",
        "└── ld a.o [pid 13, in /w, 2023-11-14 22:13:23]",
        "    ├── /w/ld",
        "    │   └── build-ld [pid 12, in /w, 2023-11-14 22:13:22]",
        "    │       └── started by make [pid 10, in /w, 2023-11-14 22:13:20]",
        "    │           └── /w/Makefile",
        "    ├── /w/a.o",
        "    │   └── cc -c a.c [pid 11, in /w, 2023-11-14 22:13:21]",
        "    │       ├── /w/a.c",
        "    │       ├── + 2 shared libraries",
        "    │       └── started by make [pid 10, in /w, 2023-11-14 22:13:20] (see above)",
        "    ├── + 1 shared library",
        "    └── started by make [pid 10, in /w, 2023-11-14 22:13:20] (see above)",
    ]
    assert told(call("lineage", "/w/prog", "--depth", "1")) == [
        "/w/prog",
        "└── ld a.o [pid 13, in /w, 2023-11-14 22:13:23]",
        "    ├── /w/a.o",
        "    └── + 1 shared library",
    ]
    assert told(call("lineage", "/w/a.o", "--all")) == [
        "/w/a.o",
        "└── cc -c a.c [pid 11, in /w, 2023-11-14 22:13:21]",
        "    ├── /usr/bin/cc",
        "    ├── /lib/libc.so.6",
        "    ├── /etc/ld.so.cache",
        "    ├── /w/a.c",
        "    └── started by make [pid 10, in /w, 2023-11-14 22:13:20]",
        "        └── /w/Makefile",
    ]


def test_what_a_program_read_back_is_not_told(history):
    program = history.program(10, None, "p")
    history.access(program, "write", "/w/scratch", 1)
    history.access(program, "read", "/w/scratch", 2)
    history.access(program, "write", "/w/out", 3)
    assert told(call("lineage", "/w/out"))[1:] == ["└── p [pid 10, in /w, 2023-11-14 22:13:20]"]
    assert told(call("lineage", "/w/out", "--all"))[2:] == [
        "    └── /w/scratch",
        "        └── p [pid 10, in /w, 2023-11-14 22:13:20] (see above)",
    ]


def test_a_lineage_in_json_names_nodes_before_edges(built):
    lines = [json.loads(line) for line in call("lineage", "/w/a.o", "--json").splitlines()]
    types = [line["type"] for line in lines]
    assert types == sorted(types, key=["file", "process", "edge"].index)
    assert [line["path"] for line in lines if line.get("asked")] == ["/w/a.o"]
    ids = {line["id"] for line in lines if line["type"] != "edge"}
    assert {edge[end] for edge in lines if edge["type"] == "edge" for end in ("source", "target")} == ids
    assert lines[0]["until"] is None


def test_a_file_that_nobody_captured_wrote(built):
    assert told(call("lineage", "/w/a.c")) == ["/w/a.c (no captured program wrote it)"]


def test_a_file_that_may_have_been_made_unseen(history):
    history.image(history.process(12, 11, started=2), "busybox", "cp", reason="blind", blind_spot="static")
    history.access(history.program(10, None, "cat"), "read", "/w/x", 3, modified=2.5)
    assert told(call("lineage", "/w/x")) == ["/w/x (not seen being written; these programs ran unseen: busybox cp)"]


def test_a_file_that_a_captured_program_may_have_made_unseen(history):
    history.image(history.process(12, 11, started=2), "mysqld", blind_spot="io_uring", blind_object=b"/lib/rings.so")
    history.access(history.program(10, None, "cat"), "read", "/w/x", 3, modified=2.5)
    assert told(call("lineage", "/w/x")) == [
        "/w/x (not seen being written; these programs may have acted unseen: mysqld)"
    ]


def test_the_lineage_of_what_a_program_wrote_tells_that_it_may_act_unseen(history):
    mysqld = history.image(history.process(12, 11, started=2), "mysqld", blind_spot="io_uring", blind_object=b"/r.so")
    history.access(mysqld, "write", "/w/x", 3)
    assert told(call("lineage", "/w/x"))[1].endswith("] [may act unseen: io_uring in /r.so]")
    (program,) = [
        line for line in map(json.loads, told(call("lineage", "--json", "/w/x"))) if line["type"] == "process"
    ]
    assert ("io_uring", "/r.so") == (program["blind_spot"], program["blind_object"])


def test_a_path_is_taken_as_it_is_seen_from_here(built, tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path / "d")
    built.access(built.program(20, None, "p"), "write", f"{tmp_path}/d/x", 1)
    built.name("/w/a.o", f"{tmp_path}/d/../link", seen=9)
    for path in ("x", "./x", "../d//x", f"{tmp_path}/d/x"):
        assert told(call("lineage", path))[0] == f"{tmp_path}/d/x"
    assert "cc -c a.c" in call("lineage", "../link")


def test_a_file_that_replaced_the_captured_one_is_told_from_it(built, tmp_path):
    built.access(built.program(20, None, "p"), "write", f"{tmp_path}/x", 1)
    (tmp_path / "x").touch()
    assert told(call("lineage", f"{tmp_path}/x"))[:2] == [
        f"interpose: the file that is at {tmp_path}/x now was never seen; this is of the one seen there before",
        f"{tmp_path}/x",
    ]


def test_a_file_is_known_after_it_was_renamed_unseen(built, tmp_path):
    (tmp_path / "there").touch()
    found = (tmp_path / "there").stat()
    device = os.major(found.st_dev) << 32 | os.minor(found.st_dev)
    program = built.program(20, None, "p")
    built.access(program, "write", "/before", 1, device=device, inode=found.st_ino)
    built.files["/before"].birth_time = 0
    built.session.commit()
    assert told(call("lineage", f"{tmp_path}/there"))[0] == "/before"


@pytest.mark.slow
def test_a_long_chain_of_programs_has_a_lineage(history):
    for number in range(1100):
        program = history.program(10 + number, None, "p", started=number)
        history.access(program, "read", f"/{number}", number)
        history.access(program, "write", f"/{number + 1}", number + 0.5)
    assert len(told(call("lineage", "/1100"))) == 2201


# What goes wrong


def test_the_version_is_that_of_the_library():
    stated = re.search(r'IP_VERSION "(.+)"', (ROOT / "libinterpose/include/version.h").read_text())
    told = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert f"interpose {stated[1]}\n" == told.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["ps", "nope"], 1, "interpose: no run 'nope': see interpose runs"),
        (["lineage", "/never"], 1, "interpose: never seen: /never"),
        (["events", "--effect", "x"], 1, "interpose: no effect 'x': one of origin, "),
        (["frobnicate"], 2, "interpose: No such command 'frobnicate' (see interpose --help)"),
        (["ps", "a", "b"], 2, "interpose: Got unexpected extra argument (b) (see interpose ps --help)"),
        (["lineage"], 2, "interpose: Missing argument 'PATH' (see interpose lineage --help)"),
        (["run"], 2, "interpose: Missing argument 'CMD...' (see interpose run --help)"),
        (
            ["run", "--metrics-listen", "x", "true"],
            2,
            "interpose: Invalid value for '--metrics-listen': not HOST:PORT: x",
        ),
        (
            ["sidecar", "--capture", "/a b"],
            1,
            "interpose: LD_PRELOAD cannot hold a path with ':', '$' or white space: /a b/",
        ),
    ],
)
def test_an_error_is_one_line(history, arguments, status, line):
    lines = call(*arguments, status=status).splitlines()
    assert [lines[0][: len(line)], *lines[1:]] == [line]


@pytest.mark.parametrize("command", [["runs"], ["ps"], ["files"], ["events"], ["lineage", "/x"]])
def test_a_database_that_cannot_be_read_is_one_line(command, tmp_path):
    assert call(*command, "--db", f"{tmp_path}/none", status=1).startswith(f"interpose: no database at {tmp_path}/none")
    assert call(*command, status=1).startswith(f"interpose: no database at {tmp_path}/db")
    (tmp_path / "text").write_text("not a database, however long one looks at it\n" * 99)
    expected = f"interpose: cannot read the database {tmp_path}/text: file is not a database\n"
    assert call(*command, "--db", f"{tmp_path}/text", status=1) == expected
    assert not (tmp_path / "none").exists()


def test_a_damaged_database_is_one_line(history, tmp_path):
    history.session.close()
    history.engine.dispose()
    content = (tmp_path / "db").read_bytes()
    (tmp_path / "db").write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert re.fullmatch(r"interpose: cannot read the database.*\n", call("ps", "run1", status=1))


def test_output_that_cannot_be_written_is_one_line(history):
    history.access(history.program(10, None, "p"), "read", "/x", 1)
    for command in (["runs"], ["runs", "--json"], ["lineage", "/x"]):
        with Path("/dev/full").open("w") as full:
            result = subprocess.run([*COMMAND, *command], check=False, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (result.returncode, result.stderr) == (1, "interpose: output: No space left on device\n")


def test_output_that_nobody_reads_any_more_is_no_error(history):
    for _ in range(3000):
        history.session.add(models.Run(id=f"r{_}", spool=f"s{_}", started=_, command=None, lost=0))
    history.session.commit()
    for more in ([], ["--json"]):
        command = " ".join([*COMMAND, "runs", *more])
        result = subprocess.run(["sh", "-c", f"{command} | head -1"], check=False, capture_output=True, text=True)
        assert (result.stdout.count("\n"), result.stderr) == (1, "")


# docs/json.md


def documented():
    """The fields of each table, in the order of the page."""
    tables, fields = [], None
    for line in (ROOT / "docs" / "json.md").read_text().splitlines():
        if line.startswith("| field "):
            tables.append(fields := [])
        elif fields is not None and (match := re.match(r"\| `(\w+)` \|", line)):
            fields.append(match[1])
    return tables


def test_every_field_is_documented():
    questions = [RunInfo, ContainerInfo, ProcessInfo, ProgramInfo, FileInfo, EventInfo]
    rows = [*questions, FileLine, ProcessLine, EdgeLine, FunctionInfo]
    assert [[field.name for field in dataclasses.fields(row)] for row in rows] == documented()


def test_every_listing_prints_what_is_documented(built):
    make = built.image(built.process(99), "x", reason="blind", blind_spot="static")
    built.event(make, 1, exit={})
    runs, _, ps, program, files, events, *_ = documented()
    for command, fields in ((["runs"], runs), (["ps"], ps), (["files"], files), (["events"], events)):
        lines = [json.loads(line) for line in call(*command, "--json").splitlines()]
        assert lines
        assert all(list(line) == fields for line in lines)
    assert all(
        list(one) == program for line in call("ps", "--json").splitlines() for one in json.loads(line)["programs"]
    )


# Captured commands


@pytest.fixture
def library():
    try:
        return built_library()
    except CaptureError as error:
        pytest.skip(str(error))


def run(*arguments, **more):
    values = {"capture_output": True, "timeout": 60, "text": True}
    return subprocess.run([*COMMAND, "run", *arguments], check=False, **(values | more))


SUMMARY = re.compile(r"interpose: run [a-z2-7]{8}: \d+ process(es)?, \d+ files?, \d+ events?, 0 lost\n")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
    ],
)
def test_the_status_is_the_commands(library, command, status, tmp_path):
    result = run("--", *command)
    assert (result.returncode, result.stdout) == (status, "")
    assert SUMMARY.fullmatch(result.stderr)
    assert list((tmp_path / "tmp").iterdir()) == []
    (line,) = call("runs", "--json").splitlines()
    assert (json.loads(line)["command"], json.loads(line)["status"]) == (command, status)


def test_a_captured_copy_has_a_lineage(library, tmp_path):
    (tmp_path / "a").write_text("content")
    assert run("sh", "-c", "cat < a | sort > b", cwd=tmp_path).returncode == 0
    lines = [json.loads(line) for line in call("lineage", f"{tmp_path}/b", "--json").splitlines()]
    paths = {line["path"] for line in lines if line["type"] == "file"}
    programs = {line["executable"].rsplit("/", 1)[-1] for line in lines if line["type"] == "process"}
    assert f"{tmp_path}/a" in paths
    assert {"cat", "sort"} <= programs


def test_what_is_no_command_is_told_as_a_shell_does(library, tmp_path):
    missing = run("no-such-command-anywhere")
    assert missing.returncode == 127
    assert missing.stderr.startswith("interpose: no-such-command-anywhere: command not found\n")
    absent = run("./absent", cwd=tmp_path)
    assert (absent.returncode, absent.stderr.splitlines()[0]) == (127, "interpose: ./absent: No such file or directory")
    (tmp_path / "text").touch(0o644)
    denied = run("./text", cwd=tmp_path)
    assert (denied.returncode, denied.stderr.splitlines()[0]) == (126, "interpose: ./text: Permission denied")


def test_a_script_without_an_interpreter_is_the_shells(library, tmp_path):
    (tmp_path / "script").write_text('echo "$1"; exit 4\n')
    (tmp_path / "script").chmod(0o755)
    result = run("-q", "./script", "word", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (4, "word\n", "")


def test_options_after_the_command_are_the_commands(library):
    assert run("-q", "echo", "-q", "--db", "x", "--").stdout == "-q --db x --\n"


def test_standard_streams_are_untouched(library):
    result = run("-q", "sh", "-c", "cat; echo err >&2", input="in\n")
    assert (result.stdout, result.stderr) == ("in\n", "err\n")


def test_the_users_preload_stays(library, tmp_path):
    result = run("-q", "cat", "/proc/self/environ", env=os.environ | {"LD_PRELOAD": "libm.so.6"})
    (preload,) = [line for line in result.stdout.split("\0") if line.startswith("LD_PRELOAD=")]
    assert re.fullmatch(rf"LD_PRELOAD={tmp_path}/tmp/interpose-\w+/libinterpose\.so:libm\.so\.6", preload)


STATE = """
import os
for name in ("SigBlk", "SigIgn", "SigCgt"):
    print([line for line in open("/proc/self/status") if line.startswith(name)])
for name in sorted(os.listdir("/proc/self/fd"), key=int):
    try:
        print(name, os.readlink(f"/proc/self/fd/{name}"))
    except OSError:
        pass
print(os.getcwd(), os.umask(0), os.getpgrp(), os.getsid(0), os.nice(0))
"""


def test_signals_and_descriptors_are_those_of_an_uncaptured_command(library, tmp_path):
    (tmp_path / "held").touch()
    held = os.open(tmp_path / "held", os.O_RDONLY)
    command = [sys.executable, "-c", STATE]
    states = []
    for words in (command, [*COMMAND, "run", "-q", *command]):
        with (tmp_path / "out").open("w+") as out:
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=out, pass_fds=[held])
        states.append((tmp_path / "out").read_text())
    os.close(held)
    assert states[0] == states[1]
    assert f"{held} {tmp_path}/held" in states[0]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_descriptor_that_is_closed_stays_so(library, tmp_path, closed):
    states = []
    for words in ([], [*COMMAND, "run"]):
        out = tmp_path / "out"
        inner = ["sh", "-c", f"exec 9> {out}; for n in 0 1 2; do [ -e /proc/self/fd/$n ] && echo $n >&9; done; exit 4"]
        outer = ["sh", "-c", f'"$@" {closed}', "sh", *words, *inner]
        assert subprocess.run(outer, check=False, capture_output=True).returncode == 4
        states.append(out.read_text())
    assert states[0] == states[1]


def test_a_run_in_a_run_is_captured_by_both(library, tmp_path):
    result = run(*COMMAND, "run", "sh", "-c", f"echo > {tmp_path}/x")
    inner, outer = (line.split()[2].rstrip(":") for line in result.stderr.splitlines())
    for one in (inner, outer):
        assert f"{tmp_path}/x" in call("files", one, "--written")


def test_signals_that_were_ignored_stay_so(library):
    ignoring = ["sh", "-c", 'trap "" INT HUP USR1; exec "$@"', "sh"]
    command = ["grep", "SigIgn", "/proc/self/status"]
    bare = subprocess.run([*ignoring, *command], check=True, capture_output=True, text=True)
    captured = subprocess.run([*ignoring, *COMMAND, "run", "-q", *command], check=True, capture_output=True, text=True)
    assert captured.stdout == bare.stdout


TRAPPING = "trap 'echo got; exit 7' INT TERM HUP USR1 QUIT; echo ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_to_us_goes_on_to_the_command(library, number):
    # What nohup has it ignore, no shell traps.
    command = ["env", f"--default-signal={number.name}", *COMMAND, "run", "-q", "sh", "-c", TRAPPING]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert (process.communicate(timeout=60)[0], process.returncode) == ("got\n", 7)


@contextmanager
def in_terminal(*command):
    """A command in a terminal of its own; the terminal's other end."""
    ours, theirs = pty.openpty()
    mode = termios.tcgetattr(theirs)
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, mode)
    # What is started in the background ignores the keys' signals, and no shell could trap them.
    session = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execvp('env', ['env', '--default-signal=INT,QUIT', *sys.argv[1:]])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", session, *command], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal, wanted):
    seen = b""
    while wanted not in seen:
        assert select.select([terminal], [], [], 60)[0], f"no {wanted!r} came, but {seen!r}"
        try:
            more = os.read(terminal, 4096)
        except OSError:
            break
        if not more:
            break
        seen += more
    return seen


@pytest.mark.parametrize("key", [b"\x03", b"\x1c"])
def test_a_key_of_the_terminal_reaches_the_command_once(library, key):
    with in_terminal(*COMMAND, "run", "sh", "-c", TRAPPING) as (process, terminal):
        read_until(terminal, b"ready")
        os.write(terminal, key)
        shown = read_until(terminal, b"lost")
        assert (shown.count(b"got"), process.wait(60)) == (1, 7)


def test_a_command_that_ignores_the_key_goes_on(library):
    script = "trap '' INT; echo ready; read line; echo $line; exit 5"
    with in_terminal(*COMMAND, "run", "sh", "-c", script) as (process, terminal):
        read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        time.sleep(0.2)
        os.write(terminal, b"word\n")
        assert b"word" in read_until(terminal, b"lost")
        assert process.wait(60) == 5


def test_metrics_that_cannot_be_served_are_one_line_more(library):
    with in_use() as port:
        result = run("--metrics-listen", f"127.0.0.1:{port}", "sh", "-c", "echo ran; exit 6")
    assert (result.returncode, result.stdout) == (6, "ran\n")
    problem, summary = result.stderr.splitlines(keepends=True)
    assert (
        problem
        == f"interpose: cannot listen for /metrics on 127.0.0.1:{port}: Address already in use; choose another\n"
    )
    assert SUMMARY.fullmatch(summary)


@contextmanager
def in_use():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_sidecar_without_its_part_in_c_does_not_begin(monkeypatch, tmp_path):
    monkeypatch.setattr(native, "LIBRARY", "libnothing.so")
    monkeypatch.setattr(native, "library", native.library.__wrapped__)
    said = call("sidecar", "--capture", str(tmp_path), status=1)

    assert f"interpose: no libnothing.so for {os.uname().machine} is installed: build it (make), " in said
    assert not (tmp_path / "spool").exists()


def test_a_part_in_c_that_cannot_be_loaded_says_why(monkeypatch):
    monkeypatch.setattr(native, "LIBRARY", "../functions.json")
    with pytest.raises(native.MissingError, match=r"cannot load .*functions.json: .*; build it anew \(make\)"):
        native.library.__wrapped__()


def test_the_users_own_database_is_made_where_nobody_else_looks(library, tmp_path, monkeypatch):
    monkeypatch.delenv("INTERPOSE_DB")
    assert run("-q", "true").returncode == 0
    assert (tmp_path / "state/interpose/interpose.db").exists()
    assert (tmp_path / "state/interpose").stat().st_mode & 0o777 == 0o700
    assert len(call("runs").splitlines()) == 2


def test_a_runtime_directory_is_preferred_if_it_can_be_used(library, tmp_path, monkeypatch):
    from interpose.cli import capture

    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid or 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(capture, "_has_room", lambda _: True)
    made = capture.make_capture(library)
    assert (made.parent, made.stat().st_mode & 0o777) == (tmp_path, 0o711)
    assert (made / "libinterpose.so").read_bytes() == library.read_bytes()
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{tmp_path}/a b")
    assert capture.make_capture(library).parent == tmp_path / "tmp"


@contextmanager
def serving(directory):
    process = subprocess.Popen([*COMMAND, "sidecar", "--capture", directory], stderr=subprocess.PIPE, text=True)
    try:
        yield process, process.stderr.readline()
    finally:
        process.kill()
        process.communicate()


def test_programs_left_behind_are_told_and_can_be_recorded_further(library, tmp_path):
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo done > {tmp_path}/late"
    result = run("sh", "-c", f"({script}) > /dev/null 2>&1 &")
    summary, left = result.stderr.splitlines()
    assert SUMMARY.fullmatch(summary + "\n")
    (directory,) = (tmp_path / "tmp").iterdir()
    assert left == (
        "interpose: programs that the command left behind go on; to record them further: "
        f"interpose sidecar --capture {directory}"
    )
    with serving(directory) as (process, line):
        assert summary.split()[2] in line
        (tmp_path / "go").touch()
        until(30, lambda: f"{tmp_path}/late" in call("files", "--written"), "it is recorded further")
        process.terminate()
        assert process.wait(30) == 0
    assert len(call("runs").splitlines()) == 2


def test_a_sidecar_that_was_killed_goes_on_with_its_run(library, tmp_path):
    directory = tmp_path / "capture"
    preload = os.environ | {"LD_PRELOAD": str(directory / "libinterpose.so")}
    with serving(directory) as (process, first):
        assert first.endswith(f"to capture a program: LD_PRELOAD={directory}/libinterpose.so CMD...\n")
        subprocess.run(["sh", "-c", f"echo > {tmp_path}/one"], check=True, env=preload)
        process.kill()
        process.wait()
    subprocess.run(["sh", "-c", f"echo > {tmp_path}/two"], check=True, env=preload)
    with serving(directory) as (process, second):
        assert second == first
        subprocess.run(["sh", "-c", f"echo > {tmp_path}/three"], check=True, env=preload)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    written = [json.loads(line)["path"] for line in call("files", "--written", "--json").splitlines()]
    assert {f"{tmp_path}/{name}" for name in ("one", "two", "three")} <= set(written)
    (line,) = call("runs", "--json").splitlines()
    assert (json.loads(line)["processes"], json.loads(line)["ended"] is not None) == (3, True)


def test_a_database_may_have_a_strange_name(library, tmp_path):
    path = f"{tmp_path}/a #%20 b"
    assert run("-q", "--db", path, "true").returncode == 0
    assert Path(path).exists()
    assert len(call("runs", "--db", path).splitlines()) == 2
