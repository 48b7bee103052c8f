"""What a database says, without the ids that depend on the order of insertion."""

from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

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
    ' user, "group" FROM processes',
    "images": f"SELECT {IMAGE}, i.ended, executable, f.inode, arguments, directory, blind_spot FROM images i"
    " JOIN processes p ON p.id = i.process_id LEFT JOIN files f ON f.id = i.file_id",
    "files": "SELECT device, inode, birth_time, scope, kind FROM files",
    "names": "SELECT f.device, f.inode, path, first_seen, last_seen FROM names x JOIN files f ON f.id = x.file_id",
    "accesses": f"SELECT {IMAGE}, f.device, f.inode, x.time, x.kind, amount, size, modified FROM accesses x"
    f" {OF_IMAGE} JOIN files f ON f.id = x.file_id",
    "events": f'SELECT j.number, x."offset", x.time, x.effect, x.body, {IMAGE} FROM events x'
    f" JOIN journals j ON j.id = x.journal_id {OF_IMAGE_IF_ANY}",
}


def rows(url: str | Path) -> Rows:
    """Every table's rows, sorted. A path is that of an SQLite database."""
    engine = create_engine(f"sqlite:///{url}" if isinstance(url, Path) else url)
    with engine.connect() as connection:
        found = {
            table: sorted((tuple(row) for row in connection.execute(text(query))), key=repr)
            for table, query in QUERIES.items()
        }
    engine.dispose()
    return found
