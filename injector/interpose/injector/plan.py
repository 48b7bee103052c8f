"""What has to change for a program to be captured: decided here, by pure functions; adapters only carry it out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LocalPlan", "merge_preload", "plan_local", "unloadable"]

PRELOAD = "LD_PRELOAD"
_SEPARATORS = re.compile("[: ]+")
_MEANINGFUL = re.compile(r"[:\s$]")


@dataclass(frozen=True, slots=True)
class LocalPlan:
    """How a local command is started."""

    captured: bool
    reason: str | None = None
    """Why it is not captured."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables to set; all others stay as they are."""


def unloadable(library: str) -> str | None:
    """Why the loader would not find a library of this path, None if it would."""
    if not library.startswith("/"):
        return f"the library's path must be absolute: {library}"
    if _MEANINGFUL.search(library):
        return f"{PRELOAD} cannot hold a path with ':', '$' or white space: {library}"
    return None


def merge_preload(present: str | None, library: str) -> str:
    """LD_PRELOAD with `library` first and once, then what the user had in it, as it stood."""
    if present is None or present == library:
        return library
    before = f"{library}:"
    own = present.removeprefix(before)
    entries = _SEPARATORS.split(own)
    if library not in entries:
        return before + own
    others = [entry for entry in entries if entry not in ("", library)]
    return ":".join([library, *others])


def plan_local(environment: Mapping[str, str], library: str) -> LocalPlan:
    """The plan for a command that would be started with this environment."""
    reason = unloadable(library)
    if reason is not None:
        return LocalPlan(captured=False, reason=reason)
    return LocalPlan(captured=True, environment={PRELOAD: merge_preload(environment.get(PRELOAD), library)})
