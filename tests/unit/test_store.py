"""The database: what is believed of it, and in which order statements find their rows."""

import re
import sqlite3

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from interpose.sidecar import store
from interpose.sidecar.errors import StoreError
from interpose.sidecar.hostdir import Identity
from interpose.sidecar.models import lacking
from interpose.sidecar.packing import Packer
from interpose.sidecar.query import all_runs, open_database
from interpose.sidecar.store import Pending, Store, Unsent
from support.databases import engine_of, sqlite_url
from support.postgresql import server


@pytest.fixture
def opened(database):
    made = Store.open(database)
    yield made
    made.close()


def test_a_spool_is_of_one_run_whoever_opens_it(opened):
    assert "first" == opened.open_run("first", "spool", ["make"], 1)
    assert "first" == opened.open_run("second", "spool", None, 2)
    assert "third" == opened.open_run("third", "another spool", None, 3)


def test_a_run_id_that_is_taken_is_one_line(opened):
    opened.open_run("first", "spool", None, 1)
    with pytest.raises(StoreError, match=r"(?i)^cannot write the database .* unique constraint [^\n]*$"):
        opened.open_run("first", "another spool", None, 1)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_server_may_keep_text_in_another_encoding(postgresql, encoding):
    url = postgresql.database(encoding)
    opened = Store.open(url)
    container = Identity("c1", "café", "image", None, {"über": "日本"}, None, None)
    assert "first" == opened.open_run("first", "spool", ["make", "日本"], 1, container)
    assert container == opened.run("first").container
    opened.close()
    engine = open_database(url)
    with engine.connect() as connection:
        (found,) = all_runs(connection)
    engine.dispose()
    postgresql.drop(url)

    assert ("first", ["make", "日本"], "café") == (found.id, found.command, found.container.name)


def test_what_a_failed_transaction_wrote_is_not_there(opened):
    with pytest.raises(RuntimeError), opened.transaction() as rows:
        rows.run("add_run", ("first", "spool", None, 1, 0))
        raise RuntimeError
    with opened.transaction() as rows:
        assert rows.one("run_of_spool", ("spool",)) is None


def test_a_lock_may_go_away_and_a_constraint_stays(tmp_path, monkeypatch):
    opened = Store.open(f"sqlite:///{tmp_path}/db")
    opened.open_run("first", "spool", None, 1)
    with pytest.raises(StoreError) as constraint:
        opened.open_run("first", "another spool", None, 1)
    monkeypatch.setattr(store, "_PRAGMAS", ("PRAGMA busy_timeout=10",))
    impatient = Store.open(f"sqlite:///{tmp_path}/db")
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as lock:
        impatient.open_run("second", "third spool", None, 1)
    other.close()
    impatient.close()
    opened.close()

    assert not opened.is_temporary(constraint.value)
    assert impatient.is_temporary(lock.value)


def test_what_could_only_be_read_for_a_while_is_written_again(opened):
    """A connection that was made meanwhile stays so; a server that was a standby says so by another error."""
    only_read = {"sqlite": "PRAGMA query_only=ON", "postgresql": "SET default_transaction_read_only = on"}
    with opened.transaction() as rows:
        rows._cursor.execute(only_read[opened._engine.dialect.name])
    with pytest.raises(StoreError, match="read-?only") as failed:
        opened.open_run("first", "spool", None, 1)

    assert opened.is_temporary(failed.value)
    assert "first" == opened.open_run("first", "spool", None, 1)


def test_queries_read_while_a_transaction_writes(opened, database):
    with opened.transaction() as rows:
        rows.run("add_run", ("first", "spool", None, 1, 0))
        with engine_of(database) as engine, engine.connect() as reader:
            assert [] == reader.exec_driver_sql("SELECT id FROM runs").all()
        with opened.reading() as others:
            assert others.one("run_of_spool", ("spool",)) is None


def test_a_server_that_went_away_is_used_again_when_it_is_back():
    with server() as postgresql:
        opened = Store.open(postgresql.database())
        opened.open_run("first", "spool", None, 1)
        postgresql.kill()
        with pytest.raises(StoreError, match=r"^cannot write the database [^\n]*$") as away:
            opened.end_run("first", 2, 0)
        assert opened.is_temporary(away.value)
        postgresql.start()
        assert "first" == opened.open_run("second", "spool", None, 3)
        opened.close()


