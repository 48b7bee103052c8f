"""What the database tells of the calls that accountant.c makes."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from chaos.tally import Key
from interpose.sidecar.query import EventInfo, all_runs, events_of, open_database

__all__ = ["Fields", "Stored", "identity_of", "key_of", "number_of", "read_stored"]

_OURS: Final = re.compile(r"(?:^|/)[fdlrs](\d+)$")

Fields = dict[str, Any]


@dataclass
class Stored:
    """One run."""

    calls: Counter[Key] = field(default_factory=Counter)
    times: list[tuple[Key, int]] = field(default_factory=list)
    """When each is said to have happened, nanoseconds since 1970."""
    gaps: Counter[str] = field(default_factory=Counter)
    """Events that it says are missing, by cause."""
    lost: int = 0
    """Events that the run itself says are missing."""
    run: str = ""
    """Its id."""


def read_stored(url: str) -> Stored:
    """The one run of a database, as the queries tell it."""
    stored = Stored()
    files: dict[tuple[int, int, int], int] = {}
    engine = open_database(url)
    with engine.connect() as connection:
        (run,) = all_runs(connection)
        stored.run, stored.lost = run.id, run.lost
        events = list(events_of(connection, run.id))
    engine.dispose()
    for event in events:
        if event.effect == "open" and "file" in event.fields and (number := number_of(event.fields.get("name"))):
            files[identity_of(event.fields["file"])] = number
    for event in events:
        if event.effect == "gap":
            stored.gaps[event.fields["cause"]] += event.fields["events"]
            continue
        if event.effect == "io" and not event.error:
            _add_moved(stored, event, files)
        elif (key := key_of(event.effect, event.error, event.pid, event.fields)) is not None:
            stored.calls[key] += 1
            stored.times.append((key, event.time))
    return stored


def _add_moved(stored: Stored, event: EventInfo, files: dict[tuple[int, int, int], int]) -> None:
    number = files.get(identity_of(event.fields["file"])) if "file" in event.fields else None
    if number is not None:
        pid = event.pid or 0
        stored.calls[Key(pid, "write", number)] += event.fields["writes"]
        stored.calls[Key(pid, "read", number)] += event.fields["reads"]


def identity_of(file: Fields) -> tuple[int, int, int]:
    """What holds files apart."""
    return file["device"], file["inode"], file["birth_time"]


def number_of(name: Fields | None) -> int:
    """Of one of accountant.c's files; 0 for any other."""
    found = _OURS.search((name or {}).get("path", ""))
    return int(found[1]) if found else 0


def key_of(effect: str, error: int, pid: int | None, fields: Fields) -> Key | None:
    """The call that an event tells of; None for what accountant.c does not count, and for sums of reads and writes."""
    find = _FINDERS.get(effect)
    if find is None or error or pid is None:
        return None
    what, number = find(fields)
    if effect == "origin" and fields["reason"] != "image":
        return None
    return None if effect not in _UNNAMED and not number else Key(pid, what, number)


_UNNAMED: Final = frozenset(
    {"origin", "pipe", "fork", "spawn", "exec", "exit", "wait", "thread_start", "thread_exit", "signal", "kill"}
)
_FINDERS: Final[dict[str, Callable[[Fields], tuple[str, int]]]] = {
    "origin": lambda _: ("image", 0),
    "open": lambda fields: ("open", number_of(fields.get("name"))),
    "rename": lambda fields: ("rename", number_of(fields.get("from"))),
    "chmod": lambda fields: ("chmod", number_of(fields.get("name"))),
    "truncate": lambda fields: ("truncate", number_of(fields.get("name"))),
    "link": lambda fields: ("link", number_of(fields.get("to"))),
    "symlink": lambda fields: ("symlink", number_of(fields.get("name"))),
    "unlink": lambda fields: ("rmdir" if fields["directory"] else "unlink", number_of(fields.get("name"))),
    "mkdir": lambda fields: ("mkdir", number_of(fields.get("name"))),
    "pipe": lambda _: ("pipe", 0),
    "fork": lambda fields: ("vfork" if fields["vfork"] else "fork", 0),
    "spawn": lambda _: ("spawn", 0),
    "exec": lambda _: ("exec", 0),
    "exit": lambda fields: ("exit", fields["status"]),
    "wait": lambda fields: ("wait", fields["child"]),
    "thread_start": lambda _: ("thread_start", 0),
    "thread_exit": lambda _: ("thread_exit", 0),
    "signal": lambda fields: ("signal", fields["signal"]),
    "kill": lambda fields: ("kill", fields["signal"]),
}
"""By effect: what was done, and to which file or with which number."""
