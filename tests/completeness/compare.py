"""Two accounts of the same program, held against each other."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from completeness.facts import Fact, Observation

__all__ = ["Comparison", "compare"]

EXPLAINED = {
    r"java.*: open /sys/devices/system/cpu/online$": "glibc's malloc counts the processors for a second thread",
    r"(nginx|runuser): open /proc/sys/kernel/ngroups_max$": "glibc's initgroups asks how many groups there may be",
    r"javac?: open /proc/sys/vm/overcommit_memory$": "glibc's malloc asks when it gives memory of a thread back",
}
"""Why something is missed that nobody has a means to see, told beside it; it counts all the same."""

_COUNTED = ("fork", "exec", "accept")
"""What is compared by how often it happened; of the rest it matters that it happened."""


@dataclass(frozen=True)
class Comparison:
    """What the witness saw, how much of it was captured, and where the two differ."""

    seen: int
    captured: int
    missed: list[str]
    invented: list[str]


def compare(bare: list[Observation], captured: Observation) -> Comparison:
    """Hold a captured run against bare ones.

    What differs between the bare runs themselves (timing, random names) need not be captured, and what any of them did
    is not invented.
    """
    seen, missed, invented = 0, [], []
    for fact in sorted({fact for run in [*bare, captured] for fact in run.facts}):
        counts, got = [run.facts[fact] for run in bare], captured.facts[fact]
        if fact.what not in _COUNTED:
            counts, got = [min(count, 1) for count in counts], min(got, 1)
        seen += _judge(fact, counts, got, missed, invented, str)
    for fact in sorted({fact for run in [*bare, captured] for fact in run.bytes}):
        counts, got = [run.bytes[fact] for run in bare], captured.bytes[fact]
        seen += _judge(fact, counts, got, missed, invented, _bytes)
    return Comparison(seen, seen - len(missed), missed, invented)


def _judge(
    fact: Fact, counts: list[int], got: int, missed: list[str], invented: list[str], describe: Callable[[Fact], str]
) -> int:
    """File a fact; returns 1 if the bare runs agree that it is one."""
    stable = min(counts) > 0
    if got < min(counts):
        missed.append(_times(describe(fact), min(counts), got))
    elif got > max(counts):
        invented.append(_times(describe(fact), max(counts), got))
    return int(stable)


def _bytes(fact: Fact) -> str:
    return f"{fact.program}: bytes {fact.what} {fact.object}"


def _times(text: str, seen: int, got: int) -> str:
    reason = next((f" [{why}]" for pattern, why in EXPLAINED.items() if re.search(pattern, text)), "")
    return f"{text}{reason}" if {seen, got} == {0, 1} else f"{text} (seen {seen}, captured {got}){reason}"
