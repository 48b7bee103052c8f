"""How a file was made: the rules, one by one, and the laws that every history keeps."""

from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interpose.sidecar.lineage import FOREVER, File, Image, Span, Version, trace
from interpose.sidecar.lineage_rows import DatabaseSource, Identity, find_file
from interpose.sidecar.query import QueryError
from support.history import History, at


@pytest.fixture
def history(database):
    history = History(database)
    history.run()
    yield history
    history.close()


def names_of(history):
    return {file.id: path for path, file in history.files.items()}


def lineage(history, path, **more):
    """Everything that a file comes from: the paths of files, the first arguments of programs."""
    run = more.pop("run", None)
    with history.engine.connect() as connection:
        graph = trace(DatabaseSource(connection, run), history.files[path].id, **more)
    paths = names_of(history)
    files = {paths[version.file] for version in graph.versions}
    programs = {graph.image_rows[image].arguments.split(b"\0")[0].decode() for image in graph.images}
    return files - {path} | programs


def edges(history, path, **more):
    with history.engine.connect() as connection:
        graph = trace(DatabaseSource(connection), history.files[path].id, **more)
    paths = names_of(history)

    def shown(node):
        return (
            paths[node.file] if isinstance(node, Version) else graph.image_rows[node].arguments.split(b"\0")[0].decode()
        )

    return [(shown(edge.source), edge.kind, shown(edge.target)) for edge in graph.edges]


def test_a_copy_comes_from_its_source(history):
    cp = history.program(10, None, "cp", started=1)
    history.access(cp, "execute", "/usr/bin/cp", 1)
    history.access(cp, "load", "/lib/libc.so.6", 1.1)
    history.access(cp, "read", "/a", 2)
    history.access(cp, "write", "/b", 3)
    assert edges(history, "/b") == [
        ("cp", "wrote", "/b"),
        ("/usr/bin/cp", "executed", "cp"),
        ("/lib/libc.so.6", "loaded", "cp"),
        ("/a", "read", "cp"),
    ]
    assert edges(history, "/a") == []


@pytest.mark.parametrize(
    ("device", "inode", "birth", "kind", "crosses"),
    [
        (50, 7, 1.0, "regular", True),
        (50, 8, 1.0, "regular", False),
        (50, 7, 1.1, "regular", False),
        (0x800000001, 7, 1.0, "regular", False),
        (50, 7, 1.0, "directory", False),
    ],
)
def test_a_file_of_a_layer_is_the_same_under_each_mount_of_it(history, device, inode, birth, kind, crosses):
    history.run("life", started=5)
    step = history.program(1, None, "step", started=1)
    history.access(step, "read", "/source", 1)
    history.access(step, "write", "/layer", 2, device=49, inode=7, birth=1.0)
    life = history.program(1, None, "life", run="life", started=5)
    history.access(life, "read", "/layer again", 6, device=device, inode=inode, birth=birth, kind=kind, run="life")
    history.access(life, "write", "/out", 7, run="life")

    found = lineage(history, "/out")
    assert ({"step", "/source"} <= found) == crosses
    assert crosses == ("step" in lineage(history, "/layer again"))
    assert not {"step"} & lineage(history, "/out", run="life")


def test_a_file_that_somebody_is_known_to_have_written_is_no_others(history):
    one = history.program(1, None, "one", started=1)
    history.access(one, "write", "/tmp/one", 2, device=49, inode=2, birth=1.0)
    two = history.program(2, None, "two", started=1)
    history.access(two, "write", "/tmp/two", 2, device=50, inode=2, birth=1.0)

    assert {"two"} == lineage(history, "/tmp/two")


def test_what_was_read_after_the_last_write_is_no_input(history):
    program = history.program(10, None, "p", started=1)
    history.access(program, "read", "/early", 2)
    history.access(program, "write", "/out", 3, 5)
    history.access(program, "read", "/between", 4)
    history.access(program, "read", "/same", 5)
    history.access(program, "read", "/late", 6)
    assert lineage(history, "/out") == {"p", "/early", "/between", "/same"}


def test_what_was_only_opened_is_no_input(history):
    program = history.program(10, None, "p", started=1)
    history.access(program, "open", "/opened", 2)
    history.access(program, "metadata", "/looked-at", 2)
    history.access(program, "write", "/out", 3)
    assert lineage(history, "/out") == {"p"}


