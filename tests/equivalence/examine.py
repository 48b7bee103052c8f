"""A suite on both sides, step by step, and again where they differ."""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from equivalence.compare import Comparison, compare, not_run, tell_known, together
from equivalence.sides import APART, Recorded, Side, bare, captured
from equivalence.suites import Step, Suite, absent
from equivalence.verdicts import Outcome

__all__ = ["examine"]

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


def _examine_step(step: Step, sides: Sequence[Side], say: Callable[[str], None]) -> Comparison:
    runs = [_both(step, sides)]
    comparison = compare(step.name, *zip(*runs, strict=True))
    while comparison.different and len(runs) < _ROUNDS:
        if len(runs) == 1:
            say(f"{step.name} differs and is repeated: {comparison.different[0]}")
        runs.append(_both(step, sides))
        comparison = compare(step.name, *zip(*runs, strict=True))
    return comparison


def examine(suite: Suite, say: Callable[[str], None]) -> tuple[Comparison, int]:
    """Run a suite on both sides: how they compare, and how many events of the captured one were lost."""
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
            parts = [_examine_step(step, sides, say) for step in steps]
    times = recorded[0].times(suite.program)
    if times < max(1, len(steps)):
        parts.append(not_run(f"{suite.name}: {suite.program} ran {len(steps)} times and was captured {times} times"))
    return tell_known(together(parts), suite.known), recorded[0].lost
