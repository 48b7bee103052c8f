"""What a run touched, and who its processes were."""

import sqlite3
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interpose.sidecar.ancestry import Fork, ProcessKey, match_forks, parents_of
from interpose.sidecar.errors import StoreError
from interpose.sidecar.query import (
    FileInfo,
    ProcessInfo,
    ProgramInfo,
    QueryError,
    RunInfo,
    Summary,
    all_runs,
    events_of,
    files_of,
    find_run,
    in_chunks,
    open_database,
    processes_of,
    summary_of,
)
from support.databases import sqlite_url
from support.history import BOOT, History, at


@pytest.fixture
def history(database):
    history = History(database)
    history.run(started=0, ended=10, status=0, lost=3)
    yield history
    history.close()


def ask(history, question, *arguments, **more):
    with history.engine.connect() as connection:
        answer = question(connection, *arguments, **more)
        return list(answer) if hasattr(answer, "__next__") else answer


# Opening


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(StoreError, match=rf"^no database at {tmp_path}/none: capture something first"):
        open_database(f"sqlite:///{tmp_path}/none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at\n" * 20, b"short"])
def test_a_file_that_is_no_database_is_refused(tmp_path, content):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(StoreError, match=rf"^cannot read the database {tmp_path}/text: file is not a database$"):
        open_database(f"sqlite:///{tmp_path}/text")


def test_somebody_elses_database_is_refused(tmp_path):
    sqlite3.connect(tmp_path / "other").execute("create table t (x)").connection.close()
    with pytest.raises(StoreError, match=rf"^not a database of interpose: {tmp_path}/other$"):
        open_database(f"sqlite:///{tmp_path}/other")


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x/y", "sqlite://"])
def test_a_url_that_means_nothing_is_refused_in_one_line(url):
    with pytest.raises(StoreError) as error:
        open_database(url)
    assert "\n" not in str(error.value)


def test_a_query_cannot_write(history):
    engine = open_database(history.url)
    with engine.connect() as connection, pytest.raises(Exception, match="read-?only"):
        connection.exec_driver_sql("delete from runs")
    engine.dispose()


def test_a_database_is_read_while_it_is_written(tmp_path):
    history = History(sqlite_url(tmp_path / "db"))
    history.run(lost=3)
    writer = sqlite3.connect(tmp_path / "db")
    writer.execute("pragma journal_mode=wal")
    writer.execute("begin immediate")
    writer.execute("update runs set lost = 4")
    engine = open_database(history.url)
    with engine.connect() as connection:
        assert [run.lost for run in all_runs(connection)] == [3]
    engine.dispose()
    writer.close()


def test_a_database_of_a_strange_name_opens(tmp_path):
    history = History(sqlite_url(tmp_path / "a #%20 b"))
    engine = open_database(history.url)
    engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == ["a #%20 b"]


# Runs


def test_a_run_is_found_by_id_beginning_or_last(history):
    history.run("run10", started=1)
    history.run("other", started=2)
    assert ask(history, find_run, "last") == "other"
    assert ask(history, find_run, "run1") == "run1"
    assert ask(history, find_run, "o") == "other"


@pytest.mark.parametrize("wanted", ["nope", "", "r%", "_"])
def test_an_unknown_run_is_refused(history, wanted):
    with pytest.raises(QueryError, match=r"^no run "):
        ask(history, find_run, wanted)


def test_an_ambiguous_beginning_is_refused(history):
    history.run("run10", started=1)
    with pytest.raises(QueryError, match=r"^'run' begins the ids of several runs: run1, run10$"):
        ask(history, find_run, "run")


def test_the_last_of_no_runs_is_refused(database):
    history = History(database)
    with pytest.raises(QueryError, match=r"^no run in the database yet"):
        ask(history, find_run, "last")
    history.close()