def test_a_directory_is_no_input(history):
    program = history.program(10, None, "p", started=1)
    history.file("/d", kind="directory")
    history.access(program, "read", "/d", 2)
    history.access(program, "write", "/out", 3)
    assert lineage(history, "/out") == {"p"}


def test_a_mapped_file_is_an_input(history):
    program = history.program(10, None, "p", started=1)
    history.access(program, "read", "/mapped", 2, amount=0)
    history.access(program, "write", "/out", 3)
    assert lineage(history, "/out") == {"p", "/mapped"}


def test_a_writable_mapping_writes_until_its_program_ends(history):
    program = history.program(10, None, "p", started=1, ended=9)
    history.access(program, "write", "/out", 2, amount=0)
    history.access(program, "read", "/in", 5)
    assert lineage(history, "/out") == {"p", "/in"}


def test_the_lineage_goes_on_through_files(history):
    first = history.program(10, None, "first", started=1)
    history.access(first, "read", "/a", 1)
    history.access(first, "write", "/b", 2)
    history.access(first, "read", "/later", 4)
    history.access(first, "write", "/other", 5)
    second = history.program(11, None, "second", started=3)
    history.access(second, "read", "/b", 3)
    history.access(second, "write", "/c", 4)
    assert lineage(history, "/c") == {"second", "/b", "first", "/a"}


def test_a_truncation_undoes_what_was_written_before(history):
    for pid, name, time in ((10, "old", 1), (11, "new", 3)):
        program = history.program(pid, None, name, started=time)
        history.access(program, "open", "/out", time)
        history.access(program, "truncate", "/out", time)
        history.access(program, "write", "/out", time + 0.5)
    reader = history.program(12, None, "reader", started=2)
    history.access(reader, "read", "/out", 2)
    history.access(reader, "write", "/copy", 2.5)
    assert lineage(history, "/out") == {"new"}
    assert lineage(history, "/copy") == {"reader", "/out", "old"}


def test_a_session_that_a_truncation_falls_into_counts(history):
    log = history.program(10, None, "log", started=1)
    history.access(log, "write", "/log", 1, 9)
    rotate = history.program(11, None, "rotate", started=5)
    history.access(rotate, "truncate", "/log", 5)
    assert lineage(history, "/log") == {"log"}


def test_a_program_that_writes_a_file_again_made_only_the_version_that_it_wrote(history):
    shell = history.program(10, None, "sh", started=1)
    history.access(shell, "open", "/f", 1)
    history.access(shell, "write", "/f", 1.5)
    other = history.program(11, None, "other", started=2)
    history.access(other, "truncate", "/f", 2)
    history.access(other, "write", "/f", 2.5)
    reader = history.program(12, None, "reader", started=3)
    history.access(reader, "read", "/f", 3)
    history.access(reader, "write", "/copy", 3.5)
    history.access(shell, "open", "/f", 4)
    history.access(shell, "write", "/f", 4.5)
    assert lineage(history, "/copy") == {"reader", "/f", "other"}
    assert lineage(history, "/f") == {"sh", "other"}


def test_a_file_read_twice_is_seen_as_it_was_each_time(history):
    reader = history.program(10, None, "reader", started=1)
    history.access(reader, "open", "/in", 1)
    history.access(reader, "read", "/in", 1.5)
    writer = history.program(11, None, "writer", started=2)
    history.access(writer, "write", "/in", 2)
    history.access(reader, "write", "/out", 3)
    history.access(reader, "open", "/in", 4)
    history.access(reader, "read", "/in", 4)
    assert lineage(history, "/out") == {"reader", "/in"}


def test_a_reader_of_a_stream_sees_what_came_between_its_reports(history):
    cat = history.program(10, None, "cat", started=1)
    history.access(cat, "read", "/a", 1)
    history.access(cat, "write", "pipe", 1.5, 3, kind="pipe")
    history.access(cat, "read", "/b", 2)
    sort = history.program(11, None, "sort", started=1)
    history.access(sort, "read", "pipe", 1.6, 6)
    history.access(sort, "write", "/out", 5)
    assert lineage(history, "/out") == {"sort", "pipe", "cat", "/a", "/b"}


