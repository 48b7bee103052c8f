"""OCI bundles: what config.json tells of a container, and config.json as a plan wants it."""

import posixpath
from collections.abc import Mapping
from typing import Any

from interpose.injector.container import STATUS, Container, ContainerPlan
from interpose.injector.executable import program_of

__all__ = ["describe", "edit", "edit_process", "group_of_root", "variables_of"]

_INITS = ("/sbin/docker-init", "/dev/init", "/run/podman-init")
"""What `--init` puts before the command: a program of the engine's own, mounted into the container."""


def describe(
    config: Mapping[str, Any], bundle: str, labels: Mapping[str, str], name: str | None, image: str | None
) -> Container:
    """A bundle as the plan sees it. `labels` are what the engine tells; the bundle's annotations go before them."""
    process = config["process"]
    environment = variables_of(process)
    arguments = tuple(process.get("args") or ())
    root = posixpath.join(bundle, config["root"]["path"])
    command = arguments
    if command[:1] and command[0] in _INITS:
        command = command[command.index("--") + 1 :] if "--" in command else command[1:]
    stack = next((limit["soft"] for limit in process.get("rlimits") or () if limit["type"] == "RLIMIT_STACK"), None)
    first = program_of(root, command[0], environment.get("PATH"), process.get("cwd", "/")) if command else None
    return Container(
        labels={**labels, **(config.get("annotations") or {})},
        environment=environment,
        arguments=arguments,
        name=name,
        image=image,
        machine=first.machine if first else None,
        static=first is not None and first.static,
        targets=frozenset(posixpath.normpath(mount["destination"]) for mount in config.get("mounts") or ()),
        stack=stack,
    )


def edit(config: Mapping[str, Any], plan: ContainerPlan) -> dict[str, Any]:
    """The configuration with which a captured container starts."""
    mounts = [
        {
            "destination": mount.target,
            "type": "bind",
            "source": mount.source,
            "options": ["bind", "private", "nosuid", "nodev", *(("ro",) if mount.read_only else ("rw", "noexec"))],
        }
        for mount in plan.mounts
    ]
    return {
        **config,
        "process": edit_process(config["process"], plan.environment),
        "mounts": [*(config.get("mounts") or ()), *mounts],
        "annotations": {**(config.get("annotations") or {}), STATUS: "captured"},
    }


def edit_process(process: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """A process with these variables set; the first entry of each is replaced, what comes later would win over it."""
    left = dict(environment)
    entries = []
    for entry in process.get("env") or ():
        name = entry.partition("=")[0]
        if name not in environment:
            entries.append(entry)
        elif name in left:
            entries.append(f"{name}={left.pop(name)}")
    return {**process, "env": [*entries, *(f"{name}={value}" for name, value in left.items())]}


def group_of_root(config: Mapping[str, Any]) -> int | None:
    """Whom the host knows as the group of the container's root; None if that is root's own, or nobody's."""
    for mapping in (config.get("linux") or {}).get("gidMappings") or ():
        if mapping["containerID"] <= 0 < mapping["containerID"] + mapping["size"]:
            return int(mapping["hostID"]) or None
    return None


def variables_of(process: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a process; of a name that stands in it twice the last value counts."""
    pairs = (entry.partition("=") for entry in process.get("env") or ())
    return {name: value for name, _, value in pairs}
