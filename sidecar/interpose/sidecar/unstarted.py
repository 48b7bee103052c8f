"""Processes that the library let go at their start: the marks that it left in the spool, told once each."""

from collections.abc import Callable, Iterator
from typing import Final

from interpose.sidecar.spool import UNSTARTED_KEPT, Spool, UnstartedMark
from interpose.v1.event_pb2 import BlindSpot, Event, Origin, Process

__all__ = ["Unstarted"]

_CAUSES: Final = (BlindSpot.CAUSE_REFUSED, BlindSpot.CAUSE_NO_MEMORY)
"""In the order of Spool.unstarted."""
_MOST_TOLD: Final = 1024
"""Of one run; more are counted."""


class Unstarted:
    """What was told of those of one spool."""

    def __init__(self) -> None:
        self._told = [0] * len(_CAUSES)
        self._rows = 0

    def remember(self, event: Event) -> bool:
        """Take note of an event that was told in a former life of the sidecar; whether it is of such a process."""
        cause = event.origin.blind_spot.cause
        if cause not in _CAUSES:
            return False
        self._told[_CAUSES.index(cause)] += 1
        self._rows += 1
        return True

    def news(self, spool: Spool, now: int, can_be: Callable[[int], bool]) -> Iterator[tuple[str, int, list[Event]]]:
        """By cause, as metrics have it: how many there are since the last time, and events that tell of them.

        There may be fewer events. The number is -1 where `can_be` says that it is nonsense.
        """
        counts = spool.unstarted()
        if list(counts) == self._told:
            return
        marks = _newest(spool.unstarted_marks(), sum(counts), sum(counts) - sum(self._told))
        for place, (cause, count) in enumerate(zip(_CAUSES, counts, strict=True)):
            more, self._told[place] = count - self._told[place], count
            name = BlindSpot.Cause.Name(cause).removeprefix("CAUSE_").lower()
            if more < 0 or not can_be(more):
                yield name, -1, []
            elif more:
                rows = min(more, _MOST_TOLD - self._rows)
                self._rows += rows
                named = [_event(mark, cause, now) for mark in marks if mark.cause == place + 1][:rows]
                yield name, more, named + [_event(None, cause, now)] * (rows - len(named))


def _newest(marks: list[UnstartedMark], total: int, more: int) -> list[UnstartedMark]:
    """Those of the last `more` processes, the latest first: each takes the next place."""
    kept = min(len(marks), UNSTARTED_KEPT)
    return [marks[(total - 1 - back) % kept] for back in range(max(0, min(more, kept)))]


def _event(mark: UnstartedMark | None, cause: BlindSpot.Cause, now: int) -> Event:
    """As the sidecar tells of it: an Origin that says why nothing follows."""
    spot = BlindSpot(cause=cause)
    if mark is None:
        return Event(time=now, origin=Origin(reason=Origin.REASON_IMAGE, blind_spot=spot))
    program = mark.program.partition(b"\0")[0]
    origin = Origin(
        reason=Origin.REASON_IMAGE,
        process=Process(pid=mark.pid & 0x7FFFFFFF, start_time=mark.start_time),
        pid_namespace=mark.pid_namespace,
        executable=program,
        arguments=[program],
        blind_spot=spot,
    )
    return Event(time=min(mark.time, now), origin=origin)