def test_a_pipe_that_only_ended_brought_nothing(history):
    driver = history.program(10, None, "driver", started=1)
    history.access(driver, "read", "pipe", 2, amount=0, kind="pipe")
    history.access(driver, "write", "/out", 3)
    assert lineage(history, "/out") == {"driver"}


def test_writers_that_appended_are_all_makers(history):
    for pid, name in ((10, "a"), (11, "b")):
        program = history.program(pid, None, name, started=1)
        history.access(program, "read", f"/{name}-in", 1)
        history.access(program, "write", "/log", 2, 3)
    assert lineage(history, "/log") == {"a", "b", "/a-in", "/b-in"}


def test_pipes_both_ways_end(history):
    there = history.program(10, None, "there", started=1)
    back = history.program(11, None, "back", started=1)
    for program, reads, writes in ((there, "p1", "p2"), (back, "p2", "p1")):
        history.access(program, "read", reads, 1, 8, kind="pipe")
        history.access(program, "write", writes, 2, 9, kind="pipe")
    history.access(back, "read", "/in", 3)
    history.access(there, "write", "/out", 10)
    assert lineage(history, "/out") == {"there", "p1", "back", "p2", "/in"}


def test_a_diamond_takes_the_latest_cutoff(history):
    source = history.program(10, None, "source", started=1)
    history.access(source, "write", "/x", 1)
    history.access(source, "read", "/secret", 2)
    history.access(source, "write", "/y", 3)
    left = history.program(11, None, "left", started=4)
    history.access(left, "read", "/x", 4)
    history.access(left, "write", "/l", 4.5)
    right = history.program(12, None, "right", started=4)
    history.access(right, "read", "/y", 4)
    history.access(right, "write", "/r", 4.5)
    join = history.program(13, None, "join", started=5)
    history.access(join, "read", "/l", 5)
    history.access(join, "read", "/r", 5)
    history.access(join, "write", "/out", 6)
    assert lineage(history, "/l") == {"left", "/x", "source"}
    assert lineage(history, "/out") == {"join", "/l", "/r", "left", "right", "/x", "/y", "source", "/secret"}


def test_reading_ones_own_output_back_adds_nothing_new(history):
    program = history.program(10, None, "p", started=1)
    history.access(program, "write", "/out", 1, 3)
    history.access(program, "read", "/out", 2)
    assert lineage(history, "/out") == {"p"}
    assert edges(history, "/out") == [("p", "wrote", "/out"), ("/out", "read", "p")]


def test_a_file_that_nobody_wrote_to_was_made_by_whoever_emptied_it(history):
    touch = history.program(10, None, "touch", started=1)
    history.access(touch, "create", "/empty", 1, birth=0.9)
    other = history.program(11, None, "other", started=2)
    history.access(other, "create", "/empty", 2)
    assert edges(history, "/empty") == [("touch", "created", "/empty")]
    history.access(other, "truncate", "/empty", 3)
    assert edges(history, "/empty") == [("other", "truncated", "/empty")]


def test_a_file_born_long_before_was_not_created_by_whoever_would_have(history):
    program = history.program(10, None, "p", started=1)
    history.access(program, "create", "/old", 1, birth=-100)
    assert edges(history, "/old") == []


def test_a_character_device_connects_nobody(history):
    writer = history.program(10, None, "writer", started=1)
    history.file("/dev/null", kind="character")
    history.access(writer, "write", "/dev/null", 1)
    reader = history.program(11, None, "reader", started=2)
    history.access(reader, "read", "/dev/null", 2)
    history.access(reader, "write", "/out", 3)
    assert lineage(history, "/out") == {"reader", "/dev/null"}


def test_a_forked_program_has_what_its_parent_had_read_by_then(history):
    parent = history.program(10, None, "parent", started=1)
    history.access(parent, "read", "/before", 2)
    history.access(parent, "read", "/after", 4)
    child = history.process(11, 10, started=3)
    fork = history.image(child, "child", reason="fork")
    history.access(fork, "write", "/out", 5)
    assert lineage(history, "/out") == {"child", "parent", "/before"}


