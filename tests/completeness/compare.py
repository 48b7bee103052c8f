"""Two accounts of the same program, held against each other."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from completeness.facts import Fact, Observation

__all__ = ["Comparison", "compare"]

EXPLAINED = {
    r"java.*: open /sys/devices/system/cpu/online\b": "glibc's malloc counts the processors for a second thread",
    r"musl: bytes read /etc/passwd\b": "musl reads it through a stream of its own; that it did is told, not how much",
    r"javac?: open /proc/sys/vm/overcommit_memory\b": "glibc's malloc asks when it gives memory of a thread back",
}
"""Why something is missed that nobody has a means to see, told beside it; it counts all the same."""

_TOLD_ONCE = ("open", "map")
"""What libc does by itself again and again is told once in a process, and never more often than it was seen."""


@dataclass(frozen=True)
class Comparison:
    """What the witness saw, how much of it was captured, and where the two differ."""

    seen: int
    captured: int
    missed: list[str]
    invented: list[str]

    @property
    def unexplained(self) -> bool:
        """Whether there is a difference of which no reason is known."""
        return any(_reason(text) is None for text in [*self.missed, *self.invented])


def compare(bare: list[Observation], captured: Observation) -> Comparison:
    """Hold a captured run against bare ones.

    What differs between the bare runs themselves (timing, random names) need not be captured, and what any of them did
    is not invented.
    """
    seen, missed, invented = 0, [], []
    for fact in sorted({fact for run in [*bare, captured] for fact in run.facts}):
        counts, got = [run.facts[fact] for run in bare], captured.facts[fact]
        if fact.what in _TOLD_ONCE:
            counts, got = _once(fact, counts, got)
        seen += _judge(fact, counts, got, missed, invented, str)
    for fact in sorted({fact for run in [*bare, captured] for fact in run.bytes}):
        counts, got = [run.bytes[fact] for run in bare], captured.bytes[fact]
        seen += _judge(fact, counts, got, missed, invented, _bytes)
    return Comparison(seen, seen - len(missed), missed, invented)


def _once(fact: Fact, counts: list[int], got: int) -> tuple[list[int], int]:
    """Counts that differ only where something is missed, or told more often than it happened.

    How often a program looks at what the kernel makes up (a JVM at its limits of memory) is a matter of time.
    """
    if fact.object.startswith(("/proc/", "/sys/")):
        return [min(count, 1) for count in counts], min(got, 1)
    return counts, min(counts) if 0 < got < min(counts) else got


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
    reason = _reason(text)
    counts = "" if {seen, got} == {0, 1} else f" (seen {seen}, captured {got})"
    return f"{text}{counts}{f' [{reason}]' if reason else ''}"


def _reason(text: str) -> str | None:
    return next((why for pattern, why in EXPLAINED.items() if re.search(pattern, text)), None)