def test_runs_are_listed_by_their_starts(history):
    history.run("earlier", command=None, started=-1)
    history.program(10, None, "make")
    history.image(history.process(11, 10), "static", reason="blind", blind_spot="static")
    assert ask(history, all_runs) == [
        RunInfo("earlier", None, at(-1), None, None, 0, 0, 0),
        RunInfo("run1", ["make"], at(0), at(10), 0, 2, 1, 3),
    ]


def test_a_summary_counts_what_the_listings_list(history):
    make = history.program(10, None, "make")
    history.access(make, "read", "/in", 1)
    history.access(make, "write", "/out", 1)
    history.access(make, "write", "/out", 2)
    history.access(make, "open", "/opened", 1)
    history.access(make, "write", "pipe", 1, kind="pipe")
    history.event(make, 1, fork={"child": 11})
    history.event(make, 2, exit={})
    history.run("run2")
    assert ask(history, summary_of, "run1") == Summary(processes=1, files=2, events=2, lost=3, blind_spots=0)
    assert ask(history, summary_of, "run2") == Summary(0, 0, 0, 0, 0)


# Processes


def test_processes_tell_what_they_ran(history):
    make = history.process(10, 1, started=1, ended=9, status=2)
    history.image(make, "sh", "-c", "exec make", ended=2)
    history.image(make, "make", started=2)
    assert ask(history, processes_of, "run1") == [
        ProcessInfo(
            id=1,
            run="run1",
            pid_namespace=4026531836,
            pid=10,
            parent=None,
            parent_pid=1,
            captured=True,
            started=at(1),
            ended=at(9),
            status=2,
            user=1000,
            group=100,
            programs=[
                ProgramInfo("exec", "/usr/bin/sh", ["sh", "-c", "exec make"], "/w", at(1), at(2), None, None),
                ProgramInfo("exec", "/usr/bin/make", ["make"], "/w", at(2), at(9), None, None),
            ],
        )
    ]


def test_a_first_program_that_ran_unseen_ends_as_its_run_does_and_no_other_does(history):
    for number in (10, 11):
        process = history.process(number, started=number - 10, status=None)
        history.image(process, "busybox", reason="blind", blind_spot="static")
    history.run("run2", started=20)
    process = history.process(10, run="run2", started=20, status=None)
    history.image(process, "busybox", reason="blind", blind_spot="static")
    found = [(p.pid, p.ended, p.status) for run in ("run1", "run2") for p in ask(history, processes_of, run)]
    assert [(10, at(10), 0), (11, None, None), (10, None, None)] == found


def test_a_process_that_only_its_parent_told_of_is_listed(history):
    make = history.program(10, None, "make")
    history.event(make, 1, fork={"child": 11})
    history.event(make, 2, wait={"child": 11, "signal": 9})
    history.event(make, 3, fork={"child": 11})
    history.event(make, 4, fork={"child": 12}, error=11)
    history.event(make, 5, spawn={"child": 13})
    history.program(13, 10, "child", started=4.9)
    found = ask(history, processes_of, "run1")
    shown = [(p.pid, p.id, p.parent, p.captured, p.started, p.ended, p.status) for p in found]
    assert shown == [
        (10, 1, None, True, at(0), None, 0),
        (11, None, 1, False, at(1), at(2), 137),
        (11, None, 1, False, at(3), None, None),
        (13, 2, 1, True, at(4.9), None, 0),
    ]


def test_a_blind_child_that_was_spawned_is_listed_once(history):
    make = history.program(10, None, "make")
    history.event(make, 1, fork={"child": 11})
    history.program(11, 10, "earlier", started=0.9)
    history.event(make, 3, spawn={"child": 11})
    blind = history.process(11, 10, started=3, start_time=0)
    history.image(blind, "static", reason="blind", blind_spot="static")
    found = ask(history, processes_of, "run1")
    assert [(p.pid, p.parent, p.captured) for p in found] == [(10, None, True), (11, 1, True), (11, 1, False)]


