"""What cannot be done is told in one line, with the status that a shell would give or 1 or 2: never a traceback."""

import os
import sqlite3

import pytest

from support.cli import INTERPOSE, need, summary


def told(result):
    """The status, and the one line on stderr."""
    lines = result.stderr.decode().splitlines()
    assert [line for line in lines if "Traceback" in line] == []
    assert 1 == len(lines), lines
    assert b"" == result.stdout
    return result.returncode, lines[0]


def test_an_unknown_command(interpose):
    assert (127, "interpose: no-such-command: command not found") == told(
        interpose.run("no-such-command", options=("-q",))
    )


def test_an_unknown_path(interpose):
    assert (127, "interpose: ./absent: No such file or directory") == told(interpose.run("./absent", options=("-q",)))


def test_a_command_that_is_not_executable(interpose):
    (interpose.folder / "data").write_text("no program\n")
    assert (126, "interpose: ./data: Permission denied") == told(interpose.run("./data", options=("-q",)))


def test_a_directory_as_command(interpose):
    assert (126, "interpose: .: Permission denied") == told(interpose.run(".", options=("-q",)))


def test_a_script_without_an_interpreter_line_runs_as_it_would_otherwise(interpose):
    program = interpose.folder / "script"
    program.write_text("echo done; exit 3\n")
    program.chmod(0o755)
    bare, captured = interpose.bare("env", "./script"), interpose.run("./script", options=("-q",))
    assert (bare.returncode, bare.stdout, bare.stderr) == (captured.returncode, captured.stdout, captured.stderr)
    assert 3 == captured.returncode


def test_a_command_that_was_not_found_is_a_run_with_its_status(interpose):
    interpose.run("no-such-command")
    (run,) = interpose.ask("runs")
    assert (127, ["no-such-command"], 0) == (run["status"], run["command"], run["lost"])


@pytest.mark.parametrize("arguments", [("runs",), ("ps",), ("files",), ("events",), ("lineage", "x")])
def test_no_database(interpose, arguments):
    status, line = told(interpose(*arguments))
    assert (1, f"interpose: no database at {interpose.database}") == (
        status,
        line.split(":", 2)[0] + ":" + line.split(":")[1],
    )
    assert not interpose.database.exists()


@pytest.mark.parametrize("arguments", [("runs",), ("ps",), ("lineage", "x")])
@pytest.mark.parametrize("content", [b"this is no database, and longer than a header" * 100, b""])
def test_what_is_no_database(interpose, arguments, content):
    interpose.database.write_bytes(content)
    status, line = told(interpose(*arguments))
    assert 1 == status
    assert str(interpose.database) in line
    assert content == interpose.database.read_bytes()


def test_a_database_of_something_else(interpose):
    with sqlite3.connect(interpose.database) as other:
        other.execute("CREATE TABLE pets (name TEXT)")
    other.close()
    assert (1, f"interpose: not a database of interpose: {interpose.database}") == told(interpose("runs"))


def test_a_database_that_may_not_be_read(interpose):
    interpose.run("true")
    interpose.database.chmod(0)
    powerless = []
    if os.getuid() == 0:
        need("setpriv")
        powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]
    status, line = told(interpose.bare(*powerless, *INTERPOSE, "runs"))
    assert (1, f"interpose: cannot read the database {interpose.database}: ") == (status, line[: line.rindex(": ") + 2])


def test_an_empty_file_is_a_new_database(interpose):
    interpose.database.touch()
    assert 0 == interpose.run("true").returncode
    assert 1 == len(interpose.ask("runs"))


def test_a_directory_as_database(interpose):
    interpose.database.mkdir()
    expected = f"interpose: cannot read the database {interpose.database}: it is a directory: name a file in it"
    assert (1, expected) == told(interpose("runs"))


def test_a_database_of_another_version(interpose):
    interpose.run("true")
    with sqlite3.connect(interpose.database) as other:
        other.execute("ALTER TABLE runs DROP COLUMN heard")
    other.close()
    expected = f"interpose: the database {interpose.database} was made by another version of interpose: "
    for arguments in (("runs",), ("sidecar", "--capture", "capture")):
        status, line = told(interpose(*arguments))
        assert (1, expected) == (status, line[: len(expected)])


@pytest.mark.parametrize("url", ["nonsense://x", "postgresql://localhost:1/nothing", "http://example.org"])
def test_a_url_that_leads_nowhere(interpose, url):
    assert 1 == told(interpose("runs", "--db", url))[0]


def test_an_unknown_run(interpose):
    interpose.run("true")
    for command in ("ps", "files", "events"):
        assert (1, "interpose: no run 'nope': see interpose runs") == told(interpose(command, "nope"))


def test_a_beginning_of_two_runs_ids(interpose):
    interpose.run("true")
    columns = "command, started, ended, status, lost"
    copy = f"INSERT INTO runs (id, spool, {columns}) SELECT ?, ?, {columns} FROM runs LIMIT 1"
    with sqlite3.connect(interpose.database) as database:  # ids are random: two that begin alike would take long
        for name in ("abcone", "abctwo"):
            database.execute(copy, [name, name])
    database.close()
    assert (1, "interpose: 'abc' begins the ids of several runs: abcone, abctwo") == told(interpose("ps", "abc"))
    assert 0 == interpose("ps", "abco").returncode


def test_a_beginning_of_one_runs_id(interpose):
    run = summary(interpose.run("true").stderr).run
    assert interpose.ask("ps", run) == interpose.ask("ps", run[:5])


def test_a_path_that_was_never_seen(interpose):
    interpose.run("true")
    assert (1, "interpose: never seen: /never/seen") == told(interpose("lineage", "/never/seen"))


@pytest.mark.parametrize(
    "arguments", [("frobnicate",), ("runs", "--frobnicate"), ("run",), ("run", "--level", "x", "--", "true")]
)
def test_a_command_line_that_makes_no_sense(interpose, arguments):
    status, line = told(interpose(*arguments))
    assert (2, "interpose: ") == (status, line[:11])


TLS = ["--tls-cert", "/none/cert", "--tls-key", "/none/key", "--tls-ca", "/none/ca"]
SERVICES = [
    (["collector", "--listen", "127.0.0.1:0"], "127.0.0.1:0 needs mutual TLS: give --tls-cert, --tls-key and --tls-ca"),
    (["collector", "--listen", "127.0.0.1:0", *TLS], "cannot read /none/cert: No such file or directory"),
    (["collector", "--listen", "127.0.0.1:0", *TLS[:4]], "127.0.0.1:0 needs mutual TLS: "),
    (["collector", "--listen", "unix:/none/socket"], "cannot listen on unix:/none/socket: "),
    (["collector", "--listen", "unix:/none/socket", *TLS[2:]], "--tls-cert, --tls-key and --tls-ca go together"),
    (["collector", "--listen", "host"], "Invalid value for '--listen': not an endpoint: host: give unix:PATH or HOST:"),
    (["collector"], "Missing option '--listen'"),
    (["sidecar", "--capture", "capture", "--forward-to", "host:7"], "host:7 needs mutual TLS: "),
    (["sidecar", "--capture", "capture", "--retain", "soon"], "Invalid value for '--retain': not a duration: soon: "),
    (["sidecar", "--capture", "capture", "--quota", "1"], "Invalid value for '--quota': 1 is not in the range"),
]


@pytest.mark.parametrize(("arguments", "line"), SERVICES)
def test_a_service_that_cannot_begin(interpose, arguments, line):
    status, said = told(interpose(*arguments))
    assert status in (1, 2)
    assert said.startswith(f"interpose: {line}"), said
    assert not interpose.capture.exists()
