"""From a journal's records to the rows of a transaction.

Out-of-order arrival is normal: an image of which only a continuation is known is made at once, and described when its
Origin comes.
"""

from collections.abc import Sequence

from interpose.sidecar.decode import Note, events_of
from interpose.sidecar.effects import EVEN_FAILED, HANDLERS, At
from interpose.sidecar.graph import Graph
from interpose.sidecar.journal import Records
from interpose.sidecar.memory import LATEST, Journal, Run, clipped
from interpose.sidecar.processes import begin, borrower, is_origin, nobody
from interpose.sidecar.ranges import Piece
from interpose.v1.event_pb2 import Event

__all__ = ["add", "add_own"]


def add(graph: Graph, run: Run, number: int, records: Records, notes: Sequence[Note], *, close: bool) -> None:
    """Add records, which begin where the journal's committed ones end, and what the sidecar says of the journal."""
    graph.enter(run)
    journal = graph.journal(run, number)
    if records.data:
        events = events_of(records)
        extent = _add_events(graph, journal, events) if events else (0, 0, 0)
        graph.ranges.add(journal.id, Piece(records.start, len(records.data), *extent, records.data))
    if notes:
        _add_events(graph, journal, [event for _, event in notes])
        for offset, event in notes:
            graph.note(journal, offset, clipped(event.time + journal.shift), event)
    journal.offset = max(journal.offset, records.end)
    if close and not journal.closed:
        journal.closed = True
        if journal.offset:
            graph.ranges.close(journal.id)
    graph.changed(journal)


def add_own(graph: Graph, run: Run, number: int, notes: Sequence[Note]) -> None:
    """Add what the sidecar has to say of no journal in particular: nobody's gaps, numbered in order."""
    graph.enter(run)
    journal = graph.journal(run, number)
    for _, event in notes:
        graph.note(journal, journal.offset, clipped(event.time + journal.shift), event)
        graph.effects["gap"] += 1
        graph.lose(event.gap)
        journal.offset += 1
    graph.changed(journal)


def _add_events(graph: Graph, journal: Journal, events: Sequence[Event]) -> tuple[int, int, int]:
    """Add what the events tell; returns their number, and the times of the earliest and the latest."""
    image, origin = graph.owner(journal), None
    if image is None:
        # Another thread's event may stand before the Origin of a journal that continues one.
        origin = next((event for event in events if is_origin(event)), None)
        if origin is None:
            image = nobody(graph, journal, clipped(events[0].time + journal.shift))
        else:
            image = begin(graph, journal, origin)
    shift, own, handlers = journal.shift, LATEST, HANDLERS
    times: list[int] = []
    effects: list[str] = []
    at = At(events[0], image, 0)
    for event in events:
        effect = event.WhichOneof("effect")
        handler = handlers.get(effect)
        if handler is None:
            if effect is None:
                if not event.time:
                    continue  # a blank: what the library could not encode, and has counted as lost
                effect = "unknown"
            elif effect == "origin" and event is not origin and is_origin(event):
                image = begin(graph, journal, event)
                shift = journal.shift
        time = event.time + shift
        if not 0 <= time <= LATEST:
            time = clipped(time)
        times.append(time)
        actor = image
        if event.HasField("process"):
            actor = borrower(graph, journal, event, time)
        elif time < own:
            own = time
        effects.append(effect)
        if handler is not None and (not event.error or effect in EVEN_FAILED):
            at.event, at.image, at.time = event, actor, time
            handler(graph, at, getattr(event, effect))
    graph.effects.update(effects)
    if own < LATEST:
        graph.heard(image, own)
    return (len(times), min(times), max(times)) if times else (0, 0, 0)
