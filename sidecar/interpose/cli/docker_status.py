"""`interpose docker status`."""

from pathlib import Path

import click
from rich.text import Text

from interpose.cli.docker_options import engine_option, host_option
from interpose.cli.output import complain, console, exact, moment, print_json, show, table
from interpose.injector.builds import folder_of
from interpose.injector.status import StatusLine, captures, runtime_status

__all__ = ["status"]


_BUILDS = {
    True: "go through it: steps that ask are captured, or all after install --builds",
    False: "are not captured: dockerd has to be started with a PATH that begins with {}",
    None: "are captured if dockerd was started with a PATH that begins with {}",
}


def _builds(line: StatusLine, host: Path) -> str:
    return _BUILDS[line.builds].format(folder_of(host)) if line.runtime else "are not captured"


@click.command(short_help="Tell what is captured, and why something is not.")
@host_option
@engine_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line: the installation, then containers."
)
def status(host: Path, engine_url: str | None, as_json: bool) -> int:
    """Tell whether the runtime is installed, and what became of each container that asked to be captured.

    Exits with 1 if something is wrong with the installation.
    """
    line, found = runtime_status(host, engine_url), list(captures(host))
    if as_json:
        print_json([line])
        print_json(found)
        return 1 if line.problem else 0
    terminal = console()
    named = f"installed as {line.runtime}{', the default' if line.default else ''}" if line.runtime else "not installed"
    terminal.print(f"runtime  {named} ({host})")
    terminal.print(f"engine   {line.engine or 'does not answer'}")
    terminal.print(f"builds   {_builds(line, host)}")
    terminal.print(f"sidecar  {'serves it' if line.serving else f'none: run interpose host {host}'}")
    shown = table("TIME", "CONTAINER", "IMAGE", "STATE", "REASON")
    for one in found:
        name = one.name or one.id[:12] or "?"
        state = Text(one.state, style="bold red" if one.state == "failed" else "")
        shown.add_row(moment(one.time), exact(name), exact(one.image or ""), state, exact(one.reason))
    if found:
        terminal.print()
        show(shown, terminal)
    if line.problem:
        complain(line.problem)
        return 1
    return 0
