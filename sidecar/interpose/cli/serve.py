"""`interpose sidecar`: the service of one capture directory."""

import signal
import time
from pathlib import Path

import click

from interpose.cli.capture import LIBRARY, SPOOL, built_library, prepare_capture
from interpose.cli.database import database_option, make_room
from interpose.cli.options import level_option, metrics_option
from interpose.cli.output import complain
from interpose.sidecar.service import RunInfo, Sidecar, new_run_id
from interpose.sidecar.spool import Level

__all__ = ["sidecar"]

_ENDING = {signal.SIGTERM, signal.SIGINT}


@click.command(short_help="Store what is captured in a directory.")
@click.option("--capture", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Made if it is missing.")
@database_option
@level_option
@metrics_option
def sidecar(capture: Path, url: str, level: Level, metrics_address: tuple[str, int] | None) -> int:
    """Store what is captured in a capture directory, until SIGTERM or SIGINT.

    Started again on the same directory, it goes on with the same run.
    """
    directory = capture.absolute()
    prepare_capture(directory, built_library())
    make_room(url)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    info = RunInfo(new_run_id(), None, time.time_ns())
    service = Sidecar.start(directory / SPOOL, url, info, metrics_address=metrics_address, level=level)
    complain(f"run {service.run_id}: to capture a program: LD_PRELOAD={directory / LIBRARY} CMD...")
    signal.sigwait(_ENDING)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)  # whoever asks twice is not kept waiting
    service.drain()
    report = service.stop(ended=time.time_ns())
    if report.problem is not None:
        complain(f"{report.problem}; to store the rest, start this again")
        return 1
    return 0
