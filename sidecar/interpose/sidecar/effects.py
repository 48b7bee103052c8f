"""What an effect did: a function for each that says more than what was done to one file (accesses.py)."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from interpose.sidecar.graph import Graph, join
from interpose.sidecar.memory import Image, Process, signed
from interpose.sidecar.processes import cause_name
from interpose.v1 import event_pb2 as pb

__all__ = ["EVEN_FAILED", "HANDLERS", "At"]


class At(NamedTuple):
    """Where an event stands."""

    event: pb.Event
    image: Image
    """Who did it."""
    time: int
    """Nanoseconds since 1970."""


def _on_gap(graph: Graph, _at: At, gap: pb.Gap) -> None:
    graph.lose(gap)


def _on_rename(graph: Graph, at: At, effect: pb.Rename) -> None:
    _on_link(graph, at, effect)
    if effect.HasField("displaced"):
        kind, name = ("metadata", getattr(effect, "from")) if effect.exchange else ("remove", effect.to)
        id_ = graph.access(at.image, effect.displaced, at.time, kind)
        if id_ is not None:
            graph.name(id_, name.base, name.path, at.time)


def _on_link(graph: Graph, at: At, effect: pb.Link | pb.Rename) -> None:
    id_ = graph.access(at.image, effect.file, at.time, "metadata")
    if id_ is not None:
        for name in (getattr(effect, "from"), effect.to):
            graph.name(id_, name.base, name.path, at.time)


def _on_transfer(graph: Graph, at: At, effect: pb.Transfer) -> None:
    graph.access(at.image, effect.source, at.time, "read", signed(effect.bytes))
    graph.access(at.image, effect.target, at.time, "write", signed(effect.bytes))


def _on_fork(graph: Graph, at: At, effect: pb.Fork) -> None:
    graph.step(at.image, "fork", at.time, at.event.time, effect.child)


def _on_exec(graph: Graph, at: At, effect: pb.Exec) -> None:
    process = at.image.process
    graph.step(at.image, "exec", at.time, at.event.time, status=at.event.error)
    if at.event.error:
        _exec_failed(graph, process, at.time)
    elif effect.HasField("blind_spot"):
        if _has_failed(graph, process, at.time):
            _program(graph, effect, at.time)
        else:
            _blind(graph, process, effect, at.time)


def _on_spawn(graph: Graph, at: At, effect: pb.Spawn) -> None:
    graph.step(at.image, "fork", at.time, at.event.time, effect.child)
    if effect.HasField("blind_spot"):
        namespace, pid, start_time = at.image.process.identity
        child = graph.process((namespace, effect.child & 0x7FFFFFFF, 0), at.time)
        image = _blind(graph, child, effect, at.time)
        if not child.has_parent or image.started <= min(other.started for other in child.images):
            graph.tell_parent(child, pid, start_time)


def _program(graph: Graph, effect: pb.Exec | pb.Spawn, time: int) -> tuple[pb.File, bytes]:
    """The file and path of a program that runs unseen; seen under this name, even if it cannot run."""
    spot = effect.blind_spot
    file = spot.file if spot.file.inode else effect.file
    name = spot.name if spot.name.path else effect.name
    id_ = graph.file(file)
    if id_ is not None and name.path:
        graph.name(id_, name.base, name.path, time)
    return file, join(name.base, name.path)


def _blind(graph: Graph, process: Process, effect: pb.Exec | pb.Spawn, time: int) -> Image:
    """The image of a program that runs unseen."""
    file, path = _program(graph, effect, time)
    image = graph.new_blind_image(process, cause_name(effect.blind_spot.cause), time)
    id_ = graph.access(image, file, time, "execute")
    arguments = b"".join(argument + b"\0" for argument in effect.arguments)
    graph.tell_program(image, path, id_, arguments, None)
    return image


def _on_blind_spot(graph: Graph, at: At, effect: pb.BlindSpot) -> None:
    path = join(effect.name.base, effect.name.path) if effect.name.path else b""
    graph.tell_unseen(at.image, cause_name(effect.cause), path)


def _exec_failed(graph: Graph, process: Process, time: int) -> None:
    """The last Exec before `time` did not replace the image: nothing runs unseen."""
    blind = [image for image in process.images if image.reason == "blind" and image.started <= time]
    if blind:
        image = max(blind, key=lambda image: image.started)
        graph.write_rows()
        graph.rows.run("delete_accesses", (image.id,))
        graph.drop(image)


def _has_failed(graph: Graph, process: Process, time: int) -> bool:
    """Whether the next that is known of the process's execs, after `time`, is that one failed."""
    graph.write_rows()
    later = graph.rows.one("next_exec", (process.id, time))
    return later is not None and bool(later[0])


def _on_exit(graph: Graph, at: At, effect: pb.Exit) -> None:
    process = at.image.process
    namespace, pid, _ = process.identity
    told = {when for _, when, _ in graph.run.waits.get((namespace, pid), ())}
    if process.ended is None or process.ended in told or at.time > process.ended:
        process.ended, process.exit_status = at.time, effect.status & 0xFF
    graph.touch(process)
    if told:
        graph.told_of(namespace, pid)


def _on_wait(graph: Graph, at: At, effect: pb.Wait) -> None:
    namespace = at.image.process.identity[0]
    child, boot = effect.child & 0x7FFFFFFF, signed(at.event.time)
    status = 128 + (effect.signal & 0x7F) if effect.signal else effect.exit_status & 0xFF
    graph.step(at.image, "wait", at.time, boot, child, status)
    graph.told_of(*graph.run.add_wait(namespace, child, boot, at.time, status))


EVEN_FAILED: Final = frozenset(("exec",))
"""Effects whose handlers want failed calls, too."""
HANDLERS: Final[dict[str, Callable[[Graph, At, Any], None]]] = {
    "gap": _on_gap,
    "blind_spot": _on_blind_spot,
    "link": _on_link,
    "rename": _on_rename,
    "transfer": _on_transfer,
    "fork": _on_fork,
    "exec": _on_exec,
    "spawn": _on_spawn,
    "exit": _on_exit,
    "wait": _on_wait,
}
