"""What a service that stops leaves to the next start: nothing of it is lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from interpose.sidecar.journal import measure
from interpose.sidecar.spool import Journal, Spool
from interpose.sidecar.store import Unsent

__all__ = ["NOTHING", "Remainder", "remainder_of"]


_SENT: Final = Unsent()


@dataclass(frozen=True, slots=True)
class Remainder:
    """Journals that stay in a spool or in the database, for more is to be done with them."""

    journals: int = 0
    """Those that are not stored to their end, though nobody writes into them any more: they stay in their spool."""
    size: int = 0
    """Bytes of whole records in them."""
    unsent: Unsent = _SENT
    """What is stored and is not forwarded, where it should be: it stays in the database."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.journals) or any(self.unsent)


NOTHING = Remainder()


def remainder_of(spool: Spool, committed: Mapping[int, tuple[int, bool]]) -> Remainder:
    """What stays in a spool. `committed` is Store.journals; a journal that it does not have is not stored at all."""
    claimed, per = spool.claimed(), spool.settings.journals_per_segment
    sizes = []
    for segment in spool.segments.values():
        for slot in range(min(claimed - segment.first, per)):
            journal = Journal(segment, slot)
            offset, closed = committed.get(journal.number, (0, False))
            if not closed and journal.is_born() and not journal.is_live():
                sizes.append(_size(journal, offset))
    return Remainder(len(sizes), sum(sizes))


def _size(journal: Journal, offset: int) -> int:
    """Bytes of whole records from `offset` on, up to the first that makes no sense."""
    header = journal.header()
    if header is None:
        return 0
    data = journal.read(header.events_offset + offset, header.events_size - offset)
    return measure(data, offset, range(1 << 63)).size