def test_four_times_the_processes_take_four_times_the_work(history):
    def work() -> int:
        calls = 0

        def called(_frame, _event, _argument):
            nonlocal calls
            calls += 1

        sys.setprofile(called)
        try:
            assert len(ask(history, processes_of, "run1")) == asked
        finally:
            sys.setprofile(None)
        return calls

    make = history.program(10, None, "make")
    works, asked = [], 1
    for many in (50, 200):
        for pid in range(100 + asked, 101 + many):
            history.event(make, pid, fork={"child": pid})
            history.program(pid, 10, "child", started=pid - 0.1)
        asked = 1 + many
        works.append(work())
    assert works[1] < 5 * works[0]


def key(number, pid, start, parent=None, parent_start=None):
    return ProcessKey(number, "run", 1, pid, start, parent, parent_start)


def test_a_parent_is_never_its_own_child_nor_of_another_namespace():
    other = ProcessKey(2, "run", 2, 10, 1, None, None)
    assert parents_of([key(1, 10, 1, 10), other, key(3, 11, 5, 10)], []) == {3: 1}


def test_the_first_program_of_a_container_that_runs_unseen_is_a_parent_though_nobody_knows_its_namespace():
    first = ProcessKey(1, "run", 0, 1, 0, None, None)
    child = ProcessKey(2, "run", 7, 9, 100, 1, None)
    elsewhere = ProcessKey(3, "other", 7, 9, 100, 1, None)
    orphan = ProcessKey(4, "run", 7, 10, 100, 5, None)
    assert {2: 1} == parents_of([first, child, elsewhere, orphan], [])
    known = ProcessKey(5, "run", 7, 1, 50, None, None)
    assert {2: 5} == parents_of([first, child, known], [])


def test_a_parent_that_is_named_with_its_start_is_that_or_nobody():
    assert parents_of([key(1, 10, 1), key(2, 10, 4), key(3, 11, 5, 10, 1), key(4, 12, 5, 10, 2)], []) == {3: 1}


forks = st.lists(
    st.builds(lambda child, time, parent: Fork("run", 1, parent, parent, child, time, time), *[st.integers(1, 9)] * 3)
)
keys = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), unique=True).map(
    lambda pairs: [key(number, pid, start) for number, (pid, start) in enumerate(pairs)]
)


@given(keys, forks)
def test_a_fork_makes_one_process_of_its_pid_that_began_by_then(keys, forks):
    matches = match_forks(keys, set(forks))
    assert len(set(matches.values())) == len(matches)
    by_id = {process.id: process for process in keys}
    assert all(
        (by_id[id_].pid, by_id[id_].start_time <= fork.boot_time) == (fork.child_pid, True)
        for fork, id_ in matches.items()
    )


# Files


def test_files_tell_who_read_and_who_wrote(history):
    cc = history.program(10, None, "cc")
    history.access(cc, "read", "/w/a.c", 1, 2)
    history.access(cc, "load", "/lib/libc.so.6", 1)
    history.access(cc, "write", "/w/a.o", 3, 4, birth=2.5)
    history.access(cc, "create", "/w/a.o", 3)
    history.name("/w/a.o", "/w/b.o", seen=5)
    ld = history.program(11, None, "ld")
    history.access(ld, "read", "/w/a.o", 6)
    history.access(ld, "remove", "/w/a.c", 7)
    history.access(ld, "open", "/opened", 7)
    history.access(ld, "read", "pipe", 8, kind="pipe")
    found = ask(history, files_of, "run1")
    assert [file.path for file in found] == ["/lib/libc.so.6", "/w/a.c", "/w/b.o"]
    assert found[2] == FileInfo(
        path="/w/b.o",
        paths=["/w/b.o", "/w/a.o"],
        kind="regular",
        device=0x800000001,
        inode=102,
        birth_time=at(2.5),
        accesses=["create", "read", "write"],
        bytes_read=10,
        bytes_written=20,
        first=at(3),
        last=at(6),
        readers=["/usr/bin/ld"],
        writers=["/usr/bin/cc"],
    )
    assert [file.path for file in ask(history, files_of, "run1", written=False)] == [
        "/lib/libc.so.6",
        "/w/a.c",
        "/w/b.o",
    ]
    assert [file.path for file in ask(history, files_of, "run1", read=False)] == ["/w/a.c", "/w/b.o"]
    everything = ask(history, files_of, "run1", everything=True)
    assert [file.path for file in everything] == ["/lib/libc.so.6", "/opened", "/w/a.c", "/w/b.o", None]


