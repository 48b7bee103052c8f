"""Writing to the database: connections, transactions and the statements that ingest needs.

SQLite and PostgreSQL take the same statements, compiled once from the models. They are executed on the driver's own
cursor: SQLAlchemy's execution costs more than the insertion of a row.

SQLite runs in WAL mode, so that queries read while this writes, and with synchronous=NORMAL: a commit survives
the death of any process, and a power failure takes the last commits, never the database. What it takes was, as a rule,
in journals that the same power failure took, since nobody syncs those. A collector's database is synced with every
commit: sidecars delete what it has acknowledged.
"""

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Table,
    and_,
    bindparam,
    case,
    cast,
    create_engine,
    delete,
    event,
    exists,
    false,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    true,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.sql import ClauseElement

from interpose.sidecar import location, models
from interpose.sidecar.errors import StoreError
from interpose.sidecar.hostdir import Identity
from interpose.sidecar.ids import new_run_id
from interpose.sidecar.memory import EARLIEST
from interpose.sidecar.packing import unpack

__all__ = ["Image", "Journal", "Pending", "Process", "Range", "RunRow", "Store", "Transaction", "Unsent"]

_BUSY_SECONDS: Final = 10
_IDS_AT_ONCE: Final = 64
"""Of a table's sequence."""
_FEW: Final = 4
"""Rows that are inserted one by one: COPY of PostgreSQL has a beginning and an end."""
_DISCARDED_AT_ONCE: Final = 500
"""Images, and files: others wait as long as one transaction deletes."""
_OF_A_RUN: Final = ("ranges", "notes", "journals", "images", "processes", "names", "containers")
"""What refers to others comes before them."""
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-8192",  # KiB
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


class Range(NamedTuple):
    """Whole records of a journal, in the journal's own counting of bytes."""

    offset: int
    size: int
    data: bytes


class RunRow(NamedTuple):
    """A row of `runs`, as its sidecar describes it."""

    id: str
    spool: str
    command: str | None
    """JSON array of arguments; None for a container."""
    started: int
    ended: int | None
    status: int | None
    container: Identity | None = None


class Pending(NamedTuple):
    """A journal of which a collector has not acknowledged everything."""

    id: int
    run: str
    number: int
    offset: int
    """Bytes that are stored; of the run's own notes, their number."""
    forwarded: int
    """How many of them are acknowledged."""
    closed: bool
    realtime_offset: int


class Unsent(NamedTuple):
    """How much no collector has acknowledged."""

    journals: int = 0
    size: int = 0
    """Bytes of them."""
    runs: int = 0
    """Those of which it does not know how they ended."""


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


_NO_IDS: Final[Iterator[int]] = iter(())


