"""Tcl's own tests, run by Debian's tclsh."""

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from equivalence.suites import SOURCES, Step, Suite

__all__ = ["SUITES", "read_tcltest"]

_TCLSH = Path("/usr/bin/tclsh8.6")
_TESTS = SOURCES / "tcl8.6/tests"
_LINE = re.compile(
    r"^(?:\+\+\+\+ (?P<told>\S+) (?P<how>PASSED|SKIPPED)|==== (?P<failed>\S+) FAILED$"
    r"|(?P<file>\S+\.test):\tTotal\t(?P<counts>.*))",
    re.MULTILINE,
)


def read_tcltest(name: str, output: str) -> Mapping[str, str]:
    """The verdict of each test of a file, and the counts at its end."""
    verdicts: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for line in _LINE.finditer(output):
        if line["counts"]:
            verdicts[f"{name}: total"] = " ".join(line["counts"].split())
            continue
        test = f"{name}: {line['told'] or line['failed']}"
        seen[test] += 1
        how = line["how"].lower() if line["how"] else "failed"
        verdicts[test if seen[test] == 1 else f"{test} #{seen[test]}"] = how
    return verdicts


def _prepare(folder: Path) -> None:
    shutil.copytree(_TESTS, folder / "tests", symlinks=True)
    (folder / "work").mkdir()


def _steps() -> Sequence[Step]:
    options = ("-verbose", "pass skip error")
    names = sorted(path.name for path in _TESTS.glob("*.test") if not path.name.startswith(("win", "macOSX")))
    return [
        Step(name, (str(_TCLSH), f"../tests/{name}", *options), partial(read_tcltest, name), "work") for name in names
    ]


SUITES = (Suite("tcl", _TCLSH, (_TESTS / "all.tcl",), _steps, _prepare, unprivileged=True),)
