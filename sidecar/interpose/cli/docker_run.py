"""`interpose docker run`: a container that is captured, on an Engine without our runtime."""

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from interpose.cli.docker_options import engine_option, host_option
from interpose.cli.options import level_names_option
from interpose.cli.output import complain
from interpose.injector.attachment import Attachment
from interpose.injector.container import CAPTURE, LEVEL
from interpose.injector.engine import Engine
from interpose.injector.errors import EngineError
from interpose.injector.mounts import CHANNEL, Reservation, digest_of, end_removed, open_channel, prepare, reserve
from interpose.sidecar.errors import InterposeError
from interpose.sidecar.hostdir import HostDirectory

__all__ = ["run"]

F = TypeVar("F", bound=Callable[..., Any])

_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_PORT: Final = re.compile(r"(?:(?:(?P<ip>[^:]*|\[[^\]]*\]):)?(?P<host>[0-9]*):)?(?P<inside>[0-9]+(?:/\w+)?)")
_ENGINE_FAILED: Final = 125


def _many(*names: str, help: str) -> Callable[[F], F]:  # noqa: A002 - click's word
    return click.option(*names, multiple=True, help=help)


@click.command(
    short_help="Run a captured container, without the runtime.", context_settings={"allow_interspersed_args": False}
)
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@host_option
@engine_option
@level_names_option
@click.option("-d", "--detach", is_flag=True, help="Do not wait for it; print its id.")
@click.option("-i", "--interactive", "stdin_open", is_flag=True, help="Give it standard input.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("--rm", "auto_remove", is_flag=True, help="Remove it when it ends.")
@click.option("--name", help="Its name.")
@_many("-e", "--env", help="NAME=VALUE, or NAME for the value that it has here.")
@_many("--env-file", help="A file of such lines.")
@_many("-v", "--volume", "volumes", help="A bind mount or volume: SOURCE:TARGET[:ro].")
@_many("-p", "--publish", "ports", help="[[IP:]PORT:]PORT[/udp].")
@_many("-l", "--label", "labels", help="NAME=VALUE.")
@_many("--tmpfs", help="A file system in memory: TARGET[:OPTIONS].")
@_many("--cap-add", help="A capability to add.")
@_many("--cap-drop", help="A capability to drop.")
@_many("--security-opt", help="A security option.")
@_many("--add-host", "extra_hosts", help="NAME:ADDRESS.")
@_many("--device", "devices", help="A device of the host.")
@_many("--group-add", help="A further group.")
@click.option("-w", "--workdir", "working_dir", help="Its working directory.")
@click.option("-u", "--user", help="Whom it runs as.")
@click.option("-h", "--hostname", help="Its host name.")
@click.option("-m", "--memory", "mem_limit", help="Its limit of memory.")
@click.option("--cpus", type=float, help="How many processors it may use.")
@click.option("--shm-size", help="The size of /dev/shm.")
@click.option("--network", help="Its network.")
@click.option("--pid", "pid_mode", help="Its pid namespace.")
@click.option("--ipc", "ipc_mode", help="Its ipc namespace.")
@click.option("--userns", "userns_mode", help="Its user namespace.")
@click.option("--entrypoint", help="The program instead of the image's.")
@click.option("--restart", help="no, always, unless-stopped or on-failure[:N].")
@click.option("--stop-signal", help="What ends it.")
@click.option("--platform", help="The image's, if it has several.")
@click.option("--runtime", help="Its OCI runtime.")
@click.option("--init", is_flag=True, help="Run an init in it.")
@click.option("--privileged", is_flag=True, help="Give it all privileges.")
@click.option("--read-only", is_flag=True, help="Mount its root read-only.")
@click.help_option("--help")
def run(image: str, command: tuple[str, ...], host: Path, engine_url: str | None, level: str, **options: Any) -> int:
    """Run a container of IMAGE, captured, and exit with its status. Options are those of `docker run`.

    What it does is stored by `interpose host DIR`. If it cannot be captured it runs all the same, and why is told.
    """
    detached = options.pop("detach")
    removed_by_us = options["auto_remove"] and not detached
    if removed_by_us:
        options["auto_remove"] = False  # or its status is gone with it
    with Engine(engine_url) as engine:
        try:
            told = engine.image(image)
            directory, reservation = _reserve(host, image, told, level, options)
            container = _create(engine, image, told, command, directory, reservation, _settings(options))
        except EngineError as error:
            complain(str(error))
            return _ENGINE_FAILED
        if detached:
            engine.start(container)
            click.echo(container)
            return 0
        try:
            status = _foreground(engine, container, interactive=options["stdin_open"], terminal=options["tty"])
        except EngineError as error:
            complain(str(error))
            status = _ENGINE_FAILED
        if removed_by_us:
            engine.remove(container, volumes=True)
        if directory is not None:
            with contextlib.suppress(InterposeError, OSError):
                end_removed(directory, engine)
        return status


def _pairs(entries: tuple[str, ...]) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in entries)