class _Statement:
    """SQL text, and the order in which the driver wants the values."""

    def __init__(
        self, element: ClauseElement, dialect: Dialect, parameters: Sequence[str], copy: str | None = None
    ) -> None:
        self.copy = copy
        """What inserts many rows at once, where the database has such a thing."""
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
        self._temporary: tuple[type[Exception], ...] = (dbapi.OperationalError, dbapi.InternalError, OSError)

    @classmethod
    def open(cls, url: str, *, durable: bool = False) -> "Store":
        """Open the database at SQLAlchemy's `url`, making file and tables if they are missing. Raises StoreError.

        `durable`: a commit survives a power failure too, for who tells others that they may delete what they have.
        """
        where = location.shown(url)
        try:
            engine = _engine(url, durable=durable)
        except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
            raise StoreError(f"cannot use the database {where}: {location.reason(url, error)}") from error
        try:
            with engine.begin() as connection:
                lacking = models.lacking(connection)
                is_ours = models.LATER.issuperset(lacking)
                if is_ours:
                    models.add_columns(connection, lacking)
                    models.Base.metadata.create_all(connection)
        except (SQLAlchemyError, OSError) as error:
            engine.dispose()
            raise StoreError(f"cannot open the database {where}: {location.reason(url, error)}") from error
        if not is_ours:
            engine.dispose()
            raise StoreError(f"the database {where} was made by another version of interpose: use another one")
        return cls(engine, where)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def is_temporary(self, error: BaseException) -> bool:
        """Whether the same transaction may succeed later: a full disk, a lock, a server that is away or a standby."""
        cause = error.__cause__
        return isinstance(cause, self._temporary)

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Commit what the block wrote, or roll it back if it raised. The driver's errors become StoreError."""
        try:
            with (
                self._engine.connect() as connection,
                _thrown_away_if_failed(connection),
                connection.begin(),
                # Or SQLite keeps its files as long as somebody holds the exception that ended the block.
                contextlib.closing(connection.connection.cursor()) as raw,
            ):
                yield Transaction(raw, self._statements)
        except (self._driver_error, DBAPIError) as error:
            raise self._failed("write", error) from _drivers(error)

    @contextlib.contextmanager
    def reading(self) -> Iterator["Transaction"]:
        """For statements that only read: nobody who writes waits for the block, nor it for them."""
        try:
            connection = self._engine.raw_connection()
            try:
                yield Transaction(connection.cursor(), self._statements)
            finally:
                connection.close()
        except (self._driver_error, DBAPIError) as error:
            raise self._failed("read", error) from _drivers(error)

    def _failed(self, what: str, error: Exception) -> StoreError:
        return StoreError(f"cannot {what} the database {self._where}: {_one_line(error)}")

    def open_run(
        self, run: str, spool: str, command: Sequence[str] | None, started: int, container: Identity | None = None
    ) -> str:
        """The id of the run that came through this spool: `run`, unless the database knows the spool by another."""
        with self.transaction() as rows:
            known = rows.one("run_of_spool", (spool,))
            if known is not None:
                rows.run("reopen_run", (known[0],))
                return str(known[0])
            encoded = None if command is None else json.dumps(list(command))
            rows.run("add_run", (run, spool, encoded, started, 0))
            if container is not None:
                _add_container(rows, run, container)
        return run

    def end_run(self, run: str, ended: int, status: int | None) -> None:
        """Store when a run ended (nanoseconds since 1970) and with which status."""
        with self.transaction() as rows:
            rows.run("end_run", (ended, status, run))

    def admit_run(self, spool: str, peer: str, said: RunRow | None) -> tuple[str, str | None] | None:
        """The id of the run that is forwarded from this spool, and by whom it was at first.

        Makes it of what is `said`, under another id if that is another run's, or changes it to that, unless it is
        somebody else's. None if it is not there and nothing is said.
        """
        with self.transaction() as rows:
            known = rows.one("admitted", (spool,))
            id_ = None if said is None else said.id
            while known is None and said is not None:
                # Somebody else may add it at the same time, or have the id.
                rows.run("add_forwarded_run", (id_, *said[1:6], 0, peer))
                known, id_ = rows.one("admitted", (spool,)), new_run_id()
            if known is not None and said is not None and known[1] == peer:
                rows.run("retell_run", (said.ended, said.status, known[0], said.ended, said.status))
                if said.container is not None:
                    _add_container(rows, known[0], said.container)
        return None if known is None else (known[0], known[1])

    def lost(self, run: str) -> int:
        """Events of the run that no row tells of."""
        with self.reading() as rows:
            found = rows.one("lost", (run,))
        return int(found[0]) if found else 0

    def last_event(self, run: str) -> int | None:
        """The time of the latest event that is stored of the run."""
        with self.reading() as rows:
            found = rows.one("last_event", (run,))
        return None if found[0] is None else int(found[0])

    def journals(self, run: str, first: int, last: int) -> dict[int, tuple[int, bool]]:
        """Committed bytes, and whether it is closed, of the run's journals with numbers from `first` to `last`."""
        with self.reading() as rows:
            return {
                number: (offset, bool(closed)) for number, offset, closed in rows.all("offsets", (run, first, last))
            }

    def own_notes(self, run: str, number: int) -> list[bytes]:
        """The encoded events that the sidecar itself added to one of the run's journals, in the order of offsets."""
        with self.reading() as rows:
            return [body for (body,) in rows.all("own_notes", (run, number))]

    # Forwarding.

    def to_forward(self, after: int, limit: int) -> list[Pending]:
        """Journals that are not delivered and of which there is something to forward, by id from `after` on."""
        with self.reading() as rows:
            found = rows.all("to_forward", (after, limit))
        return [
            Pending(id_, run, number, offset, forwarded, bool(closed), shift)
            for id_, run, number, offset, forwarded, closed, shift in found
        ]

    def ranges(self, journal_id: int, offset: int, limit: int) -> list[Range]:
        """What is stored of a journal from `offset` on, without a hole: about `limit` bytes, one range at least.

        `offset` must lie between two records that are stored.
        """
        found: list[Range] = []
        with self.reading() as rows:
            for start, size, stored in rows.each("ranges", (journal_id, offset)):
                if start > offset:
                    break
                data = unpack(stored)[offset - start :]
                found.append(Range(offset, len(data), data))
                offset, limit = start + size, limit - len(data)
                if limit <= 0:
                    break
        return found

    def notes(self, journal_id: int, offset: int | None = None) -> list[tuple[int, bytes]]:
        """What the sidecar itself says of a journal, from `offset` on: offsets and encoded events."""
        with self.reading() as rows:
            found = rows.all("notes", (journal_id, EARLIEST if offset is None else offset))
        return [(place, bytes(body)) for place, body in found]

    def run(self, run: str) -> RunRow | None:
        """A run, as it is described to a collector."""
        with self.reading() as rows:
            found = rows.one("run", (run,))
        return None if found is None else _run_row(found)

    def ended_to_forward(self, after: str, limit: int) -> list[RunRow]:
        """The runs of which no collector has acknowledged that they ended, by id from `after` on."""
        with self.reading() as rows:
            return [_run_row(row) for row in rows.all("ended_to_forward", (after, limit))]

    def unsent(self) -> Unsent:
        """What there is to forward."""
        with self.reading() as rows:
            return Unsent(*map(int, rows.one("unsent", ())))

    def note_forwarded(self, journals: Mapping[int, tuple[int, bool]], runs: Mapping[str, int]) -> None:
        """A collector has acknowledged journals, by id: up to where, and whether as a whole; and when runs ended."""
        with self.transaction() as rows:
            rows.many("forwarded", [(offset, delivered, id_) for id_, (offset, delivered) in sorted(journals.items())])
            rows.many("run_delivered", sorted(runs.items()))

    # Retention.

    def discard_events(self, before: int, limit: int, *, delivered: bool) -> int:
        """Delete the events of closed journals, up to `limit` of them, that ended before a time.

        `before` in nanoseconds since 1970; `delivered`: only of those that a collector has. Returns how many journals
        that were; what they told of stays.
        """
        with self.transaction() as rows:
            found = rows.all("old_delivered_events" if delivered else "old_events", (before, before, limit))
            found = sorted({(journal,) for (journal,) in found})
            rows.many("delete_ranges", found)
            rows.many("delete_notes", found)
        return len(found)

    def old_runs(self, before: int, *, delivered: bool) -> dict[str, int]:
        """The runs that ended before a time, and their revisions; `delivered`: only those that a collector has."""
        with self.reading() as rows:
            return dict(rows.all("old_delivered_runs" if delivered else "old_runs", (before, before)))

    def open_runs(self) -> dict[str, int]:
        """The runs that go on as far as is known, and when they were last heard of (nanoseconds since 1970)."""
        with self.reading() as rows:
            return dict(rows.all("open_runs", ()))

    def end_silent_run(self, run: str, heard: int) -> None:
        """A run that was last heard of at `heard` ended then, for all that anybody will know; unless it was since."""
        with self.transaction() as rows:
            rows.run("end_silent_run", (run, heard))

    def discard_run(self, run: str, revision: int) -> bool:
        """Delete everything of a run that has ended, unless somebody goes on with it: then False."""
        with self.reading() as rows:
            images = [(image,) for (image,) in rows.all("images_of_run", (run,))]
            files = [(file,) for (file,) in rows.all("files_of_run", (run, run))]
        for start in range(0, len(images), _DISCARDED_AT_ONCE):
            with self.transaction() as rows:
                if rows.one("hold_run", (run, revision)) is None:
                    return False
                revision += 1
                for name in ("delete_accesses", "delete_steps"):
                    rows.many(name, images[start : start + _DISCARDED_AT_ONCE])
        with self.transaction() as rows:
            if rows.one("hold_run", (run, revision)) is None:
                return False
            for name in _OF_A_RUN:
                rows.run(f"discard_{name}", (run,))
            rows.run("discard_run", (run,))
        for start in range(0, len(files), _DISCARDED_AT_ONCE):
            with self.transaction() as rows:
                some = files[start : start + _DISCARDED_AT_ONCE]
                # Who holds one of them is waited for here; the second statement sees whether it is used by now.
                rows.all("hold_unused", (_array(id_ for (id_,) in some),))
                rows.many("delete_file", some)
        return True


