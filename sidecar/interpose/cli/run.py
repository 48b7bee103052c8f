"""`interpose run`: a command, captured."""

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

import click

from interpose.cli.capture import LIBRARY, SPOOL, built_library, make_capture
from interpose.cli.child import (
    drop_pending,
    fill_standard_descriptors,
    held_signals,
    let_go_of_descriptors,
    wait_for,
)
from interpose.cli.database import unresolved_database_option, url_of
from interpose.cli.keeper import Ending, Job, Keeper, Line, start_keeper, whereabouts
from interpose.cli.note import Note
from interpose.cli.options import level_option, metrics_file_option, metrics_option, redact_option
from interpose.cli.output import complain, in_one_line
from interpose.injector.local import HeldCommand, become, unseen_command
from interpose.injector.plan import LocalPlan, plan_local
from interpose.sidecar.ids import new_run_id
from interpose.sidecar.shared import remove_tree
from interpose.sidecar.spool import Level, Redaction, Spool
from interpose.sidecar.unseen import encoded

__all__ = ["run"]

_PATIENCE: Final = 1.0
"""Seconds after which somebody who looks is told what is waited for."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126


@dataclass(frozen=True, slots=True)
class _Capture:
    """Where a command is captured, and who stores that."""

    directory: Path
    note: Note
    keeper: Keeper | None
    """None where there is no room for another process."""
    problem: str | None = None
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the user asked for."""

    command: tuple[str, ...]
    database: str | None
    level: Level
    redaction: Redaction
    metrics_address: tuple[str, int] | None
    metrics_file: Path | None
    quiet: bool


@click.command(short_help="Run a command and capture it.", context_settings={"allow_interspersed_args": False})
@click.argument("command", metavar="CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@unresolved_database_option
@level_option
@redact_option
@metrics_option
@metrics_file_option
@click.option("-q", "--quiet", is_flag=True, help="No summary; errors are told all the same.")
def run(
    command: tuple[str, ...],
    url: str | None,
    level: Level,
    redaction: Redaction,
    metrics_address: tuple[str, int] | None,
    metrics_file: Path | None,
    quiet: bool,
) -> int:
    """Run a command and capture what it and everything that it starts reads and writes.

    Exits with the command's status. The command runs at once, whatever keeps us from capturing it or from storing what
    is captured: that stays where it is, and is stored by the next run, or by `interpose sidecar --capture`. So is what
    programs do that outlive the command, and what a run did whose `interpose run` was killed.
    """
    wanted = _Wanted(command, url, level, redaction, metrics_address, metrics_file, quiet)
    with held_signals() as mask:
        held = _hold(command, mask)
        capture = _begin(wanted, held)
        status = _run(wanted.command, mask, held, capture)
        ended = time.time_ns()
        drop_pending()
    if capture is not None:
        _end(capture, Ending(ended, status))
    return status


def _hold(command: tuple[str, ...], mask: set[signal.Signals]) -> HeldCommand | None:
    """The command's process; None if there is no room for another one."""
    try:
        fill_standard_descriptors()
        return HeldCommand(command, mask)
    except OSError:
        return None


def _begin(wanted: _Wanted, held: HeldCommand | None) -> _Capture | None:
    """What captures the command; None, with the reason on stderr, if that cannot be."""
    directory = None
    try:
        started = time.time_ns()
        unseen = unseen_command(wanted.command, os.getpid() if held is None else held.pid)
        note = Note(url_of(wanted.database), new_run_id(), list(wanted.command), started, unseen=encoded(unseen))
        directory = make_capture(built_library())
        spool = Spool.create(directory / SPOOL, level=wanted.level, redaction=wanted.redaction)
        note.leave(directory)
    except Exception as error:  # noqa: BLE001 - the command runs, whatever it is
        if directory is not None:
            remove_tree(directory)
        complain(f"not captured: {in_one_line(error)}")
        return None
    with spool:
        if held is None:
            return _Capture(directory, note, None, "")
        job = Job(directory, note, wanted.metrics_address, wanted.metrics_file, wanted.quiet)
        try:
            return _Capture(directory, note, start_keeper(lambda line: _keep(job, spool, held, line)))
        except OSError as error:
            return _Capture(directory, note, None, f"cannot start a process that stores: {error.strerror}")


def _keep(job: Job, spool: Spool, held: HeldCommand, line: Line) -> None:
    """What the keeper does. All that is large is loaded there, beside the command."""
    held.disown()
    try:
        from interpose.cli.keeping import keep  # noqa: PLC0415
    except Exception as error:  # noqa: BLE001
        line.answer([f"{in_one_line(error)}; {whereabouts(job.directory)}"])
    else:
        keep(job, spool, line)


def _plan(capture: _Capture | None) -> LocalPlan:
    if capture is None:
        return LocalPlan(captured=False)
    unseen = capture.note.first()
    if unseen is not None and unseen.cause == "other_machine":
        return LocalPlan(captured=True)  # its loader would complain of the library
    return plan_local(os.environ, str(capture.directory / LIBRARY))


def _run(
    command: tuple[str, ...], mask: set[signal.Signals], held: HeldCommand | None, capture: _Capture | None
) -> int:
    """The command's status."""
    plan = _plan(capture)
    if plan.reason is not None:
        complain(f"not captured: {plan.reason}")
    try:
        if held is None:
            _become(command, mask, plan, capture)
        held.start(plan.environment)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        if error.errno == errno.ENOENT and "/" not in command[0]:
            reason = "command not found"
        complain(f"{command[0]}: {reason}")
        return NOT_FOUND if error.errno in (errno.ENOENT, errno.ENOTDIR) else NOT_EXECUTABLE
    let_go_of_descriptors()
    return wait_for(held.pid)


def _become(command: tuple[str, ...], mask: set[signal.Signals], plan: LocalPlan, capture: _Capture | None) -> NoReturn:
    """Let the command take our place, as there is no room for another process. Raises OSError."""
    if capture is not None:
        problem = "there is no room for a process that stores while the command runs"
        complain(f"{problem}; {whereabouts(capture.directory)}")
    become(command, mask, plan.environment)


def _end(capture: _Capture, ending: Ending) -> None:
    """Have what is left stored, and tell how it went."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        _leave_ending(capture, ending)
        lines = _lines(capture, ending)
    except KeyboardInterrupt:
        if capture.keeper is not None:
            capture.keeper.end()
        lines = [f"interrupted; {whereabouts(capture.directory)}"]
    for line in lines:
        complain(line)


def _leave_ending(capture: _Capture, ending: Ending) -> None:
    """For whoever stores it, if that is not our keeper."""
    with contextlib.suppress(OSError):  # then nobody knows the status
        replace(capture.note, ended=ending.ended, status=ending.status).leave(capture.directory)


def _lines(capture: _Capture, ending: Ending) -> list[str]:
    if capture.keeper is None:
        return [f"{capture.problem}; {whereabouts(capture.directory)}"]
    capture.keeper.tell(ending)
    _wait(capture.keeper)
    lines = capture.keeper.said()
    if lines is None:
        return [f"what stores was ended by {capture.keeper.end()}; {whereabouts(capture.directory)}"]
    return lines


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _wait(keeper: Keeper) -> None:
    if keeper.wait(_PATIENCE):
        return
    from rich.console import Console  # noqa: PLC0415

    terminal = Console(stderr=True)
    if terminal.is_terminal:
        with terminal.status("interpose: storing what was captured ..."):
            keeper.wait()
    else:
        keeper.wait()
