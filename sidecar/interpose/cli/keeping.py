"""What the keeper of `interpose run` does: it stores what is captured, and then what earlier runs left."""

import os
import shlex
import signal
from typing import Final

from prometheus_client import CollectorRegistry, write_to_textfile

from interpose.cli.database import make_room, reading
from interpose.cli.keeper import Ending, Job, Line, outlive, whereabouts
from interpose.cli.leftover import is_ended, leftovers, refusals, store_leftovers
from interpose.cli.note import remove_capture
from interpose.cli.output import amount, in_one_line
from interpose.sidecar.errors import InterposeError, StoreError
from interpose.sidecar.query import summary_of
from interpose.sidecar.service import Report, RunInfo, Sidecar
from interpose.sidecar.spool import Spool

__all__ = ["keep"]

_AGAIN_SECONDS: Final = 1.0
"""Between two attempts to use a database that cannot be used."""
_MOST_SECONDS: Final = 60
"""For all that earlier runs left; what is not stored by then is the next run's."""


def keep(job: Job, spool: Spool, line: Line) -> None:
    """Store a run from its beginning to its end, have told how that went, and look after what others left."""
    keeping = _Keeping(job, spool, line)
    try:
        keeping.work()
    except EOFError:
        return  # interpose run is gone, or has become the command: the next run does the rest
    if not job.quiet:
        keeping.lines += refusals(job.directory)
    found = leftovers(job.directory)
    if found:
        outlive()
    line.answer(keeping.lines)
    if found:
        signal.alarm(_MOST_SECONDS)
        os.chdir("/")
        store_leftovers(found)


class _Keeping:
    """One run's."""

    def __init__(self, job: Job, spool: Spool, line: Line) -> None:
        self._job, self._spool, self._line = job, spool, line
        self._registry = CollectorRegistry()
        self.lines: list[str] = []
        """For the user."""

    def work(self) -> None:
        """Store it. Raises EOFError if nobody waits for that any more."""
        try:
            sidecar = self._start()
        except EOFError:
            raise
        except Exception as error:  # noqa: BLE001 - the journals keep everything
            self._fail(in_one_line(error))
            return
        self._conclude(sidecar, self._ending())
        if self._job.metrics_file is not None:
            self._write_metrics(str(self._job.metrics_file))

    def _ending(self) -> Ending:
        ending = self._line.ending(None)
        assert ending is not None
        return ending

    def _fail(self, problem: str) -> None:
        self.lines.append(f"{problem}; {whereabouts(self._job.directory)}")

    def _start(self) -> Sidecar:
        """What stores, as soon as the database lets it; the last attempt is one that fails after the command's end."""
        metrics_address = self._job.metrics_address
        while True:
            try:
                return self._attempt(metrics_address)
            except StoreError:
                if self._line.ending(0) is not None:
                    raise
                self._line.ending(_AGAIN_SECONDS)
            except InterposeError as error:
                if metrics_address is None:
                    raise
                metrics_address = None
                self.lines.append(str(error))

    def _attempt(self, metrics_address: tuple[str, int] | None) -> Sidecar:
        note, self._registry = self._job.note, CollectorRegistry()
        make_room(note.url)
        return Sidecar.start(
            self._spool.directory,
            note.url,
            RunInfo(note.run, tuple(note.command), note.started, unseen=note.first()),
            metrics_address=metrics_address,
            registry=self._registry,
            spool=self._spool,
        )

    def _conclude(self, sidecar: Sidecar, ending: Ending) -> None:
        """Store what is left, tell how it went, and remove the capture directory unless somebody still needs it."""
        try:
            sidecar.drain()
            report = sidecar.stop(ended=ending.ended, status=ending.status)
        except Exception as error:  # noqa: BLE001 - the journals keep everything
            self._fail(in_one_line(error))
            return
        whole = not report.pending and (report.problem is None or is_ended(self._job.note))
        if whole:
            remove_capture(self._job.directory)
        if report.problem is not None and whole:
            self.lines.append(report.problem)
        elif report.problem is not None:
            self._fail(report.problem)
        if not self._job.quiet:
            self._summarise(report)

    def _summarise(self, report: Report) -> None:
        try:
            with reading(self._job.note.url) as connection:
                found = summary_of(connection, report.run_id)
        except InterposeError as error:
            self.lines.append(f"run {report.run_id}: {error}")
            return
        blind = f", {amount(found.blind_spots, 'blind spot')}" if found.blind_spots else ""
        self.lines.append(
            f"run {report.run_id}: {amount(found.processes, 'process')}, {amount(found.files, 'file')}, "
            f"{amount(found.events, 'event')}, {max(found.lost, report.lost)} lost{blind}"
        )
        if report.pending and report.problem is None:
            resume = f"interpose sidecar --capture {shlex.quote(str(self._job.directory))}"
            self.lines.append(f"programs that the command left behind go on; to record them further: {resume}")

    def _write_metrics(self, file: str) -> None:
        try:
            write_to_textfile(file, self._registry)
        except OSError as error:
            self.lines.append(f"cannot write the metrics to {file}: {os.strerror(error.errno or 0)}")