def test_an_executed_program_has_what_its_process_had_read(history):
    shell = history.program(10, None, "sh", started=1)
    history.access(shell, "read", "/script", 1)
    child = history.process(11, 10, started=2)
    fork = history.image(child, "sh-child", reason="fork", ended=3)
    history.access(fork, "read", "/redirected", 2.5)
    cat = history.image(child, "cat", started=3)
    history.access(cat, "write", "/out", 4)
    assert lineage(history, "/out") == {"cat", "sh-child", "sh", "/script", "/redirected"}


def test_depth_counts_programs(history):
    shell = history.program(10, None, "sh", started=1)
    history.access(shell, "read", "/script", 1)
    first = history.program(11, 10, "first", started=2)
    history.access(first, "read", "/a", 2)
    history.access(first, "write", "/b", 3)
    second = history.program(12, 10, "second", started=4)
    history.access(second, "read", "/b", 4)
    history.access(second, "write", "/c", 5)
    assert lineage(history, "/c", depth=1) == {"second", "/b"}
    assert lineage(history, "/c", depth=2) == {"second", "/b", "first", "sh", "/a", "/script"}
    assert edges(history, "/c", depth=1) == [("second", "wrote", "/c"), ("/b", "read", "second")]


@pytest.mark.parametrize("start_known", [True, False])
def test_the_parent_is_the_process_that_had_the_pid_then(history, start_known):
    old = history.program(10, None, "old", started=1)
    history.access(old, "read", "/old", 1)
    new = history.program(10, None, "new", started=3)
    history.access(new, "read", "/new", 3)
    newest = history.program(10, None, "newest", started=7)
    history.access(newest, "read", "/newest", 7)
    more = {"parent_start_time": 1_000_000_000 + 3_000_000_000} if start_known else {}
    child = history.image(history.process(11, 10, started=5, **more), "child", reason="fork")
    history.access(child, "write", "/out", 6)
    assert lineage(history, "/out") == {"child", "new", "/new"}


@pytest.mark.parametrize("adopted_by", [1, 77, None])
def test_an_orphan_is_the_child_of_whoever_forked_it(history, adopted_by):
    init = history.program(1, None, "init", started=0)
    history.access(init, "read", "/etc/inittab", 0.5)
    parent = history.program(10, 1, "parent", started=1)
    history.access(parent, "read", "/in", 1)
    history.event(parent, 2, fork={"child": 11})
    child = history.image(history.process(11, adopted_by, started=2), "child", reason="fork")
    history.access(child, "write", "/out", 4)
    assert lineage(history, "/out") == {"child", "parent", "/in", "init", "/etc/inittab"}


def test_runs_share_files_but_not_pids(history):
    history.run("run2", started=10)
    writer = history.program(10, None, "writer", started=1)
    history.access(writer, "write", "/a", 2)
    history.program(20, None, "stranger", started=1)
    reader = history.program(11, 20, "reader", run="run2", started=11)
    history.access(reader, "read", "/a", 11)
    history.access(reader, "write", "/b", 12)
    assert lineage(history, "/b") == {"reader", "/a", "writer"}
    assert lineage(history, "/b", run="run2") == {"reader", "/a"}


def test_what_a_blind_program_may_have_made_is_said(history):
    shell = history.program(10, None, "sh", started=1, ended=9)
    child = history.process(11, 10, started=2, ended=3)
    history.image(child, "static", reason="blind", blind_spot="static", ended=3)
    later = history.process(12, 10, started=8, ended=9)
    history.image(later, "later", reason="blind", blind_spot="static", ended=9)
    history.access(shell, "read", "/made-in-the-run", 4, modified=2.5, birth=2.2)
    history.access(shell, "read", "/source", 4, modified=-100.0)
    history.access(shell, "write", "/out", 5)
    assert [edge for edge in edges(history, "/out") if edge[1] == "unseen"] == [
        ("static", "unseen", "/made-in-the-run")
    ]
    assert edges(history, "/made-in-the-run") == [
        ("static", "unseen", "/made-in-the-run"),
        ("later", "unseen", "/made-in-the-run"),
    ]
    assert edges(history, "/source") == []


def test_a_blind_program_passes_on_what_its_parent_had_read(history):
    shell = history.program(10, None, "sh", started=1)
    history.access(shell, "read", "/script", 1)
    static = history.image(history.process(11, 10, started=2), "static", reason="blind", blind_spot="static")
    assert static.reason == "blind"
    child = history.image(history.process(12, 11, started=3), "child")
    history.access(child, "write", "/out", 4)
    assert lineage(history, "/out") == {"child", "static", "sh", "/script"}


