"""OCI bundles: what config.json tells of a container, and config.json as a plan wants it."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from interpose.injector.container import STATUS, TARGET, Container, ContainerPlan
from interpose.injector.executable import Program, program_of
from interpose.injector.tree import EndlessError, Over, Tree
from interpose.sidecar.unseen import Unseen

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
        unseen=_unseen(config, first),
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
    command = _command(arguments)
    try:
        return program_of(tree, command[0], path, directory) if command else None, None
    except EndlessError as error:
        return None, f"what its first program is built for is not known: {error}"


def _command(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """What a container is for: an init that the engine puts before it is none."""
    if arguments[:1] and arguments[0] in _INITS:
        return arguments[arguments.index("--") + 1 :] if "--" in arguments else arguments[1:]
    return arguments


def _unseen(config: Mapping[str, Any], first: Program | None) -> Unseen | None:
    """The first program as it is told of where it runs unseen."""
    process = config["process"]
    arguments = tuple(process.get("args") or ())
    command = _command(arguments)
    user, group = (process.get("user") or {}).get("uid", 0), (process.get("user") or {}).get("gid", 0)
    linux = config.get("linux") or {}
    owner, owning_group = _on_host(linux.get("uidMappings"), user), _on_host(linux.get("gidMappings"), group)
    gains = not process.get("noNewPrivileges", False)
    cause = None if first is None else first.cause(owner, owning_group, gains=gains)
    if first is None or cause is None:
        return None
    own_pids = any(each.get("type") == "pid" and not each.get("path") for each in linux.get("namespaces") or ())
    return Unseen(
        cause,
        first.path,
        command,
        process.get("cwd", "/"),
        user,
        group,
        first.device,
        first.inode,
        first.birth_time,
        first.mode,
        pid=1 if own_pids and command == arguments else 0,
    )


def _on_host(mappings: Iterable[Mapping[str, int]] | None, number: int) -> int:
    """How the host knows a user or group of the container."""
    for mapping in mappings or ():
        if mapping["containerID"] <= number < mapping["containerID"] + mapping["size"]:
            return mapping["hostID"] + number - mapping["containerID"]
    return number


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
