"""`interpose run`: a command, captured."""

import contextlib
import errno
import os
import shlex
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import click
from prometheus_client import CollectorRegistry, write_to_textfile
from rich.console import Console

from interpose.cli.capture import LIBRARY, SPOOL, built_library, make_capture
from interpose.cli.child import drop_pending, fill_standard_descriptors, held_signals, wait_for
from interpose.cli.database import database_option, make_room, reading
from interpose.cli.leftover import Note, store_leftovers
from interpose.cli.options import level_option, metrics_file_option, metrics_option, redact_option
from interpose.cli.output import amount, complain
from interpose.injector.local import HeldCommand, unseen_command
from interpose.injector.plan import LocalPlan, plan_local
from interpose.sidecar.errors import InterposeError, StoreError
from interpose.sidecar.ids import new_run_id
from interpose.sidecar.query import summary_of
from interpose.sidecar.service import Report, RunInfo, Sidecar
from interpose.sidecar.spool import Level, Redaction
from interpose.sidecar.unseen import Unseen, encoded

__all__ = ["run"]

_PATIENCE = 1.0
"""Seconds after which somebody who looks is told what is waited for."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126


@dataclass(frozen=True, slots=True)
class _Capture:
    """Where a command is captured, and by whom."""

    directory: Path
    sidecar: Sidecar
    url: str
    registry: CollectorRegistry
    unseen: Unseen | None
    """The command, if it will tell nothing of itself."""


@click.command(short_help="Run a command and capture it.", context_settings={"allow_interspersed_args": False})
@click.argument("command", metavar="CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@database_option
@level_option
@redact_option
@metrics_option
@metrics_file_option
@click.option("-q", "--quiet", is_flag=True, help="No summary; errors are told all the same.")
def run(
    command: tuple[str, ...],
    url: str,
    level: Level,
    redaction: Redaction,
    metrics_address: tuple[str, int] | None,
    metrics_file: Path | None,
    quiet: bool,
) -> int:
    """Run a command and capture what it and everything that it starts reads and writes.

    Exits with the command's status. Programs that outlive the command are recorded up to its end; what they do later,
    and what a run did whose `interpose run` was killed, is stored by the next one, or by `interpose sidecar --capture`.
    """
    fill_standard_descriptors()
    library = built_library()
    make_room(url)
    started = time.time_ns()
    with held_signals() as mask:
        held = HeldCommand(command, mask)
        try:
            info = RunInfo(new_run_id(), command, started, unseen=unseen_command(command, held.pid))
            capture = _begin(info, library, url, level=level, redaction=redaction, metrics_address=metrics_address)
        except StoreError:
            held.cancel()
            raise
        status = _run(held, _plan(capture), command[0])
        ended = time.time_ns()
        drop_pending()
    if capture is not None:
        whole = _end(capture, ended, status, quiet=quiet)
        if metrics_file is not None:
            _write_metrics(capture, metrics_file)
        if whole:
            _look_after_others(capture)
    return status


def _write_metrics(capture: _Capture, file: Path) -> None:
    try:
        write_to_textfile(str(file), capture.registry)
    except OSError as error:
        complain(f"cannot write the metrics to {file}: {os.strerror(error.errno or 0)}")


def _begin(
    info: RunInfo,
    library: Path,
    url: str,
    *,
    level: Level,
    redaction: Redaction,
    metrics_address: tuple[str, int] | None,
) -> _Capture | None:
    """What captures the command; None, with the reason on stderr, if only capturing fails. Raises StoreError."""
    directory, registry = None, CollectorRegistry()
    try:
        directory = make_capture(library)
        sidecar = Sidecar.start(
            directory / SPOOL,
            url,
            info,
            metrics_address=metrics_address,
            level=level,
            redaction=redaction,
            registry=registry,
        )
    except Exception as error:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)
        if isinstance(error, StoreError):
            raise
        complain(f"not captured: {_in_one_line(error)}")
        return None
    with contextlib.suppress(OSError):  # then somebody must remember it, should we be killed
        command = list(info.command or ())
        Note(url, sidecar.run_id, command, info.started, encoded(info.unseen)).leave(directory)
    return _Capture(directory, sidecar, url, registry, info.unseen)


def _plan(capture: _Capture | None) -> LocalPlan:
    if capture is None:
        return LocalPlan(captured=False)
    if capture.unseen is not None and capture.unseen.cause == "other_machine":
        return LocalPlan(captured=True)  # its loader would complain of the library
    return plan_local(os.environ, str(capture.directory / LIBRARY))


def _run(held: HeldCommand, plan: LocalPlan, name: str) -> int:
    if plan.reason is not None:
        complain(f"not captured: {plan.reason}")
    try:
        held.start(plan.environment)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        if error.errno == errno.ENOENT and "/" not in name:
            reason = "command not found"
        complain(f"{name}: {reason}")
        return NOT_FOUND if error.errno in (errno.ENOENT, errno.ENOTDIR) else NOT_EXECUTABLE
    return wait_for(held.pid)


def _look_after_others(capture: _Capture) -> None:
    try:
        for line in store_leftovers(capture.directory):
            complain(line)
    except KeyboardInterrupt:
        pass  # the next run may do it
    except Exception as error:  # noqa: BLE001 - nor to lose the status
        complain(f"what earlier runs left is not stored: {_in_one_line(error)}")


def _end(capture: _Capture, ended: int, status: int, *, quiet: bool) -> bool:
    """Store what is left, tell how it went, and remove the capture directory unless somebody still needs it.

    False if that was interrupted or failed.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    resume = f"to store the rest: {_resuming(capture)}"
    try:
        _drain(capture.sidecar)
        report = capture.sidecar.stop(ended=ended, status=status)
    except KeyboardInterrupt:
        complain(f"interrupted; {resume}")
        return False
    except Exception as error:  # noqa: BLE001 - nor to lose its status
        complain(f"{_in_one_line(error)}; {resume}")
        return False
    if report.problem is not None:
        complain(f"{report.problem}; {resume}" if report.pending else report.problem)
    if report.pending == 0:
        shutil.rmtree(capture.directory, ignore_errors=True)
    if not quiet:
        _summarise(capture, report)
        if report.pending and report.problem is None:
            complain(f"programs that the command left behind go on; to record them further: {_resuming(capture)}")
    return report.problem is None


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, InterposeError) else f"{type(error).__name__}: {text}"


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _resuming(capture: _Capture) -> str:
    return f"interpose sidecar --capture {capture.directory} --db {shlex.quote(capture.url)}"


def _drain(sidecar: Sidecar) -> None:
    terminal = Console(stderr=True)
    if sidecar.drain(_PATIENCE):
        return
    if terminal.is_terminal:
        with terminal.status("interpose: storing what was captured ..."):
            sidecar.drain()
    else:
        sidecar.drain()


def _summarise(capture: _Capture, report: Report) -> None:
    try:
        with reading(capture.url) as connection:
            found = summary_of(connection, report.run_id)
    except InterposeError as error:
        complain(f"run {report.run_id}: {error}")
        return
    blind = f", {amount(found.blind_spots, 'blind spot')}" if found.blind_spots else ""
    complain(
        f"run {report.run_id}: {amount(found.processes, 'process')}, {amount(found.files, 'file')}, "
        f"{amount(found.events, 'event')}, {max(found.lost, report.lost)} lost{blind}"
    )
