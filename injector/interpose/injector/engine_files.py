"""What container engines keep in files about a container that is about to start.

The labels of a container are not in its bundle. The engine has them, but it waits for the runtime just now and must
not be asked: so they are read from where it has written them before it called. docs/docker.md says who writes what.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from interpose.sidecar.hostdir import Identity

__all__ = ["identify"]

_LARGEST: Final = 64 << 20
_PROJECT: Final = ("com.docker.compose.project", "io.podman.compose.project")
_SERVICE: Final = ("com.docker.compose.service", "io.podman.compose.service")


def identify(container: str, file: str | None, annotations: Mapping[str, str]) -> Identity:
    """Who a container is, from its engine's file and its annotations. Raises OSError or ValueError for a broken one."""
    if file is None:
        return _identity(container, None, None, None, annotations)
    told = _read(Path(file))
    if Path(file).name == "config.v2.json":
        return _docker(container, Path(file), told)
    return _podman(container, told, annotations)


def _identity(
    container: str, name: str | None, image: str | None, digest: str | None, labels: Mapping[str, str]
) -> Identity:
    return Identity(
        id=container,
        name=name,
        image=image,
        digest=digest,
        labels=dict(labels),
        project=next((labels[key] for key in _PROJECT if key in labels), None),
        service=next((labels[key] for key in _SERVICE if key in labels), None),
    )


def _docker(container: str, file: Path, told: Mapping[str, Any]) -> Identity:
    config = told.get("Config") or {}
    image = config.get("Image")
    digest = told.get("Image") or None
    if digest:
        digest = _manifest(file.parents[2] / "image" / (told.get("Driver") or "overlay2"), digest)
    name = (told.get("Name") or "").removeprefix("/") or None
    return _identity(container, name, image, digest, config.get("Labels") or {})


def _manifest(images: Path, configuration: str) -> str:
    """The digest under which the image was pulled; that of its configuration if it never was."""
    try:
        repositories = _read(images / "repositories.json")["Repositories"]
    except (OSError, ValueError, KeyError):
        return configuration
    for names in repositories.values():
        if configuration in names.values():
            for name, target in names.items():
                if target == configuration and "@" in name:
                    return str(name.partition("@")[2])
    return configuration


def _podman(container: str, told: list[Mapping[str, Any]], annotations: Mapping[str, str]) -> Identity:
    for entry in told:
        if entry.get("id") == container:
            metadata = json.loads(entry.get("metadata") or "{}")
            name = metadata.get("name") or next(iter(entry.get("names") or ()), None)
            image = metadata.get("image-name") or None
            digest = f"sha256:{entry['image']}" if entry.get("image") else None
            return _identity(container, name, image, digest, annotations)
    return _identity(container, None, None, None, annotations)


def _read(file: Path) -> Any:
    with file.open(encoding="utf-8", errors="replace") as stream:
        content = stream.read(_LARGEST)
    return json.loads(content)