def test_a_server_that_goes_away_within_a_transaction_has_nothing_of_it():
    with server() as postgresql:
        opened = Store.open(postgresql.database())
        with pytest.raises(StoreError) as away, opened.transaction() as rows:
            rows.run("add_run", ("first", "spool", None, 1, 0))
            postgresql.kill()
            rows.run("add_run", ("second", "another spool", None, 1, 0))
        assert opened.is_temporary(away.value)
        postgresql.start()
        with opened.reading() as rows:
            assert rows.one("run_of_spool", ("spool",)) is None
        opened.close()


def test_a_row_that_another_holds_is_not_waited_for_for_ever(postgresql, monkeypatch):
    monkeypatch.setattr(store, "_BUSY_SECONDS", 0.1)
    opened = Store.open(postgresql.database())
    opened.open_run("first", "spool", None, 1)
    with opened.transaction() as rows:
        rows.run("revise", (1, "first"))
        with pytest.raises(StoreError, match="lock timeout") as lock:
            opened.end_run("first", 2, 0)
    assert opened.is_temporary(lock.value)
    opened.close()


@pytest.mark.parametrize(("durable", "synchronous"), [(False, 1), (True, 2)])
def test_a_collectors_sqlite_syncs_with_every_commit(tmp_path, durable, synchronous):
    opened = Store.open(f"sqlite:///{tmp_path}/db", durable=durable)
    with opened.reading() as rows:
        rows._cursor.execute("PRAGMA synchronous")
        assert (synchronous,) == rows._cursor.fetchone()
    opened.close()


# Forwarding.


class Journals:
    """Journals of the run `run`, as ingest leaves them."""

    def __init__(self, store):
        self.store = store
        store.open_run("run", "spool", ["make"], 0)

    def add(self, number, *sizes, closed=False, last=5, notes=()):
        """Bytes that say where they stand, in ranges of these sizes. Returns the journal's id."""
        with self.store.transaction() as rows:
            id_ = rows.new_id("journals")
            rows.run("add_journal", (id_, "run", number, sum(sizes), None, 0, closed))
            place = 0
            for size in sizes:
                data = bytes((place + n) % 100 for n in range(size))
                rows.run("add_range", (id_, place, size, 1, last, last, Packer().pack(data)))
                place += size
            rows.many("add_note", [(id_, offset, last, b"note") for offset in notes])
        return id_


@pytest.fixture
def journals(opened):
    return Journals(opened)


def test_what_is_to_be_forwarded_is_told_until_it_is_delivered(opened, journals):
    live, closed = journals.add(1, 8, 16), journals.add(2, 8, closed=True)
    opened.note_forwarded({live: (8, False)}, {})
    opened.note_forwarded({closed: (8, False)}, {})

    assert [
        Pending(live, "run", 1, 24, 8, closed=False, realtime_offset=0),
        Pending(closed, "run", 2, 8, 8, closed=True, realtime_offset=0),
    ] == (opened.to_forward(0, 10))
    assert [live] == [pending.id for pending in opened.to_forward(0, 1)]
    assert [closed] == [pending.id for pending in opened.to_forward(live, 10)]
    opened.note_forwarded({live: (24, False)}, {})
    opened.note_forwarded({closed: (8, True)}, {})
    assert [] == opened.to_forward(0, 10)


def test_an_acknowledgement_that_comes_late_takes_nothing_back(opened, journals):
    id_ = journals.add(1, 32, closed=True)
    opened.note_forwarded({id_: (32, True)}, {})
    opened.note_forwarded({id_: (8, False)}, {})

    with opened.reading() as rows:
        rows._cursor.execute("SELECT forwarded FROM journals")
        assert (32,) == rows._cursor.fetchone()
    assert [] == opened.to_forward(0, 10)


@pytest.mark.parametrize("offset", [0, 8, 16, 320, 336, 656])
@pytest.mark.parametrize("limit", [1, 300, 1 << 20])
def test_ranges_are_read_from_any_record_on_as_they_came(opened, journals, offset, limit):
    id_ = journals.add(1, 320, 16, 320)
    read = b""
    for piece in opened.ranges(id_, offset, limit):
        assert (offset + len(read), len(piece.data)) == (piece.offset, piece.size)
        read += piece.data

    assert min(limit, 656 - offset) <= len(read) <= limit + 320
    assert read == bytes((offset + n) % 100 for n in range(len(read)))


