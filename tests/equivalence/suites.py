"""What a suite is: steps, each of them one program that runs tests and tells of them."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["SOURCES", "Reader", "Step", "Suite", "absent"]

SOURCES = Path(
    os.environ.get("INTERPOSE_SOURCES")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interpose/sources"
)
"""Where tests/install-packages puts the tests that Debian ships in source packages only."""

Reader = Callable[[str], Mapping[str, str]]
"""Reads what a step printed, or reported, into a verdict for each test."""


@dataclass(frozen=True)
class Step:
    """One program and how its verdicts are read: from a file `report` that it writes, else from its output.

    `folder` is where it runs, below the folder of its side.
    """

    name: str
    command: Sequence[str]
    read: Reader
    folder: str = "."
    report: str | None = None
    seconds: float = 300
    """After which it is held to hang: several times what it takes on a busy machine."""
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """Steps that share a folder, and a program. `needs` are the files that they do not run without."""

    name: str
    program: Path
    needs: Sequence[Path]
    steps: Callable[[], Sequence[Step]]
    prepare: Callable[[Path], None] = lambda _: None
    """Fills the folder of one side."""
    unprivileged: bool = False
    """Root runs it as nobody: it leaves out what root may do anyway."""
    known: Collection[str] = ()
    """Tests that are known to differ, and are told apart from those that are not."""


def absent(suite: Suite) -> Path | None:
    """The first thing that a suite needs and that is not there."""
    return next((need for need in (suite.program, *suite.needs) if not need.exists()), None)
