"""Writing to the database: connections, transactions and the statements that ingest needs.

SQLite and PostgreSQL take the same statements, compiled once from the models. They are executed on the driver's own
cursor: SQLAlchemy's execution costs more than the insertion of a row.

SQLite runs in WAL mode, so that queries read while this writes, and with synchronous=NORMAL: a commit survives
the death of any process, and a power failure takes the last commits, never the database. What it takes was, as a rule,
in journals that the same power failure took, since nobody syncs those.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    Table,
    bindparam,
    case,
    create_engine,
    delete,
    event,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.sql import ClauseElement

from interpose.sidecar import models
from interpose.sidecar.errors import StoreError

__all__ = ["Image", "Journal", "Process", "Store", "Transaction"]

_BUSY_SECONDS: Final = 10
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-65536",  # KiB
    "PRAGMA wal_autocheckpoint=8000",  # pages of 4 KiB
)


class Journal(NamedTuple):
    """A row of `journals`, with the process that its image is of."""

    id: int
    offset: int
    image_id: int | None
    realtime_offset: int
    closed: bool
    process: tuple[int, int, int] | None
    """pid_namespace, pid, start_time."""


class Process(NamedTuple):
    """A row of `processes`, as far as ingest needs it."""

    id: int
    started: int
    ended: int | None
    exit_status: int | None
    parent_pid: int | None
    user: int | None


class Image(NamedTuple):
    """A row of `images`, as far as ingest needs it."""

    id: int
    started: int
    ended: int | None
    reason: str
    executable: bytes | None


class _Statement:
    """SQL text, and the order in which the driver wants the values."""

    def __init__(self, element: ClauseElement, dialect: Dialect, parameters: Sequence[str]) -> None:
        compiled = element.compile(dialect=dialect)
        self.sql = str(compiled)
        names = getattr(compiled, "positiontup", None)
        self.names = tuple(parameters)
        if names is None:
            self.order: tuple[int, ...] | None = None  # the driver takes names
        else:
            self.order = tuple(self.names.index(name) for name in names)
            self.straight = self.order == tuple(range(len(self.names)))

    def values(self, values: Sequence[Any]) -> Any:
        if self.order is None:
            return dict(zip(self.names, values, strict=True))
        return values if self.straight else tuple(values[place] for place in self.order)


class Store:
    """A database that is written by one thread of this process, and by other processes too."""

    def __init__(self, engine: Engine, where: str) -> None:
        """Use `open`."""
        self._engine = engine
        self._where = where
        self._statements = _compile(engine.dialect)
        dbapi = engine.dialect.dbapi
        assert dbapi is not None
        self._driver_error: type[Exception] = dbapi.Error
        self._temporary: type[Exception] = dbapi.OperationalError

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open the database at SQLAlchemy's `url`, making file and tables if they are missing. Raises StoreError."""
        where = url.partition("///")[2] if url.startswith("sqlite") else url.rpartition("@")[2]
        try:
            engine = create_engine(url)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise StoreError(f"cannot use the database {where}: {_one_line(error)}") from error
        if engine.dialect.name == "sqlite":
            _prepare_sqlite(engine)
        try:
            with engine.begin() as connection:
                models.Base.metadata.create_all(connection)
        except (SQLAlchemyError, OSError) as error:
            engine.dispose()
            raise StoreError(f"cannot open the database {where}: {_one_line(error)}") from error
        return cls(engine, where)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def is_temporary(self, error: BaseException) -> bool:
        """Whether the same transaction may succeed later: a full disk, a lock, a server that is away."""
        cause = error.__cause__
        return isinstance(cause, (self._temporary, OSError))

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Commit what the block wrote, or roll it back if it raised. The driver's errors become StoreError."""
        try:
            with self._engine.connect() as connection, connection.begin():
                raw = connection.connection.cursor()
                yield Transaction(raw, self._statements)
        except (self._driver_error, DBAPIError) as error:
            driver = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
            raise StoreError(f"cannot write the database {self._where}: {_one_line(driver)}") from driver

    def open_run(self, run: str, spool: str, command: Sequence[str] | None, started: int) -> str:
        """The id of the run that came through this spool: `run`, unless the database knows the spool by another."""
        with self.transaction() as rows:
            known = rows.one("run_of_spool", (spool,))
            if known is not None:
                return str(known[0])
            encoded = None if command is None else json.dumps(list(command))
            rows.run("add_run", (run, spool, encoded, started, 0))
        return run

    def end_run(self, run: str, ended: int, status: int | None) -> None:
        """Store when a run ended (nanoseconds since 1970) and with which status."""
        with self.transaction() as rows:
            rows.run("end_run", (ended, status, run))

    def lost(self, run: str) -> int:
        """Events of the run that no row tells of."""
        with self.transaction() as rows:
            found = rows.one("lost", (run,))
        return int(found[0]) if found else 0

    def journals(self, run: str, first: int, last: int) -> dict[int, tuple[int, bool]]:
        """Committed bytes, and whether it is closed, of the run's journals with numbers from `first` to `last`."""
        with self.transaction() as rows:
            return {
                number: (offset, bool(closed)) for number, offset, closed in rows.all("offsets", (run, first, last))
            }

    def waits(self, run: str) -> list[tuple[int, int, bytes]]:
        """Of the run's Wait events: the waiting process's pid_namespace, realtime_offset, encoded event."""
        with self.transaction() as rows:
            return [tuple(row) for row in rows.all("waits", (run,))]

    def own_bodies(self, run: str, number: int) -> list[bytes]:
        """The encoded events of one journal."""
        with self.transaction() as rows:
            return [body for (body,) in rows.all("own_bodies", (run, number))]


