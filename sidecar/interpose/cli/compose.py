"""`interpose compose`: an override file that has services of a Compose project captured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from interpose.injector.container import CAPTURE
from interpose.sidecar.errors import InterposeError

__all__ = ["ComposeError", "compose", "override"]

_USUAL = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_TRUE = ("true", "yes", "on", "1")


class ComposeError(InterposeError):
    """A project that makes no sense, or has nothing to capture."""


@click.command(short_help="Print an override file that has a Compose project captured.")
@click.option(
    "-f", "--file", "files", metavar="FILE", multiple=True, type=click.Path(path_type=Path), help="The project's."
)
@click.option("--runtime", default="interpose", show_default=True, help="The runtime's name.")
@click.argument("services", metavar="[SERVICE...]", nargs=-1)
def compose(files: tuple[Path, ...], runtime: str, services: tuple[str, ...]) -> None:
    """Print an override file for a Compose project, by which these services are captured.

    Without SERVICE those that carry the label interpose.dev/capture=true, and all if none does. Use it as the last
    file: docker compose -f compose.yaml -f OVERRIDE up.
    """
    project: dict[str, Any] = {}
    for file in files or (_usual(),):
        project |= _services(file)
    made = override(project, services, runtime)
    click.echo(yaml.safe_dump(made, sort_keys=False), nl=False)


def override(project: Mapping[str, Any], wanted: tuple[str, ...], runtime: str) -> dict[str, Any]:
    """The override of a project's services. Raises ComposeError."""
    unknown = [service for service in wanted if service not in project]
    if unknown:
        raise ComposeError(f"the project has no service {unknown[0]}: it has {', '.join(sorted(project))}")
    labelled = [name for name, service in project.items() if _label(service) in _TRUE]
    chosen = wanted or tuple(labelled) or tuple(name for name, service in project.items() if _label(service) is None)
    if not chosen:
        raise ComposeError("the project has no service to capture")
    return {"services": {name: {"runtime": runtime, "labels": {CAPTURE: "true"}} for name in chosen}}


def _label(service: Any) -> str | None:
    labels = (service or {}).get("labels") or {}
    if isinstance(labels, list):
        labels = dict(str(entry).partition("=")[::2] for entry in labels)
    value = labels.get(CAPTURE)
    return None if value is None else str(value).strip().lower()


def _usual() -> Path:
    found = next((Path(name) for name in _USUAL if Path(name).exists()), None)
    if found is None:
        raise ComposeError("no compose.yaml here: name the project's file with -f")
    return found


def _services(file: Path) -> dict[str, Any]:
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ComposeError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    services = told.get("services") if isinstance(told, dict) else None
    if not isinstance(services, dict):
        raise ComposeError(f"{file} has no services")
    return services
