"""Capturing single containers by mounts and a variable, which any Engine takes: no runtime of ours is needed.

Such a container keeps its mounts for as long as it exists, over restarts too; so its channel, and its run, last from
its creation to its removal.
"""

import os
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interpose.injector.container import TARGET, Container, ContainerPlan, InjectionSettings, plan_container
from interpose.injector.engine import Engine
from interpose.injector.host import built_libraries
from interpose.injector.tree import Over, Tree
from interpose.sidecar.hostdir import Channel, HostDirectory, Identity

__all__ = ["CHANNEL", "Reservation", "digest_of", "end_removed", "open_channel", "prepare", "reserve"]

CHANNEL: Final = "interpose.dev/channel"
"""The label of such a container that names its channel."""
_VOLUME: Final = "VOLUME"
"""Stands for the directory of a volume without a name."""
_UNKNOWN: Final = "/proc/self/no-root"
"""Stands for the root of a container that is not there yet: its links are not known."""
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}
"""Architectures of images, as uname(2) calls them."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A plan, and the name of the channel that it needs."""

    name: str
    plan: ContainerPlan

    def binds(self) -> list[str]:
        """The mounts as the Engine's option takes them."""
        return [f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}" for mount in self.plan.mounts]


def prepare(host: Path) -> HostDirectory:
    """A host directory with libraries; one that is installed keeps those it has. Raises OSError."""
    directory = HostDirectory(host)
    directory.prepare()
    if not directory.libraries():
        for machine, content in built_libraries().items():
            directory.place_library(machine, content)
    return directory


def reserve(
    directory: HostDirectory,
    image: Mapping[str, Any],
    reference: str,
    labels: Mapping[str, str],
    environment: Mapping[str, str],
    *,
    host_config: Mapping[str, Any],
    name: str | None = None,
) -> Reservation:
    """The plan for a container of an image (as the Engine's inspect tells of it) with these labels and variables.

    Of `host_config`, which is what the Engine's API takes, Binds, Mounts and Tmpfs count.
    """
    config = image.get("Config") or {}
    own = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    tree = Tree(_UNKNOWN, _over(host_config, config.get("Volumes") or {}))
    channel = f"docker-{secrets.token_hex(8)}"
    container = Container(
        labels={**(config.get("Labels") or {}), **labels},
        environment={**own, **environment},
        name=name,
        image=reference,
        machine=_MACHINES.get(image.get("Architecture", ""), image.get("Architecture") or None),
        targets=tree.mounted,
        left=tree.left_on_host(TARGET),
    )
    settings = InjectionSettings(
        machine=os.uname().machine, libraries=directory.libraries(), spool=str(directory.spool_of(channel))
    )
    return Reservation(channel, plan_container(container, settings))


def _over(host_config: Mapping[str, Any], volumes: Collection[str]) -> list[Over]:
    """What a container will have mounted, in the Engine's order: what lies deeper comes later."""
    binds = [bind.split(":") for bind in host_config.get("Binds") or ()]
    over = [Over(target, _VOLUME) for target in volumes]
    over += [Over(bind[1], bind[0]) if len(bind) > 1 else Over(bind[0], _VOLUME) for bind in binds]
    over += [Over(target, None) for target in host_config.get("Tmpfs") or ()]
    for mount in host_config.get("Mounts") or ():
        over.append(Over(mount["Target"], None if mount.get("Type") == "tmpfs" else mount.get("Source") or _VOLUME))
    return sorted(over, key=lambda one: one.destination.rstrip("/").count("/"))


def open_channel(directory: HostDirectory, reservation: Reservation, told: Mapping[str, Any], digest: str) -> Channel:
    """Make the channel of a container that was created (`told` is what inspect says). Raises OSError or SpoolError."""
    config = told["Config"]
    labels = config.get("Labels") or {}
    identity = Identity(
        id=told["Id"],
        name=told["Name"].removeprefix("/"),
        image=config["Image"],
        digest=digest,
        labels=labels,
        project=labels.get("com.docker.compose.project"),
        service=labels.get("com.docker.compose.service"),
    )
    return directory.add(reservation.name, identity, level=reservation.plan.level, active=False)


def digest_of(image: Mapping[str, Any]) -> str:
    """That of the manifest under which an image was pulled, else of its configuration."""
    pulled = [name.partition("@")[2] for name in image.get("RepoDigests") or ()]
    return pulled[0] if pulled else str(image["Id"])


def end_removed(directory: HostDirectory, engine: Engine) -> list[Channel]:
    """End the channels of containers that do not exist any more; those of our runtime end by themselves."""
    ended = []
    for channel in directory.channels():
        if CHANNEL in channel.identity.labels and channel.ended() is None and not engine.inspect(channel.identity.id):
            channel.end(time.time_ns())
            ended.append(channel)
    return ended
