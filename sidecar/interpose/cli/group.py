"""Commands with subcommands: each is imported when it is called, and of an unknown one is told what may be meant."""

import difflib
import importlib
import shutil
from collections.abc import Mapping

import click

__all__ = ["Commands"]


class Commands(click.Group):
    """A group whose subcommands stand in modules of their own."""

    modules: Mapping[str, str] = {}
    """Where each subcommand is."""
    runs_programs = False
    """Whether a program's name is taken for one that was to be captured."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return [*super().list_commands(ctx), *self.modules]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click."""
        module = self.modules.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        command = getattr(importlib.import_module(module), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click."""
        name = args[0]
        if name not in self.list_commands(ctx) and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}{self._meant(ctx, args)}")
        return super().resolve_command(ctx, args)

    def _meant(self, ctx: click.Context, args: list[str]) -> str:
        near = difflib.get_close_matches(args[0], self.list_commands(ctx), 2)
        if near:
            return f": did you mean {' or '.join(near)}?"
        if self.runs_programs and shutil.which(args[0]):
            return f": to capture a program, put run before it: {ctx.command_path} run -- {args[0]}"
        return ""
