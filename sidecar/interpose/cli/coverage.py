"""`interpose coverage`: which functions of libc are seen, and how."""

import importlib.resources
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import click

from interpose.cli.output import console, print_json, show, table
from interpose.sidecar.errors import InterposeError

__all__ = ["FunctionInfo", "coverage", "functions"]

_FILE = "functions.json"


class CoverageError(InterposeError):
    """The installation does not say what it covers."""


@dataclass(frozen=True)
class FunctionInfo:
    """A function of libc, or a number of syscall(2)."""

    name: str
    type: str
    how: str
    of: str | None
    effect: str | None
    reason: str | None
    family: str | None
    libc: str | None
    since: str | None


def functions() -> list[FunctionInfo]:
    """All that the library was generated from, functions before numbers. Raises CoverageError."""
    try:
        text = (importlib.resources.files("interpose.lib") / _FILE).read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError) as error:
        raise CoverageError(f"no {_FILE} is installed: build it (make), or install a wheel") from error
    known = json.loads(text)
    listed = (("function", known["functions"]), ("number", known["numbers"]))
    return [_info(type_, row) for type_, rows in listed for row in rows]


def _info(type_: str, row: dict[str, str | None]) -> FunctionInfo:
    values: dict[str, Any] = {"of": None, "family": None, "libc": None, "since": None, **row, "type": type_}
    return FunctionInfo(**values)


@click.command(short_help="Show which functions are seen, and how.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def coverage(names: tuple[str, ...], as_json: bool) -> None:
    """Show which functions of libc (or those called NAME) are wrapped, with which effect, or why they need not be."""
    found = functions()
    if names:
        found = [function for function in found if function.name in names]
        unknown = set(names) - {function.name for function in found}
        if unknown:
            raise CoverageError(f"unknown: {', '.join(sorted(unknown))}: the name carries no provenance, or is too new")
    if as_json:
        print_json(found)
        return
    shown = table("NAME", "HOW", "EFFECT", "REASON")
    for function in found:
        name = f"syscall({function.name})" if function.type == "number" else function.name
        how = f"alias of {function.of}" if function.of else function.how
        shown.add_row(name, how, function.effect or "", function.reason or "")
    show(shown, console())
    if not names:
        click.echo(_summary(found))


def _summary(found: list[FunctionInfo]) -> str:
    counts = Counter(function.how for function in found if function.type == "function")
    numbers = sum(function.type == "number" for function in found)
    listed = ", ".join(f"{counts[how]} {how}" for how in ("wrapped", "alias", "manual", "covered", "called"))
    return f"{sum(counts.values())} functions: {listed}; {numbers} numbers of syscall()"
