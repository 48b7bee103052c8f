"""Databases for tests of what stores and asks: SQLite's and PostgreSQL's, made and dropped alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import URL, Engine, create_engine

__all__ = ["Databases", "SQLite", "engine_of", "sqlite_url"]


class Databases(Protocol):
    """Where databases are made."""

    def database(self) -> str:
        """Make an empty database: its URL."""

    def drop(self, url: str) -> None:
        """Remove it."""

    def empty(self, url: str) -> None:
        """Remove it and make it again."""


class SQLite:
    """Makes databases in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()

    def database(self) -> str:
        """A path at which nothing is yet."""
        return sqlite_url(self._folder / f"{next(self._numbers)}.db")

    def drop(self, url: str) -> None:
        """Remove the file and those beside it."""
        path = Path(url.partition("///")[2])
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()

    def empty(self, url: str) -> None:
        """Remove them: whoever opens it next makes it."""
        self.drop(url)


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite database."""
    return URL.create("sqlite", database=str(path)).render_as_string()


@contextmanager
def engine_of(url: str, **options: Any) -> Iterator[Engine]:
    """SQLAlchemy's engine of a database, for the test's own statements."""
    engine = create_engine(url, **options)
    try:
        yield engine
    finally:
        engine.dispose()
