"""The system calls that the library itself makes, as its sources say: a table for C, a page for people."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["OwnCall", "calls_in", "header", "page", "read_calls"]

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_OF_THE_PROGRAM = re.compile(r"(\breal\)?\s*\(\s*|\bcase\s+|#\s*ifdef\s+|[=!]=\s*)__NR_\w+")
"""libc's own function is given the number, or the program's is looked at: the call is the program's."""
_NUMBER = re.compile(r"\b__NR_(\w+)")


@dataclass(frozen=True)
class OwnCall:
    """A system call of the library's."""

    name: str
    purpose: str = ""
    optional: bool = False
    ways: tuple[Mapping[int, str], ...] = ()
    """The arguments that are known, by their place: of each way in which the call is made."""

    @property
    def shown(self) -> str:
        """The ways, for people: they count arguments from one."""
        return "; ".join(", ".join(f"{place + 1}: {value}" for place, value in way.items()) for way in self.ways)


def calls_in(sources: Iterable[str]) -> set[str]:
    """The names of the system calls that C sources make by themselves, without those that they pass on to libc."""
    return {name for source in sources for name in _NUMBER.findall(_OF_THE_PROGRAM.sub("", _COMMENT.sub(" ", source)))}


def read_calls(library: Path, specs: Path) -> tuple[OwnCall, ...]:
    """Each call that the library's sources make, with what the specs say of it, in the order of their names."""
    sources = (path.read_text(encoding="utf-8") for path in sorted(library.rglob("*.[ch]")))
    told: dict[str, dict[str, Any]] = yaml.safe_load(specs.read_text(encoding="utf-8"))
    return tuple(_call(name, told.get(name, {})) for name in sorted(calls_in(sources)))


def _call(name: str, told: Mapping[str, Any]) -> OwnCall:
    return OwnCall(name, told.get("for", ""), bool(told.get("optional")), tuple(told.get("with", ())))


def header(calls: Iterable[OwnCall]) -> str:
    """C: an index for each call, and a row for each way in which it is made."""
    calls = tuple(calls)
    lines = [
        "/* Generated from the sources and generator/specs/own_calls.yaml: the system calls of the library itself. */"
    ]
    lines += ["#ifndef IP_OWN_CALLS_H", "#define IP_OWN_CALLS_H", "", "enum ip_own_call {"]
    lines += [f"    IP_OWN_{call.name}," for call in calls]
    lines += ["    IP_OWN_CALLS", "};", "", "#define IP_OWN_CALL_ROWS \\"]
    lines += [f"    {row} \\" for call in calls for row in _rows(call)]
    return "\n".join([*lines, "", "#endif", ""])


def _rows(call: OwnCall) -> Iterable[str]:
    for way in call.ways or ({},):
        known = sum(1 << place for place in way)
        values = ", ".join(f"[{place}] = {value}" for place, value in way.items()) or "0"
        yield f"{{IP_OWN_{call.name}, __NR_{call.name}, {int(call.optional)}, {known}, {{{values}}}}},"


def page(calls: Iterable[OwnCall]) -> str:
    """The page of the documentation."""
    environment = Environment(  # noqa: S701 - what is rendered is Markdown
        loader=PackageLoader("interpose.generator"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("system-calls.md.j2").render(calls=tuple(calls))
