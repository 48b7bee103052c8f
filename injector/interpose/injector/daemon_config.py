"""The Docker Engine's configuration file, daemon.json, with and without our runtime: text in, text out."""

import json
import re
from typing import Any

from interpose.injector.errors import InstallationError

__all__ = ["default_runtime", "parse", "revoking", "with_runtime", "without_runtime"]

_STOCK = "runc"
"""The runtime that every Engine has."""


def parse(text: str, where: str) -> dict[str, Any]:
    """The settings of a file, none for an empty one. Raises InstallationError for what the Engine would not take."""
    try:
        settings = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise InstallationError(f"{where} is no JSON: {error}; mend it first") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("runtimes", {}), dict):
        raise InstallationError(f"{where} is no configuration of the Docker Engine; mend it first")
    return settings


def default_runtime(settings: dict[str, Any]) -> str:
    """The name of the runtime that containers have who do not ask for one."""
    return str(settings.get("default-runtime", _STOCK))


def with_runtime(text: str, where: str, name: str, path: str, *, default: bool) -> str:
    """The file with a runtime of this name. Raises InstallationError, also if the name is another's."""
    settings = parse(text, where)
    runtimes = settings.get("runtimes", {})
    present = runtimes.get(name)
    if present is not None and present != {"path": path}:
        raise InstallationError(f"{where} has a runtime {name} already: choose another name with --name")
    changed = {**settings, "runtimes": {**runtimes, name: {"path": path}}}
    if default:
        changed["default-runtime"] = name
    return _formatted(changed, text)


def without_runtime(text: str, where: str, name: str, former_default: str | None) -> str:
    """The file without the runtime, for one that somebody has changed since it was put there."""
    settings = parse(text, where)
    runtimes = {key: value for key, value in settings.get("runtimes", {}).items() if key != name}
    changed = {key: value for key, value in settings.items() if key != "runtimes"}
    if runtimes:
        changed["runtimes"] = runtimes
    if changed.get("default-runtime") == name:
        del changed["default-runtime"]
        if former_default is not None:
            changed["default-runtime"] = former_default
    return _formatted(changed, text)


def revoking(text: str, where: str, name: str, former_default: str | None) -> str:
    """The file with which the Engine forgets the runtime when it reloads: a setting that is missing stays as it was."""
    settings = parse(without_runtime(text, where, name, former_default), where)
    return _formatted({"runtimes": {}, "default-runtime": _STOCK, **settings}, text)


def _formatted(settings: dict[str, Any], like: str) -> str:
    found = re.search(r"\n([ \t]+)\"", like)
    return json.dumps(settings, indent=found[1] if found else 2) + "\n"
