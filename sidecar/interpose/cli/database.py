"""Which database a command asks: `--db`, else $INTERPOSE_DB, else one in the user's state directory."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy import URL, Connection

from interpose.sidecar.errors import StoreError
from interpose.sidecar.query import open_database

__all__ = ["database_option", "make_room", "reading"]

F = TypeVar("F", bound=Callable[..., Any])


def database_option(function: F) -> F:
    """Give a command the option `--db`, as `url`."""
    return click.option(
        "--db",
        "url",
        envvar="INTERPOSE_DB",
        metavar="URL",
        callback=_as_url,
        help="Database: a file, or SQLAlchemy's URL.  [default: $INTERPOSE_DB, else the user's own SQLite file]",
    )(function)


def _as_url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    if not value:
        return _sqlite(_default())
    return value if "://" in value else _sqlite(Path(value).absolute())


def _sqlite(path: Path) -> str:
    return URL.create("sqlite", database=str(path)).render_as_string()


def _default() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    home = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return home / "interpose" / "interpose.db"


def make_room(url: str) -> None:
    """Make the directory of the user's own database, which nobody else may read. Raises StoreError."""
    if url == _sqlite(_default()):
        try:
            _default().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make {_default().parent}: {error.strerror}; name a database with --db") from error


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A connection for queries, which all see the same state of the database, whatever is written meanwhile."""
    engine = open_database(url)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            elif connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
    finally:
        engine.dispose()
