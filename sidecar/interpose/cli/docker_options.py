"""Options that the subcommands of `interpose docker` share."""

from pathlib import Path

import click

from interpose.sidecar.hostdir import DEFAULT_HOST
from interpose.sidecar.paths import absolute

__all__ = ["engine_option", "host_option"]

engine_option = click.option(
    "-H",
    "--docker-host",
    "engine_url",
    metavar="URL",
    help="The Docker Engine.  [default: $DOCKER_HOST, else its socket]",
)
host_option = click.option(
    "--host",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=DEFAULT_HOST,
    show_default=True,
    callback=lambda _context, _parameter, value: absolute(value),
    help="The host directory.",
)
