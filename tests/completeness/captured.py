"""The captured side: a run's events, read into the same facts."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Engine, select

from completeness.facts import Observation, normal_path
from interpose.sidecar.events import stored_events
from interpose.sidecar.models import Image
from interpose.v1 import event_pb2 as pb

__all__ = ["observe"]

_METADATA = {"chmod": "chmod", "chown": "chown", "utime": "utime"}
_OPENED_WITHIN = ("consult", "list")
"""What libc opens by itself: its data, and the directories of scandir, glob and nftw."""
_ONE_NAME = ("unlink", "mkdir", "mknod", "symlink")
_S_IFMT, _S_IFIFO, _S_IFSOCK, _S_IFCHR, _S_IFBLK = 0o170000, 0o010000, 0o140000, 0o020000, 0o060000


@dataclass
class _Run:
    observation: Observation
    names: dict[tuple[int, int, int], str] = field(default_factory=dict)
    """The name under which a file was last opened, created or renamed to, by its identity."""


def observe(engine: Engine, run: str, *, temporary: str) -> Observation:
    """The facts of a run."""
    state = _Run(Observation(temporary=temporary))
    for program, event in _events(engine, run):
        _learn_names(state, event)
        if not event.error or (event.HasField("connect") and event.error == 115):
            _take(state, program, event)
    return state.observation


def _events(engine: Engine, run: str) -> Iterator[tuple[str, pb.Event]]:
    """Every event with the name of the program that it is of, in order of time."""
    with engine.connect() as connection:
        executables = {row.id: row.executable for row in connection.execute(select(Image.id, Image.executable))}
        for stored in stored_events(connection, run):
            executable = executables.get(stored.image) if stored.image else None
            yield os.path.basename(os.fsdecode(executable or b"?")), stored.event


def _identity(file: pb.File) -> tuple[int, int, int]:
    return file.device, file.inode, file.birth_time


def _path(name: pb.Name) -> str:
    return normal_path(os.fsdecode(name.path), os.fsdecode(name.base) or "/")


def _learn_names(state: _Run, event: pb.Event) -> None:
    effect = getattr(event, event.WhichOneof("effect") or "gap")
    name = getattr(effect, "to", None) or getattr(effect, "name", None)
    file = getattr(effect, "file", None)
    if event.function == "memfd_create" and event.HasField("open"):
        state.names[_identity(file)] = "memory"
    elif event.error == 0 and isinstance(name, pb.Name) and name.path and file is not None and file.inode:
        path = _path(name)
        state.names[_identity(file)] = os.path.realpath(path) if event.HasField("open") else path


def _moved(state: _Run, file: pb.File, fd: int) -> str:
    """What bytes went to or came from: what has no name of its own is told apart by its descriptor."""
    object_ = _object(state, file)
    return object_ if object_.startswith("/") else f"{object_} {fd}"


def _object(state: _Run, file: pb.File) -> str:
    kind = file.mode & _S_IFMT
    named = state.names.get(_identity(file))
    if kind == _S_IFSOCK:
        return "socket"
    if named is not None:
        return named
    return {_S_IFIFO: "pipe", _S_IFCHR: "device", _S_IFBLK: "device"}.get(kind, f"inode {file.inode}")


def _take(state: _Run, program: str, event: pb.Event) -> None:
    kind = event.WhichOneof("effect") or ""
    effect = getattr(event, kind)
    seen = state.observation
    if kind == "open":
        if not effect.path_only:
            named = effect.name.path and event.function != "memfd_create"
            object_ = os.path.realpath(_path(effect.name)) if named else _object(state, effect.file)
            seen.add(program, "create" if effect.create else "open", object_)
    elif kind == "load":
        for what in ("open", "map"):
            seen.add(program, what, os.path.realpath(_path(effect.name)))
    elif kind in _OPENED_WITHIN and effect.HasField("name"):
        seen.add(program, "open", os.path.realpath(_path(effect.name)))
    elif kind == "io":
        if effect.internal and effect.HasField("name"):
            seen.add(program, "open", os.path.realpath(_path(effect.name)))
        for what, amount in (("read", effect.bytes_read), ("written", effect.bytes_written)):
            if amount:
                seen.move(program, what, _moved(state, effect.file, effect.fd), amount)
    elif kind == "map":
        object_ = _object(state, effect.file)
        if object_.startswith(("/", "memory")):
            seen.add(program, "map writable" if effect.write else "map", object_)
    elif kind == "origin":
        if effect.reason == pb.Origin.REASON_IMAGE:
            seen.add("", "exec", os.fsdecode(effect.executable))
    elif kind == "exec":
        if effect.HasField("blind_spot"):
            seen.add("", "exec", os.path.realpath(_path(effect.name)))
    elif kind in ("fork", "spawn"):
        seen.add(program, "fork", "")
    elif kind in _METADATA or kind == "truncate" or (kind == "xattr" and effect.write):
        path = _path(effect.name) if effect.HasField("name") else _object(state, effect.file)
        keep = event.function.startswith("l") or (effect.file.mode & _S_IFMT) == 0o120000
        seen.add(
            program, _METADATA.get(kind, kind), os.path.realpath(path) if path.startswith("/") and not keep else path
        )
    elif kind in _ONE_NAME:
        seen.add(program, kind, _path(effect.name))
    elif kind in ("rename", "link"):
        seen.add(program, kind, f"{_path(getattr(effect, 'from'))} -> {_path(effect.to)}")
    elif kind == "connect":
        seen.add(program, "connect", _address(effect.peer))
    elif kind == "accept":
        seen.add(program, "accept", "")


def _address(address: pb.Address) -> str:
    if address.family == socket.AF_UNIX:
        path = os.fsdecode(address.path)
        return f"unix:{path}" if not path.startswith("\0") else f"unix:@{path[1:]}"
    if address.family in (socket.AF_INET, socket.AF_INET6):
        return f"{socket.inet_ntop(address.family, address.ip)}:{address.port}"
    return "other"
