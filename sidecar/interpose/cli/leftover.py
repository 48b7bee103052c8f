"""Captures that nobody looks after: their `interpose run` was killed, or programs outlived its command.

Each says what it is of. The next `interpose run` stores what is in those beside its own, when its own is stored and
nobody waits for it any more, and removes a capture that nobody writes into any more.
"""

import contextlib
import shlex
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from interpose.cli.capture import SPOOL
from interpose.cli.database import make_room
from interpose.cli.note import Note, remove_capture
from interpose.cli.output import in_one_line
from interpose.sidecar.errors import InterposeError, SpoolBusyError, StoreError
from interpose.sidecar.service import Report, RunInfo, Sidecar
from interpose.sidecar.spool import Spool
from interpose.sidecar.store import Store

__all__ = ["is_ended", "leftovers", "refusals", "store_leftovers"]

_PATIENCE_SECONDS: Final = 10.0
"""For each; what is not stored by then is the next one's."""


def leftovers(own: Path) -> list[Path]:
    """The captures beside our own one that nobody looks after."""
    found = sorted(own.parent.glob("interpose-*"))
    return [each for each in found if each != own and Note.of(each) is not None and not Spool.is_busy(each / SPOOL)]


def refusals(own: Path) -> Iterator[str]:
    """A line, if a capture beside our own one could not be stored when that was last tried."""
    refused = [(each, note.problem) for each in leftovers(own) if (note := Note.of(each)) is not None and note.problem]
    if refused:
        directory, problem = refused[-1]
        place = f" in {directory}" if len(refused) == 1 else ""
        whose = "an earlier run" if len(refused) == 1 else f"{len(refused)} earlier runs"
        yield (
            f"what {whose} left{place} is not stored: {problem}; to store it elsewhere: "
            f"interpose sidecar --capture {shlex.quote(str(directory))} --db URL"
        )


def store_leftovers(found: Iterable[Path]) -> None:
    """Store what is in these captures; of what cannot be stored, the next run is told."""
    for directory in found:
        try:
            if (directory / SPOOL).exists():
                _store(directory)
            else:
                remove_capture(directory)  # somebody has, nearly
        except SpoolBusyError:
            pass  # somebody looks after it since
        except Exception as error:  # noqa: BLE001 - others are left, too
            _say(directory, in_one_line(error))


def _say(directory: Path, problem: str | None) -> None:
    note = Note.of(directory)
    if note is not None and note.problem != problem:
        with contextlib.suppress(OSError):
            replace(note, problem=problem).leave(directory)


def _store(directory: Path) -> None:
    """Raises InterposeError."""
    with contextlib.closing(Spool.open(directory / SPOOL)) as spool:
        note = Note.of(directory)
        if note is None:
            return  # it is being removed
        report = _store_to_its_end(note, spool)
        if report.problem is not None:
            raise InterposeError(report.problem)
        if report.pending:
            _say(directory, None)
        else:
            remove_capture(directory)


def _store_to_its_end(note: Note, spool: Spool) -> Report:
    """Whoever still lives is stored up to now."""
    make_room(note.url)
    ended, status = _known_end(note)
    registry = CollectorRegistry()
    info = RunInfo(note.run, tuple(note.command), note.started, unseen=note.first())
    sidecar = Sidecar.start(spool.directory, note.url, info, registry=registry, spool=spool)
    try:
        drained = sidecar.drain(_PATIENCE_SECONDS)
        if ended is None and drained and not registry.get_sample_value("interpose_journals_live"):
            ended = _last(note)
    finally:
        report = sidecar.stop(ended=ended, status=status)
    return report


def _known_end(note: Note) -> tuple[int | None, int | None]:
    with contextlib.closing(Store.open(note.url)) as store:
        known = store.run(note.run)
    if known is None or known.ended is None:
        return note.ended, note.status
    return known.ended, known.status


def is_ended(note: Note) -> bool:
    """Whether the database knows how the run ended."""
    try:
        with contextlib.closing(Store.open(note.url)) as store:
            known = store.run(note.run)
    except StoreError:
        return False
    return known is not None and known.ended is not None


def _last(note: Note) -> int:
    """When something was last told of the run."""
    with contextlib.closing(Store.open(note.url)) as store:
        return store.last_event(note.run) or time.time_ns()
