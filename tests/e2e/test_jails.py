"""Programs that go where the spool cannot be reached: they are recorded there, too, or it is said that they are not."""

import os

import pytest

from support.cli import need, summary
from support.roots import missing


@pytest.fixture
def jail(interpose):
    """A folder to be a root."""
    if os.geteuid() != 0:
        missing("root's permission to change the root", "run as root")
    made = interpose.folder / "jail"
    made.mkdir()
    for folder in (made, interpose.folder):
        folder.chmod(0o777)
    return made


def _run(interpose, *command):
    result = interpose.run(*command)
    assert 0 == result.returncode, result.stderr.decode()
    return summary(result.stderr)


def _written(interpose):
    """The files below the folder that were written, without it."""
    start = f"{interpose.folder}/"
    written = [row["path"] for row in interpose.ask("files", "last") if row["bytes_written"] and row["path"]]
    return {path.removeprefix(start) for path in written if path.startswith(start)}


def test_what_follows_a_chroot_is_recorded_past_the_first_journal(interpose, jail, compiled):
    told = _run(interpose, compiled("jailed"), "long", "1000")
    assert (0, 0) == (told.lost, told.blind_spots)
    assert {f"jail/file-{number:04}" for number in range(1000)} == _written(interpose)


def test_children_in_a_jail_are_recorded_and_their_paths_lead_from_outside(interpose, jail, compiled):
    told = _run(interpose, compiled("jailed"), "children")
    assert (0, 0, 5) == (told.lost, told.blind_spots, told.processes)
    names = {"jail/first-of-all", "jail/second", "outside", "jail/relative", "jail/absolute"}
    assert names == _written(interpose)
    program = os.path.realpath(compiled("jailed"))
    makers = {node["executable"] for node in interpose.lineage("jail/relative").programs}
    assert {program} == makers


def test_a_jail_in_a_jail_is_named_from_outside_and_a_place_outside_of_it_as_well(interpose, jail, compiled):
    assert 0 == _run(interpose, compiled("jailed"), "nested").lost
    assert {"jail/still-in-jail", "jail/inner/in-inner"} == _written(interpose)


def test_where_no_journal_is_left_in_a_jail_children_tell_in_their_parents(interpose, jail, compiled):
    told = _run(interpose, compiled("jailed"), "children", "40")
    opened = {f"child-{number}" for number in range(40)}
    seen = [row["fields"]["name"]["path"] for row in interpose.ask("events", "last", "--effect", "open")]
    assert told.lost, "a process that has no journal is a gap"
    assert opened <= {os.path.basename(path) for path in seen}


def test_what_cannot_be_recorded_in_a_jail_any_more_is_a_gap_of_its_process(interpose, jail, compiled):
    told = _run(interpose, compiled("jailed"), "long", "6000")
    gaps = [row for row in interpose.ask("events", "last") if row["effect"] == "gap"]
    (process,) = interpose.ask("ps", "last")
    recorded = len([name for name in _written(interpose) if name.startswith("jail/")])
    assert recorded < 6000 <= recorded + told.lost
    assert {process["pid"]} == {row["pid"] for row in gaps}


def test_who_becomes_a_user_without_rights_on_the_spool_is_recorded_past_the_first_journal(interpose, jail, compiled):
    told = _run(interpose, compiled("jailed"), "user", "1000")
    assert (0, 0) == (told.lost, told.blind_spots)
    assert {f"file-{number:04}" for number in range(1000)} == _written(interpose)


def test_who_may_write_nowhere_else_any_more_is_recorded_past_the_first_journal(interpose, jail, compiled):
    if interpose.bare(compiled("jailed"), "landlock", "1").returncode == 77:
        missing("a kernel with Landlock")
    told = _run(interpose, compiled("jailed"), "landlock", "1000")
    assert (0, 0) == (told.lost, told.blind_spots)
    assert {f"file-{number:04}" for number in range(1000)} == _written(interpose)


HIDDEN = "for spool in $TMPDIR/interpose-*/spool; do mount -t tmpfs -o ro none $spool; done\n"


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_program_that_cannot_reach_the_spool_is_a_blind_spot(interpose, jail, shell):
    need("unshare", shell)
    script = interpose.folder / "script"
    script.write_text(f"{HIDDEN}cp /etc/passwd out\n")
    assert 1 == _run(interpose, "unshare", "-m", shell, str(script)).blind_spots
    programs = [program for process in interpose.ask("ps", "last") for program in process["programs"]]
    blind = [(program["arguments"], program["blind_spot"]) for program in programs if program["blind_spot"]]
    assert [(["cp", "/etc/passwd", "out"], "spool_unreachable")] == blind
    line = interpose("lineage", "out").stderr.decode()
    assert "it changed while programs ran unseen: " in line
    assert "cp /etc/passwd out" in line


def test_a_sandbox_whose_spool_is_read_only_is_a_blind_spot(interpose, jail):
    need("bwrap")
    result = interpose.run("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "cat", "/etc/passwd")
    assert 0 == result.returncode, result.stderr.decode()
    programs = [program for process in interpose.ask("ps", "last") for program in process["programs"]]
    assert "spool_unreachable" in [program["blind_spot"] for program in programs]


def test_a_server_that_serves_from_a_jail_as_another_user_tells_what_it_writes_there(interpose, jail):
    need("rsync")
    source = interpose.folder / "source"
    source.mkdir()
    for number in range(50):
        (source / f"file-{number}").write_text("x")
    os.chown(jail, 65534, 65534)
    settings = interpose.folder / "settings"
    settings.write_text(f"use chroot = yes\n[m]\npath = {jail}\nread only = no\nuid = 65534\ngid = 65534\n")
    connect = f"RSYNC_CONNECT_PROG=rsync --daemon --config={settings}"
    assert 0 == _run(interpose, "env", connect, "rsync", "-a", "source/", "server::m/").lost
    told = interpose.lineage("jail/file-7")
    assert "rsync" in {os.path.basename(program["executable"]) for program in told.programs}
    assert {f"jail/file-{number}" for number in range(50)} <= {
        name for path in interpose.ask("files", "last") for each in path["paths"] for name in [_below(interpose, each)]
    }


def _below(interpose, path):
    return path.removeprefix(f"{interpose.folder}/")
