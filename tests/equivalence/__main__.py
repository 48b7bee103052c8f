"""`make equivalence`: run whole test suites bare and captured, and list the tests whose verdicts differ."""

import argparse
import fnmatch
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from equivalence import cpython, perl, stress, tcl
from equivalence.compare import Comparison, compare, not_run, together
from equivalence.sides import APART, Recorded, Side, bare, captured
from equivalence.suites import Step, Suite, absent
from equivalence.verdicts import Outcome
from support.roots import REPOSITORY

_SUITES = (*cpython.SUITES, *perl.SUITES, *tcl.SUITES, *stress.SUITES)
_ROUNDS = 6
"""How often a step that differs runs on each side before the difference is believed."""


def _both(step: Step, sides: Sequence[Side]) -> list[Outcome]:
    """A step on both sides, at the same time if they cannot meet: then both bear the same load."""
    if not APART:
        return [side.run(step) for side in sides]
    with ThreadPoolExecutor(len(sides)) as pool:
        try:
            return list(pool.map(lambda side: side.run(step), sides))
        except BaseException:
            for side in sides:
                side.stop()
            raise


def _examine(step: Step, sides: Sequence[Side], say: Callable[[str], None]) -> Comparison:
    runs = [_both(step, sides)]
    comparison = compare(step.name, *zip(*runs, strict=True))
    while comparison.different and len(runs) < _ROUNDS:
        if len(runs) == 1:
            say(f"{step.name} differs and is repeated: {comparison.different[0]}")
        runs.append(_both(step, sides))
        comparison = compare(step.name, *zip(*runs, strict=True))
    return comparison


def _run(suite: Suite, say: Callable[[str], None]) -> tuple[Comparison, int]:
    """A suite's comparison, and how many events of it were lost."""
    missing = absent(suite)
    if missing is not None:
        return not_run(f"{suite.name}: there is no {missing} (tests/install-packages installs it)"), 0
    recorded: list[Recorded] = []
    with tempfile.TemporaryDirectory(prefix="equivalence-", ignore_cleanup_errors=True) as name:
        base = Path(name).resolve()
        base.chmod(0o755)
        with captured(suite, base, recorded) as held:
            sides = [bare(suite, base), held]
            for side in sides:
                side.prepare()
            steps = suite.steps()
            parts = [_examine(step, sides, say) for step in steps]
    times = recorded[0].times(suite.program)
    if times < max(1, len(steps)):
        parts.append(not_run(f"{suite.name}: {suite.program} ran {len(steps)} times and was captured {times} times"))
    return together(parts), recorded[0].lost


def _chosen(patterns: Sequence[str]) -> list[Suite]:
    suites = [suite for suite in _SUITES if not patterns or any(fnmatch.fnmatch(suite.name, p) for p in patterns)]
    if not suites:
        raise SystemExit(f"no such suite; there are {', '.join(suite.name for suite in _SUITES)}")
    return suites


def main() -> int:
    """Compare the suites that were asked for, or all. The status tells whether any test differs."""
    parser = argparse.ArgumentParser(prog="equivalence", description=__doc__)
    parser.add_argument("names", nargs="*", help="suites (patterns, as cpython/*); all if none is given")
    console = Console(width=120)
    table = Table(title="tests bare and captured", title_justify="left")
    for column in ("suite", "tests", "same", "flaky", "different", "events lost", "seconds"):
        table.add_column(column, justify="left" if column == "suite" else "right")

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    results = []
    for suite in _chosen(parser.parse_args().names):
        began = time.monotonic()
        comparison, lost = _run(suite, say)
        for line in comparison.different:
            say(f"  {suite.name}: {line}")
        counts = [comparison.tests, comparison.same, comparison.flaky, len(comparison.different), lost]
        table.add_row(suite.name, *map(str, counts), f"{time.monotonic() - began:.0f}")
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
