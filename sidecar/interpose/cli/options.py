"""Options that commands share."""

import re
from pathlib import Path
from typing import Any

import click

from interpose.sidecar.spool import Level, Redaction

__all__ = [
    "container_option",
    "level_names_option",
    "level_option",
    "metrics_file_option",
    "metrics_option",
    "redact_option",
]

_ADDRESS = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<plain>[^:\[\]]*)):(?P<port>[0-9]{1,5})")


def _address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    match = _ADDRESS.fullmatch(value)
    if match is None or int(match["port"]) > 65535:
        raise click.BadParameter(f"not HOST:PORT: {value}")
    return match["bracketed"] or match["plain"] or "0.0.0.0", int(match["port"])  # noqa: S104 - as the user asked


def _level(_context: click.Context, _parameter: click.Parameter, value: str) -> Level:
    return Level[value.upper()]


def _redaction(_context: click.Context, _parameter: click.Parameter, value: str) -> Redaction:
    return Redaction[value.upper()]


metrics_option = click.option(
    "--metrics-listen",
    "metrics_address",
    metavar="HOST:PORT",
    callback=_address,
    help="Serve Prometheus metrics.",
)
metrics_file_option = click.option(
    "--metrics-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the metrics there at the end, for node_exporter's textfile collector.",
)
container_option = click.option(
    "--container", metavar="NAME", help="Of this container (its name, or the beginning of its id): its newest run."
)
_LEVEL: dict[str, Any] = {
    "type": click.Choice([level.name.lower() for level in Level]),
    "default": "summary",
    "show_default": True,
    "help": "What is recorded: one event per change of state, or each call.",
}
level_option = click.option("--level", callback=_level, **_LEVEL)
level_names_option = click.option("--level", **_LEVEL)
redact_option = click.option(
    "--redact",
    "redaction",
    type=click.Choice([redaction.name.lower() for redaction in Redaction]),
    default="secrets",
    show_default=True,
    callback=_redaction,
    help="Environment variables recorded without their values: those whose names sound like secrets, or all.",
)