class Transaction:
    """The statements by name, between begin and commit; they raise the driver's errors."""

    def __init__(self, cursor: Any, statements: dict[str, _Statement]) -> None:
        """Made by Store.transaction."""
        self._cursor = cursor
        self._statements = statements

    def run(self, name: str, values: Sequence[Any]) -> None:
        """Execute a statement."""
        statement = self._statements[name]
        self._cursor.execute(statement.sql, statement.values(values))

    def many(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement for each row."""
        if rows:
            statement = self._statements[name]
            if statement.order is None or not statement.straight:
                rows = [statement.values(row) for row in rows]
            self._cursor.executemany(statement.sql, rows)

    def all(self, name: str, values: Sequence[Any]) -> list[Any]:
        """Execute a statement and return its rows."""
        self.run(name, values)
        return list(self._cursor.fetchall())

    def one(self, name: str, values: Sequence[Any]) -> Any:
        """Execute a statement and return its first row, or None."""
        self.run(name, values)
        return self._cursor.fetchone()

    def added(self, name: str, values: Sequence[Any]) -> int:
        """Execute a statement that returns an id."""
        self.run(name, values)
        return int(self._cursor.fetchone()[0])

    def journal(self, run: str, number: int) -> Journal | None:
        """One of the run's journals."""
        row = self.one("journal", (run, number))
        if row is None:
            return None
        process = None if row[5] is None else (row[5], row[6], row[7])
        return Journal(row[0], row[1], row[2], row[3], bool(row[4]), process)

    def process(self, run: str, namespace: int, pid: int, start_time: int) -> Process | None:
        """One of the run's processes."""
        row = self.one("process", (run, namespace, pid, start_time))
        return None if row is None else Process(*row)

    def images(self, process: int) -> list[Image]:
        """The images of a process."""
        return [Image(*row) for row in self.all("images", (process,))]


def _one_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split()) or type(cause).__name__


def _prepare_sqlite(engine: Engine) -> None:
    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # or the driver begins transactions by itself, deferred ones
        for pragma in _PRAGMAS:
            connection.execute(pragma)

    def begin(connection: Connection) -> None:
        # A deferred transaction that begins with a SELECT cannot wait for another writer: it fails at once.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)


