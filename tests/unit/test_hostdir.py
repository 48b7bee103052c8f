"""The directory by which a host's injectors and its sidecar know each other."""

import os
import time
from pathlib import Path

import pytest

from interpose.sidecar.container_id import ContainerId
from interpose.sidecar.hostdir import Decision, HostDirectory, Identity
from interpose.sidecar.shared import SharedDirectory, remove_tree
from interpose.sidecar.spool import Spool
from interpose.sidecar.unseen import Unseen
from support.roots import missing

ID = ContainerId("c" * 64)


@pytest.fixture
def directory(tmp_path):
    made = HostDirectory(tmp_path / "host")
    made.prepare()
    return made


def add(directory, name="one", **known):
    return directory.add(name, Identity(ID, **known), level="calls", quota=64)


def test_a_channel_is_found_again_as_it_was_made(directory):
    made = directory.add("one", Identity(ID, "web", labels={"a": "b"}), level="calls")

    assert [made] == list(directory.channels())
    assert "one" == directory.active_name(ID)
    with Spool.open(made.spool) as spool:
        assert made.settings == spool.settings


def test_a_first_program_that_runs_unseen_is_known_from_the_channel_on(directory):
    unseen = Unseen("static", "/busybox", ("/busybox", "s\udcff"), "/", 1, 2, 3, 4, 5, 6, pid=1)
    directory.add("one", Identity(ID), level="calls", unseen=unseen)

    assert [unseen] == [channel.unseen for channel in directory.channels()]


def test_only_the_owner_reads_whose_channel_it_is_and_everybody_reaches_the_spool(directory):
    made = add(directory)

    assert 0o600 == (made.directory / "container.json").stat().st_mode & 0o777
    assert 0o711 == made.directory.stat().st_mode & 0o777 == made.spool.stat().st_mode & 0o777
    assert 0o666 == (made.spool / "control").stat().st_mode & 0o777


def test_a_root_who_is_nobody_on_the_host_may_make_files_in_his_spool_and_not_look_into_it(directory):
    if os.geteuid() != 0:
        missing("root's permission to make files of other groups", "run as root")
    made = directory.add("one", Identity(ID), level="calls", group=231072)

    spool = made.spool.stat()
    assert (os.getuid(), 231072, 0o731) == (spool.st_uid, spool.st_gid, spool.st_mode & 0o777)
    assert 0o711 == made.directory.stat().st_mode & 0o777
    assert 0o600 == (made.directory / "container.json").stat().st_mode & 0o777
    assert (os.getuid(), os.getgid()) == (os.geteuid(), os.getegid())


def test_a_channel_that_could_not_be_made_leaves_nothing(directory, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", _no_space)

    with pytest.raises(Exception, match="No space"):
        add(directory)
    assert [] == list(directory.containers.iterdir()) == list(directory.active.iterdir())


def _no_space(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("container", ["", ".", "..", "../x", "a/b", "a\n", "x" * 256, "é"])
def test_no_channel_is_made_for_what_is_no_id(directory, container):
    before = sorted(directory.path.parent.rglob("*"))
    with pytest.raises(ValueError, match="no container's id"):
        directory.add("one", Identity(container), level="calls")
    assert before == sorted(directory.path.parent.rglob("*"))


def test_a_channel_that_is_being_made_is_not_taken_away_by_another_of_its_name(directory):
    (directory.containers / ".one").mkdir()
    with pytest.raises(FileExistsError):
        add(directory)
    assert (directory.containers / ".one").exists()


def test_a_channel_that_nobody_could_be_told_of_is_not_left(directory):
    directory.active.rmdir()
    with pytest.raises(FileNotFoundError):
        add(directory)
    assert [] == list(directory.containers.iterdir())


def test_a_container_that_has_ended_is_active_no_more_and_its_channel_says_when(directory):
    made = add(directory)
    assert made.ended() is None

    directory.forget(ID, 5)
    directory.forget(ID, 6)

    assert (5, None) == (made.ended(), directory.active_name(ID))


def test_what_a_boot_ago_ran_has_ended(directory, monkeypatch):
    made = add(directory)
    monkeypatch.setattr("interpose.sidecar.hostdir.boot_id", lambda: "another")

    assert made.created <= made.ended() <= time.time_ns()


def test_what_is_no_channel_is_passed_over(directory):
    (directory.containers / "empty").mkdir()
    (directory.containers / "file").touch()
    (directory.containers / "broken").mkdir()
    (directory.containers / "broken/container.json").write_text("{")
    made = add(directory)

    assert [made] == list(directory.channels())


def test_the_settings_that_count_are_those_of_the_time_when_nobody_else_could_write_them(directory):
    made = add(directory)
    with (made.spool / "control").open("r+b") as control:
        control.seek(24)
        control.write(b"\xff" * 24)

    with Spool.open(made.spool, made.settings) as spool:
        assert made.settings == spool.settings


def test_a_library_is_changed_for_those_who_start_from_then_on(directory):
    directory.place_library("x86_64", b"old")
    old = directory.libraries()["x86_64"]
    directory.place_library("x86_64", b"new")
    directory.place_library("x86_64", b"new")
    new = directory.libraries()["x86_64"]

    assert (b"old", b"new") == tuple(Path(place, "libinterpose.so").read_bytes() for place in (old, new))
    assert os.path.isdir(f"{new}/spool")


def test_decisions_are_read_as_they_were_noted_and_the_log_stays_short(directory):
    notes = [Decision(number, "skipped", "r" * 1000, f"id{number}") for number in range(3000)]
    for note in notes:
        directory.note(note)
    with directory.decisions.open("a") as log:
        log.write("no line of ours\n")

    kept = list(directory.noted())

    assert notes[-len(kept) :] == kept
    assert 1000 < len(kept) < 2200


def deep(directory, levels):
    top = os.open(directory, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=top)
        below = os.open("d", os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = below
    os.close(top)


def test_a_tree_is_removed_whatever_is_in_it_and_nothing_else(tmp_path):
    tree, other = tmp_path / "tree", tmp_path / "other"
    tree.mkdir()
    other.mkdir()
    (other / "kept").touch()
    deep(tree, 1500)
    (tree / "link").symlink_to(other)
    (tree / "d/link").symlink_to(other)
    os.mkfifo(tree / "fifo")
    (tree / ".moved-1").mkdir()
    (tree / ".moved-2").touch()
    (tree / "full").mkdir()
    for number in range(100):
        (tree / "full" / str(number)).mkdir()

    assert remove_tree(tree)
    assert [other] == list(tmp_path.iterdir())
    assert (other / "kept").exists()


@pytest.mark.parametrize(("number", "spoilt"), [(2, True), (20, True), (5, False), (12, False), (23, False)])
def test_a_channel_is_not_spoilt_because_the_host_is_short_of_something(directory, monkeypatch, number, spoilt):
    made = directory.add("c1", Identity("1" * 64, None, None), level="summary")

    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(SharedDirectory, "open", fail)
    assert spoilt == made.is_spoilt()


def test_what_is_not_there_is_removed_already(tmp_path):
    assert remove_tree(tmp_path / "missing")