def _environment(options: dict[str, Any]) -> dict[str, str]:
    entries = [line for file in options["env_file"] for line in Path(file).read_text(encoding="utf-8").splitlines()]
    entries = [line for line in entries if line.strip() and not line.startswith("#")] + list(options["env"])
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if equals or name in os.environ:
            found[name] = value if equals else os.environ[name]
    return found


def _reserve(
    host: Path, image: str, told: dict[str, Any], level: str, options: dict[str, Any]
) -> tuple[HostDirectory | None, Reservation | None]:
    labels = {LEVEL: level, **_pairs(options["labels"]), CAPTURE: "true"}
    try:
        directory = prepare(host)
        reservation = reserve(
            directory, told, image, labels, _environment(options), host_config=_mounted(options), name=options["name"]
        )
    except (OSError, InterposeError) as error:
        complain(f"not captured: {error}")
        return None, None
    if not reservation.plan.captured:
        complain(f"not captured: {reservation.plan.reason}")
        return directory, None
    return directory, reservation


def _mounted(options: dict[str, Any]) -> dict[str, Any]:
    """What is mounted, as the Engine's API takes it."""
    return {"Binds": options["volumes"], "Tmpfs": [entry.partition(":")[0] for entry in options["tmpfs"]]}


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """The options as the SDK takes them; those that were not given are left to the Engine."""
    restart, _, count = (options["restart"] or "").partition(":")
    given = {
        **{key: value for key, value in options.items() if key not in ("env", "env_file", "restart", "cpus")},
        "environment": _environment(options),
        "labels": _pairs(options["labels"]),
        "ports": _published(options["ports"]),
        "tmpfs": dict(entry.partition(":")[::2] for entry in options["tmpfs"]),
        "extra_hosts": dict(entry.partition(":")[::2] for entry in options["extra_hosts"]),
        "restart_policy": {"Name": restart, "MaximumRetryCount": int(count or 0)} if restart else None,
        "nano_cpus": int(options["cpus"] * 1e9) if options["cpus"] else None,
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items() if value}


def _published(entries: tuple[str, ...]) -> dict[str, Any]:
    published: dict[str, Any] = {}
    for entry in entries:
        match = _PORT.fullmatch(entry)
        if match is None:
            raise click.BadParameter(f"no port: {entry}")
        number = int(match["host"]) if match["host"] else None
        published.setdefault(match["inside"], []).append((match["ip"], number) if match["ip"] else number)
    return published


def _create(
    engine: Engine,
    image: str,
    told: dict[str, Any],
    command: tuple[str, ...],
    directory: HostDirectory | None,
    reservation: Reservation | None,
    settings: dict[str, Any],
) -> str:
    """Make the container; if only its capture fails, one without it."""
    words = list(command) or None
    if directory is None or reservation is None:
        return engine.create(image, words, **settings)
    captured = {
        **settings,
        "volumes": [*settings.get("volumes", ()), *reservation.binds()],
        "environment": {**settings.get("environment", {}), **reservation.plan.environment},
        "labels": {**settings.get("labels", {}), CHANNEL: reservation.name},
    }
    container = engine.create(image, words, **captured)
    try:
        open_channel(directory, reservation, engine.inspect(container) or {}, digest_of(told))
    except (OSError, InterposeError) as error:
        complain(f"not captured: {error}")
        engine.remove(container)
        return engine.create(image, words, **settings)
    return container


def _foreground(engine: Engine, container: str, *, interactive: bool, terminal: bool) -> int:
    attached = Attachment(engine.attach(container, interactive=interactive), terminal=terminal, interactive=interactive)
    with _forwarded(engine, container, terminal=terminal):
        engine.start(container)
        if terminal and os.isatty(1):
            size = shutil.get_terminal_size()
            with contextlib.suppress(EngineError):
                engine.resize(container, size.lines, size.columns)
        attached.carry()
        return engine.wait(container)


@contextlib.contextmanager
def _forwarded(engine: Engine, container: str, *, terminal: bool) -> Iterator[None]:
    """Signals to us go on to the container; a terminal's keys do by themselves."""

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(EngineError):
            engine.kill(container, number)

    before = {} if terminal else {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
