"""The first program of a run, where it will tell nothing of itself: nobody that is captured executed it.

Who starts the run judges the program and says so; the run's sidecar stores that. `interpose-oci` has this module too,
so it needs nothing but Python's standard library.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Unseen", "decoded", "encoded"]


@dataclass(frozen=True, slots=True)
class Unseen:
    """What is known of such a program before it starts."""

    cause: str
    """BlindSpot.Cause in lower case without CAUSE_."""
    executable: str
    """Its path; a script's interpreter, where that is what runs unseen."""
    arguments: tuple[str, ...] = ()
    directory: str = ""
    user: int = 0
    group: int = 0
    device: int = 0
    """This and the next three are its file's, as event.proto has them; an inode of 0: not known."""
    inode: int = 0
    birth_time: int = 0
    mode: int = 0
    pid: int = 0
    """0: not known, as for the next two."""
    start_time: int = 0
    pid_namespace: int = 0


def encoded(unseen: Unseen | None) -> dict[str, Any] | None:
    """As JSON takes it."""
    return None if unseen is None else asdict(unseen)


def decoded(told: Mapping[str, Any] | None) -> Unseen | None:
    """From JSON. Raises TypeError or KeyError for what is none."""
    return None if told is None else Unseen(**{**told, "arguments": tuple(told["arguments"])})
