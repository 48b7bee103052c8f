"""What a database says, without the ids that depend on the order of insertion."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from interpose.sidecar.events import stored_events
from support.databases import engine_of, sqlite_url

__all__ = ["Rows", "rows"]

Rows = dict[str, list[tuple[Any, ...]]]

PROCESS = "p.pid_namespace, p.pid, p.start_time"
IMAGE = f"{PROCESS}, i.reason, i.started"
OF_IMAGE = "JOIN images i ON i.id = x.image_id JOIN processes p ON p.id = i.process_id"
OF_IMAGE_IF_ANY = OF_IMAGE.replace("JOIN", "LEFT JOIN")
QUERIES = {
    "runs": "SELECT id, command, ended, status, lost FROM runs",
    "journals": f'SELECT number, x."offset", realtime_offset, closed, {IMAGE} FROM journals x {OF_IMAGE_IF_ANY}',
    "processes": "SELECT pid_namespace, pid, start_time, parent_pid, parent_start_time, started, ended, exit_status,"
    ' "user", "group" FROM processes',
    "images": f"SELECT {IMAGE}, i.ended, executable, f.inode, arguments, directory, blind_object, blind_spot"
    " FROM images i JOIN processes p ON p.id = i.process_id LEFT JOIN files f ON f.id = i.file_id",
    "files": "SELECT device, inode, birth_time, scope, kind FROM files",
    "names": "SELECT f.device, f.inode, path, first_seen, last_seen FROM names x JOIN files f ON f.id = x.file_id",
    "accesses": f"SELECT {IMAGE}, f.device, f.inode, x.time, x.kind, amount, size, modified FROM accesses x"
    f" {OF_IMAGE} JOIN files f ON f.id = x.file_id",
    "steps": f"SELECT {IMAGE}, x.kind, x.time, boot_time, child, status FROM steps x {OF_IMAGE}",
}


def rows(url: str | Path) -> Rows:
    """Every table's rows, and the events that the ranges hold, sorted. A path is that of an SQLite database."""
    with engine_of(sqlite_url(url) if isinstance(url, Path) else url) as engine, engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")  # one state of it, whatever is written meanwhile
        else:
            connection.execution_options(isolation_level="REPEATABLE READ")
        found = {
            table: sorted((tuple(map(_plain, row)) for row in connection.execute(text(query))), key=repr)
            for table, query in QUERIES.items()
        }
        found["events"] = sorted(_events(connection), key=repr)
    return found


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value  # SQLite has no truth values


def _events(connection: Connection) -> Iterator[tuple[Any, ...]]:
    query = f"SELECT i.id, {IMAGE} FROM images i JOIN processes p ON p.id = i.process_id"
    images = {id_: tuple(image) for id_, *image in connection.execute(text(query))}
    for (run,) in connection.execute(text("SELECT id FROM runs")).all():
        for event in stored_events(connection, run):
            body = event.event.SerializeToString()
            image = images[event.image] if event.image else (None,) * 5
            yield event.journal, event.offset, event.time, event.effect, body, *image
