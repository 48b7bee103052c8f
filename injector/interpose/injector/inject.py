"""Carrying out a plan on an OCI bundle: the part of `interpose-oci` that only captured containers need."""

import contextlib
import faulthandler
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from interpose.injector.checkpoint import mapped_segments
from interpose.injector.container import BUILD, InjectionSettings, plan_container, plan_exec
from interpose.injector.engine_files import identify
from interpose.injector.engine_path import engine_file, is_build_step
from interpose.injector.oci import describe, edit, edit_process, group_of_root, variables_of
from interpose.sidecar.container_id import ContainerId
from interpose.sidecar.hostdir import Decision, HostDirectory, Identity
from interpose.sidecar.spool import DEFAULT_QUOTA

__all__ = ["create", "execute", "refuse"]

_PATIENCE_SECONDS: Final = 3
"""After which a container starts without us."""
_DESPAIR_SECONDS: Final = 5
"""After which this process ends in the midst of whatever does not let it go."""


class _LateError(Exception):
    """It took too long."""


def create(
    host: str, bundle: str, container: ContainerId, checkpoint: str | None = None, held: int | None = None
) -> None:
    """Make a channel for a container that is about to be created, and edit its bundle, if it shall be captured.

    `checkpoint` is the folder of CRIU's images that it is restored from; `held` is as for HostDirectory.add.
    """
    directory, identity = HostDirectory(Path(host)), Identity(container)
    _hurry()

    def note(outcome: str, reason: str, channel: str | None = None) -> None:
        directory.note(Decision(time.time_ns(), outcome, reason, container, identity.name, identity.image, channel))

    try:
        moment = time.time_ns()
        directory.forget(container, moment)  # its last life, if nobody told of the end
        file = Path(bundle, "config.json")
        config = _read(file)
        known = engine_file(str(Path(bundle, config["root"]["path"])), container)
        of_build = {BUILD: "true"} if is_build_step(bundle) else {}
        identity = identify(container, known, {**(config.get("annotations") or {}), **of_build})
        described = describe(config, bundle, identity.labels, identity.name, identity.image)
        name = f"{container.lstrip('.')[:64]}-{moment // 1_000_000:x}"  # what begins with a dot is a draft
        own = _own_settings(directory)
        plan = plan_container(described, _settings(directory, own, name))
        if plan.captured:
            edited = edit(config, plan)
            quota = own.get("quota", DEFAULT_QUOTA)
            mapped = mapped_segments(Path(checkpoint)) if checkpoint else ()
            directory.add(
                name,
                identity,
                level=plan.level,
                quota=quota,
                group=group_of_root(config),
                mapped=mapped,
                unseen=None if checkpoint else described.unseen,
                held=held,
            )
            _undone(lambda: _replace(file, edited), lambda: directory.forget(container, moment))
        if plan.captured:
            note("captured" if described.unseen is None else "unseen", plan.reason, name)
        elif plan.asked:
            note("skipped", plan.reason)
    except Exception as error:  # noqa: BLE001 - whatever it is, the container starts, and somebody can read why
        _calm_down()
        note("failed", f"{type(error).__name__}: {' '.join(str(error).split())}")


def execute(host: str, container: ContainerId, file: str | None) -> None:
    """Edit what `exec` is about to start in a captured container."""
    directory = HostDirectory(Path(host))
    _hurry()
    try:
        if file is None:
            raise ValueError("exec was called without --process, so its environment cannot be edited")  # noqa: TRY301
        process = _read(Path(file))
        _replace(Path(file), edit_process(process, plan_exec(variables_of(process))))
    except Exception as error:  # noqa: BLE001
        _calm_down()
        reason = f"exec: {type(error).__name__}: {' '.join(str(error).split())}"
        directory.note(Decision(time.time_ns(), "failed", reason, container))


def refuse(host: str, reason: str) -> None:
    """Say of a container that asked why it is none of ours."""
    with contextlib.suppress(OSError):
        HostDirectory(Path(host)).note(Decision(time.time_ns(), "skipped", reason))


def _hurry() -> None:
    """From now on _LateError comes out of whatever takes too long, until `_calm_down`.

    What the kernel or a library keeps from returning to Python ends with the process.
    """

    def give_up(*_: object) -> None:
        raise _LateError(f"more than {_PATIENCE_SECONDS} s had passed")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_PATIENCE_SECONDS)
    faulthandler.dump_traceback_later(_DESPAIR_SECONDS, exit=True)


def _calm_down() -> None:
    """Whatever comes now is short and must not be left half done."""
    signal.alarm(0)
    faulthandler.cancel_dump_traceback_later()


def _undone(attempt: Callable[[], None], undo: Callable[[], None]) -> None:
    try:
        attempt()
    except BaseException:
        undo()
        raise


def _own_settings(directory: HostDirectory) -> dict[str, Any]:
    try:
        told = _read(directory.path / "settings.json")
    except FileNotFoundError:
        return {}
    return told if isinstance(told, dict) else {}


def _settings(directory: HostDirectory, own: dict[str, Any], name: str) -> InjectionSettings:
    return InjectionSettings(
        machine=os.uname().machine,
        libraries=directory.libraries(),
        spool=os.fspath(directory.spool_of(name)),
        level=own.get("level", "summary"),
        images=_patterns(directory.path / "images"),
        builds=(directory.path / "builds").exists(),
    )


def _patterns(file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _replace(file: Path, content: Any) -> None:
    """Put the new content in the old one's place at once, with its owner and permissions, if there is time left."""
    status = file.stat()
    draft = file.with_name(f"{file.name}.interpose")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, status.st_mode & 0o777)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, separators=(",", ":"))
        os.chown(draft, status.st_uid, status.st_gid)
        _calm_down()
        draft.replace(file)
    except BaseException:
        draft.unlink()
        raise
