"""How things are shown to people, and printed for programs."""

import contextlib
import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interpose.sidecar.errors import InterposeError

__all__ = [
    "amount",
    "command_line",
    "complain",
    "console",
    "duration",
    "exact",
    "in_one_line",
    "moment",
    "print_json",
    "printable",
    "show",
    "size",
    "table",
    "unseen",
]

_UNLIMITED = 1 << 20
"""Columns of what is no terminal: nothing is cut or wrapped."""
_LONE_BYTE = re.compile("[\udc80-\udcff]")


def complain(line: str) -> None:
    """Tell on stderr what is wrong."""
    with contextlib.suppress(OSError, ValueError):  # there is nobody to be told, and more to be done
        click.echo(f"interpose: {printable(line)}", err=True)


def console() -> Console:
    """Standard output for people: plain where it is no terminal, and never cut there."""
    width = None if sys.stdout.isatty() else _UNLIMITED
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=width is not None)


def unseen(reason: str, cause: str, acting: str | None) -> str:
    """What a program does unseen: Image.reason, the cause of its blind spot, and the object that may act."""
    if reason == "blind":
        return f"ran unseen: {cause}"
    return f"may act unseen: {cause}" + ("" if acting is None else f" in {printable(acting)}")


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A table without lines; what is too long for a terminal is folded, not cut."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def print_json(rows: Iterable[Any]) -> None:
    """Print dataclasses, one object of JSON in ASCII a line."""
    for row in rows:
        sys.stdout.write(json.dumps(dataclasses.asdict(row), separators=(",", ":")) + "\n")


def show(made: Table, terminal: Console) -> None:
    """Print a table; what only fills it up to its right edge is left out where there is no terminal."""
    if sys.stdout.isatty():
        terminal.print(made)
        return
    with terminal.capture() as lines:
        terminal.print(made)
    for line in lines.get().splitlines():
        terminal.file.write(line.rstrip() + "\n")


def printable(value: str) -> str:
    """The text with everything that would move a terminal's cursor, or that is no text, escaped."""
    if value.isprintable():
        return value
    value = _LONE_BYTE.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", value)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in value)


def in_one_line(error: Exception) -> str:
    """What an error says; of one that is not ours, what kind it is, too."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InterposeError) else f"{type(error).__name__}: {text}"


def command_line(arguments: Iterable[str] | None) -> str:
    """An argument vector as one would type it."""
    return "" if arguments is None else printable(shlex.join(arguments))


def exact(value: str) -> Text:
    """Text that is shown as it is, whatever it looks like."""
    return Text(printable(value))


def moment(time: int) -> str:
    """A time in the local zone, to the second."""
    return datetime.fromtimestamp(time // 1_000_000_000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def amount(number: int, what: str) -> str:
    """So many of something, whose name makes its plural as most do."""
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('s') else 's'}"


def size(amount: int) -> str:
    """So many bytes, to one digit behind the point."""
    if amount < 1024:
        return f"{amount} bytes"
    return f"{amount / 1024:.1f} KiB" if amount < 1 << 20 else f"{amount / (1 << 20):.1f} MiB"


def duration(start: int, end: int | None) -> str:
    """How long something took, to three digits or so."""
    if end is None:
        return ""
    seconds = max(end - start, 0) / 1_000_000_000
    if seconds < 60:
        return f"{seconds:.3f}s" if seconds < 1 else f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"