def test_ranges_end_before_a_hole(opened, journals):
    id_ = journals.add(1, 8, 8, 8)
    with opened.transaction() as rows:
        rows._cursor.execute('DELETE FROM ranges WHERE "offset" = 8')

    assert [0] == [piece.offset for piece in opened.ranges(id_, 0, 100)]
    assert [] == opened.ranges(id_, 8, 100)


def test_notes_are_read_from_an_offset_on(opened, journals):
    id_ = journals.add(1, notes=(-3, -1, 8))

    assert [(-3, b"note"), (-1, b"note"), (8, b"note")] == opened.notes(id_)
    assert [(8, b"note")] == opened.notes(id_, 0)


def test_only_old_events_of_delivered_journals_are_discarded(opened, journals):
    old, new, undelivered = (
        journals.add(n, 8, 8, closed=True, last=last, notes=[-1]) for n, last in enumerate([5, 9, 5])
    )
    for id_ in (old, new):
        opened.note_forwarded({id_: (16, True)}, {})

    assert 1 == opened.discard_events(before=7, limit=10, delivered=True)
    assert ([], []) == (opened.ranges(old, 0, 100), opened.notes(old))
    assert [2, 2] == [len(opened.ranges(id_, 0, 100)) for id_ in (new, undelivered)]
    assert 0 == opened.discard_events(before=7, limit=10, delivered=True)


def test_only_old_events_of_closed_journals_are_discarded_where_nothing_is_forwarded(opened, journals):
    old, new = (journals.add(n, 8, closed=True, last=last, notes=[-1]) for n, last in enumerate([5, 7]))
    living = journals.add(2, 8, last=5)
    half = journals.add(3, 8, 8, closed=True, last=5)
    with opened.transaction() as rows:
        rows._cursor.execute(f'UPDATE ranges SET last = 9 WHERE journal_id = {half} AND "offset" = 8')

    assert 1 == opened.discard_events(before=7, limit=10, delivered=False)
    assert ([], []) == (opened.ranges(old, 0, 100), opened.notes(old))
    assert [1, 1, 2] == [len(opened.ranges(id_, 0, 100)) for id_ in (new, living, half)]
    assert 0 == opened.discard_events(before=7, limit=10, delivered=False)


@pytest.mark.parametrize("delivered", [True, False])
def test_events_are_discarded_a_limited_number_of_journals_at_a_time(opened, journals, delivered):
    for number in range(5):
        opened.note_forwarded({journals.add(number, 8, closed=True): (8, delivered)}, {})

    assert [2, 2, 1, 0] == [opened.discard_events(before=7, limit=2, delivered=delivered) for _ in range(4)]


def test_a_run_is_old_once_it_is_over_and_delivered_as_a_whole(opened, journals):
    id_ = journals.add(1, 8)
    opened.end_run("run", 6, 0)
    assert {} == opened.old_runs(before=7, delivered=True)
    opened.note_forwarded({}, {"run": 5})  # an earlier end
    opened.note_forwarded({id_: (8, False)}, {})
    assert {} == opened.old_runs(before=7, delivered=True)
    opened.note_forwarded({}, {"run": 6})
    assert {} == opened.old_runs(before=6, delivered=True)
    assert {"run": 0} == opened.old_runs(before=7, delivered=True)


def test_a_run_is_old_some_time_after_its_end_where_nothing_is_forwarded(opened, journals):
    journals.add(1, 8)
    assert {} == opened.old_runs(before=7, delivered=False)
    opened.end_run("run", 6, 0)
    assert [{}, {"run": 0}] == [opened.old_runs(before=before, delivered=False) for before in (6, 7)]


def test_a_silent_run_ends_with_its_last_sign_unless_there_was_another(opened, journals):
    journals.add(1, 8)
    with opened.transaction() as rows:
        rows.one("revise", (6, "run"))
    assert {"run": 6} == opened.open_runs()
    opened.end_silent_run("run", 5)
    assert {"run": 6} == opened.open_runs()
    opened.end_silent_run("run", 6)
    assert ({}, 6) == (opened.open_runs(), opened.run("run").ended)
    assert "run" == opened.open_run("another", "spool", None, 1)
    assert {"run": 6} == opened.open_runs()


