"""Read-only questions to the database: runs, processes, files and events.

Nothing here writes, nor makes a database that is not there. Paths and arguments are text in which a byte that is not
UTF-8 stands as a lone surrogate (PEP 383). The dataclasses are what `--json` prints; docs/json.md tells their fields.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from json import loads
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from google.protobuf.message import Message
from sqlalchemy import Connection, Engine, create_engine, func, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from interpose.sidecar import location
from interpose.sidecar.ancestry import Fork, ProcessKey, match_forks, parents_of
from interpose.sidecar.errors import InterposeError, StoreError
from interpose.sidecar.events import stored_events
from interpose.sidecar.models import (
    LATER,
    POSTGRESQL,
    Access,
    Base,
    Container,
    File,
    Image,
    Journal,
    Name,
    Note,
    Process,
    Range,
    Run,
    Step,
    lacking,
)
from interpose.sidecar.paths import absolute
from interpose.sidecar.store import Store
from interpose.v1 import event_pb2

__all__ = [
    "READ",
    "VFORKS_DEEP",
    "WRITE",
    "ContainerInfo",
    "EventInfo",
    "FileInfo",
    "ProcessInfo",
    "ProgramInfo",
    "QueryError",
    "RunInfo",
    "Summary",
    "all_runs",
    "arguments_of",
    "events_of",
    "files_of",
    "find_run",
    "forks_of",
    "in_chunks",
    "names_alike",
    "names_of",
    "open_database",
    "processes_of",
    "runs_of_container",
    "summary_of",
    "text",
]

T = TypeVar("T")

READ = frozenset({"read", "execute", "load", "consult"})
"""Kinds of access by which a file's content reaches a program."""
WRITE = frozenset({"write", "create", "truncate"})
"""Kinds of access that make a file's content."""
CHANGE = WRITE | {"remove"}
VFORKS_DEEP = 64
"""How many vfork children, each of the next, are looked through for the program that they run."""
CHUNK = 5000
"""How many ids one statement names: less than any database's limit of parameters."""


