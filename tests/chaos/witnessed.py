"""Real programs under strace, killed: what the witness saw of each process up to its death must be in the database."""

import re
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine

from chaos.tally import Key, Tally
from completeness import captured, witness
from completeness.facts import Fact, Observation
from completeness.programs import PROGRAMS, Program

__all__ = ["command", "programs", "read_witnessed", "stored_facts"]

_NAMES: Final = ("tar", "cp -a", "find", "perl", "bash pipelines", "git", "sed and awk", "sort with temporary files")
_LAST: Final = 4
"""Calls of a killed process of which one may not have returned: the library makes some before it tells of one."""
_OF_A_PROCESS: Final = re.compile(r"(\d+)\s+(.*)", re.ASCII)
_FORK: Final = re.compile(r"(v?fork|clone3?)\(|<\.\.\. (v?fork|clone3?) resumed")


def programs() -> list[Program]:
    """Those of `make completeness` that are here, and quick."""
    return [each for each in PROGRAMS if each.name in _NAMES and all(map(shutil.which, each.needs))]


def command(log: Path, library: Path, script: str) -> list[str]:
    """The script under strace and the library."""
    return witness.command(str(log), "-E", f"LD_PRELOAD={library}", "/bin/sh", "-c", script)


def read_witnessed(log: str, folder: Path, work: Path) -> Tally:
    """What must be known, by the witness's account, and what may be."""
    tally, killed = Tally(), _killed(log)
    certain, possible = (
        _facts(witness.observe(text, str(work), "", temporary=str(folder)))
        for text in (_without_last(log, killed), _without_ends(log))
    )
    tally.certain, tally.possible = certain, possible
    for key in certain:
        if key.what.endswith(": fork "):
            certain[key] -= min(len(killed), certain[key])
    return tally


def stored_facts(url: str, run: str, folder: Path) -> Counter[Key]:
    """What the database says, in the same words."""
    engine = create_engine(url)
    facts = _facts(captured.observe(engine, run, temporary=str(folder)))
    engine.dispose()
    return facts


def _facts(seen: Observation) -> Counter[Key]:
    """What concerns the work folder; and children and programs, which are counted."""
    found = Counter[Key]()
    for fact, number in seen.facts.items():
        if fact.what in ("fork", "exec"):
            found[_key(fact)] += number
        elif fact.object.startswith("/work/"):
            found[_key(fact)] = 1
    for fact, number in seen.bytes.items():
        if fact.object.startswith("/work/"):
            found[Key(0, f"{fact.program}: bytes {fact.what} {fact.object}", 0)] += number
    return found


def _key(fact: Fact) -> Key:
    return Key(0, str(fact), 0)


def _killed(log: str) -> set[str]:
    return {line.split(maxsplit=1)[0] for line in log.splitlines() if "+++ killed by SIGKILL" in line}


def _without_ends(log: str) -> str:
    return "\n".join(line for line in log.splitlines() if "+++ killed by SIGKILL" not in line)


def _without_last(log: str, killed: set[str]) -> str:
    """The log without the last calls of processes that were killed; forks stay, or their children would be nobody's."""
    lines = log.splitlines()
    dropped: set[int] = set()
    left = defaultdict(lambda: _LAST)
    for place in range(len(lines) - 1, -1, -1):
        found = _OF_A_PROCESS.match(lines[place])
        if found and found[1] in killed and left[found[1]] and not _FORK.match(found[2]):
            left[found[1]] -= not found[2].startswith(("+++", "---"))
            dropped.add(place)
    return "\n".join(line for place, line in enumerate(lines) if place not in dropped)
