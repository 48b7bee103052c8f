"""`interpose sidecar`: the service of one capture directory."""

import time
from collections.abc import Callable
from pathlib import Path

import click
from click.core import ParameterSource

from interpose.cli.capture import LIBRARY, SPOOL, built_library, prepare_capture
from interpose.cli.database import database_option, make_room
from interpose.cli.endpoints import duration, forward_options, retained, tls_files
from interpose.cli.note import Note
from interpose.cli.options import level_option, metrics_option, redact_option
from interpose.cli.output import complain
from interpose.cli.service import conclude, serving
from interpose.sidecar.endpoint import Endpoint
from interpose.sidecar.errors import SpoolBusyError
from interpose.sidecar.forward import Forwarding
from interpose.sidecar.ids import new_run_id
from interpose.sidecar.paths import absolute
from interpose.sidecar.service import RunInfo, Sidecar
from interpose.sidecar.spool import DEFAULT_QUOTA, Level, Redaction

__all__ = ["sidecar"]

_JOURNALS_OF_A_MIB = 16
_ASK_SECONDS = 0.1
"""Between two attempts to begin where another sidecar still works: what is captured meanwhile waits in its journals."""


@click.command(short_help="Store what is captured in a directory.")
@click.option("--capture", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Made if it is missing.")
@database_option
@level_option
@redact_option
@click.option(
    "--quota",
    metavar="MIB",
    type=click.IntRange(min=8),
    default=DEFAULT_QUOTA // _JOURNALS_OF_A_MIB,
    show_default=True,
    help="How much may wait in the directory's journals; beyond it events are dropped, and counted in a gap.",
)
@metrics_option
@forward_options
@click.option(
    "--wait",
    "patience",
    metavar="TIME",
    default="0",
    callback=duration,
    help="Wait so long for another sidecar of the directory to end, as in an upgrade, instead of refusing.",
)
def sidecar(
    capture: Path,
    url: str,
    level: Level,
    redaction: Redaction,
    quota: int,
    metrics_address: tuple[str, int] | None,
    forward_to: Endpoint | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
    retain: float | None,
    patience: float | None,
) -> int:
    """Store what is captured in a capture directory, until SIGTERM or SIGINT.

    Started again on the same directory, it goes on with the same run. With --forward-to, a collector gets everything,
    once, however often either of the two is restarted; until it answers, everything stays in the database.

    Exits with status 75 if it had to end before everything was stored or forwarded: nothing is lost, the next start
    goes on with it. Processes that still live need no such start; what they did up to now is stored.
    """
    tls = tls_files([forward_to] if forward_to is not None else [], tls_cert, tls_key, tls_ca)
    directory = absolute(capture)
    note = Note.of(directory)
    info = _info(note)
    if note is not None and not _is_chosen("url"):
        url = note.url
    prepare_capture(directory, built_library())
    make_room(url)
    forward = None if forward_to is None else Forwarding(forward_to, tls)
    with serving() as orders:
        service = _start(
            lambda: Sidecar.start(
                directory / SPOOL,
                url,
                info,
                metrics_address=metrics_address,
                level=level,
                redaction=redaction,
                quota=quota * _JOURNALS_OF_A_MIB,
                forward=forward,
                retain=retained(retain, forward_to),
            ),
            patience,
        )
        orders.wait(f"run {service.run_id}: to capture a program: LD_PRELOAD={directory / LIBRARY} CMD...")
        service.drain()
        ended, status = (None, None) if note is None else (note.ended, note.status)
        report = service.stop(ended=ended or time.time_ns(), status=status)
        problems = [] if report.problem is None else [report.problem]
        return conclude(problems, report.remainder, spool=directory / SPOOL, url=url)


def _info(note: Note | None) -> RunInfo:
    """What is captured: a directory that `interpose run` made says so itself."""
    if note is None:
        return RunInfo(new_run_id(), None, time.time_ns())
    return RunInfo(note.run, tuple(note.command), note.started, unseen=note.first())


def _is_chosen(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def _start(start: Callable[[], Sidecar], patience: float | None) -> Sidecar:
    """The service, once no other one works on the spool. Raises SpoolBusyError if that takes too long."""
    deadline = None if patience is None else time.monotonic() + patience
    told = False
    while True:
        try:
            return start()
        except SpoolBusyError as error:
            if deadline is not None and time.monotonic() >= deadline:
                raise
            if not told:
                complain(f"{error}; waiting for it to end")
                told = True
        time.sleep(_ASK_SECONDS)
