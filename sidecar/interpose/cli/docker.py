"""`interpose docker`: containers of the Docker Engine."""

import importlib

import click

__all__ = ["docker"]

_COMMANDS = {
    "install": "interpose.cli.docker_install",
    "uninstall": "interpose.cli.docker_install",
    "status": "interpose.cli.docker_status",
    "run": "interpose.cli.docker_run",
    "watch": "interpose.cli.docker_watch",
    "cdi": "interpose.cli.docker_cdi",
}
"""Where each subcommand is. Imported when it is called."""


class _Commands(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(_COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, short_help="Capture containers of the Docker Engine.")
def docker() -> None:
    """Capture containers of the Docker Engine.

    Install the runtime once, run `interpose host` as a service, and give containers the label
    interpose.dev/capture=true. Or start single ones with `interpose docker run`, without installing anything.
    """
