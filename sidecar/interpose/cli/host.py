"""`interpose host`: the sidecar of all captured containers of a host."""

from pathlib import Path

import click

from interpose.cli.database import database_option, make_room
from interpose.cli.endpoints import forward_options, retained, tls_files
from interpose.cli.options import metrics_option
from interpose.cli.service import conclude, serving
from interpose.sidecar.allowance import DAILY_LIMIT
from interpose.sidecar.endpoint import Endpoint
from interpose.sidecar.forward import Forwarding
from interpose.sidecar.host import Host
from interpose.sidecar.hostdir import DEFAULT_HOST
from interpose.sidecar.paths import absolute

__all__ = ["host"]


@click.command(short_help="Store what a host's containers are captured doing.")
@click.argument("directory", metavar="[DIR]", default=DEFAULT_HOST, type=click.Path(path_type=Path))
@database_option
@click.option(
    "--daily-limit",
    metavar="MIB",
    type=click.IntRange(min=0),
    default=DAILY_LIMIT >> 20,
    show_default=True,
    help="How much is read of one container's journals in a day, while it runs: beyond it no faster than that, and"
    " what does not fit into its spool meanwhile is lost to it alone, and counted in a gap. 0 for no limit.",
)
@metrics_option
@forward_options
def host(
    directory: Path,
    url: str,
    daily_limit: int,
    metrics_address: tuple[str, int] | None,
    forward_to: Endpoint | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
    retain: float | None,
) -> int:
    """Store what is captured of the containers of a host, until SIGTERM or SIGINT.

    DIR is the host directory that `interpose docker install` makes (default: /var/lib/interpose). Containers that
    start or end while this does not run are stored when it runs again.

    Exits with status 75 if it had to end before everything of the dead was stored, or before everything was forwarded:
    nothing is lost, the next start goes on with it.
    """
    tls = tls_files([forward_to] if forward_to is not None else [], tls_cert, tls_key, tls_ca)
    forward = None if forward_to is None else Forwarding(forward_to, tls)
    make_room(url)
    directory, kept = absolute(directory), retained(retain, forward_to)
    with serving() as orders:
        service = Host.start(
            directory,
            url,
            forward=forward,
            retain=kept,
            daily_limit=daily_limit << 20 or None,
            metrics_address=metrics_address,
        )
        orders.wait(f"serving the containers of {directory}")
        report = service.stop()
        return conclude(report.problems, report.remainder, spool=directory, url=url)
