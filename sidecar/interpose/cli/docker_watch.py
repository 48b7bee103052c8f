"""`interpose docker watch`."""

from pathlib import Path

import click

from interpose.cli.docker_options import engine_option, host_option
from interpose.cli.output import print_json, printable
from interpose.injector.engine import Engine
from interpose.injector.mounts import prepare
from interpose.injector.watch import look as look_once
from interpose.injector.watch import watch as look_on

__all__ = ["watch"]


@click.command(short_help="Find labelled containers that are not captured.")
@host_option
@engine_option
@click.option("--once", is_flag=True, help="Look at what runs now, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def watch(host: Path, engine_url: str | None, once: bool, as_json: bool) -> None:
    """Find containers with the label interpose.dev/capture=true that were started without being captured.

    Those with the label interpose.dev/recreate=true are replaced by containers with the same settings (what they
    wrote into their own root file system is lost, volumes are kept); others are reported.
    """
    directory = prepare(host)
    with Engine(engine_url) as engine:
        for finding in look_once(engine, directory) if once else look_on(engine, directory):
            if as_json:
                print_json([finding])
            else:
                click.echo(printable(f"{finding.container}: {finding.outcome}: {finding.reason}"))