def test_files_of_another_run_are_not_listed(history):
    history.run("run2")
    program = history.program(10, None, "p", run="run2")
    history.access(program, "read", "/in", 1)
    assert ask(history, files_of, "run1") == []


# Events


def test_events_come_in_the_order_of_their_times_with_their_fields(history):
    cat = history.program(10, None, "cat")
    history.event(cat, 2, function="close", io={"fd": 3, "file": {"inode": 5, "mode": 0o100644}, "bytes_read": 7})
    history.event(cat, 1, function="open", open={"name": {"path": b"a\xff"}, "fd": 0, "read": True})
    history.event(cat, 3, gap={"events": 3, "cause": "CAUSE_DISK_FULL"})
    history.event(cat, 4, function="execve", exec={"arguments": [b"ls", b"\xfe"], "blind_spot": {"cause": 1}})
    first, second, gap, execution = ask(history, events_of, "run1")
    assert (first.time, first.pid, first.thread, first.function, first.effect) == (at(1), 10, 1, "open", "open")
    assert first.fields["name"] == {"path": "a\udcff", "base": ""}
    assert (first.fields["fd"], first.fields["read"], first.fields["write"]) == (0, True, False)
    assert "file" not in first.fields
    assert second.fields["file"]["mode"] == 0o100644
    assert gap.fields == {"events": 3, "first": 0, "last": 0, "cause": "disk_full"}
    assert execution.fields["arguments"] == ["ls", "\udcfe"]
    assert execution.fields["blind_spot"] == {"cause": "static"}


def test_addresses_and_build_ids_are_printed_as_people_write_them(history):
    curl = history.program(10, None, "curl")
    history.event(curl, 1, load={"build_id": bytes([0x93, 0xCA, 0x0E])})
    for time, ip in enumerate((bytes([127, 0, 0, 1]), bytes([*[0] * 15, 1]), b"", bytes([1, 2])), 2):
        history.event(curl, time, connect={"peer": {"family": 2, "ip": ip, "port": 80}})
    load, *connects = ask(history, events_of, "run1")
    assert load.fields["build_id"] == "93ca0e"
    assert [each.fields["peer"]["ip"] for each in connects] == ["127.0.0.1", "::1", "", "0102"]


def test_events_of_one_effect(history):
    cat = history.program(10, None, "cat")
    history.event(cat, 1, exit={"status": 3})
    history.event(cat, 2, fork={"child": 11})
    assert [event.effect for event in ask(history, events_of, "run1", "fork")] == ["fork"]
    with pytest.raises(QueryError, match=r"^no effect 'forks': one of origin, gap,"):
        ask(history, events_of, "run1", "forks")


def test_an_event_of_a_borrowed_journal_is_its_own_process_s(history):
    parent = history.program(10, None, "sh")
    history.event(parent, 1, process={"pid": 11, "start_time": BOOT}, exit={})
    assert [event.pid for event in ask(history, events_of, "run1")] == [11]


@given(st.integers(0, 20000))
def test_chunks_hold_everything_once(count):
    chunks = list(in_chunks(range(count)))
    assert [value for chunk in chunks for value in chunk] == list(range(count))
    assert all(0 < len(chunk) <= 5000 for chunk in chunks)