# Which file a path means


def found(history, path, identity=None, run=None):
    with history.engine.connect() as connection:
        found = find_file(connection, [path.encode()], identity, run)
    return names_of(history)[found.file], found.former


def test_a_path_means_the_file_that_is_there(history):
    history.file("/a", inode=5, birth=1)
    history.file("/b", inode=6, birth=1)
    assert found(history, "/b", Identity(0x800000001, 5, at(1))) == ("/a", False)
    assert found(history, "/b", Identity(0x800000001, 5)) == ("/a", False)


def test_a_path_means_the_file_last_seen_there_if_another_is_there_now(history):
    history.file("/a", inode=5, birth=1)
    assert found(history, "/a", Identity(0x800000001, 5, at(2))) == ("/a", True)
    assert found(history, "/a") == ("/a", False)
    history.file("second", inode=7, seen=3.0)
    history.name("second", "/a", seen=4)
    assert found(history, "/a") == ("second", False)


def test_of_two_files_of_one_inode_the_name_decides(history):
    history.file("/a", inode=5, birth=1)
    history.file("/b", inode=5, birth=2)
    assert found(history, "/a", Identity(0x800000001, 5)) == ("/a", False)


def test_a_path_never_seen_is_refused(history):
    history.run("run2")
    history.file("/a", inode=5)
    with pytest.raises(QueryError, match=r"^never seen: /b$"):
        found(history, "/b", Identity(0x800000001, 55))
    with pytest.raises(QueryError, match=r"^never seen in run run2: /a$"):
        found(history, "/a", Identity(0x800000001, 5), "run2")


# Laws

IMAGES, FILES, TIMES = 5, 5, 12


@dataclass(frozen=True)
class Act:
    image: int
    file: int
    kind: str
    time: int


acts = st.lists(
    st.builds(
        Act,
        st.integers(1, IMAGES),
        st.integers(1, FILES),
        st.sampled_from(["read", "read", "write", "write", "open", "truncate"]),
        st.integers(1, TIMES),
    ),
    max_size=30,
)
parents = st.tuples(
    *(st.none() if image == 1 else st.none() | st.integers(1, image - 1) for image in range(1, IMAGES + 1))
)


class ListSource:
    """A source of everything that a list of acts tells; image n started at time n."""

    def __init__(self, acts, parents):
        self.parents = parents
        self.acts = sorted(acts, key=lambda act: act.time)
        self.spans = list(spans_of(self.acts))

    def images(self, ids):
        known = [image for image in ids if image <= IMAGES]
        return [Image(image, "run", 1, image, "exec", image, predecessor=self.parents[image - 1]) for image in known]

    def files(self, ids):
        return [File(file, "regular") for file in ids]

    def inputs(self, images):
        return [span for span in self.spans if span.kind == "read" and span.image in images]

    def outputs(self, files):
        return [span for span in self.spans if span.kind in ("write", "truncate") and span.file in files]

    def observers(self, files):
        return {}

    def runs(self, ids):
        return {}

    def blind(self, runs):
        return []


def spans_of(acts):
    sessions: dict[tuple[int, int], int] = {}
    times: dict[tuple[int, int, str, int], list[int]] = {}
    for act in acts:
        pair = act.image, act.file
        sessions[pair] = sessions.get(pair, 0) + (act.kind in ("open", "truncate"))
        times.setdefault((*pair, act.kind, sessions[pair]), []).append(act.time)
    for (image, file, kind, session), when in times.items():
        yield Span(image, file, kind, session, min(when), max(when), len(when))


def nodes(graph):
    return set(graph.versions), set(graph.images)


