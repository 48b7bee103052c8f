"""What one run of a step of a suite told."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["HUNG", "MISSING", "Outcome", "ending"]

MISSING = "missing"
"""The verdict of a test that the other side, or another run, told of."""
HUNG = "hung"


@dataclass(frozen=True)
class Outcome:
    """A verdict for each test, and how the program that ran them ended: `exit N`, `killed by SIGNAL` or `hung`."""

    ended: str
    verdicts: Mapping[str, str]

    @property
    def usable(self) -> bool:
        """Whether the program came to its own end and told of any test."""
        return self.ended.startswith("exit ") and bool(self.verdicts)


def ending(status: int | None) -> str:
    """How a program ended, by its subprocess.Popen.returncode; None if it had to be ended."""
    if status is None:
        return HUNG
    if status >= 0:
        return f"exit {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
