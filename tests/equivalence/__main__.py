"""`make equivalence`: run whole test suites bare and captured, and list the tests whose verdicts differ."""

import argparse
import fnmatch
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from equivalence import cpython, perl, programs, stress, tcl
from equivalence.compare import not_run
from equivalence.examine import examine
from equivalence.suites import Suite, absent
from support.roots import REPOSITORY

_SUITES = (*cpython.SUITES, *perl.SUITES, *tcl.SUITES, *stress.SUITES, *programs.SUITES)


def _chosen(patterns: Sequence[str]) -> list[Suite]:
    suites = [suite for suite in _SUITES if not patterns or any(fnmatch.fnmatch(suite.name, p) for p in patterns)]
    if not suites:
        raise SystemExit(f"no such suite; there are {', '.join(suite.name for suite in _SUITES)}")
    return suites


def _refuse_absent(suites: Sequence[Suite]) -> None:
    """Or each test of a suite that is not installed would be told as different."""
    needed = {suite.name: absent(suite) for suite in suites}
    lines = [f"{name} needs {path}, which is missing" for name, path in needed.items() if path is not None]
    if lines:
        raise SystemExit(
            "\n".join([*lines, "run tests/install-packages, or choose others: make equivalence NAMES=..."])
        )


def main() -> int:
    """Compare the suites that were asked for, or all. The status tells whether any test differs."""
    parser = argparse.ArgumentParser(prog="equivalence", description=__doc__)
    parser.add_argument("names", nargs="*", help="suites (patterns, as cpython/*); all if none is given")
    console = Console(width=120)
    table = Table(title="tests bare and captured", title_justify="left")
    for column in ("suite", "tests", "same", "flaky", "different", "known", "events lost", "seconds"):
        table.add_column(column, justify="left" if column == "suite" else "right")

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    results = []
    chosen = _chosen(parser.parse_args().names)
    _refuse_absent(chosen)
    for suite in chosen:
        began = time.monotonic()
        try:
            comparison, lost = examine(suite, say)
        except Exception as error:  # the other suites are to be told of all the same
            comparison, lost = not_run(f"{suite.name}: {type(error).__name__}: {error}"), 0
        for line in comparison.different:
            say(f"  {suite.name}: {line}")
        for line in comparison.known:
            say(f"  {suite.name}, known: {line}")
        counts = [comparison.tests, comparison.same, comparison.flaky, len(comparison.different), len(comparison.known)]
        table.add_row(suite.name, *map(str, [*counts, lost]), f"{time.monotonic() - began:.0f}")
        say(f"{suite.name}: {comparison.tests} tests, {comparison.flaky} flaky, {len(comparison.different)} different")
        results.append({"name": suite.name, **asdict(comparison)})
    console.print(table)
    different = sum(len(result["different"]) for result in results)
    target = REPOSITORY / "build/bench/equivalence.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"suites": results, "different": different}, indent=2) + "\n", encoding="utf-8")
    say(f"different {different}; written to {target.relative_to(REPOSITORY)}")
    return 1 if different else 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
