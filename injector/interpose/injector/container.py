"""Whether and how a container is captured: a pure function of what is known of it. Adapters only carry it out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from interpose.injector.plan import PRELOAD, merge_preload
from interpose.sidecar.unseen import Unseen

__all__ = [
    "BUILD",
    "CAPTURE",
    "CAPTURE_VARIABLE",
    "CONTAINERS",
    "LEVEL",
    "LIBRARY_PATH",
    "SPOOL_TARGET",
    "STATUS",
    "TARGET",
    "Container",
    "ContainerPlan",
    "InjectionSettings",
    "Mount",
    "plan_container",
    "plan_exec",
]

BUILD: Final = "interpose.dev/build"
"""`true` for a step of a build; written by us."""
CAPTURE: Final = "interpose.dev/capture"
"""`true` asks for capture, `false` forbids it."""
CONTAINERS: Final = "interpose.dev/containers"
"""Names of containers, separated by commas: of all that share the annotations only these are meant."""
LEVEL: Final = "interpose.dev/level"
"""`summary` or `calls`."""
STATUS: Final = "interpose.dev/status"
"""What became of it; written by us."""
CAPTURE_VARIABLE: Final = "INTERPOSE_CAPTURE"
"""An environment variable that says the same as the label, for those who cannot set one."""

TARGET: Final = "/dev/interpose"
"""Where the library is in a container. /dev is a file system in memory in every container, so nothing of ours gets into
an image that is made of one, a read-only root does not matter, and no program mounts over it."""
SPOOL_TARGET: Final = f"{TARGET}/spool"
LIBRARY_PATH: Final = f"{TARGET}/libinterpose.so"

_LEVELS: Final = ("summary", "calls")
_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")
_LONGEST_STRING: Final = 131072
"""MAX_ARG_STRLEN: what execve(2) takes as one string, its zero byte included."""
_SPARE: Final = 4096
"""Bytes beside arguments and environment that the kernel counts too: the program's name, the auxiliary vector."""
_POINTER: Final = 8
_STACK: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the host that is to be seen in the container."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Container:
    """What is known of a container before it starts."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels and, where they differ, the annotations' values."""
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    name: str | None = None
    image: str | None = None
    """As its user named it."""
    machine: str | None = None
    """What its first program is built for, as uname(2) calls it; None if that could not be found out."""
    unseen: Unseen | None = None
    """Its first program, if that runs unseen; what it starts need not."""
    unknown: str | None = None
    """What could not be found out about its first program, and why."""
    targets: frozenset[str] = frozenset()
    """Where something is mounted in it already."""
    left: str | None = None
    """The directory that a mount at TARGET would leave on the host."""
    stack: int | None = None
    """The limit of its stack in bytes, a quarter of which execve(2) takes as arguments; None for the usual one."""


@dataclass(frozen=True, slots=True)
class InjectionSettings:
    """What the host has to offer."""

    machine: str
    """The host's own, as uname(2) calls it."""
    libraries: Mapping[str, str]
    """Directories by machine, each with a libinterpose.so and an empty directory `spool`."""
    spool: str
    """The spool's directory for this container."""
    level: str = "summary"
    images: tuple[str, ...] = ()
    """Patterns (fnmatch) of images whose containers are captured without being asked for."""
    builds: bool = False
    """Whether the steps of builds are."""


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """How a container is started."""

    captured: bool
    reason: str
    """What asked for the capture, or why there is none."""
    asked: bool = True
    """False for a container that nobody wants to be captured: nothing is said of it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables to set; all others stay as they are."""
    mounts: tuple[Mount, ...] = ()
    level: str = "summary"


def plan_container(container: Container, settings: InjectionSettings) -> ContainerPlan:
    """The plan for a container. The same container planned twice, before and after, comes out the same."""
    wanted, reason = _wish(container, settings)
    if not wanted:
        return ContainerPlan(captured=False, reason=reason, asked=wanted is None)
    machine = container.machine or settings.machine
    directory = settings.libraries.get(machine)
    level = container.labels.get(LEVEL, settings.level)
    if directory is None:
        return ContainerPlan(captured=False, reason=f"its first program is for {machine}: there is no library for that")
    if level not in _LEVELS:
        return ContainerPlan(captured=False, reason=f"{LEVEL}={level}: neither summary nor calls")
    if any(target == TARGET or target.startswith(f"{TARGET}/") for target in container.targets):
        return ContainerPlan(captured=False, reason=f"something is mounted at {TARGET} already")
    if container.left is not None:
        reason = f"its mount would leave a directory on the host: make {container.left} there if it may stay"
        return ContainerPlan(captured=False, reason=reason)
    preload = merge_preload(container.environment.get(PRELOAD), LIBRARY_PATH)
    if not _has_room(container, preload):
        return ContainerPlan(captured=False, reason=f"its environment and arguments leave no room for {PRELOAD}")
    if container.unseen is not None:
        reason += f"; its first program {_WHY[container.unseen.cause]} and runs unseen"
    if container.unknown is not None:
        reason += f"; {container.unknown}"
    mounts = (Mount(directory, TARGET, read_only=True), Mount(settings.spool, SPOOL_TARGET, read_only=False))
    return ContainerPlan(captured=True, reason=reason, environment={PRELOAD: preload}, mounts=mounts, level=level)


_WHY: Final = {"static": "is linked statically", "secure_exec": "gains privileges"}


def plan_exec(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Variables to set for a program that is started in a captured container beside its first one."""
    return {PRELOAD: merge_preload(environment.get(PRELOAD), LIBRARY_PATH)}


def _wish(container: Container, settings: InjectionSettings) -> tuple[bool | None, str]:
    """Whether capture is wanted, None for what is asked for in a wrong way, and who says so."""
    for key, value in ((CAPTURE, container.labels.get(CAPTURE)), (CAPTURE_VARIABLE, _variable(container))):
        if value is None:
            continue
        word = value.strip().lower()
        if word not in (*_TRUE, *_FALSE):
            return None, f"{key}={value}: neither true nor false"
        if word in _TRUE and not _is_meant(container):
            return False, f"{CONTAINERS} does not name it"
        return word in _TRUE, f"{key}={value}"
    if settings.builds and container.labels.get(BUILD) == "true":
        return True, "every build is captured"
    for pattern in settings.images:
        if container.image is not None and fnmatchcase(container.image, pattern):
            return True, f"the image is like {pattern}"
    return False, "nobody asked for it"


def _variable(container: Container) -> str | None:
    return container.environment.get(CAPTURE_VARIABLE)


def _is_meant(container: Container) -> bool:
    names = container.labels.get(CONTAINERS)
    return names is None or container.name in [name for name in re.split(r"[,\s]+", names) if name]


def _has_room(container: Container, preload: str) -> bool:
    """Whether execve(2) takes arguments and environment also with LD_PRELOAD, which is not our doing without it."""
    if len(f"{PRELOAD}={preload}".encode()) >= _LONGEST_STRING:
        return False
    environment = {**container.environment, PRELOAD: preload}
    strings = [*container.arguments, *(f"{name}={value}" for name, value in environment.items())]
    size = sum(len(string.encode("utf-8", "surrogatepass")) + 1 + _POINTER for string in strings)
    stack = _STACK if container.stack is None else container.stack
    return size + _SPARE <= max(min(stack // 4, _STACK // 4 * 3), _LONGEST_STRING)
