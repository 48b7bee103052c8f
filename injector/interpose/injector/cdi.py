"""Capture as a device: a file of the Container Device Interface, for engines that know it (Docker 25, Podman 4.1).

A device is a channel that stands ready, for one container at a time: whoever is started with it is captured there. The
interface can only set variables, so an LD_PRELOAD of the image's own is replaced.
"""

import json
import os
import re
import time
from pathlib import Path
from typing import Any, Final

from interpose.injector.container import CAPTURE, Container, InjectionSettings, plan_container
from interpose.injector.errors import InstallationError
from interpose.sidecar.hostdir import HostDirectory, Identity

__all__ = ["KIND", "add_device", "remove_device", "specification"]

KIND: Final = "interpose.dev/capture"
_VERSION: Final = "0.5.0"
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")


def specification(directory: HostDirectory, device: str, level: str) -> dict[str, Any]:
    """The file for a device of this name. Raises InstallationError."""
    settings = InjectionSettings(
        machine=os.uname().machine,
        libraries=directory.libraries(),
        spool=str(directory.spool_of(_channel(device))),
        level=level,
    )
    plan = plan_container(Container(labels={CAPTURE: "true"}), settings)
    if not plan.captured:
        raise InstallationError(plan.reason)
    mounts = [
        {
            "hostPath": mount.source,
            "containerPath": mount.target,
            "options": ["bind", "nosuid", "nodev", *(("ro",) if mount.read_only else ("rw", "noexec"))],
        }
        for mount in plan.mounts
    ]
    edits = {"env": [f"{name}={value}" for name, value in plan.environment.items()], "mounts": mounts}
    return {"cdiVersion": _VERSION, "kind": KIND, "devices": [{"name": device, "containerEdits": edits}]}


def add_device(directory: HostDirectory, folder: Path, device: str, level: str) -> Path:
    """Make a device's channel and file. Raises OSError, SpoolError or InstallationError."""
    if not _NAME.fullmatch(device):
        raise InstallationError(f"no name of a device: {device}")
    content = specification(directory, device, level)
    if not (directory.containers / _channel(device)).exists():
        identity = Identity(f"{KIND}={device}", device)
        directory.add(_channel(device), identity, level=level, active=False)
    folder.mkdir(parents=True, exist_ok=True)
    file = _file(folder, device)
    draft = file.with_suffix(".tmp")
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(file)
    return file


def remove_device(directory: HostDirectory, folder: Path, device: str) -> None:
    """Remove a device's file, and let its channel end. Raises OSError or InstallationError."""
    file = _file(folder, device)
    if not file.exists():
        raise InstallationError(f"no device {device}: there is no {file}")
    file.unlink()
    if (directory.containers / _channel(device)).exists():
        directory.channel(_channel(device)).end(time.time_ns())


def _channel(device: str) -> str:
    return f"cdi-{device}"


def _file(folder: Path, device: str) -> Path:
    return folder / f"interpose-{device}.json"
