"""Which database a command asks: `--db`, else $INTERPOSE_DB, else one in the user's state directory."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from interpose.sidecar.errors import StoreError
from interpose.sidecar.paths import absolute

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["database_option", "make_room", "reading", "unresolved_database_option", "url_of"]

F = TypeVar("F", bound=Callable[..., Any])

_PLAIN: Final = re.compile(r"[A-Za-z0-9/_.,@~ +-]*")
"""What stands in a URL as it is."""
_RELATIVE: Final = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:|\?|$)(.*)", re.DOTALL)

_SERVER: Final = re.compile(r"postgres(ql)?://")
"""As PostgreSQL's own programs take it; the driver is ours."""


def _option(function: F, **how: Any) -> F:
    return click.option(
        "--db",
        "url",
        envvar="INTERPOSE_DB",
        metavar="URL",
        help="Database: a file, or SQLAlchemy's URL.  [default: $INTERPOSE_DB, else the user's own SQLite file]",
        **how,
    )(function)


def database_option(function: F) -> F:
    """Give a command the option `--db`, as `url`."""
    return _option(function, callback=lambda _context, _parameter, value: url_of(value))


def unresolved_database_option(function: F) -> F:
    """Give a command the option `--db` as it was given, for `url_of`."""
    return _option(function)


def url_of(given: str | None) -> str:
    """The URL of the database that is meant; that of a file says where that is. Raises InterposeError."""
    if not given:
        return _sqlite(_default())
    relative = _RELATIVE.fullmatch(given)
    if relative is not None:
        return f"{relative[1]}{absolute(Path())}/{relative[2]}"
    if "://" not in given:
        return _sqlite(absolute(Path(given)))
    return _SERVER.sub("postgresql+psycopg://", given)


def _sqlite(path: Path) -> str:
    try:
        text = os.fsencode(path).decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"the path of a database must be UTF-8: {path}") from error
    if _PLAIN.fullmatch(text):
        return f"sqlite:///{text}"
    from sqlalchemy import URL  # noqa: PLC0415 - costs a third of a second, and nearly no path needs it

    return URL.create("sqlite", database=text).render_as_string()


def _default() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        home = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise StoreError("who you are is not known here, nor your home directory: name a database with --db") from error
    return home / "interpose" / "interpose.db"


def make_room(url: str) -> None:
    """Make the directory of the user's own database, which nobody else may read. Raises StoreError."""
    try:
        if url != _sqlite(_default()):
            return
    except StoreError:
        return
    try:
        _default().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {_default().parent}: {error.strerror}; name a database with --db") from error


@contextmanager
def reading(url: str) -> Iterator["Connection"]:
    """A connection for queries, which all see the same state of the database, whatever is written meanwhile."""
    from interpose.sidecar.query import open_database  # noqa: PLC0415 - as above

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