class QueryError(InterposeError):
    """A question without an answer: an unknown run, a path never seen."""


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """The container whose life a run is."""

    id: str
    name: str | None
    image: str | None
    digest: str | None
    labels: dict[str, str]
    project: str | None
    service: str | None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A line of `interpose runs`."""

    id: str
    command: list[str] | None
    started: int
    ended: int | None
    status: int | None
    processes: int
    blind_spots: int
    lost: int
    peer: str | None = None
    container: ContainerInfo | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """How much is known of a run."""

    processes: int
    files: int
    events: int
    lost: int
    blind_spots: int


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """One image of a process."""

    reason: str
    executable: str | None
    arguments: list[str] | None
    directory: str | None
    started: int
    ended: int | None
    blind_spot: str | None
    blind_object: str | None


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A line of `interpose ps`."""

    id: int | None
    run: str
    pid_namespace: int
    pid: int
    parent: int | None
    parent_pid: int | None
    captured: bool
    started: int
    ended: int | None
    status: int | None
    user: int | None
    group: int | None
    programs: list[ProgramInfo]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A line of `interpose files`."""

    path: str | None
    paths: list[str]
    kind: str
    device: int
    inode: int
    birth_time: int
    accesses: list[str]
    bytes_read: int
    bytes_written: int
    first: int
    last: int
    readers: list[str]
    writers: list[str]


@dataclass(frozen=True, slots=True)
class EventInfo:
    """A line of `interpose events`."""

    time: int
    pid: int | None
    thread: int
    function: str
    effect: str
    error: int
    fields: dict[str, Any]
    journal: int
    offset: int


def text(value: bytes) -> str:
    """Bytes of the kernel as text; `str.encode("utf-8", "surrogateescape")` gives them back."""
    return value.decode("utf-8", "surrogateescape")


def in_chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """The values in lists that are short enough for one statement."""
    everything = list(values)
    for start in range(0, len(everything), CHUNK):
        yield everything[start : start + CHUNK]


# Opening


def open_database(url: str) -> Engine:
    """A database for reading. Raises StoreError, in one line, for what is none of ours."""
    where = location.shown(url)
    try:
        parsed = make_url(url)
        engine = _open_sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _open_server(parsed)
        with engine.connect() as connection:
            there, missing = set(inspect(connection).get_table_names()), lacking(connection)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
        raise StoreError(f"cannot use the database {where}: {location.reason(url, error)}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"cannot read the database {where}: {location.reason(url, error)}") from error
    is_ours = LATER.issuperset(missing)
    if missing and is_ours:
        Store.open(url).close()  # brings it up to date
    if is_ours and set(Base.metadata.tables) <= there:
        return engine
    engine.dispose()
    if not is_ours or set(Base.metadata.tables) & there:
        raise StoreError(
            f"the database {where} was made by another version of interpose: ask that one, or name another"
        )
    raise StoreError(f"not a database of interpose: {where}")


def _open_sqlite(url: URL) -> Engine:
    """Opened by SQLite read-only: a database that is not there is not made."""
    if not url.database or url.database == ":memory:":
        raise StoreError("a database in memory has nothing to read")
    path = Path(url.database)
    if not path.exists():
        raise StoreError(f"no database at {path}: capture something first (interpose run), or name one with --db")

    def connect() -> sqlite3.Connection:
        readable = f"file:{quote(str(absolute(path)))}?mode=ro"
        connection = sqlite3.connect(readable, uri=True, check_same_thread=False)
        try:
            connection.execute("select 1 from sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # A database in WAL mode wants a file beside it, even to be read; on a read-only medium nobody writes.
            connection.close()
            if path.with_name(path.name + "-wal").exists():
                raise
            connection = sqlite3.connect(readable + "&immutable=1", uri=True, check_same_thread=False)
        return connection

    return create_engine("sqlite://", creator=connect)


def _open_server(url: URL) -> Engine:
    if url.get_backend_name() != "postgresql":
        return create_engine(url)
    return create_engine(url, connect_args={"options": "-c default_transaction_read_only=on", **POSTGRESQL})


# Runs


def find_run(connection: Connection, wanted: str, container: str | None = None) -> str:
    """The id that `wanted` means: an id, the unique beginning of one, or `last`; of a container, if one is named."""
    if container is not None:
        lives = runs_of_container(connection, container)
        if wanted == "last":
            return lives[-1]
        run = find_run(connection, wanted)
        if run not in lives:
            raise QueryError(f"run {run} is no life of the container {container}: see interpose runs")
        return run
    if wanted == "last":
        newest = connection.execute(select(Run.id).order_by(Run.started.desc(), Run.id.desc()).limit(1)).scalar()
        if newest is None:
            raise QueryError("no run in the database yet: capture something first (interpose run)")
        return newest
    if connection.execute(select(Run.id).where(Run.id == wanted)).scalar() is not None:
        return wanted
    matching = Run.id.startswith(wanted, autoescape=True)
    found = list(connection.execute(select(Run.id).where(matching).order_by(Run.id).limit(4)).scalars())
    if not wanted or not found:
        raise QueryError(f"no run {wanted!r}: see interpose runs")
    if len(found) > 1:
        some = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise QueryError(f"{wanted!r} begins the ids of several runs: {some}")
    return found[0]


def runs_of_container(connection: Connection, wanted: str) -> list[str]:
    """The lives of the container of this name, or of this id or beginning of one, the newest last."""
    lives = (
        select(Run.id, Container.container).join(Container, Container.run_id == Run.id).order_by(Run.started, Run.id)
    )
    rows = list(connection.execute(lives.where(Container.name == wanted)))
    if not rows and wanted:
        rows = list(connection.execute(lives.where(Container.container.startswith(wanted, autoescape=True))))
        if len({row.container for row in rows}) > 1:
            raise QueryError(f"{wanted!r} begins the ids of several containers: see interpose runs --json")
    if not rows:
        raise QueryError(f"no container {wanted!r} was captured: see interpose runs")
    return [row.id for row in rows]


def all_runs(connection: Connection) -> list[RunInfo]:
    """Every run, the oldest first."""
    of_run = select(Process.run_id, func.count()).group_by(Process.run_id)
    processes: dict[str, int] = {row[0]: row[1] for row in connection.execute(of_run)}
    unseen = of_run.join(Image, Image.process_id == Process.id).where(Image.blind_spot.is_not(None))
    blind: dict[str, int] = {row[0]: row[1] for row in connection.execute(unseen)}
    containers = {
        row.run_id: ContainerInfo(
            row.container, row.name, row.image, row.digest, loads(row.labels), row.project, row.service
        )
        for row in connection.execute(select(*Container.__table__.columns))
    }
    first = _first_statuses(connection)
    rows = connection.execute(
        select(Run.id, Run.command, Run.started, Run.ended, Run.status, Run.lost, Run.peer).order_by(
            Run.started, Run.id
        )
    )
    return [
        RunInfo(
            row.id,
            None if row.command is None else [str(argument) for argument in loads(row.command)],
            row.started,
            row.ended,
            first.get(row.id) if row.status is None and row.ended is not None else row.status,
            processes.get(row.id, 0),
            blind.get(row.id, 0),
            row.lost,
            row.peer,
            containers.get(row.id),
        )
        for row in rows
    ]


def _first_statuses(connection: Connection) -> dict[str, int | None]:
    """The exit statuses of containers' first processes, which are the containers' own, as far as they told them.

    Another pid namespace in a container has a first process, too, but is not what the run begins with.
    """
    begun = (
        select(Process.run_id, func.min(Process.started).label("started"))
        .join(Container, Container.run_id == Process.run_id)
        .group_by(Process.run_id)
        .subquery()
    )
    told = (
        select(Process.run_id, Process.exit_status)
        .join(begun, (begun.c.run_id == Process.run_id) & (begun.c.started == Process.started))
        .where(Process.pid == 1)
    )
    return {row.run_id: row.exit_status for row in connection.execute(told)}


def summary_of(connection: Connection, run: str) -> Summary:
    """The counts of one run; files are those that `files_of` lists."""
    images = select(Image.id).join(Process, Process.id == Image.process_id).where(Process.run_id == run)
    journals = select(Journal.id).where(Journal.run_id == run)

    def count(statement: Any) -> int:
        return int(connection.execute(statement).scalar() or 0)

    return Summary(
        processes=count(select(func.count()).select_from(Process).where(Process.run_id == run)),
        files=count(
            select(func.count(Access.file_id.distinct()))
            .join(File, File.id == Access.file_id)
            .where(Access.image_id.in_(images), Access.kind.in_(READ | CHANGE), File.kind.not_in(_UNLISTED))
        ),
        events=count(select(func.sum(Range.events)).where(Range.journal_id.in_(journals)))
        + count(select(func.count()).select_from(Note).where(Note.journal_id.in_(journals))),
        lost=count(select(Run.lost).where(Run.id == run)),
        blind_spots=count(
            select(func.count())
            .select_from(Image)
            .join(Process, Process.id == Image.process_id)
            .where(Process.run_id == run, Image.blind_spot.is_not(None))
        ),
    )


# Processes


def processes_of(connection: Connection, run: str) -> list[ProcessInfo]:
    """The run's processes in the order of their starts, also those that only their parents told of."""
    rows = list(connection.execute(select(*Process.__table__.columns).where(Process.run_id == run)))
    keys = [_key(row) for row in rows]
    forks = forks_of(connection, [run])
    parents = parents_of(keys, forks)
    programs = _lent(_programs_of(connection, run), parents)
    known = [
        ProcessInfo(
            id=row.id,
            run=run,
            pid_namespace=row.pid_namespace,
            pid=row.pid,
            parent=parents.get(row.id),
            parent_pid=row.parent_pid,
            captured=any(program.reason != "blind" for program in programs.get(row.id, [])),
            started=row.started,
            ended=row.ended,
            status=row.exit_status,
            user=row.user,
            group=row.group,
            programs=programs.get(row.id, []),
        )
        for row in rows
    ]
    known = _end_of_first(connection, run, known)
    matched = match_forks(keys, forks)
    children = _ends_told(connection, run, [fork for fork in forks if fork not in matched])
    return sorted(known + children, key=lambda process: (process.started, process.id or 0, process.pid))


