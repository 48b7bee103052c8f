"""The command and its subcommands; what goes wrong becomes one line on stderr."""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from interpose.cli.output import complain

__all__ = ["interpose", "main"]

_COMMANDS = {
    "run": "interpose.cli.run",
    "sidecar": "interpose.cli.serve",
    "collector": "interpose.cli.collect",
    "host": "interpose.cli.host",
    "docker": "interpose.cli.docker",
    "compose": "interpose.cli.compose",
    "runs": "interpose.cli.listings",
    "ps": "interpose.cli.listings",
    "files": "interpose.cli.listings",
    "events": "interpose.cli.listings",
    "lineage": "interpose.cli.lineage",
    "coverage": "interpose.cli.coverage",
}
"""Where each subcommand is. Imported when it is called: gRPC alone takes as long as a query."""

_SERVICES = ("sidecar", "collector", "host")


class _Commands(click.Group):
    """A group that reports errors in one line and exits with what its command returns."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        if cmd_name in _SERVICES:
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own notes on failed handshakes, for stderr
        command = getattr(importlib.import_module(module), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            status = super().main(*args, **(kwargs | {"standalone_mode": False}))
            if sys.stdout is not None:
                sys.stdout.flush()  # or its error comes when nobody can tell of it
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            hint = f" (see {context.command_path} --help)" if context is not None else ""
            complain(f"{error.format_message().rstrip('.')}{hint}")
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(130)
        except Exception as error:
            line = _explained(error)
            if line is None:
                raise
            complain(line)
            _drop_output()
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)


def _drop_output() -> None:
    """Let what could not be written go, lest the interpreter try again at its end and exit with a status of its own."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _explained(error: Exception) -> str | None:
    """What went wrong in one line; None for what is our own fault."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - costs a third of a second, and only errors need it

    from interpose.sidecar.errors import InterposeError  # noqa: PLC0415

    if isinstance(error, InterposeError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'output'}: {error.strerror}"
    if isinstance(error, SQLAlchemyError):
        return f"cannot read the database: {' '.join(str(getattr(error, 'orig', None) or error).split())}"
    return None


@click.version_option(package_name="interpose", message="%(prog)s %(version)s")
@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def interpose() -> None:
    """Tell how files were made: capture what programs read and write, and ask about it."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command: the entry point of the distribution."""
    interpose.main(args=arguments, prog_name="interpose")
    raise AssertionError  # main exits
