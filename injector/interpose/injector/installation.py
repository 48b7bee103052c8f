"""Registering `interpose-oci` with the Docker Engine, and taking it away again as if it had never been.

What is changed in the Engine's configuration is one file; what it was stays in the host directory, byte for byte.
Nothing counts as installed before a real container was captured and another one was left alone.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from interpose.injector import daemon_config
from interpose.injector.builds import drop_in_of, folder_of, goes_through, is_named, put_drop_in, take_drop_in
from interpose.injector.container import CAPTURE
from interpose.injector.engine import Engine
from interpose.injector.errors import EngineError, InstallationError
from interpose.injector.host import install_host, launcher_of, remove_host, wrapped_by
from interpose.sidecar.hostdir import HostDirectory
from interpose.sidecar.shared import remove_tree

__all__ = ["Installation", "Request", "install", "installation_of", "uninstall"]

_BEFORE: Final = "daemon.json.before"
_RECORD: Final = "installation.json"
_RELOAD_SECONDS: Final = 15.0
_MOST_LAUNCHERS: Final = 8
_LIBRARIES: Final = ("/bin", "/lib", "/lib64", "/usr")
"""What a program of the host needs, mounted into an empty image to see whether containers work: nothing is pulled."""
_LOOK: Final = ["/bin/grep", "-c", "libinterpose.so", "/proc/self/maps"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be installed."""

    host: Path
    config: Path
    name: str = "interpose"
    default: bool = False
    """Whether all containers go through it, also those that ask for no runtime."""
    runtime: str | None = None
    """The real runtime; None for the one that the Engine uses by default."""
    level: str = "summary"
    images: tuple[str, ...] = ()
    builds: bool = False
    """Whether the steps of every build are captured unasked."""
    owner: tuple[int, int] = (0, 0)
    """Whom the sidecar runs as."""
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Installation:
    """What was installed."""

    name: str
    config: str
    existed: bool
    """Whether the configuration file was there before."""
    written: str
    """The file as we left it."""
    former_default: str | None
    drop_in: str | None = None
    """The file by which dockerd's unit is told of builds."""