def _end_of_first(connection: Connection, run: str, known: list[ProcessInfo]) -> list[ProcessInfo]:
    """A first program that runs unseen, and that no captured one waits for, ends with its run, and as that does."""
    first = min(known, key=lambda process: (process.started, process.id), default=None)
    if first is None or first.captured or first.parent is not None or first.ended is not None:
        return known
    row = connection.execute(select(Run.ended, Run.status).where(Run.id == run)).first()
    if row is None or row.ended is None:
        return known
    ended = replace(first, ended=row.ended, status=row.status)
    return [ended if process is first else process for process in known]


def _key(row: Any) -> ProcessKey:
    return ProcessKey(
        row.id, row.run_id, row.pid_namespace, row.pid, row.start_time, row.parent_pid, row.parent_start_time
    )


def _programs_of(connection: Connection, run: str) -> dict[int, list[ProgramInfo]]:
    rows = connection.execute(
        select(*Image.__table__.columns)
        .join(Process, Process.id == Image.process_id)
        .where(Process.run_id == run)
        .order_by(Image.started, Image.id)
    )
    programs: dict[int, list[ProgramInfo]] = defaultdict(list)
    for row in rows:
        programs[row.process_id].append(
            ProgramInfo(
                row.reason,
                None if row.executable is None else text(row.executable),
                arguments_of(row.arguments),
                None if row.directory is None else text(row.directory),
                row.started,
                row.ended,
                row.blind_spot,
                text(row.blind_object) if row.blind_object else None,
            )
        )
    return programs


