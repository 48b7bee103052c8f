"""OCI bundles: what config.json tells of a container, and config.json as a plan wants it."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from interpose.injector.container import STATUS, TARGET, Container, ContainerPlan
from interpose.injector.executable import Program, program_of
from interpose.injector.tree import EndlessError, Over, Tree

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
    tree = Tree(posixpath.join(bundle, config["root"]["path"]), _over(config, bundle))
    first, unknown = _first_program(tree, arguments, environment.get("PATH"), process.get("cwd", "/"))
    stack = next((limit["soft"] for limit in process.get("rlimits") or () if limit["type"] == "RLIMIT_STACK"), None)
    return Container(
        labels={**labels, **(config.get("annotations") or {})},
        environment=environment,
        arguments=arguments,
        name=name,
        image=image,
        machine=first.machine if first else None,
        static=first is not None and first.static,
        unknown=unknown,
        targets=tree.mounted,
        left=tree.left_on_host(TARGET),
        stack=stack,
    )


def _over(config: Mapping[str, Any], bundle: str) -> Iterator[Over]:
    """What a bundle mounts, with the sources of what comes from the host."""
    for mount in config.get("mounts") or ():
        bound = mount.get("type") == "bind" or {"bind", "rbind"} & set(mount.get("options") or ())
        yield Over(mount["destination"], posixpath.join(bundle, mount["source"]) if bound else None)


def _first_program(
    tree: Tree, arguments: tuple[str, ...], path: str | None, directory: str
) -> tuple[Program | None, str | None]:
    """What a container executes first, or why that is not known."""
    command = arguments
    if command[:1] and command[0] in _INITS:
        command = command[command.index("--") + 1 :] if "--" in command else command[1:]
    try:
        return program_of(tree, command[0], path, directory) if command else None, None
    except EndlessError as error:
        return None, f"what its first program is built for is not known: {error}"


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