def installation_of(host: Path) -> Installation | None:
    """What is installed in a host directory, None if nothing is."""
    try:
        return Installation(**json.loads((host / _RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InstallationError(f"{host / _RECORD} makes no sense: {error}; remove {host} by hand") from error


def install(request: Request, engine: Engine) -> list[str]:
    """Install, or renew what is installed. Returns what is left to say.

    Raises InstallationError or EngineError; then everything is as it was.
    """
    present = installation_of(request.host)
    if present is not None and (present.name, present.config) != (request.name, str(request.config)):
        raise InstallationError(
            f"{request.host} is installed as the runtime {present.name} of {present.config}: uninstall that first"
        )
    before = _read(request.config)
    text = before.decode("utf-8") if before is not None else ""
    runtime = _real_runtime(request, present, engine, daemon_config.parse(text, str(request.config)))
    launcher = str(launcher_of(request.host))
    changed = daemon_config.with_runtime(text, str(request.config), request.name, launcher, default=request.default)
    _validate(changed)
    fresh = not request.host.exists()
    try:
        install_host(
            request.host, runtime=runtime, level=request.level, images=request.images, owner=request.owner,
            builds=request.builds,
        )  # fmt: skip
        _remember(request, present, before, changed)
        _write(request.config, changed.encode(), like=request.config)
        _apply(engine, request.name, launcher, default=request.default)
        if request.verify:
            _verify(engine, request)
        return _reach_builds(engine, request.host) if request.default or request.builds else []
    except BaseException as error:
        with contextlib.suppress(EngineError, InstallationError):
            if present is None and _read(request.config) == changed.encode():
                _revoke(engine, request.config, request.name, daemon_config.parse(text, "").get("default-runtime"))
        _restore(request.config, before)
        with contextlib.suppress(EngineError):
            engine.reload()
        if present is None:
            (request.host / _RECORD).unlink(missing_ok=True)
            (request.host / _BEFORE).unlink(missing_ok=True)
        if fresh:
            remove_host(request.host)
        if isinstance(error, OSError):
            raise InstallationError(f"cannot install: {error.filename}: {error.strerror}") from error
        raise


def uninstall(host: Path, engine: Engine, *, force: bool) -> list[str]:
    """Give the Engine its configuration back and remove the host directory. Returns what is left to say.

    Raises InstallationError if containers need the runtime and `force` is not given, or if events are not stored yet.
    """
    present = installation_of(host)
    if present is None:
        raise InstallationError(f"nothing is installed in {host}")
    needing = [
        row["Name"].removeprefix("/")
        for row in engine.containers(everything=True)
        if (row.get("HostConfig") or {}).get("Runtime") == present.name
    ]
    if needing and not force:
        raise InstallationError(
            f"{len(needing)} containers were made with the runtime {present.name} and cannot start without it: "
            f"{', '.join(sorted(needing)[:5])}; remove them first, or use --force"
        )
    waiting = list(HostDirectory(host).channels())
    if waiting and not force:
        raise InstallationError(
            f"{len(waiting)} containers are not stored to their end: run `interpose host {host}` first, or use --force"
        )
    environment = engine.environment()
    if environment is not None and is_named(environment, host) and not force:
        raise InstallationError(
            "dockerd was started with our launcher as DOCKER_BUILDKIT_RUNC_COMMAND and could build nothing without it: "
            "start it without that first, or use --force"
        )
    said = []
    if present.drop_in is not None:
        take_drop_in(Path(present.drop_in))
    config = Path(present.config)
    now = _read(config)
    _revoke(engine, config, present.name, present.former_default)
    if now == present.written.encode() or now is None:
        _restore(config, (host / _BEFORE).read_bytes() if present.existed else None)
    else:
        kept = daemon_config.without_runtime(now.decode("utf-8"), str(config), present.name, present.former_default)
        _write(config, kept.encode(), like=config)
        said.append(f"{config} was changed since: only the runtime was taken out of it")
    engine.reload()
    if not remove_host(host):
        said.append(f"{host} could not be removed whole")
    return said


def _revoke(engine: Engine, config: Path, name: str, former_default: str | None) -> None:
    """Have the Engine forget the runtime, before the configuration becomes what it was, which would not do that."""
    text = (_read(config) or b"").decode("utf-8")
    _write(config, daemon_config.revoking(text, str(config), name, former_default).encode(), like=config)
    engine.reload()

    def is_gone() -> bool:
        info = engine.info()
        return name not in info["Runtimes"] and info["DefaultRuntime"] != name

    _wait_until(is_gone, "the Engine still knows the runtime")


def _reach_builds(engine: Engine, host: Path) -> list[str]:
    """Have builds go through the launcher, from dockerd's next start on where it is a unit of systemd's."""
    environment, process = engine.environment(), engine.process()
    if environment is None or process is None:
        return [f"cannot tell how dockerd was started: builds are captured if its PATH begins with {folder_of(host)}"]
    if goes_through(environment, host):
        return []
    drop_in = drop_in_of((process / "cgroup").read_text(encoding="utf-8"))
    if drop_in is None:
        return [f"builds are not captured: start dockerd with a PATH that begins with {folder_of(host)}"]
    record = installation_of(host)
    if record is not None:
        (host / _RECORD).write_text(json.dumps(asdict(replace(record, drop_in=str(drop_in)))), encoding="utf-8")
    put_drop_in(drop_in, host, environment)
    return [f"builds are captured when dockerd is started again ({drop_in}): systemctl restart {drop_in.parent.stem}"]


def _real_runtime(request: Request, present: Installation | None, engine: Engine, settings: dict[str, Any]) -> str:
    """The program that the launcher is to call. Never a launcher: each would ask anew what is captured already."""
    if request.runtime is not None:
        found = shutil.which(request.runtime)
        if found is None:
            raise InstallationError(f"no program {request.runtime}")
        wrapped = wrapped_by(found)
        if wrapped is not None:
            raise InstallationError(f"{found} is interpose-oci itself: name the runtime that it calls, {wrapped}")
        return os.path.abspath(found)  # noqa: PTH100 - what it is a link to may change
    if present is not None:
        return _unwrapped(str(json.loads((request.host / "settings.json").read_text(encoding="utf-8"))["runtime"]))
    name = daemon_config.default_runtime(settings)
    known = engine.info()["Runtimes"].get(name) or {}
    path = shutil.which(known.get("path") or name)
    if path is None:
        raise InstallationError(f"cannot find the Engine's runtime {name}: name a program with --runtime")
    return _unwrapped(os.path.abspath(path))  # noqa: PTH100


def _unwrapped(program: str) -> str:
    """The real runtime behind launchers of ours: another host directory may be installed as the Engine's default."""
    for _ in range(_MOST_LAUNCHERS):
        wrapped = wrapped_by(program)
        if wrapped is None:
            return program
        program = wrapped
    raise InstallationError(f"{program} is interpose-oci itself: name the real runtime with --runtime")


def _validate(text: str) -> None:
    """Ask the Engine's own program, if it is here and knows how, whether it would take the file."""
    program = shutil.which("dockerd")
    if program is None:
        return
    reading, writing = os.pipe()
    try:
        os.write(writing, text.encode())
        os.close(writing)
        answer = subprocess.run(
            [program, "--validate", "--config-file", f"/proc/self/fd/{reading}"],
            pass_fds=[reading], capture_output=True, text=True, check=False, timeout=_RELOAD_SECONDS,
        )  # fmt: skip
    finally:
        os.close(reading)
    if answer.returncode and "unknown flag" not in answer.stderr:
        raise InstallationError(f"the Docker Engine would not take the configuration: {answer.stderr.strip()}")


def _remember(request: Request, present: Installation | None, before: bytes | None, changed: str) -> None:
    if present is None:
        if before is not None:
            (request.host / _BEFORE).write_bytes(before)
        former = daemon_config.parse((before or b"").decode("utf-8"), str(request.config)).get("default-runtime")
        record = Installation(request.name, str(request.config), before is not None, changed, former)
    elif before == present.written.encode():
        record = replace(present, written=changed)
    else:
        return  # somebody else has written there: what was before is not what to go back to
    (request.host / _RECORD).write_text(json.dumps(asdict(record)), encoding="utf-8")


def _apply(engine: Engine, name: str, launcher: str, *, default: bool) -> None:
    engine.reload()

    def is_there() -> bool:
        info = engine.info()
        known = info["Runtimes"].get(name) or {}
        return known.get("path") == launcher and (not default or info["DefaultRuntime"] == name)

    _wait_until(is_there, "the Engine does not take the configuration: its log says why")


def _wait_until(done: Any, problem: str) -> None:
    deadline = time.monotonic() + _RELOAD_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise InstallationError(problem)
        time.sleep(0.1)


def _verify(engine: Engine, request: Request) -> None:
    """One container that asks for capture has the library, one that does not has nothing."""
    image = engine.empty_image()
    volumes = {path: {"bind": path, "mode": "ro"} for path in _LIBRARIES if Path(path).exists()}
    options = {"runtime": request.name, "network_mode": "none", "volumes": volumes}
    try:
        container, status, said = engine.run(image, _LOOK, labels={CAPTURE: "true"}, **options)
        _forget(request.host, container)
        if status:
            raise InstallationError(f"a container that asked for it was not captured: {said.strip() or _last(request)}")
        _, status, said = engine.run(image, _LOOK, **options)
        if status != 1:
            raise InstallationError(f"a container that did not ask ended with status {status}: {said.strip()}")
    finally:
        engine.remove_image(image)


def _forget(host: Path, container: str) -> None:
    """Nobody wants to know what the container of the verification did; a sidecar that runs may have it already."""
    for channel in HostDirectory(host).channels():
        if channel.identity.id == container:
            remove_tree(channel.directory)


def _last(request: Request) -> str:
    decisions = list(HostDirectory(request.host).noted())
    return decisions[-1].reason if decisions else "interpose-oci was not called"


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _restore(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink(missing_ok=True)
    else:
        _write(file, content, like=file)


def _write(file: Path, content: bytes, *, like: Path) -> None:
    """Replace a file at once, keeping owner and permissions."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.interpose")
    draft.write_bytes(content)
    with contextlib.suppress(FileNotFoundError):
        status = like.stat()
        os.chown(draft, status.st_uid, status.st_gid)
        draft.chmod(status.st_mode & 0o777)
    draft.replace(file)
