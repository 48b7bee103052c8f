"""How the place of a database is told to people: without its password, and with what keeps it from being used."""

import re
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

__all__ = ["reason", "shown"]

_USER: Final = re.compile(r"(//[^:@/?]*):.*@", re.DOTALL)
_PASSWORDS: Final = re.compile(r"([?&][^=&]*password=)[^&]*", re.IGNORECASE)


def shown(url: str) -> str:
    """The file of an SQLite database, or the URL with nothing secret in it; whatever the URL looks like."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return str(parsed.database or url)
    except (ArgumentError, NoSuchModuleError, ValueError):
        pass
    return _PASSWORDS.sub(r"\1***", _USER.sub(r"\1:***@", url))


def reason(url: str, error: Exception) -> str:
    """Why the database cannot be used, in one line: what is seen of that, else what its driver says."""
    if isinstance(error, (NoSuchModuleError, ImportError)):  # the former is an ArgumentError, too
        return _missing_driver(url, error)
    if isinstance(error, (ArgumentError, ValueError)):
        return "this is no URL: give a file, or postgresql+psycopg://USER@HOST/NAME"
    return _wrong_file(url) or _drivers_own(error)


def _missing_driver(url: str, error: Exception) -> str:
    if url.startswith("postgres"):
        return f"its driver is not installed ({_drivers_own(error)}): pip install 'interpose[postgresql]'"
    return f"{_drivers_own(error)}: give a file, or postgresql+psycopg://USER@HOST/NAME"


def _wrong_file(url: str) -> str | None:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    path = Path(parsed.database)
    try:
        if path.is_dir():
            return "it is a directory: name a file in it"
        if not path.parent.is_dir():
            return f"there is no directory {path.parent}: make it first"
    except OSError:
        pass
    return None


def _drivers_own(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split()) or type(cause).__name__
