"""The database: what is stored of runs, processes, files and events.

Times are nanoseconds since 1970 (UTC). Everything that depends on the order in which journals arrive (which version
of a file an access saw, which process was whose parent) is left to the queries, so rows are only ever added or widened.
Events themselves stay what they were in their journals: bytes, a range of a journal in a row.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    and_,
    false,
    inspect,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "LATER",
    "POSTGRESQL",
    "Access",
    "Base",
    "Container",
    "File",
    "Image",
    "Journal",
    "Name",
    "Note",
    "Process",
    "Range",
    "Run",
    "Step",
    "add_columns",
    "lacking",
]

POSTGRESQL: Final = {"client_encoding": "UTF8"}
"""What every connection to PostgreSQL asks for: in a database of the encoding SQL_ASCII text would be bytes else."""
Id = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """The metadata that all tables share."""


class Run(Base):
    """A container's life, or one `interpose run`."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    spool: Mapped[str] = mapped_column(String(32), unique=True)
    """The spool's id in hex: the channel that every event of the run came through."""
    command: Mapped[str | None]
    """JSON array of arguments; None for a container."""
    started: Mapped[int] = mapped_column(BigInteger, index=True)
    ended: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[int | None]
    """Exit status as a shell reports it (128 + n for signal n); None while it runs or where nobody knows."""
    lost: Mapped[int] = mapped_column(BigInteger, default=0)
    """Events that nothing tells of: the sum of all gaps."""
    revision: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Grows with every transaction that adds to the run: whoever remembers the run from another one forgets it."""
    heard: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """When the last of these was, or the last sign of life of the run's sidecar."""
    delivered: Mapped[bool] = mapped_column(server_default=false())
    """A collector has acknowledged how it ended."""
    peer: Mapped[str | None]
    """Who forwarded it, as its certificate says; empty for a Unix socket's peer, None where it was captured."""


Index(
    "runs_to_forward",
    Run.id,
    sqlite_where=and_(Run.delivered.is_(false()), Run.ended.is_not(None)),
    postgresql_where=and_(Run.delivered.is_(false()), Run.ended.is_not(None)),
)
Index("runs_open", Run.id, sqlite_where=Run.ended.is_(None), postgresql_where=Run.ended.is_(None))


class Container(Base):
    """Whose life a run is, as the one who started it says, never as the container does; other runs have no row."""

    __tablename__ = "containers"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    container: Mapped[str] = mapped_column(String(128), index=True)
    """Its id."""
    name: Mapped[str | None] = mapped_column(index=True)
    image: Mapped[str | None]
    """As its user named it."""
    digest: Mapped[str | None]
    labels: Mapped[str]
    """JSON object."""
    project: Mapped[str | None]
    service: Mapped[str | None]
    """Of Compose."""


class Journal(Base):
    """How far a journal of a spool is committed."""

    __tablename__ = "journals"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    number: Mapped[int] = mapped_column(BigInteger)
    offset: Mapped[int] = mapped_column(BigInteger)
    """Bytes of its events that are in the database."""
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"), index=True)
    """Whose events these are: set by its Origin record."""
    realtime_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    """What to add to an event's time (CLOCK_BOOTTIME) to get nanoseconds since 1970."""
    closed: Mapped[bool] = mapped_column(default=False)
    """Its owner is gone and everything is committed."""
    forwarded: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Bytes of its events that a collector has acknowledged."""
    delivered: Mapped[bool] = mapped_column(server_default=false())
    """A collector has acknowledged all of it: every byte, the notes, and that it is closed."""
    __table_args__ = (UniqueConstraint("run_id", "number"),)


Index(
    "journals_to_forward",
    Journal.id,
    sqlite_where=Journal.delivered.is_(false()),
    postgresql_where=Journal.delivered.is_(false()),
)


class Process(Base):
    """From fork to exit."""

    __tablename__ = "processes"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    pid_namespace: Mapped[int] = mapped_column(BigInteger)
    pid: Mapped[int]
    start_time: Mapped[int] = mapped_column(BigInteger)
    """Nanoseconds after boot, in whole clock ticks: with the pid, the process's identity."""
    parent_pid: Mapped[int | None]
    parent_start_time: Mapped[int | None] = mapped_column(BigInteger)
    """None where only the pid is known."""
    started: Mapped[int] = mapped_column(BigInteger)
    """The first that was heard of it."""
    ended: Mapped[int | None] = mapped_column(BigInteger)
    exit_status: Mapped[int | None]
    """As a shell reports it; None while it runs, or when it was killed and no captured parent waited for it."""
    user: Mapped[int | None] = mapped_column(BigInteger)
    group: Mapped[int | None] = mapped_column(BigInteger)
    __table_args__ = (UniqueConstraint("run_id", "pid_namespace", "pid", "start_time"),)


class Image(Base):
    """One program that a process ran: from exec (or fork) to the next exec or the exit."""

    __tablename__ = "images"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    process_id: Mapped[int] = mapped_column(ForeignKey("processes.id"), index=True)
    started: Mapped[int] = mapped_column(BigInteger)
    ended: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(String(16))
    """`exec` (the program sees nothing of what its process did before), `fork` (it inherits its parent's memory),
    `blind` (it ran unseen: known from whoever executed it), `unknown` (no journal told of it yet)."""
    executable: Mapped[bytes | None] = mapped_column(LargeBinary)
    file_id: Mapped[int | None] = mapped_column(ForeignKey("files.id"), index=True)
    arguments: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The argument vector, each argument ended by a zero byte."""
    directory: Mapped[bytes | None] = mapped_column(LargeBinary)
    blind_spot: Mapped[str | None] = mapped_column(String(32))
    """BlindSpot.Cause in lower case without CAUSE_, of a program that runs unseen or, if `reason` is not `blind`,
    may act unseen; the first of several by name."""
    blind_object: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The path of the shared object that may act so; empty if it is the program itself."""


