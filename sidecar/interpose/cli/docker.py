"""`interpose docker`: containers of the Docker Engine."""

import click

from interpose.cli.group import Commands

__all__ = ["docker"]

_COMMANDS = {
    "install": "interpose.cli.docker_install",
    "uninstall": "interpose.cli.docker_install",
    "status": "interpose.cli.docker_status",
    "run": "interpose.cli.docker_run",
    "watch": "interpose.cli.docker_watch",
    "cdi": "interpose.cli.docker_cdi",
}
"""Where each subcommand is."""


class _Commands(Commands):
    modules = _COMMANDS


@click.group(cls=_Commands, short_help="Capture containers of the Docker Engine.")
def docker() -> None:
    """Capture containers of the Docker Engine.

    Install the runtime once, run `interpose host` as a service, and give containers the label
    interpose.dev/capture=true. Or start single ones with `interpose docker run`, without installing anything.
    """
