"""`interpose collector`: the service that sidecars forward to."""

from collections.abc import Iterator
from pathlib import Path

import click

from interpose.cli.database import database_option, make_room
from interpose.cli.endpoints import endpoints, forward_options, retained, tls_files
from interpose.cli.options import metrics_option
from interpose.cli.service import conclude, serving
from interpose.sidecar.central import Central
from interpose.sidecar.endpoint import Endpoint, Tcp
from interpose.sidecar.forward import Forwarding

__all__ = ["collector"]


@click.command(short_help="Store what sidecars forward.")
@click.option(
    "--listen",
    "listeners",
    metavar="ENDPOINT",
    multiple=True,
    required=True,
    callback=endpoints,
    help="unix:PATH, or HOST:PORT with the three files below. May be repeated.",
)
@forward_options
@database_option
@metrics_option
def collector(
    listeners: list[Endpoint],
    forward_to: Endpoint | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
    retain: float | None,
    url: str,
    metrics_address: tuple[str, int] | None,
) -> int:
    """Store what sidecars forward (interpose sidecar --forward-to), until SIGTERM or SIGINT.

    Sidecars are known by their certificates: a run belongs to the one that it first came from. Several collectors may
    use one PostgreSQL database, and sidecars may change between them; one of them may forward what the database has.

    Exits with status 75 if it had to end before everything that it acknowledged was forwarded, or while the database
    failed: nothing is lost, the next start goes on with it.
    """
    used = listeners if forward_to is None else [*listeners, forward_to]
    tls = tls_files(used, tls_cert, tls_key, tls_ca)
    forward = None if forward_to is None else Forwarding(forward_to, tls)
    make_room(url)
    with serving() as orders:
        service = Central.start(
            listeners,
            url,
            tls=tls,
            forward=forward,
            retain=retained(retain, forward_to),
            metrics_address=metrics_address,
        )
        ports = iter(service.ports)
        orders.wait("collecting on " + ", ".join(_shown(each, ports) for each in listeners))
        problem = service.stop()
        problems = [] if problem is None else [f"{problem}; the sidecars have what is not stored"]
        return conclude(problems, service.remainder, spool=None, url=url)


def _shown(endpoint: Endpoint, ports: Iterator[int]) -> str:
    return str(Tcp(endpoint.host, next(ports)) if isinstance(endpoint, Tcp) else endpoint)
