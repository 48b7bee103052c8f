"""What posix_spawn's file actions do is the child's, and counts in the lineage of what it opened."""

import sys

import pytest

from support.cli import need

SPAWN = """
import os, sys
program, path, flags = sys.argv[1], sys.argv[2], sum(getattr(os, name) for name in sys.argv[3].split("|"))
open("unrelated").read()
child = os.posix_spawn(program, sys.argv[4:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, path, flags, 0o644)])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
EMPTIED = "O_WRONLY|O_CREAT|O_TRUNC"


@pytest.fixture
def folder(interpose):
    (interpose.folder / "spawn.py").write_text(SPAWN)
    (interpose.folder / "unrelated").write_text("unrelated\n")
    (interpose.folder / "secret").write_text("secret\n")
    return interpose.folder


def run(interpose, flags, *arguments):
    """A file with the secret is made, and then opened by a file action."""
    need("sh", "cat")
    script = f'cat secret > out && {sys.executable} spawn.py "$@"'
    assert 0 == interpose.run("sh", "-c", script, "sh", arguments[0], "out", flags, *arguments[1:]).returncode
    return interpose.lineage("out")


def names(lineage):
    return [path.rsplit("/", 1)[1] for path in sorted(lineage.paths) if path.endswith(("/secret", "/unrelated"))]


def commands(lineage):
    return [program["arguments"] for program in lineage.programs]


def test_what_it_emptied_has_nothing_of_its_former_content(interpose, folder):
    lineage = run(interpose, EMPTIED, "/bin/echo", "echo", "new")
    assert "new\n" == (folder / "out").read_text()
    assert ["echo", "new"] in commands(lineage)
    assert ["unrelated"] == names(lineage)


def test_what_it_did_not_empty_has_its_former_content(interpose, folder):
    lineage = run(interpose, "O_WRONLY|O_CREAT|O_APPEND", "/bin/echo", "echo", "new")
    assert "secret\nnew\n" == (folder / "out").read_text()
    assert ["secret", "unrelated"] == names(lineage)


def test_a_child_that_writes_nothing_made_what_it_emptied(interpose, folder):
    lineage = run(interpose, EMPTIED, "/bin/true", "true")
    assert "" == (folder / "out").read_text()
    assert ["unrelated"] == names(lineage)
    (opener,) = (process for process in interpose.ask("ps", "last") if process["programs"][-1]["arguments"] == ["true"])
    (opened,) = (
        event
        for event in interpose.ask("events", "last")
        if event["effect"] == "open" and event["function"] == "posix_spawn"
    )
    assert (opener["pid"], True, True) == (opened["pid"], opened["fields"]["create"], opened["fields"]["truncate"])


def test_a_file_that_the_child_renames_is_the_one_that_was_emptied(interpose, folder):
    need("mv")
    (folder / "other").write_text("other\n")
    assert (
        0
        == interpose.run(
            sys.executable, "spawn.py", "/bin/mv", "other", EMPTIED, "mv", "-f", "secret", "other"
        ).returncode
    )
    (opened,) = (
        event
        for event in interpose.ask("events", "last")
        if event["effect"] == "open" and event["function"] == "posix_spawn"
    )
    assert opened["fields"]["file"]["inode"] != (folder / "other").stat().st_ino


def test_a_program_that_is_not_there_leaves_a_file_that_the_parent_made(interpose, folder):
    assert 0 != interpose.run(sys.executable, "spawn.py", "/missing", "made", EMPTIED, "missing").returncode
    assert "" == (folder / "made").read_text()
    lineage = interpose.lineage("made")
    assert [[sys.executable, "spawn.py", "/missing", "made", EMPTIED, "missing"]] == commands(lineage)