def _borrows(program: ProgramInfo) -> bool:
    return program.reason == "fork" and program.executable is None


def _lent(programs: dict[int, list[ProgramInfo]], parents: Mapping[int, int]) -> dict[int, list[ProgramInfo]]:
    """The same; a vfork child tells of no program: it runs its parent's until it executes one."""

    def lender(process: int, started: int) -> ProgramInfo | None:
        for _ in range(VFORKS_DEEP):
            parent = parents.get(process)
            running = [program for program in programs.get(parent or 0, []) if program.started <= started]
            if parent is None or not running:
                return None
            if not _borrows(running[-1]):
                return running[-1]
            process = parent
        return None

    def whole(process: int, program: ProgramInfo) -> ProgramInfo:
        of = lender(process, program.started) if _borrows(program) else None
        if of is None:
            return program
        return replace(program, executable=of.executable, arguments=of.arguments, directory=of.directory)

    return {process: [whole(process, program) for program in each] for process, each in programs.items()}


def arguments_of(vector: bytes | None) -> list[str] | None:
    """The stored argument vector as a list."""
    if vector is None:
        return None
    return [text(argument) for argument in vector.split(b"\0")[:-1]]


def _ends_told(connection: Connection, run: str, forks: Sequence[Fork]) -> list[ProcessInfo]:
    """Processes that wrote no journal, with the end that their parent was told of."""
    if not forks:
        return []
    waits: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for row in _steps(connection, [run], "wait"):
        waits[row.pid_namespace, row.child].append((row.time, row.status))
    children = []
    for fork in forks:
        ends = [end for end in waits[fork.pid_namespace, fork.child_pid] if end[0] >= fork.time]
        end = min(ends, default=None)
        children.append(
            ProcessInfo(
                id=None,
                run=run,
                pid_namespace=fork.pid_namespace,
                pid=fork.child_pid,
                parent=fork.parent,
                parent_pid=fork.parent_pid,
                captured=False,
                started=fork.time,
                ended=end[0] if end else None,
                status=end[1] if end else None,
                user=None,
                group=None,
                programs=[],
            )
        )
    return children


def _steps(connection: Connection, runs: Collection[str], kind: str) -> Iterator[Any]:
    """What the runs' processes told of others, in the order of times."""
    return iter(
        connection.execute(
            select(
                Step.child,
                Step.status,
                Step.time,
                Step.boot_time,
                Process.id.label("process_id"),
                Process.run_id,
                Process.pid,
                Process.pid_namespace,
            )
            .join(Image, Image.id == Step.image_id)
            .join(Process, Process.id == Image.process_id)
            .where(Process.run_id.in_(runs), Step.kind == kind)
            .order_by(Step.time, Step.id)
        )
    )


def forks_of(connection: Connection, runs: Collection[str]) -> list[Fork]:
    """Every child that a process of these runs made."""
    return [
        Fork(row.run_id, row.pid_namespace, row.process_id, row.pid, row.child, row.boot_time, row.time)
        for row in _steps(connection, runs, "fork")
        if row.child
    ]


# Files

_UNLISTED = ("directory", "pipe", "socket")


def files_of(
    connection: Connection, run: str, *, read: bool = True, written: bool = True, everything: bool = False
) -> list[FileInfo]:
    """The files whose content the run's programs used (`read`) or changed (`written`), by path.

    `everything` adds directories, pipes and sockets, and files that were only opened or looked at.
    """
    rows = connection.execute(
        select(
            Access.file_id,
            Access.kind,
            Image.executable,
            func.sum(Access.amount).label("amount"),
            func.min(Access.time).label("first"),
            func.max(Access.time).label("last"),
        )
        .join(Image, Image.id == Access.image_id)
        .join(Process, Process.id == Image.process_id)
        .where(Process.run_id == run)
        .group_by(Access.file_id, Access.kind, Image.executable)
    )
    accesses: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        accesses[row.file_id].append(row)
    wanted = (READ if read else frozenset()) | (CHANGE if written else frozenset())
    if not (everything and read and written):
        accesses = {file: uses for file, uses in accesses.items() if any(use.kind in wanted for use in uses)}
    names = names_of(connection, accesses, run)
    found = []
    for chunk in in_chunks(accesses):
        files = connection.execute(select(*File.__table__.columns).where(File.id.in_(chunk)))
        listed = (file for file in files if everything or file.kind not in _UNLISTED)
        found += [_file_info(file, accesses[file.id], names.get(file.id, [])) for file in listed]
    return sorted(found, key=lambda file: (file.path is None, file.path or "", file.first, file.inode))