class Transaction:
    """The statements by name, between begin and commit; they raise the driver's errors."""

    def __init__(self, cursor: Any, statements: dict[str, _Statement]) -> None:
        """Made by Store.transaction."""
        self._cursor = cursor
        self._statements = statements
        self._ids: dict[str, Iterator[int]] = {}

    def run(self, name: str, values: Sequence[Any]) -> None:
        """Execute a statement."""
        statement = self._statements[name]
        self._cursor.execute(statement.sql, statement.values(values))

    def many(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement for each row."""
        if rows:
            self._each_row(self._statements[name], rows, len(rows))

    def columns(self, name: str, tables: Sequence[Sequence[Sequence[Any]]]) -> None:
        """Execute a statement for each row of some tables, of which the columns are given."""
        if count := sum(len(columns[0]) for columns in tables):
            rows = chain.from_iterable(zip(*columns, strict=True) for columns in tables)
            self._each_row(self._statements[name], rows, count)

    def _each_row(self, statement: _Statement, rows: Iterable[Sequence[Any]], count: int) -> None:
        if statement.copy is not None and count > _FEW:
            with self._cursor.copy(statement.copy) as copy:
                for row in rows:
                    copy.write_row(row)
        elif statement.order is not None and statement.straight:
            self._cursor.executemany(statement.sql, rows)
        else:
            self._cursor.executemany(statement.sql, map(statement.values, rows))

    def all(self, name: str, values: Sequence[Any]) -> list[Any]:
        """Execute a statement and return its rows."""
        self.run(name, values)
        return list(self._cursor.fetchall())

    def each(self, name: str, values: Sequence[Any]) -> Iterator[Any]:
        """Execute a statement and go through its rows, which may be too many for memory."""
        self.run(name, values)
        while some := self._cursor.fetchmany(64):
            yield from some

    def one(self, name: str, values: Sequence[Any]) -> Any:
        """Execute a statement and return its first row, or None."""
        self.run(name, values)
        found = self._cursor.fetchall()  # all, or SQLite takes the statement for one that still runs
        return found[0] if found else None

    def hold_files(self, ids: Collection[int]) -> bool:
        """Keep files from being deleted until the transaction ends; False if one of them was before."""
        return bool(self.one("hold_files", (_array(ids),))[0] == len(ids))

    def new_id(self, table: str) -> int:
        """An id for a row that is inserted before the transaction ends."""
        id_ = next(self._ids.get(table, _NO_IDS), None)
        if id_ is None:
            found = [id_ for (id_,) in self.all(f"new_{table}", ())]
            # A sequence gives some at a time. In SQLite nobody else writes meanwhile: every later number is free.
            self._ids[table] = iter(found) if len(found) > 1 else count(found[0])
            id_ = next(self._ids[table])
        return id_

    def added(self, name: str, values: Sequence[Any]) -> int:
        """Execute a statement that returns an id."""
        return int(self.one(name, values)[0])

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


def _array(ids: Iterable[int]) -> str:
    """Many ids as one value."""
    return json.dumps(sorted(ids))


def _run_row(row: Sequence[Any]) -> RunRow:
    """A row of the statements that describe runs."""
    described = RunRow(*row[:6])
    if row[6] is None:
        return described
    id_, name, image, digest, labels, project, service = row[6:]
    return described._replace(container=Identity(id_, name, image, digest, json.loads(labels), project, service))


def _add_container(rows: "Transaction", run: str, container: Identity) -> None:
    labels = json.dumps(container.labels)
    told = (container.name, container.image, container.digest, labels, container.project, container.service)
    rows.run("add_container", (run, container.id, *told))


def _one_line(error: Exception) -> str:
    cause = _drivers(error)
    return " ".join(str(cause).split()) or type(cause).__name__


@contextlib.contextmanager
def _thrown_away_if_failed(connection: Connection) -> Iterator[None]:
    """A connection that was made while the file system was read-only stays so when that has long been mended."""
    try:
        yield
    except Exception:
        connection.invalidate()
        raise


def _drivers(error: Exception) -> BaseException:
    """The driver's error inside of SQLAlchemy's."""
    return getattr(error, "orig", None) or error


def _engine(url: str, *, durable: bool) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        # A connection that broke, for the server was restarted, is noticed before a transaction begins on it.
        limits = {"connect_timeout": _BUSY_SECONDS, "options": f"-c lock_timeout={int(_BUSY_SECONDS * 1000)}"}
        # What the driver has to say beside the error that it raises, in several lines, tells nothing more.
        logging.getLogger("psycopg").setLevel(logging.ERROR)
        return create_engine(parsed, pool_pre_ping=True, connect_args=limits | models.POSTGRESQL)
    engine = create_engine(parsed)
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, durable=durable)
    return engine


def _prepare_sqlite(engine: Engine, *, durable: bool) -> None:
    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # or the driver begins transactions by itself, deferred ones
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        if durable:
            connection.execute("PRAGMA synchronous=FULL")

    def begin(connection: Connection) -> None:
        # A deferred transaction that begins with a SELECT cannot wait for another writer: it fails at once.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)


def _compile(dialect: Dialect) -> dict[str, _Statement]:
    """Every statement that this program writes with, by name; values come in the order that is given here."""
    run, container, journal, process, image, file, name, access, step, range_, note = (
        _table(model)
        for model in (
            models.Run, models.Container, models.Journal, models.Process, models.Image, models.File,
            models.Name, models.Access, models.Step, models.Range, models.Note,
        )
    )  # fmt: skip
    upsert: Callable[[Table], Any] = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    least = func.least if dialect.name == "postgresql" else func.min
    greatest = func.greatest if dialect.name == "postgresql" else func.max

    def statement(element: ClauseElement, *parameters: str) -> _Statement:
        return _Statement(element, dialect, parameters)

    def shifted(time: ColumnElement[int]) -> ColumnElement[int]:
        return greatest(least(time, bindparam("most")), bindparam("least")) + bindparam("by")

    def copy(table: Table, columns: Sequence[str]) -> str | None:
        if dialect.name != "postgresql":
            return None
        named = ", ".join(map(dialect.identifier_preparer.quote, columns))
        return f"COPY {table.name} ({named}) FROM STDIN"

    def add(table: Table, *columns: str) -> _Statement:
        element = insert(table).values({column: bindparam(column) for column in columns})
        return _Statement(element, dialect, columns, copy(table, columns))

    def new_ids(table: Table) -> _Statement:
        if dialect.name != "postgresql":
            return statement(select(func.coalesce(func.max(table.c.id), literal_column("0")) + literal_column("1")))
        sequence = func.pg_get_serial_sequence(literal_column(f"'{table.name}'"), literal_column("'id'"))
        many = func.generate_series(literal_column("1"), literal_column(str(_IDS_AT_ONCE)))
        return statement(select(func.nextval(sequence)).select_from(many))

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
    of_step = step.join(image, image.c.id == step.c.image_id)
    offsets = select(journal.c.number, journal.c.offset, journal.c.closed).where(
        journal.c.run_id == bindparam("run"), journal.c.number.between(bindparam("first"), bindparam("last"))
    )
    forwarded = ("id", "spool", "command", "started", "ended", "status", "lost", "peer")
    containers = ("run_id", "container", "name", "image", "digest", "labels", "project", "service")
    described = select(
        run.c.id,
        run.c.spool,
        run.c.command,
        run.c.started,
        run.c.ended,
        run.c.status,
        *(container.c[column] for column in containers[1:]),
    ).select_from(run.outerjoin(container, container.c.run_id == run.c.id))
    # What no collector has acknowledged.
    left = and_(journal.c.delivered.is_(false()), or_(journal.c.closed, journal.c.forwarded < journal.c.offset))
    end_left = and_(run.c.delivered.is_(false()), run.c.ended.is_not(None))
    # Of a run's own notes the offset is no size.
    size = case((journal.c.number >= literal_column("0"), journal.c.offset - journal.c.forwarded))
    unsent = (
        select(
            func.count(),
            func.coalesce(func.sum(size), literal_column("0")),
            select(func.count()).select_from(run).where(end_left).scalar_subquery(),
        )
        .select_from(journal)
        .where(left)
    )
    return {
        **{f"new_{table.name}": new_ids(table) for table in (journal, process, image)},
        "run_of_spool": where(select(run.c.id), spool=run.c.spool),
        "add_run": add(run, "id", "spool", "command", "started", "lost"),
        "add_forwarded_run": statement(
            upsert(run).values({column: bindparam(column) for column in forwarded}).on_conflict_do_nothing(), *forwarded
        ),
        "admitted": where(select(run.c.id, run.c.peer), spool=run.c.spool),
        "run": where(described, run=run.c.id),
        "ended_to_forward": statement(
            described.where(end_left, run.c.id > bindparam("after"))
            .order_by(run.c.id)
            .limit(bindparam("limit")).offset(literal_column("0")),
            "after", "limit",
        ),
        "add_container": statement(
            upsert(container).values({column: bindparam(column) for column in containers}).on_conflict_do_nothing(),
            *containers,
        ),
        "end_run": change(run, "ended", "status"),
        "retell_run": statement(
            update(run)
            .values(ended=bindparam("ended"), status=bindparam("status"), delivered=false())
            .where(
                run.c.id == bindparam("this"),
                or_(
                    run.c.ended.is_distinct_from(bindparam("told", type_=run.c.ended.type)),
                    run.c.status.is_distinct_from(bindparam("by", type_=run.c.status.type)),
                ),
            ),
            "ended", "status", "this", "told", "by",
        ),
        "reopen_run": statement(
            update(run)
            .values(ended=null(), status=null(), delivered=false())
            .where(run.c.id == bindparam("this"), run.c.ended.is_not(None)),
            "this",
        ),
        "revise": statement(
            update(run)
            .values(revision=run.c.revision + literal_column("1"), heard=bindparam("heard"))
            .where(run.c.id == bindparam("this"))
            .returning(run.c.revision),
            "heard", "this",
        ),
        "open_runs": statement(select(run.c.id, run.c.heard).where(run.c.ended.is_(null()))),
        "end_silent_run": statement(
            update(run)
            .values(ended=greatest(run.c.started, run.c.heard), delivered=false())
            .where(run.c.id == bindparam("this"), run.c.ended.is_(null()), run.c.heard == bindparam("known")),
            "this", "known",
        ),
        "lose": statement(
            update(run).values(lost=run.c.lost + bindparam("more")).where(run.c.id == bindparam("this")), "more", "this"
        ),
        "lost": where(select(run.c.lost), run=run.c.id),
        "offsets": statement(offsets, "run", "first", "last"),
        "last_event": where(
            select(func.max(range_.c.last)).select_from(range_.join(journal, journal.c.id == range_.c.journal_id)),
            run=journal.c.run_id,
        ),
        "own_notes": where(
            select(note.c.body)
            .select_from(note.join(journal, note.c.journal_id == journal.c.id))
            .order_by(note.c.offset),
            run=journal.c.run_id, number=journal.c.number,
        ),
        "waits": where(
            select(process.c.pid_namespace, step.c.child, step.c.boot_time, step.c.time, step.c.status)
            .select_from(of_step.join(process, process.c.id == image.c.process_id))
            .where(step.c.kind == literal_column("'wait'")),
            run=process.c.run_id,
        ),
        "journal": where(
            select(
                journal.c.id, journal.c.offset, journal.c.image_id, journal.c.realtime_offset, journal.c.closed,
                process.c.pid_namespace, process.c.pid, process.c.start_time,
            ).select_from(of_journal),
            run=journal.c.run_id, number=journal.c.number,
        ),
        "last_journal": where(
            select(func.coalesce(func.max(journal.c.number), literal_column("-2"))), run=journal.c.run_id
        ),
        "last_start": where(
            select(func.coalesce(func.max(process.c.start_time), literal_column(str(EARLIEST)))),
            run=process.c.run_id,
        ),
        "add_journal": add(journal, "id", "run_id", "number", "offset", "image_id", "realtime_offset", "closed"),
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
        "add_process": add(
            process, "id", "run_id", "pid_namespace", "pid", "start_time", "parent_pid", "parent_start_time", "started",
            "ended", "exit_status", "user", "group",
        ),
        "change_process": change(process, "started", "ended", "exit_status"),
        "describe_process": change(process, "user", "group"),
        "adopt_process": change(process, "parent_pid", "parent_start_time"),
        "images": where(
            select(image.c.id, image.c.started, image.c.ended, image.c.reason, image.c.executable),
            process=image.c.process_id,
        ),
        "add_image": add(
            image, "id", "process_id", "started", "ended", "reason", "executable", "file_id", "arguments", "directory",
        ),
        "change_image": change(image, "started", "ended", "reason"),
        "describe_image": change(image, "executable", "file_id", "arguments", "directory"),
        "unseen": where(select(image.c.blind_spot, image.c.blind_object), this=image.c.id),
        "tell_unseen": statement(
            update(image)
            .values(blind_spot=bindparam("cause"), blind_object=bindparam("object"))
            .where(
                image.c.id == bindparam("this"),
                or_(
                    image.c.blind_spot.is_(null()),
                    image.c.blind_spot > bindparam("cause"),
                    and_(image.c.blind_spot == bindparam("cause"), image.c.blind_object > bindparam("object")),
                ),
            ),
            "cause", "object", "this",
        ),
        "next_exec": statement(
            select(step.c.status)
            .select_from(of_step)
            .where(
                image.c.process_id == bindparam("process"),
                step.c.kind == literal_column("'exec'"),
                step.c.time > bindparam("time"),
            )
            .order_by(step.c.time, step.c.id)
            .limit(literal_column("1")).offset(literal_column("0")),
            "process", "time",
        ),
        "delete_process": where(delete(process), this=process.c.id),
        "delete_image": where(delete(image), this=image.c.id),
        "delete_accesses": where(delete(access), this=access.c.image_id),
        "move_accesses": move(access),
        "move_steps": move(step),
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
        "hold_files": statement(
            select(func.count()).select_from(
                select(file.c.id)
                .where(file.c.id.in_(_each(dialect, "ids")))
                .order_by(file.c.id)
                .with_for_update(read=True, key_share=True)
                .subquery()
            ),
            "ids",
        ),
        **_discarding(statement, dialect),
        "add_step": add(step, "image_id", "kind", "time", "boot_time", "child", "status"),
        "add_range": add(range_, "journal_id", "offset", "size", "events", "first", "last", "data"),
        "add_note": add(note, "journal_id", "offset", "time", "body"),
        "whole_journal": where(
            select(range_.c.offset, range_.c.size, range_.c.events, range_.c.first, range_.c.last, range_.c.data)
            .order_by(range_.c.offset),
            journal=range_.c.journal_id,
        ),
        "delete_ranges": where(delete(range_), this=range_.c.journal_id),
        "delete_notes": where(delete(note), this=note.c.journal_id),
        "delete_steps": where(delete(step), this=step.c.image_id),
        "shift_ranges": statement(
            update(range_)
            .values(first=shifted(range_.c.first), last=shifted(range_.c.last))
            .where(range_.c.journal_id == bindparam("this"), range_.c.events > literal_column("0")),
            "by", "least", "most", "this",
        ),
        "ranges": statement(
            select(range_.c.offset, range_.c.size, range_.c.data)
            .where(range_.c.journal_id == bindparam("journal"), range_.c.offset + range_.c.size > bindparam("from"))
            .order_by(range_.c.offset),
            "journal", "from",
        ),
        "notes": statement(
            select(note.c.offset, note.c.body)
            .where(note.c.journal_id == bindparam("journal"), note.c.offset >= bindparam("from"))
            .order_by(note.c.offset),
            "journal", "from",
        ),
        "to_forward": statement(
            select(
                journal.c.id, journal.c.run_id, journal.c.number, journal.c.offset, journal.c.forwarded,
                journal.c.closed, journal.c.realtime_offset,
            )
            .where(left, journal.c.id > bindparam("after"))
            .order_by(journal.c.id)
            .limit(bindparam("limit")).offset(literal_column("0")),
            "after", "limit",
        ),
        "unsent": statement(unsent),
        "run_delivered": statement(
            update(run)
            .values(delivered=true())
            .where(run.c.id == bindparam("this"), run.c.ended == bindparam("told")),
            "this", "told",
        ),
        "forwarded": statement(
            update(journal)
            .values(
                forwarded=greatest(journal.c.forwarded, bindparam("offset")),
                delivered=or_(journal.c.delivered, bindparam("delivered", type_=journal.c.delivered.type)),
            )
            .where(journal.c.id == bindparam("this")),
            "offset", "delivered", "this",
        ),
    }  # fmt: skip


def _each(dialect: Dialect, name: str) -> Any:
    """The numbers of an array: a parameter of `_array`."""
    if dialect.name == "postgresql":
        array = func.json_array_elements_text(cast(bindparam(name), JSON)).table_valued("value")
        return select(cast(array.c.value, BigInteger))
    return select(func.json_each(bindparam(name)).table_valued("value").c.value)


def _discarding(statement: Callable[..., _Statement], dialect: Dialect) -> dict[str, _Statement]:
    """Statements that find and delete what belongs to a run."""
    run, container, journal, process, image, file, name, access, range_, note = (
        _table(model)
        for model in (
            models.Run, models.Container, models.Journal, models.Process, models.Image, models.File,
            models.Name, models.Access, models.Range, models.Note,
        )
    )  # fmt: skip
    later = range_.alias()
    journals = select(journal.c.id).where(journal.c.run_id == bindparam("run"))
    processes = select(process.c.id).where(process.c.run_id == bindparam("run"))
    images = select(image.c.id).where(image.c.process_id.in_(processes))
    unsent = or_(journal.c.delivered, journal.c.forwarded >= journal.c.offset).is_(false())
    old_events = (
        select(range_.c.journal_id)
        .join(journal, journal.c.id == range_.c.journal_id)
        .where(range_.c.last < bindparam("before"), journal.c.closed)
        .where(~exists().where(later.c.journal_id == journal.c.id, later.c.last >= bindparam("since")))
        .order_by(range_.c.last)
        .limit(bindparam("limit"))
        .offset(literal_column("0"))
    )
    old_runs = select(run.c.id, run.c.revision).where(
        run.c.started < bindparam("begun"), run.c.ended < bindparam("before")
    )
    seen = select(access.c.file_id).where(access.c.image_id.in_(images))
    named = select(name.c.file_id).where(name.c.run_id == bindparam("also"))
    unused = [
        ~exists().where(column == file.c.id).correlate(file)
        for column in (access.c.file_id, name.c.file_id, image.c.file_id)
    ]
    return {
        "old_events": statement(old_events, "before", "since", "limit"),
        "old_delivered_events": statement(old_events.where(journal.c.delivered), "before", "since", "limit"),
        "old_runs": statement(old_runs, "begun", "before"),
        "old_delivered_runs": statement(
            old_runs.where(run.c.delivered, ~exists().where(journal.c.run_id == run.c.id, unsent).correlate(run)),
            "begun", "before",
        ),
        "hold_run": statement(
            update(run)
            .values(revision=run.c.revision + literal_column("1"))
            .where(run.c.id == bindparam("run"), run.c.revision == bindparam("known"), run.c.ended.is_not(None))
            .returning(run.c.revision),
            "run", "known",
        ),
        "images_of_run": statement(images, "run"),
        "files_of_run": statement(union(seen, named), "run", "also"),
        "hold_unused": statement(
            select(file.c.id)
            .where(file.c.id.in_(_each(dialect, "ids")), *unused)
            .order_by(file.c.id)
            .with_for_update(),
            "ids",
        ),
        "delete_file": statement(delete(file).where(file.c.id == bindparam("this"), *unused), "this"),
        "discard_ranges": statement(delete(range_).where(range_.c.journal_id.in_(journals)), "run"),
        "discard_notes": statement(delete(note).where(note.c.journal_id.in_(journals)), "run"),
        "discard_journals": statement(delete(journal).where(journal.c.run_id == bindparam("run")), "run"),
        "discard_images": statement(delete(image).where(image.c.process_id.in_(processes)), "run"),
        "discard_processes": statement(delete(process).where(process.c.run_id == bindparam("run")), "run"),
        "discard_names": statement(delete(name).where(name.c.run_id == bindparam("run")), "run"),
        "discard_containers": statement(delete(container).where(container.c.run_id == bindparam("run")), "run"),
        "discard_run": statement(delete(run).where(run.c.id == bindparam("run")), "run"),
    }  # fmt: skip


def _known_kind(old: Any, new: Any) -> Any:
    """The kind of a file of which two events told; `other` is what is said of a file whose mode is not known."""
    return case((old == literal_column("'other'"), new), else_=old)


def _table(model: type[models.Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table
