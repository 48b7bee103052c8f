"""Whose events are: from the Origin of a journal, or from a vfork child's mark, to a process and its image."""

from typing import Final

from interpose.sidecar.graph import Graph
from interpose.sidecar.memory import LATEST, NOBODY, Image, Journal, Process, clipped, identity_of, signed
from interpose.v1 import event_pb2 as pb

__all__ = ["begin", "begin_unseen", "borrower", "cause_name", "nobody"]


_REASONS: Final = {pb.Origin.REASON_FORK: "fork", pb.Origin.REASON_RESTORED: "restored"}


def nobody(graph: Graph, journal: Journal, time: int) -> Image:
    """For events of a journal whose Origin is lost."""
    image = graph.new_image(graph.process(NOBODY, time), "unknown", time)
    graph.own(journal, image)
    return image


def borrower(graph: Graph, journal: Journal, event: pb.Event, time: int) -> Image:
    """The image of a vfork child, which records in the journal of its parent until it executes a program."""
    namespace = journal.process[0] if journal.process else 0
    process = graph.process(identity_of(namespace, event.process), time)
    image = process.fork_image() or graph.new_image(process, "fork", time)
    graph.heard(image, time)
    if journal.process and journal.process != process.identity:
        graph.adopt(process, journal.process[1], journal.process[2], time)
    return image


def begin(graph: Graph, journal: Journal, event: pb.Event) -> Image:
    """The image that an Origin says the journal is of."""
    origin = event.origin
    graph.shift(journal, origin.realtime_offset)
    time = clipped(event.time + journal.shift)
    process = graph.process(identity_of(signed(origin.pid_namespace), origin.process), time)
    owner = graph.owner(journal)
    unclaimed = None
    if owner is not None and owner.process is not process:
        # Its events came before their Origin; or another process's continuation claims this journal.
        unclaimed = owner if owner.process.identity == NOBODY else None
        owner = None
    if origin.reason == pb.Origin.REASON_CONTINUED:
        image = _continued(graph, journal, origin.previous, owner or process, time)
    else:
        image = _described(graph, owner or process, origin, time)
    if unclaimed is not None:
        graph.merge(unclaimed, image)
    graph.own(journal, image)
    _tell_of_process(graph, process, origin, time)
    graph.heard(image, time)
    return image


def begin_unseen(graph: Graph, event: pb.Event, shift: int) -> None:
    """The first program of a run, which has no journal: the sidecar's own note tells of it."""
    origin, time = event.origin, clipped(event.time + shift)
    process = graph.process(identity_of(signed(origin.pid_namespace), origin.process), time)
    image = graph.new_blind_image(process, cause_name(origin.blind_spot.cause), time)
    file = graph.access(image, origin.executable_file, time, "execute")
    arguments = b"".join(argument + b"\0" for argument in origin.arguments)
    graph.tell_program(image, origin.executable, file, arguments, origin.directory)
    if file is not None and origin.executable:
        graph.name(file, b"", origin.executable, time)
    _tell_of_process(graph, process, origin, time)


def cause_name(cause: int) -> str:
    """BlindSpot.Cause as it is stored and shown."""
    name = pb.BlindSpot.Cause.Name(cause) if cause in pb.BlindSpot.Cause.values() else "CAUSE_UNSPECIFIED"
    return name.removeprefix("CAUSE_").lower()


def _tell_of_process(graph: Graph, process: Process, origin: pb.Origin, time: int) -> None:
    if origin.HasField("parent"):
        _, pid, start_time = identity_of(0, origin.parent)
        graph.adopt(process, pid, start_time, time)
    if not process.has_user or not any(other.started < time for other in process.images if other.described):
        graph.tell_owner(process, origin.user, origin.group)


def _known(of: Image | Process) -> tuple[Image | None, Process]:
    """What is known of a journal's owner: the image, or the process alone."""
    return (of, of.process) if isinstance(of, Image) else (None, of)


def _described(graph: Graph, of: Image | Process, origin: pb.Origin, time: int) -> Image:
    """The image that an Origin begins; it may have been made when a continuation of it arrived."""
    owner, process = _known(of)
    if owner is not None and owner.described:
        owner = None
    reason = _REASONS.get(origin.reason, "exec")
    known = process.fork_image() if reason == "fork" else None
    image = known or owner or graph.new_image(process, reason, time)
    if owner is not None and owner is not image:
        graph.merge(owner, image)
    if image.reason != reason:
        image.reason, image.changed = reason, True
        graph.touch(process)
    image.described = True
    file = graph.file(origin.executable_file)
    arguments = b"".join(argument + b"\0" for argument in origin.arguments)
    graph.tell_program(image, origin.executable, file, arguments, origin.directory)
    if file is not None and origin.executable:
        graph.name(file, b"", origin.executable, time)
    if reason != "fork":
        graph.access(image, origin.executable_file, time, "execute")
    return image


def _continued(graph: Graph, journal: Journal, previous: int, of: Image | Process, time: int) -> Image:
    """The image of the journal that this one continues, which may come later."""
    owner, process = _known(of)
    if previous > LATEST or previous == journal.number:
        return owner or graph.new_image(process, "unknown", time)
    before = graph.journal(graph.run, previous)
    image = graph.owner(before)
    if image is None or image.process is not process:
        free = image is None
        image = owner or graph.new_image(process, "unknown", time)
        if free:
            graph.own(before, image)
    elif owner is not None and owner is not image:
        graph.merge(owner, image)
    return image
