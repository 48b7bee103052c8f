"""The command and its subcommands; what goes wrong becomes one line on stderr."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from interpose.cli.child import fill_standard_descriptors
from interpose.cli.group import Commands
from interpose.cli.output import complain
from interpose.sidecar.paths import GONE, is_lost

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


class _Commands(Commands):
    """A group that reports errors in one line and exits with what its command returns."""

    modules = _COMMANDS
    runs_programs = True

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _SERVICES:
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own notes on failed handshakes, for stderr
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            _prepare_output()
            status = super().main(*args, **(kwargs | {"standalone_mode": False}))
            sys.stdout.flush()  # or its error comes when nobody can tell of it
        except click.exceptions.NoArgsIsHelpError as error:
            with contextlib.suppress(OSError):
                error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            hint = f" (see {context.command_path} --help)" if context is not None else ""
            complain(f"{error.format_message().rstrip('.')}{hint}")
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(130)
        except BrokenPipeError:
            _end_by_pipe()
        except Exception as error:
            line = _explained(error)
            if line is None:
                raise
            complain(line)
            _drop_output()
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:
            _end_by_pipe()  # click would exit with 1

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _end_by_pipe()


def _prepare_output() -> None:
    """Give those of the first three descriptors that are closed something that cannot be used, lest a file become one.

    And write what the encoding of the output does not have as something that it has.
    """
    fill_standard_descriptors()
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _end_by_pipe() -> NoReturn:
    """End as programs do whose reader has seen enough."""
    _drop_output()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPIPE})
    os.kill(os.getpid(), signal.SIGPIPE)
    raise AssertionError  # it ends us


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
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, OSError):
        return _explained_by_system(error)
    if isinstance(error, SQLAlchemyError):
        return f"cannot read the database: {' '.join(str(getattr(error, 'orig', None) or error).split())}"
    return None


def _explained_by_system(error: OSError) -> str:
    name = error.filename
    if name is not None:
        return f"{os.fsdecode(name) if isinstance(name, bytes) else name}: {error.strerror}"
    return GONE if is_lost() else f"output: {error.strerror}"


@click.version_option(package_name="interpose", message="%(prog)s %(version)s")
@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def interpose() -> None:
    """Tell how files were made: capture what programs read and write, and ask about it."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command: the entry point of the distribution."""
    interpose.main(args=arguments, prog_name="interpose")
    raise AssertionError  # main exits
