"""Captures that nobody looks after: their `interpose run` was killed, or programs outlived its command.

Each says what it is of. The next `interpose run` stores what is in those beside its own, and removes a capture that
nobody writes into any more.
"""

import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from interpose.cli.capture import SPOOL
from interpose.sidecar.errors import InterposeError, SpoolBusyError
from interpose.sidecar.service import RunInfo, Sidecar
from interpose.sidecar.spool import Spool
from interpose.sidecar.store import RunRow, Store
from interpose.sidecar.unseen import Unseen, decoded

__all__ = ["Note", "store_leftovers"]

_NAME: Final = "run"
_PATIENCE_SECONDS: Final = 10.0
"""For each; what is not stored by then is the next one's."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a capture directory says of itself, to its user alone: databases' URLs may have passwords."""

    url: str
    run: str
    command: list[str]
    started: int
    unseen: dict[str, Any] | None = None
    """See RunInfo."""

    def leave(self, directory: Path) -> None:
        """Write it, once a sidecar has the spool's lock. Raises OSError."""
        file = os.open(directory / _NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w") as note:
            json.dump(asdict(self), note)


def store_leftovers(own: Path) -> Iterator[str]:
    """Store what is in the captures beside our own one; a line on each that was abandoned, or that cannot be stored."""
    for directory in sorted(own.parent.glob("interpose-*")):
        note = _note_of(directory) if directory != own else None
        if note is None or Spool.is_busy(directory / SPOOL):
            continue
        try:
            abandoned = _store(directory, note)
        except SpoolBusyError:
            pass  # somebody looks after it since
        except InterposeError as error:
            yield f"what an earlier run left in {directory} is not stored: {error}"
        else:
            if abandoned:
                yield f"run {note.run}, whose interpose run was killed, is stored to its end"


def _note_of(directory: Path) -> Note | None:
    """None for what we have not written: others may make directories here."""
    try:
        status = directory.lstat()
        if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
            return None
        return Note(**json.loads((directory / _NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _unseen(note: Note) -> Unseen | None:
    try:
        return decoded(note.unseen)
    except (TypeError, KeyError):
        return None  # another version's


def _store(directory: Path, note: Note) -> bool:
    """Whether the run was not known to have ended, and is now. Raises InterposeError."""
    known = _known(note)
    registry = CollectorRegistry()
    info = RunInfo(note.run, tuple(note.command), note.started, unseen=_unseen(note))
    sidecar = Sidecar.start(directory / SPOOL, note.url, info, registry=registry)
    ended, status = (None, None) if known is None else (known.ended, known.status)
    try:
        drained = sidecar.drain(_PATIENCE_SECONDS)
        if ended is None and drained and not registry.get_sample_value("interpose_journals_live"):
            ended = _last(note)
    finally:
        report = sidecar.stop(ended=ended, status=status)
    if report.problem is not None:
        raise InterposeError(report.problem)
    if report.pending:
        return False
    shutil.rmtree(directory, ignore_errors=True)
    return known is None or known.ended is None


def _known(note: Note) -> RunRow | None:
    with contextlib.closing(Store.open(note.url)) as store:
        return store.run(note.run)


def _last(note: Note) -> int:
    """When something was last told of the run."""
    with contextlib.closing(Store.open(note.url)) as store:
        return store.last_event(note.run) or time.time_ns()
