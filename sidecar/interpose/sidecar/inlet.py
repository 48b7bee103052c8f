"""What a process's stream becomes: ranges of the journals in the spool that the socket belongs to."""

import asyncio
from typing import Final

from interpose.sidecar import decode
from interpose.sidecar.batch import split
from interpose.sidecar.collector import Collector
from interpose.sidecar.errors import MalformedError
from interpose.sidecar.ingest import Item, Result
from interpose.sidecar.memory import Run
from interpose.sidecar.spool import Spool, boot_time

__all__ = ["Inlet"]

_SLOW_SECONDS: Final = 0.5


class Inlet:
    """The Intake of every stream of one spool: whatever is sent there is of its run."""

    def __init__(self, spool: Spool, run: Run, collector: Collector) -> None:
        self._spool, self._run, self._collector = spool, run, collector

    async def take(self, message: bytes) -> Item:
        """See Intake."""
        number, records = split(message)
        if not self._collector.is_claimed(number):
            raise MalformedError(f"journal {number} of this spool was never claimed")
        if records.end > self._spool.settings.journal_size:
            raise MalformedError(f"offset {records.end} lies beyond a journal's end")
        while not self._collector.may_read():  # noqa: ASYNC110 - time alone gives it back
            await asyncio.sleep(_SLOW_SECONDS)  # its peer waits too, in its journals
        self._collector.took(len(records.data))
        now = boot_time()
        self._collector.streaming(number)
        notes = tuple(decode.abandoned(place, now) for place in records.unfinished)
        return Item(self._run, number, records, "stream", notes)

    async def explains(self, item: Item) -> bool:  # noqa: ARG002
        """See Intake: its process does not listen, and the collector refuses the journal as well."""
        return False

    def answered(self, item: Item, result: Result) -> None:
        """See Intake."""
        if not result.accepted:
            self._collector.behind(item.number)
