"""Containers that carry the label and are not captured: found, and made anew where that is allowed."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from interpose.injector.container import CAPTURE
from interpose.injector.engine import Engine
from interpose.injector.errors import EngineError
from interpose.injector.host import launcher_of
from interpose.injector.mounts import CHANNEL, digest_of, end_removed, open_channel, reserve
from interpose.sidecar.container_id import ContainerId
from interpose.sidecar.errors import InterposeError
from interpose.sidecar.hostdir import HostDirectory

__all__ = ["RECREATE", "Finding", "look", "watch"]

RECREATE: Final = "interpose.dev/recreate"
"""`true` allows to make the container anew, with the same settings: what it wrote into its own root is lost."""
_TRUE: Final = ("true", "yes", "on", "1")
_FORMER: Final = "-before-interpose"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about a container, and what was done."""

    container: str
    """Its name."""
    outcome: str
    """`captured`, `recreated`, `reported` or `failed`."""
    reason: str


def watch(engine: Engine, directory: HostDirectory) -> Iterator[Finding]:
    """Look at what runs, and then at each container that starts; end the channels of those that are removed."""
    yield from look(engine, directory)
    for event in engine.events():
        if event.get("Action") == "destroy":
            end_removed(directory, engine)
        elif event.get("Action") == "start":
            told = engine.inspect(event["id"])
            if told is not None and CAPTURE in (told["Config"].get("Labels") or {}):
                yield from _judge(engine, directory, told)


def look(engine: Engine, directory: HostDirectory) -> Iterator[Finding]:
    """Every container that runs and carries the label."""
    end_removed(directory, engine)
    for told in engine.containers(label=CAPTURE):
        yield from _judge(engine, directory, told)


def _judge(engine: Engine, directory: HostDirectory, told: dict[str, Any]) -> Iterator[Finding]:
    name, labels = told["Name"].removeprefix("/"), told["Config"].get("Labels") or {}
    if labels[CAPTURE].strip().lower() not in _TRUE:
        return
    if CHANNEL in labels or directory.active_name(ContainerId(told["Id"])) is not None:
        yield Finding(name, "captured", "by mounts" if CHANNEL in labels else "by the runtime")
    elif labels.get(RECREATE, "").strip().lower() not in _TRUE:
        yield Finding(name, "reported", f"it was started without capture, and {RECREATE}=true is not set")
    elif told["HostConfig"].get("AutoRemove"):
        yield Finding(name, "reported", "it removes itself when it is stopped, so it cannot be made anew")
    else:
        try:
            yield Finding(name, "recreated", _recreate(engine, directory, told, name))
        except (InterposeError, OSError) as error:
            yield Finding(name, "failed", str(error))


def _recreate(engine: Engine, directory: HostDirectory, told: dict[str, Any], name: str) -> str:
    """Put a container with the same settings in another's place; that comes back if anything fails."""
    body, how = _body(told), "with the runtime"
    runtime = _our_runtime(engine, directory)
    reservation = None
    image = engine.image(told["Image"])
    if runtime is not None:
        body["HostConfig"]["Runtime"] = runtime
    else:
        how = "with mounts"
        variables = dict(entry.partition("=")[::2] for entry in body.get("Env") or ())
        labels = body.get("Labels") or {}
        reservation = reserve(
            directory, image, body["Image"], labels, variables, host_config=body["HostConfig"], name=name
        )
        if not reservation.plan.captured:
            raise EngineError(reservation.plan.reason)
        variables.update(reservation.plan.environment)
        body["Env"] = [f"{key}={value}" for key, value in variables.items()]
        body["Labels"] = {**(body.get("Labels") or {}), CHANNEL: reservation.name}
        body["HostConfig"]["Binds"] = [*(body["HostConfig"].get("Binds") or ()), *reservation.binds()]
    engine.rename(told["Id"], f"{name}{_FORMER}")
    made = None
    try:
        engine.stop(told["Id"])
        made = engine.create_like(name, body)
        if reservation is not None:
            open_channel(directory, reservation, engine.inspect(made) or {}, digest_of(image))
        for network, settings in _further_networks(told).items():
            engine.connect(made, network, settings)
        engine.start(made)
    except BaseException:
        if made is not None:
            with contextlib.suppress(EngineError):
                engine.remove(made)
        engine.rename(told["Id"], name)
        engine.start(told["Id"])
        raise
    engine.remove(told["Id"])
    return how


def _our_runtime(engine: Engine, directory: HostDirectory) -> str | None:
    launcher = str(launcher_of(directory.path))
    runtimes = engine.info()["Runtimes"]
    return next((name for name, known in runtimes.items() if known.get("path") == launcher), None)


def _body(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the Engine's create call takes, from what its inspect call tells."""
    host = dict(told["HostConfig"])
    declared = {bind.split(":")[1] for bind in host.get("Binds") or () if ":" in bind}
    declared |= {mount["Target"] for mount in host.get("Mounts") or ()}
    nameless = [
        f"{mount['Name']}:{mount['Destination']}"
        for mount in told.get("Mounts") or ()
        if mount.get("Type") == "volume" and mount["Destination"] not in declared
    ]
    host["Binds"] = [*(host.get("Binds") or ()), *nameless]
    body = {**told["Config"], "HostConfig": host}
    if body.get("Hostname") == told["Id"][:12]:
        del body["Hostname"]  # it was not given
    networks = told["NetworkSettings"].get("Networks") or {}
    first = host.get("NetworkMode")
    if first in networks:
        body["NetworkingConfig"] = {"EndpointsConfig": {first: _endpoint(told, networks[first])}}
    return body


def _further_networks(told: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    networks = told["NetworkSettings"].get("Networks") or {}
    first = told["HostConfig"].get("NetworkMode")
    return {
        name: _endpoint(told, settings)
        for name, settings in networks.items()
        if name != first and not (first == "default" and name == "bridge")
    }


def _endpoint(told: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A connection as its user asked for it: without what the Engine has added."""
    kept = {key: settings.get(key) for key in ("IPAMConfig", "Links", "DriverOpts")}
    aliases = [alias for alias in settings.get("Aliases") or () if alias != told["Id"][:12]]
    return {key: value for key, value in {**kept, "Aliases": aliases}.items() if value}
