"""`interpose collector`: the service that sidecars forward to."""

from collections.abc import Iterator
from pathlib import Path

import click

from interpose.cli.database import database_option, make_room
from interpose.cli.endpoints import endpoints, tls_files, tls_options
from interpose.cli.options import metrics_option
from interpose.cli.output import complain
from interpose.cli.service import begin, until_told
from interpose.sidecar.central import Central
from interpose.sidecar.endpoint import Endpoint, Tcp

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
@tls_options
@database_option
@metrics_option
def collector(
    listeners: list[Endpoint],
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
    url: str,
    metrics_address: tuple[str, int] | None,
) -> int:
    """Store what sidecars forward (interpose sidecar --forward-to), until SIGTERM or SIGINT.

    Sidecars are known by their certificates: a run belongs to the one that it first came from. Several collectors may
    use one PostgreSQL database, and sidecars may change between them.
    """
    tls = tls_files(listeners, tls_cert, tls_key, tls_ca)
    make_room(url)
    begin()
    service = Central.start(listeners, url, tls=tls, metrics_address=metrics_address)
    ports = iter(service.ports)
    complain("collecting on " + ", ".join(_shown(each, ports) for each in listeners))
    until_told()
    problem = service.stop()
    if problem is not None:
        complain(f"{problem}; the sidecars have what is not stored")
        return 1
    return 0


def _shown(endpoint: Endpoint, ports: Iterator[int]) -> str:
    return str(Tcp(endpoint.host, next(ports)) if isinstance(endpoint, Tcp) else endpoint)
