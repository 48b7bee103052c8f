"""The command as its user meets it: a program of its own, with a database of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from interpose.cli.command import interpose
from support.databases import sqlite_url
from support.roots import REPOSITORY, missing

__all__ = ["INTERPOSE", "Interpose", "Lineage", "Summary", "need", "summary"]

_SCRIPT = Path(sys.executable).with_name("interpose")
INTERPOSE = [str(_SCRIPT)] if _SCRIPT.exists() else [sys.executable, "-m", "interpose.cli"]
_PARTS = [str(REPOSITORY / part) for part in ("sidecar", "injector", "generator", "build/python")]
_SUMMARY = re.compile(
    r"^interpose: run (?P<run>\w+): (?P<processes>\d+) process(?:es)?, (?P<files>\d+) files?, (?P<events>\d+) events?,"
    r" (?P<lost>\d+) lost(?:, (?P<blind>\d+) blind spots?)?$",
    re.MULTILINE,
)


def need(*programs: str) -> None:
    """Skip the test, or fail it, where one of these programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            missing(program)


@dataclass(frozen=True)
class Summary:
    """The line that a run ends with."""

    run: str
    processes: int
    files: int
    events: int
    lost: int
    blind_spots: int


def summary(stderr: bytes) -> Summary:
    """The one summary among what a run wrote to stderr."""
    (found,) = _SUMMARY.finditer(stderr.decode())
    counts = (int(found[name] or 0) for name in ("processes", "files", "events", "lost", "blind"))
    return Summary(found["run"], *counts)


@dataclass
class Interpose:
    """Runs the command in a folder, with a small environment; its database and temporary files are beside it."""

    base: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    """Of the database: an SQLite file if nothing is given."""

    def __post_init__(self) -> None:
        self.folder, self.temporary, self.database = self.base / "work", self.base / "tmp", self.base / "interpose.db"
        self.capture = self.base / "capture"
        self.url = self.url or sqlite_url(self.database)
        self.folder.mkdir(exist_ok=True)
        self.temporary.mkdir(exist_ok=True)

    @property
    def captured(self) -> dict[str, str]:
        """The environment of what the sidecar of `capture` records."""
        return self.environment | {"LD_PRELOAD": f"{self.capture}/libinterpose.so"}

    @property
    def environment(self) -> dict[str, str]:
        """What the command, and what it captures, finds in its environment."""
        fixed = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.base),
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self.temporary),
            "INTERPOSE_DB": self.url,
        }
        if len(INTERPOSE) > 1:
            fixed["PYTHONPATH"] = os.pathsep.join(_PARTS)
        return fixed | dict(self.variables)

    def __call__(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """The command with these arguments, to its end; `options` are subprocess.run's."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        fixed = {"cwd": self.folder, "env": self.environment, "capture_output": True, "timeout": 120, "check": False}
        return subprocess.run([*INTERPOSE, *arguments], **(fixed | options))

    def start(self, *arguments: str, before: Sequence[str] = (), **options: Any) -> subprocess.Popen[bytes]:
        """The command with these arguments, run by `before`, while it runs; `options` are subprocess.Popen's."""
        fixed = {"cwd": self.folder, "env": self.environment, "stdin": subprocess.DEVNULL}
        return subprocess.Popen([*before, *INTERPOSE, *arguments], **(fixed | options))

    def run(self, *command: str, options: tuple[str, ...] = (), **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Run a command captured, to its end."""
        return self("run", *options, "--", *command, **more)

    def bare(self, *command: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run a command uncaptured, in the same surroundings."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        fixed = {"cwd": self.folder, "env": self.environment, "capture_output": True, "timeout": 120, "check": False}
        return subprocess.run(command, **(fixed | options))

    def ask(self, *arguments: str) -> list[dict[str, Any]]:
        """The answer to a question, as objects. Asked in this process: starting Python takes longer than a query."""
        answer = CliRunner().invoke(interpose, [*arguments, "--json", "--db", self.url])
        assert (answer.exit_code, answer.stderr) == (0, "")
        return [json.loads(line) for line in answer.stdout.splitlines()]

    def lineage(self, path: Path | str) -> "Lineage":
        """How a file in the folder was made."""
        return Lineage(self.ask("lineage", str(self.folder / path)))


class Lineage:
    """An answer of `interpose lineage`."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.nodes = {row["id"]: row for row in rows if row["type"] != "edge"}
        self.edges = [row for row in rows if row["type"] == "edge"]

    @property
    def files(self) -> list[dict[str, Any]]:
        """The files that the one asked for comes from."""
        return [row for row in self.nodes.values() if row["type"] == "file" and not row["asked"]]

    @property
    def programs(self) -> list[dict[str, Any]]:
        """The programs that took part."""
        return [row for row in self.nodes.values() if row["type"] == "process"]

    @property
    def paths(self) -> set[str]:
        """The files' paths, links followed as far as they still are there."""
        return {os.path.realpath(row["path"]) for row in self.files if row["path"] is not None}

    def into(self, node: str, *kinds: str) -> list[dict[str, Any]]:
        """The nodes from which edges of these kinds lead into a node."""
        return [self.nodes[edge["source"]] for edge in self.edges if edge["target"] == node and edge["kind"] in kinds]

    @property
    def asked(self) -> dict[str, Any]:
        """The file that was asked for."""
        (row,) = (row for row in self.nodes.values() if row.get("asked"))
        return row