def test_a_run_that_somebody_goes_on_with_is_not_discarded(opened, journals):
    journals.add(1, 8)
    assert not opened.discard_run("run", 0)
    opened.end_run("run", 6, 0)
    with opened.transaction() as rows:
        rows.one("revise", (1, "run"))
    assert not opened.discard_run("run", 0)
    assert "run" == opened.open_run("another", "spool", None, 1)
    assert not opened.discard_run("run", 1)
    opened.end_run("run", 6, 0)
    assert opened.run("run") is not None
    assert opened.discard_run("run", 1)
    assert (None, []) == (opened.run("run"), opened.to_forward(0, 10))


def test_what_is_not_forwarded_is_counted(opened, journals):
    assert Unsent(0, 0, 0) == opened.unsent()
    live, closed = journals.add(1, 8, 16), journals.add(2, 8, closed=True)
    opened.end_run("run", 6, 0)
    assert Unsent(2, 32, 1) == opened.unsent()
    opened.note_forwarded({live: (24, False), closed: (8, False)}, {"run": 6})
    assert Unsent(1, 0, 0) == opened.unsent()
    opened.note_forwarded({closed: (8, True)}, {})
    assert Unsent(0, 0, 0) == opened.unsent()


@pytest.mark.parametrize(
    "url",
    ["sqlite:////nowhere/at/all", "sqlite:////proc/version", "nonsense", "nonsense://x", "sqlite:////"],
)
def test_a_database_that_cannot_be_opened_is_one_line_without_a_password(url):
    with pytest.raises(StoreError, match=r"^cannot (use|open) the database [^\n]*$"):
        Store.open(url)


@pytest.mark.parametrize("opens", [lambda url: Store.open(url).close(), lambda url: open_database(url).dispose()])
def test_a_database_of_an_earlier_build_is_brought_up_to_date(database, opens):
    Store.open(database).close()
    with engine_of(database) as engine, engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE images DROP COLUMN blind_object")

    opens(database)
    with engine_of(database) as engine, engine.begin() as connection:
        assert [] == connection.exec_driver_sql("SELECT blind_object FROM images").all()
        assert [] == lacking(connection)


def test_a_table_of_somebody_elses_is_left_as_it_is(tmp_path):
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE images (picture blob)")
    theirs.close()
    for opens in (Store.open, open_database):
        with pytest.raises(StoreError, match="was made by another version"):
            opens(sqlite_url(path))
    theirs = sqlite3.connect(path)
    assert [("CREATE TABLE images (picture blob)",)] == theirs.execute("SELECT sql FROM sqlite_master").fetchall()
    theirs.close()


def test_a_database_of_another_version_is_refused_and_left_as_it_is(database):
    Store.open(database).close()
    with engine_of(database) as engine, engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE runs DROP COLUMN heard")

    with pytest.raises(StoreError, match=r"^the database [^\n]* was made by another version of interpose: [^\n]*$"):
        Store.open(database)
    with engine_of(database) as engine, engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN heard bigint DEFAULT 0")
    Store.open(database).close()


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()])
def test_every_statement_takes_its_values_in_the_order_that_is_told(dialect):
    for name, statement in store._compile(dialect).items():
        values = list(range(len(statement.names)))
        assert statement.sql, name
        if statement.order is not None:
            assert values == sorted(set(statement.values(values))), name


def test_no_statement_of_the_writer_reads_a_whole_table(tmp_path):
    opened = Store.open(f"sqlite:///{tmp_path}/db")
    connection = sqlite3.connect(tmp_path / "db")
    for name, statement in opened._statements.items():
        values = statement.values([None] * len(statement.names))
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", values).fetchall()
        to_do = re.compile(r"SCAN [a-z]+ USING (COVERING )?INDEX [a-z]+_(to_forward|open)|SCAN anon_|(?!SCAN)")
        assert all(to_do.match(step) for *_, step in plan), (name, plan)
    connection.close()
    opened.close()