def states_by_definition(source, file):
    """Every state that can be reached, by the rules as they are worded and nothing clever."""
    todo, seen = [("file", file, FOREVER, FOREVER)], set()
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        if state[0] == "file":
            _, file, begin, until = state
            cuts = [span.first for span in source.spans if (span.file, span.kind) == (file, "truncate")]
            mine = [span for span in source.spans if span.file == file]
            written = []
            for span in mine:
                if span.kind != "write":
                    continue
                first = min(
                    [span.first]
                    + [
                        s.first
                        for s in mine
                        if s.kind == "truncate" and (s.image, s.session) == (span.image, span.session)
                    ]
                )
                if first <= until and not any(span.last < cut <= begin for cut in cuts):
                    written.append(("image", span.image, min(until, span.last)))
            last = max([cut for cut in cuts if cut <= begin], default=None)
            emptied = [("image", s.image, s.first) for s in mine if s.kind == "truncate" and s.first == last]
            todo += written or emptied
        else:
            _, image, until = state
            for span in source.spans:
                if span.image == image and span.kind == "read" and span.first <= until:
                    todo.append(("file", span.file, span.first, min(until, span.last)))
            parent = source.parents[image - 1]
            if parent is not None:
                todo.append(("image", parent, min(until, image)))
    return seen


@given(acts, parents)
@example([Act(1, 1, "read", 1), Act(1, 1, "write", 2), Act(2, 1, "truncate", 1)], (None,) * IMAGES)
@settings(max_examples=150, deadline=None)
def test_the_walk_finds_what_the_definition_reaches(acts, parents):
    source = ListSource(acts, parents)
    graph = trace(source, 1)
    states = states_by_definition(source, 1)
    assert {state[1] for state in states if state[0] == "image"} == set(graph.images)
    assert {state[1] for state in states if state[0] == "file"} == {version.file for version in graph.versions}
    latest: dict[int, int] = {}
    for state in states:
        if state[0] == "image":
            latest[state[1]] = max(latest.get(state[1], 0), state[2])
    assert latest == graph.images


@given(acts, parents, acts)
@settings(max_examples=60, deadline=None)
def test_unrelated_acts_change_nothing(acts, parents, others):
    elsewhere = [Act(act.image + IMAGES, act.file + FILES, act.kind, act.time) for act in others]
    before = trace(ListSource(acts, parents), 1)
    after = trace(ListSource(acts + elsewhere, parents), 1)
    assert (nodes(before), before.edges) == (nodes(after), after.edges)


@given(acts, parents)
@settings(max_examples=60, deadline=None)
def test_no_input_is_read_after_the_last_write_of_the_output(acts, parents):
    graph = trace(ListSource(acts, parents), 1)
    last = max((edge.last for edge in graph.edges if edge.target == graph.root), default=0)
    assert all(edge.first <= last for edge in graph.edges if edge.kind == "read")


@given(acts, parents, st.integers(0, TIMES))
@settings(max_examples=60, deadline=None)
def test_cutoffs_never_grow_on_the_way_up(acts, parents, until):
    graph = trace(ListSource(acts, parents), 1, until=until)
    assert all(cutoff <= until for cutoff in (*graph.versions.values(), *graph.images.values()))


@given(acts, parents)
@settings(max_examples=60, deadline=None)
def test_every_edge_joins_what_was_found_and_everything_found_is_joined(acts, parents):
    graph = trace(ListSource(acts, parents), 1)
    known = {*graph.versions, *graph.images}
    assert {end for edge in graph.edges for end in (edge.source, edge.target)} | {graph.root} == known


@given(acts=acts, file=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_the_database_gives_the_spans_that_the_acts_make(databases, acts, file):
    url = databases.database()
    history = History(url)
    history.run()
    images = [history.program(10 + number, None, str(number)) for number in range(1, IMAGES + 1)]
    for number in range(1, FILES + 1):
        history.file(str(number))
    for act in sorted(acts, key=lambda act: act.time):
        history.access(images[act.image - 1], act.kind, str(act.file), act.time)
    expected = {
        (
            images[span.image - 1].id,
            history.files[str(span.file)].id,
            span.kind,
            span.session,
            at(span.first),
            at(span.last),
        )
        for span in spans_of(sorted(acts, key=lambda act: act.time))
        if span.kind != "open"
    }
    with history.engine.connect() as connection:
        source = DatabaseSource(connection)
        spans = [
            *source.inputs([image.id for image in images]),
            *source.outputs([f.id for f in history.files.values()]),
        ]
    history.close()
    databases.drop(url)
    assert {(s.image, s.file, s.kind, s.session, s.first, s.last) for s in spans} == expected
