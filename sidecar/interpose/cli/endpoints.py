"""Options for what talks over a network: endpoints, the files that make them trusted, and times."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from interpose.sidecar.endpoint import Endpoint, Tcp, TlsFiles, parse
from interpose.sidecar.errors import EndpointError
from interpose.sidecar.paths import absolute

__all__ = ["duration", "endpoint", "endpoints", "forward_options", "retained", "tls_files", "tls_options"]

F = TypeVar("F", bound=Callable[..., Any])

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")
_RETAINED_SECONDS: Final = 86400.0
"""Where a collector has it too."""
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def endpoint(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Endpoint | None:
    """A callback for an option that names one endpoint."""
    if value is None:
        return None
    try:
        return parse(value)
    except EndpointError as error:
        raise click.BadParameter(str(error)) from error


def endpoints(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[Endpoint]:
    """A callback for an option that may be repeated."""
    return [found for value in values if (found := endpoint(context, parameter, value)) is not None]


def duration(_context: click.Context, _parameter: click.Parameter, value: str) -> float | None:
    """A callback for an option that takes seconds, `90s`, `15m`, `12h`, `7d` or `forever` (None)."""
    if value == "forever":
        return None
    match = _DURATION.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"not a duration: {value}: give one as 90s, 15m, 12h or 7d, or forever")
    return float(match[1]) * _SECONDS[match[2]]


def _retain(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    seconds = duration(context, parameter, value)
    return math.inf if seconds is None else seconds


def retained(given: float | None, forward_to: Endpoint | None) -> float | None:
    """What `--retain` says, or what is so without it: seconds, None for ever."""
    if given is None:
        given = math.inf if forward_to is None else _RETAINED_SECONDS
    return None if given == math.inf else given


def tls_options(function: F) -> F:
    """Give a command `--tls-cert`, `--tls-key` and `--tls-ca`."""
    for name, text in reversed(
        (
            ("cert", "This service's certificate; read anew when it is replaced."),
            ("key", "Its private key."),
            ("ca", "Certificates of the authorities that the other side's certificate must come from."),
        )
    ):
        option = click.option(f"--tls-{name}", metavar="FILE", type=click.Path(path_type=Path), help=text)
        function = option(function)
    return function


def forward_options(function: F) -> F:
    """Give a command `--forward-to`, the files that it needs, and `--retain`."""
    forward_to = click.option(
        "--forward-to",
        metavar="ENDPOINT",
        callback=endpoint,
        help="Send everything in the database to a collector: unix:PATH, or HOST:PORT with the three files below.",
    )
    retain = click.option(
        "--retain",
        metavar="TIME",
        callback=_retain,
        help="How long the database keeps events, and runs that have ended: 0, 90s, 15m, 12h, 7d, forever. With "
        "--forward-to, only what the collector has goes.  [default: 1d with --forward-to, else forever]",
    )
    return forward_to(tls_options(retain(function)))


def tls_files(
    used: list[Endpoint], certificate: Path | None, key: Path | None, authorities: Path | None
) -> TlsFiles | None:
    """The three files, if any endpoint needs them. Raises EndpointError for one that does where one is missing."""
    over_tcp = [each for each in used if isinstance(each, Tcp)]
    if certificate is not None and key is not None and authorities is not None:
        return TlsFiles(absolute(certificate), absolute(key), absolute(authorities))
    if over_tcp:
        raise EndpointError(
            f"{over_tcp[0]} needs mutual TLS: give --tls-cert, --tls-key and --tls-ca, or use unix:PATH"
        )
    if (certificate, key, authorities) != (None, None, None):
        raise EndpointError("--tls-cert, --tls-key and --tls-ca go together")
    return None