class File(Base):
    """A file's identity, in one run for pipes and sockets, for all runs otherwise."""

    __tablename__ = "files"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    device: Mapped[int] = mapped_column(BigInteger)
    inode: Mapped[int] = mapped_column(BigInteger)
    birth_time: Mapped[int] = mapped_column(BigInteger)
    scope: Mapped[str] = mapped_column(String(32), default="")
    """The run's id for what exists in one kernel object table only (pipes, sockets), else empty."""
    kind: Mapped[str] = mapped_column(String(16))
    """regular, directory, symlink, pipe (a FIFO too), socket, character, block, other."""
    __table_args__ = (UniqueConstraint("inode", "device", "birth_time", "scope"),)


class Name(Base):
    """A path under which a run saw a file."""

    __tablename__ = "names"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    file_id: Mapped[int] = mapped_column(ForeignKey("files.id"), index=True)
    path: Mapped[bytes] = mapped_column(LargeBinary)
    """Absolute where the base was known; `.` and doubled slashes removed, `..` and links as they were given."""
    first_seen: Mapped[int] = mapped_column(BigInteger)
    last_seen: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (UniqueConstraint("run_id", "file_id", "path"), Index("names_by_path", "path"))


class Access(Base):
    """What an image did to a file: the edges of the provenance graph, a row for each event that tells of one.

    No constraint says that image and file are there: to check it for each row costs PostgreSQL more than the row. Who
    adds accesses holds the run, and once in a transaction the files (Transaction.hold_files); who deletes files does so
    in two steps.
    """

    __tablename__ = "accesses"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    image_id: Mapped[int] = mapped_column(Id)
    """images.id"""
    file_id: Mapped[int] = mapped_column(Id)
    """files.id"""
    time: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(16))
    """read, write, execute, load, consult (libc read it by itself), truncate (the former content is gone), create,
    remove, metadata, open (of one that the call neither truncated nor would have created)."""
    amount: Mapped[int] = mapped_column(BigInteger, default=0)
    """Bytes moved since the image's previous access of this kind to this file."""
    size: Mapped[int | None] = mapped_column(BigInteger)
    modified: Mapped[int | None] = mapped_column(BigInteger)
    """The file's size in bytes and modification time as the event saw them."""
    __table_args__ = (
        Index("accesses_by_image", "image_id"),
        Index("accesses_by_file", "file_id"),
    )


class Step(Base):
    """What an image told of processes: that it made one, executed a program, or was told of a child's end."""

    __tablename__ = "steps"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    """fork (a spawn too), exec (failed ones too), wait."""
    time: Mapped[int] = mapped_column(BigInteger)
    boot_time: Mapped[int] = mapped_column(BigInteger)
    """The same moment on the kernel's boot clock, which processes' starts are told by."""
    child: Mapped[int]
    """The pid of the process that was made or has ended; 0 for exec."""
    status: Mapped[int]
    """Of wait, the child's exit status as a shell reports it; of exec, errno; 0 for fork."""


class Range(Base):
    """A committed byte range of a journal: its events, exactly as they were recorded."""

    __tablename__ = "ranges"
    journal_id: Mapped[int] = mapped_column(ForeignKey("journals.id"), primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """Where in the journal's events it begins."""
    size: Mapped[int]
    """Bytes, in the journal's own counting."""
    events: Mapped[int]
    first: Mapped[int] = mapped_column(BigInteger)
    last: Mapped[int] = mapped_column(BigInteger, index=True)
    """The times of its earliest and latest event; 0 where it has none."""
    data: Mapped[bytes] = mapped_column(LargeBinary)
    """The bytes as interpose.sidecar.packing packs them."""


class Note(Base):
    """An event that the sidecar itself adds to a journal."""

    __tablename__ = "notes"
    journal_id: Mapped[int] = mapped_column(ForeignKey("journals.id"), primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """Of the record that is missing; negative for what was found in the journal's header (-1: a gap; -2 - n:
    descriptor n's last Io). Of the run's own notes, their numbers."""
    time: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """The encoded interpose.v1.Event."""
    __table_args__ = ({"sqlite_with_rowid": False},)


LATER: Final = frozenset({Image.__table__.c.blind_object})
"""Columns that databases of earlier builds lack; where they do, NULL is what their rows have."""


def lacking(connection: Connection) -> list[Column[Any]]:
    """The columns that tables of a database lack which have the name of one of these.

    Nothing but LATER: it is of an earlier build, and `add_columns` brings it up to date. Else it is another version's.
    """
    there = inspect(connection).get_multi_columns()
    found = {table: {column["name"] for column in columns} for (_, table), columns in there.items()}
    tables = [table for table in Base.metadata.sorted_tables if table.name in found]
    return [column for table in tables for column in table.columns if column.name not in found[table.name]]


def add_columns(connection: Connection, columns: Iterable[Column[Any]]) -> None:
    """Add what is `lacking`."""
    for column in columns:
        unless = "IF NOT EXISTS " if connection.dialect.name == "postgresql" else ""  # another may do so just now
        kind = column.type.compile(connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {unless}{column.name} {kind}")
