"""The byte ranges of one transaction, on their way to the database.

A row costs much more than the bytes in it, so ranges that follow each other in a journal become one row: those of one
transaction at once, and all of a journal's when it is closed.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from interpose.sidecar import store
from interpose.sidecar.packing import Packer, unpack

__all__ = ["Piece", "Ranges"]

_LARGEST: Final = 256 << 10
"""Bytes that are joined to one row: a reader holds a row in memory as a whole."""


class Piece(NamedTuple):
    """Whole records of a journal."""

    offset: int
    size: int
    events: int
    first: int
    last: int
    """Nanoseconds since 1970; both 0 without events."""
    data: bytes


class Ranges:
    """Collects pieces, in the order of their offsets for each journal; `write` makes rows of them."""

    def __init__(self, rows: store.Transaction) -> None:
        self._rows = rows
        self._packer = Packer()
        self._new: dict[int, list[Piece]] = {}
        self._closed: set[int] = set()

    def add(self, journal_id: int, piece: Piece) -> None:
        """The next piece of this journal."""
        self._new.setdefault(journal_id, []).append(piece)

    def close(self, journal_id: int) -> None:
        """Nothing follows what was added to this journal."""
        self._closed.add(journal_id)

    def write(self) -> None:
        """Insert the rows."""
        for journal_id in self._closed:
            pieces = self._new.get(journal_id)
            if pieces is None or pieces[0].offset:
                self._take_over(journal_id)
        self._rows.many(
            "add_range",
            [
                (journal_id, *piece[:5], self._packer.pack(piece.data))
                for journal_id, pieces in self._new.items()
                for piece in map(_joined, _grouped(pieces))
            ],
        )
        self._new.clear()
        self._closed.clear()

    def _take_over(self, journal_id: int) -> None:
        """Take what the database has of a journal out of it, to be written anew, if that makes fewer rows."""
        stored = [Piece(*row) for row in self._rows.all("whole_journal", (journal_id,))]
        everything = stored + self._new.get(journal_id, [])
        if len(list(_grouped(everything))) < len(everything):
            self._rows.run("delete_ranges", (journal_id,))
            for place, piece in enumerate(stored):
                everything[place] = piece._replace(data=unpack(piece.data))
            self._new[journal_id] = everything


def _grouped(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Neighbours, as many as are not too large together."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        if group and size + piece.size > _LARGEST:
            yield group
            group, size = [], 0
        group.append(piece)
        size += piece.size
    if group:
        yield group


def _joined(pieces: list[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    timed = [piece for piece in pieces if piece.events]
    return Piece(
        pieces[0].offset,
        sum(piece.size for piece in pieces),
        sum(piece.events for piece in pieces),
        min((piece.first for piece in timed), default=0),
        max((piece.last for piece in timed), default=0),
        b"".join(piece.data for piece in pieces),
    )
