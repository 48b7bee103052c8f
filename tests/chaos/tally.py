"""Two accounts of the same calls, and where they differ."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Key", "Tally", "Verdict", "compare"]


class Key(NamedTuple):
    """How a call is known in both accounts."""

    pid: int
    what: str
    number: int
    """Of the file that it is about, the other process, the status; 0 where nothing holds two of them apart."""

    def __str__(self) -> str:
        return f"{self.what} {self.number} of {self.pid}"


@dataclass
class Tally:
    """A program's own account."""

    certain: Counter[Key] = field(default_factory=Counter)
    """Calls that had returned."""
    possible: Counter[Key] = field(default_factory=Counter)
    """Calls that were begun, whether they returned or not."""

    def add(self, key: Key, number: int, *, certain: bool) -> None:
        """So many calls."""
        self.possible[key] += number
        if certain:
            self.certain[key] += number

    def excuse(self, calls: Counter[Key]) -> None:
        """Of these it is not known any more whether they are told of: their records were damaged."""
        self.possible += calls
        self.certain -= calls


@dataclass(frozen=True)
class Verdict:
    """How two accounts differ."""

    calls: int
    """That had returned."""
    lost: Counter[Key]
    """Returned, and not in the database."""
    duplicated: Counter[Key]
    """In the database, and never made, or more often than they were made."""


def compare(tally: Tally, stored: Counter[Key]) -> Verdict:
    """Hold the database against a program's own account."""
    lost, duplicated = Counter[Key](), Counter[Key]()
    for key in tally.possible.keys() | stored.keys():
        if missing := max(tally.certain[key] - stored[key], 0):
            lost[key] = missing
        if beyond := max(stored[key] - tally.possible[key], 0):
            duplicated[key] = beyond
    return Verdict(tally.certain.total(), lost, duplicated)