def _file_info(file: Any, uses: Sequence[Any], paths: list[str]) -> FileInfo:
    def programs(kinds: frozenset[str]) -> list[str]:
        return sorted({text(use.executable) for use in uses if use.kind in kinds and use.executable is not None})

    return FileInfo(
        path=paths[0] if paths else None,
        paths=paths,
        kind=file.kind,
        device=file.device,
        inode=file.inode,
        birth_time=file.birth_time,
        accesses=sorted({use.kind for use in uses}),
        bytes_read=sum(int(use.amount) for use in uses if use.kind in READ),
        bytes_written=sum(int(use.amount) for use in uses if use.kind in WRITE),
        first=min(use.first for use in uses),
        last=max(use.last for use in uses),
        readers=programs(READ),
        writers=programs(CHANGE),
    )


def names_alike(connection: Connection, name: bytes, limit: int) -> list[str]:
    """Paths that were seen and end with this name, the last seen first. Looks at every name there is."""
    suffix = b"/" + name
    end = func.substr(Name.path, func.length(Name.path) - len(suffix) + 1, len(suffix))
    found = (
        select(Name.path)
        .where(func.length(Name.path) >= len(suffix), end == suffix)
        .group_by(Name.path)
        .order_by(func.max(Name.last_seen).desc())
        .limit(limit)
    )
    return [text(path) for path in connection.execute(found).scalars()]


def names_of(connection: Connection, files: Iterable[int], run: str | None = None) -> dict[int, list[str]]:
    """The paths under which files were seen (in one run, or ever), the last seen first."""
    names: dict[int, list[str]] = defaultdict(list)
    for chunk in in_chunks(files):
        seen = select(Name.file_id, Name.path, func.max(Name.last_seen).label("last")).where(Name.file_id.in_(chunk))
        if run is not None:
            seen = seen.where(Name.run_id == run)
        seen = seen.group_by(Name.file_id, Name.path).order_by(func.max(Name.last_seen).desc(), Name.path)
        for row in connection.execute(seen):
            names[row.file_id].append(text(row.path))
    return names


# Events


def events_of(connection: Connection, run: str, effect: str | None = None) -> Iterator[EventInfo]:
    """The run's events in the order of their times."""
    if effect is not None:
        effects = [field.name for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["effect"].fields]
        if effect not in effects:
            raise QueryError(f"no effect {effect!r}: one of {', '.join(effects)}")
    for stored in stored_events(connection, run):
        if effect is None or stored.effect == effect:
            event = stored.event
            kind = event.WhichOneof("effect")
            yield EventInfo(
                time=stored.time,
                pid=stored.pid,
                thread=event.thread,
                function=event.function,
                effect=stored.effect,
                error=event.error,
                fields={} if kind is None else _fields(getattr(event, kind)),
                journal=stored.journal,
                offset=stored.offset,
            )


def _fields(message: Message) -> dict[str, Any]:
    """A message's fields under their names in the .proto file; a message that is absent is left out."""
    return {
        field.name: _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if field.message_type is None or field.is_repeated or message.HasField(field.name)
    }


def _value(field: Any, value: Any) -> Any:
    return [_single(field, one) for one in value] if field.is_repeated else _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return _fields(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name.split("_", 1)[1].lower()
    return _SHOWN.get(field.full_name, text)(value) if isinstance(value, bytes) else value


def _ip(value: bytes) -> str:
    """An address of either family as people write it; hexadecimal for what is neither."""
    return str(ip_address(value)) if len(value) in (4, 16) else value.hex()


_SHOWN: Final[dict[str, Callable[[bytes], str]]] = {
    "interpose.v1.Address.ip": _ip,
    "interpose.v1.Load.build_id": bytes.hex,
}
"""How bytes that are no text are printed, by field."""
