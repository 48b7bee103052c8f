"""From a journal's records to the rows of a transaction.

Out-of-order arrival is normal: an image of which only a continuation is known is made at once, and described when its
Origin comes.
"""

from collections.abc import Sequence

from interpose.sidecar.accesses import Accesses, Stop
from interpose.sidecar.decode import Note, gap
from interpose.sidecar.effects import EVEN_FAILED, HANDLERS, At
from interpose.sidecar.graph import Graph
from interpose.sidecar.journal import Records
from interpose.sidecar.memory import LATEST, Image, Journal, Run, clipped
from interpose.sidecar.processes import begin, begin_unseen, borrower, nobody
from interpose.sidecar.ranges import Piece
from interpose.v1.capture_pb2 import Batch
from interpose.v1.event_pb2 import Gap

__all__ = ["add", "add_own", "reader"]


def reader() -> Accesses:
    """What reads the events for a Graph. Raises MissingError."""
    return Accesses(["origin", *HANDLERS])


def add(graph: Graph, run: Run, number: int, records: Records, notes: Sequence[Note], *, close: bool) -> None:
    """Add records, which begin where the journal's committed ones end, and what the sidecar says of the journal."""
    graph.enter(run)
    journal = graph.journal(run, number)
    if records.data:
        extent = _add_events(graph, journal, records.data)
        graph.ranges.add(journal.id, Piece(records.start, len(records.data), *extent, records.data))
    if notes:
        _add_events(graph, journal, Batch(events=[event for _, event in notes]).SerializeToString())
        for offset, event in notes:
            graph.note(journal, offset, clipped(event.time + journal.shift), event)
    journal.offset = max(journal.offset, records.end)
    if close and not journal.closed:
        journal.closed = True
        if journal.offset:
            graph.ranges.close(journal.id)
    graph.changed(journal)


def add_own(graph: Graph, run: Run, number: int, notes: Sequence[Note]) -> None:
    """Add what the sidecar has to say of no journal in particular, numbered in order.

    That is nobody's gaps, and the run's first program where it runs unseen.
    """
    graph.enter(run)
    journal = graph.journal(run, number)
    for _, event in notes:
        graph.note(journal, journal.offset, clipped(event.time + journal.shift), event)
        if event.HasField("origin"):
            graph.effects["origin"] += 1
            begin_unseen(graph, event, journal.shift)
        else:
            graph.effects["gap"] += 1
            graph.lose(event.gap)
        journal.offset += 1
    graph.changed(journal)


def _add_events(graph: Graph, journal: Journal, records: bytes) -> tuple[int, int, int]:
    """Add what the events tell; returns their number, and the times of the earliest and the latest."""
    said, image, found = graph.accesses, graph.owner(journal), -1
    said.begin(records, journal.shift, 0 if image is None else image.id)
    while (stop := said.read_on()) != Stop.END:
        if stop == Stop.FULL:
            graph.take_read()
        elif stop == Stop.MALFORMED:
            graph.lose(gap(said.boot_time, 1, Gap.CAUSE_CORRUPT).gap)
        elif stop == Stop.NOBODY:
            image, found = _whose(graph, journal, records)
            said.begin(records, journal.shift, image.id)
        elif stop == Stop.BORROWED:
            event, time = said.event(), said.time
            actor = borrower(graph, journal, event, time)
            said.read_borrowed(actor.id)
            _handle(graph, At(event, actor, time), said.effect)
        elif (effect := said.effect) != "origin":
            assert image is not None  # or it would have been NOBODY
            _handle(graph, At(said.event(), image, said.time), effect)
        elif said.place != found:
            image = begin(graph, journal, said.event())
            said.of(image.id)
    if image is not None and (own := said.own()) < LATEST:
        graph.heard(image, own)
    return said.extent()


def _whose(graph: Graph, journal: Journal, records: bytes) -> tuple[Image, int]:
    """The image that these events are of, and where the Origin stands that says so, or -1.

    Another thread's event may stand before the Origin of a journal that continues one.
    """
    said = graph.accesses
    said.begin(records, journal.shift, 0)
    if said.find_origin():
        return begin(graph, journal, said.event()), said.place
    return nobody(graph, journal, said.extent()[1]), -1


def _handle(graph: Graph, at: At, effect: str) -> None:
    handler = HANDLERS.get(effect)
    if handler is not None and (not at.event.error or effect in EVEN_FAILED):
        handler(graph, at, getattr(at.event, effect))
