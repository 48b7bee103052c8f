"""The runs of a step on both sides, held against each other test by test."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from equivalence.verdicts import MISSING, Outcome

__all__ = ["Comparison", "compare", "not_run", "tell_known", "together"]


@dataclass(frozen=True)
class Comparison:
    """How many tests there were, and on which of them the sides agree.

    A flaky test is one of which the bare runs disagree among themselves, and whose captured runs gave no verdict that
    no bare run gave. How the program ends counts as a test.
    """

    tests: int = 0
    same: int = 0
    flaky: int = 0
    different: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    """What is different, too, and said to be so: shown, and no reason to fail."""


def compare(step: str, bare: Sequence[Outcome], captured: Sequence[Outcome]) -> Comparison:
    """Compare the runs of one step; one run for each side is enough where they agree."""
    if not any(run.usable for run in bare):
        return not_run(f"{step}: bare, it {'; '.join(sorted({_failure(run) for run in bare}))}")
    same, flaky, different = 0, 0, []
    tests = sorted({test for run in [*bare, *captured] for test in run.verdicts})
    for test in tests:
        here, there = _all(bare, test), _all(captured, test)
        if len({*here, *there}) == 1:
            same += 1
        elif _is_flaky(here, there):
            flaky += 1
        else:
            different.append(f"{test}: bare {_list(here)}, captured {_list(there)}")
    here, there = [run.ended for run in bare], [run.ended for run in captured]
    if len({*here, *there}) == 1:
        same += 1
    elif _is_flaky(here, there):
        flaky += 1
    else:
        different.append(f"{step}: bare {_list(here)}, captured {_list(there)}")
    return Comparison(len(tests) + 1, same, flaky, different)


def not_run(reason: str) -> Comparison:
    """What could not be compared is different: nothing is known of it."""
    return Comparison(1, 0, 0, [reason])


def together(parts: Iterable[Comparison]) -> Comparison:
    """The steps of a suite as one."""
    found = list(parts)
    return Comparison(
        sum(part.tests for part in found),
        sum(part.same for part in found),
        sum(part.flaky for part in found),
        [line for part in found for line in part.different],
        [line for part in found for line in part.known],
    )


def tell_known(found: Comparison, known: Collection[str]) -> Comparison:
    """The differences of these tests apart from the others."""
    told = {name: [line for line in found.different if line.startswith(f"{name}: bare ")] for name in known}
    lines = [line for each in told.values() for line in each]
    return replace(found, different=[line for line in found.different if line not in lines], known=lines)


def _all(runs: Sequence[Outcome], test: str) -> list[str]:
    return [run.verdicts.get(test, MISSING) for run in runs]


def _is_flaky(bare: Sequence[str], captured: Sequence[str]) -> bool:
    return len(set(bare)) > 1 and set(captured) <= set(bare)


def _failure(run: Outcome) -> str:
    return f"told of no test ({run.ended})" if run.ended.startswith("exit ") else run.ended


def _list(verdicts: Sequence[str]) -> str:
    """Verdicts in a line, with how often each was given where there were several."""
    if len(set(verdicts)) == 1:
        return verdicts[0]
    return " / ".join(f"{verdict} ({verdicts.count(verdict)})" for verdict in dict.fromkeys(verdicts))
