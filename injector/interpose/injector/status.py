"""How things stand with the containers of a host: what `interpose docker status` tells."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from interpose.injector.builds import goes_through
from interpose.injector.engine import Engine
from interpose.injector.errors import EngineError
from interpose.injector.host import launcher_of
from interpose.injector.installation import installation_of
from interpose.sidecar.hostdir import HostDirectory

__all__ = ["CaptureLine", "StatusLine", "captures", "runtime_status"]

_MOST_DECISIONS = 1000


@dataclass(frozen=True, slots=True)
class StatusLine:
    """The installation."""

    host: str
    runtime: str | None
    """The name under which it is installed."""
    default: bool
    """Whether the Engine uses it for containers that name none."""
    engine: str | None
    """The Engine's version; None if it does not answer."""
    builds: bool | None
    """Whether what is built goes through it, too; None if that cannot be told."""
    serving: bool
    """Whether a sidecar looks after the host directory."""
    problem: str | None


@dataclass(frozen=True, slots=True)
class CaptureLine:
    """What became of a container that was asked to be captured."""

    time: int
    id: str
    name: str | None
    image: str | None
    state: str
    """`running`, `ended` (and not stored to its end yet), `stored`, `skipped` or `failed`."""
    reason: str


def runtime_status(host: Path, url: str | None) -> StatusLine:
    """Ask the Engine and look at the host directory."""
    present = installation_of(host)
    version, default, builds, problem = None, False, None, None
    try:
        with Engine(url) as engine:
            info, environment = engine.info(), engine.environment()
    except EngineError as error:
        problem = str(error)
    else:
        builds = None if environment is None else goes_through(environment, host)
        version = str(info.get("ServerVersion"))
        if present is not None:
            known = info["Runtimes"].get(present.name) or {}
            default = info["DefaultRuntime"] == present.name
            if known.get("path") != str(launcher_of(host)):
                problem = f"the Engine does not know the runtime {present.name}: install it again"
            elif not launcher_of(host).exists():
                problem = f"{launcher_of(host)} is gone: install it again"
    serving = HostDirectory(host).is_served()
    return StatusLine(str(host), present.name if present else None, default, version, builds, serving, problem)


def captures(host: Path) -> Iterator[CaptureLine]:
    """The last decisions, the oldest first, and what became of each."""
    directory = HostDirectory(host)
    channels = {channel.directory.name: channel for channel in directory.channels()}
    for decision in list(directory.noted())[-_MOST_DECISIONS:]:
        state = decision.outcome
        if state in ("captured", "unseen"):
            channel = channels.get(decision.channel or "")
            state = "stored" if channel is None else "running" if channel.ended() is None else "ended"
        yield CaptureLine(decision.time, decision.id, decision.name, decision.image, state, decision.reason)