def _compile(dialect: Dialect) -> dict[str, _Statement]:
    """Every statement that this program writes with, by name; values come in the order that is given here."""
    run, journal, process, image, file, name, access, event_ = (
        _table(model)
        for model in (
            models.Run, models.Journal, models.Process, models.Image,
            models.File, models.Name, models.Access, models.Event,
        )
    )  # fmt: skip
    upsert: Callable[[Table], Any] = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    least = func.least if dialect.name == "postgresql" else func.min
    greatest = func.greatest if dialect.name == "postgresql" else func.max

    def statement(element: ClauseElement, *parameters: str) -> _Statement:
        return _Statement(element, dialect, parameters)

    def add(table: Table, *columns: str, returning: bool = False) -> _Statement:
        element = insert(table).values({column: bindparam(column) for column in columns})
        return statement(element.returning(table.c.id) if returning else element, *columns)

    def change(table: Table, *columns: str) -> _Statement:
        """UPDATE of some columns by id, which comes last."""
        element = update(table).values({column: bindparam(column) for column in columns})
        return statement(element.where(table.c.id == bindparam("this")), *columns, "this")

    def where(element: Any, **conditions: Any) -> _Statement:
        for parameter, column in conditions.items():
            element = element.where(column == bindparam(parameter))
        return statement(element, *conditions)

    def move(table: Table) -> _Statement:
        element = update(table).values(image_id=bindparam("target"))
        return statement(element.where(table.c.image_id == bindparam("source")), "target", "source")

    names = ("run_id", "file_id", "path", "first_seen", "last_seen")
    add_name = upsert(name).values({column: bindparam(column) for column in names})
    files = ("device", "inode", "birth_time", "scope", "kind")
    add_file = upsert(file).values({column: bindparam(column) for column in files})
    of_journal = journal.outerjoin(image, journal.c.image_id == image.c.id).outerjoin(
        process, image.c.process_id == process.c.id
    )
    of_event = event_.join(journal, event_.c.journal_id == journal.c.id)
    offsets = select(journal.c.number, journal.c.offset, journal.c.closed).where(
        journal.c.run_id == bindparam("run"), journal.c.number.between(bindparam("first"), bindparam("last"))
    )
    return {
        "run_of_spool": where(select(run.c.id), spool=run.c.spool),
        "add_run": add(run, "id", "spool", "command", "started", "lost"),
        "end_run": change(run, "ended", "status"),
        "lose": statement(
            update(run).values(lost=run.c.lost + bindparam("more")).where(run.c.id == bindparam("this")), "more", "this"
        ),
        "lost": where(select(run.c.lost), run=run.c.id),
        "offsets": statement(offsets, "run", "first", "last"),
        "own_bodies": where(select(event_.c.body).select_from(of_event), run=journal.c.run_id, number=journal.c.number),
        "waits": where(
            select(process.c.pid_namespace, journal.c.realtime_offset, event_.c.body)
            .select_from(
                of_event.join(image, image.c.id == event_.c.image_id).join(process, process.c.id == image.c.process_id)
            )
            .where(event_.c.effect == literal_column("'wait'")),
            run=journal.c.run_id,
        ),
        "journal": where(
            select(
                journal.c.id, journal.c.offset, journal.c.image_id, journal.c.realtime_offset, journal.c.closed,
                process.c.pid_namespace, process.c.pid, process.c.start_time,
            ).select_from(of_journal),
            run=journal.c.run_id, number=journal.c.number,
        ),
        "add_journal": add(
            journal, "run_id", "number", "offset", "image_id", "realtime_offset", "closed", returning=True
        ),
        "change_journal": change(journal, "offset", "image_id", "realtime_offset", "closed"),
        "process": where(
            select(
                process.c.id, process.c.started, process.c.ended, process.c.exit_status, process.c.parent_pid,
                process.c.user,
            ),
            run=process.c.run_id, namespace=process.c.pid_namespace, pid=process.c.pid,
            start_time=process.c.start_time,
        ),
        "same_pid": where(
            select(process.c.start_time),
            run=process.c.run_id, namespace=process.c.pid_namespace, pid=process.c.pid,
        ),
        "add_process": add(process, "run_id", "pid_namespace", "pid", "start_time", "started", returning=True),
        "change_process": change(process, "started", "ended", "exit_status"),
        "describe_process": change(process, "user", "group"),
        "adopt_process": change(process, "parent_pid", "parent_start_time"),
        "images": where(
            select(image.c.id, image.c.started, image.c.ended, image.c.reason, image.c.executable),
            process=image.c.process_id,
        ),
        "add_image": add(image, "process_id", "started", "reason", returning=True),
        "change_image": change(image, "started", "ended", "reason"),
        "describe_image": change(image, "executable", "file_id", "arguments", "directory"),
        "blind_image": change(image, "executable", "file_id", "arguments", "blind_spot"),
        "next_exec": statement(
            select(event_.c.body)
            .select_from(event_.join(image, image.c.id == event_.c.image_id))
            .where(
                image.c.process_id == bindparam("process"),
                event_.c.effect == literal_column("'exec'"),
                event_.c.time > bindparam("time"),
            )
            .order_by(event_.c.time),
            "process", "time",
        ),
        "delete_process": where(delete(process), this=process.c.id),
        "delete_image": where(delete(image), this=image.c.id),
        "delete_accesses": where(delete(access), this=access.c.image_id),
        "move_accesses": move(access),
        "move_events": move(event_),
        "move_journals": move(journal),
        "add_file": statement(
            add_file.on_conflict_do_update(
                index_elements=["inode", "device", "birth_time", "scope"],
                set_={"kind": _known_kind(file.c.kind, add_file.excluded.kind)},
            ).returning(file.c.id),
            *files,
        ),
        "add_name": statement(
            add_name.on_conflict_do_update(
                index_elements=["run_id", "file_id", "path"],
                set_={
                    "first_seen": least(name.c.first_seen, add_name.excluded.first_seen),
                    "last_seen": greatest(name.c.last_seen, add_name.excluded.last_seen),
                },
            ),
            *names,
        ),
        "add_access": add(access, "image_id", "file_id", "time", "kind", "amount", "size", "modified"),
        "add_event": add(event_, "journal_id", "offset", "time", "image_id", "effect", "body"),
    }  # fmt: skip


def _known_kind(old: Any, new: Any) -> Any:
    """The kind of a file of which two events told; `other` is what is said of a file whose mode is not known."""
    return case((old == literal_column("'other'"), new), else_=old)


def _table(model: type[models.Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table
