"""The database: what is believed of it, and in which order statements find their rows."""

import sqlite3

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from interpose.sidecar import store
from interpose.sidecar.errors import StoreError
from interpose.sidecar.store import Store


@pytest.fixture
def opened(tmp_path):
    made = Store.open(f"sqlite:///{tmp_path}/db")
    yield made
    made.close()


def test_a_spool_is_of_one_run_whoever_opens_it(opened):
    assert "first" == opened.open_run("first", "spool", ["make"], 1)
    assert "first" == opened.open_run("second", "spool", None, 2)
    assert "third" == opened.open_run("third", "another spool", None, 3)


def test_a_run_id_that_is_taken_is_one_line(opened):
    opened.open_run("first", "spool", None, 1)
    with pytest.raises(StoreError, match=r"^cannot write the database /.*: UNIQUE constraint failed: runs.id$"):
        opened.open_run("first", "another spool", None, 1)


def test_what_a_failed_transaction_wrote_is_not_there(opened):
    with pytest.raises(RuntimeError), opened.transaction() as rows:
        rows.run("add_run", ("first", "spool", None, 1, 0))
        raise RuntimeError
    with opened.transaction() as rows:
        assert rows.one("run_of_spool", ("spool",)) is None


def test_a_lock_may_go_away_and_a_constraint_stays(opened, tmp_path, monkeypatch):
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

    assert not opened.is_temporary(constraint.value)
    assert impatient.is_temporary(lock.value)


def test_queries_read_while_a_transaction_writes(opened, tmp_path):
    with opened.transaction() as rows:
        rows.run("add_run", ("first", "spool", None, 1, 0))
        reader = sqlite3.connect(tmp_path / "db")
        assert [] == reader.execute("SELECT id FROM runs").fetchall()
        reader.close()


@pytest.mark.parametrize(
    "url",
    ["sqlite:////nowhere/at/all", "sqlite:////proc/version", "nonsense", "nonsense://x", "sqlite:////"],
)
def test_a_database_that_cannot_be_opened_is_one_line_without_a_password(url):
    with pytest.raises(StoreError, match=r"^cannot (use|open) the database [^\n]*$"):
        Store.open(url)


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()])
def test_every_statement_takes_its_values_in_the_order_that_is_told(dialect):
    for name, statement in store._compile(dialect).items():
        values = list(range(len(statement.names)))
        assert statement.sql, name
        if statement.order is not None:
            assert sorted(values) == sorted(statement.values(values)), name


def test_no_statement_of_the_writer_reads_a_whole_table(opened, tmp_path):
    connection = sqlite3.connect(tmp_path / "db")
    for name, statement in opened._statements.items():
        values = statement.values([None] * len(statement.names))
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", values).fetchall()
        assert not [step for *_, step in plan if step.startswith("SCAN")], (name, plan)
    connection.close()
