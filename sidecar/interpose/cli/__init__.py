"""The `interpose` command."""

from interpose.cli.command import main

__all__ = ["main"]
