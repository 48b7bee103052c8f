"""What a forwarding sidecar's stream becomes: ranges of the journals of many runs.

Nothing of a run is believed but what comes through the identity that it first came through.
"""

import asyncio
import json
import re
import threading
from collections import OrderedDict
from typing import Final, NamedTuple

from interpose.sidecar.batch import take_apart
from interpose.sidecar.errors import MalformedError, PeerError, StoreError
from interpose.sidecar.hostdir import Identity
from interpose.sidecar.ingest import OWN_JOURNAL, Item, Result
from interpose.sidecar.memory import Run
from interpose.sidecar.store import RunRow, Store
from interpose.v1 import capture_pb2 as wire

__all__ = ["Relay", "Runs"]

_REMEMBERED: Final = 64
"""Runs of which something is remembered between transactions."""
_FILES_OF_ONE: Final = 8192
_RUN_ID: Final = re.compile("[a-z0-9-]{1,32}")
_SPOOL_ID: Final = 16
"""Bytes."""
_OWN: Final = 0xFFFF_FFFF_FFFF_FFFF
_LARGEST: Final = (1 << 63) - 1


class _Known(NamedTuple):
    run: Run
    peer: str


class Runs:
    """The runs that are forwarded to this collector. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, spool: bytes, peer: str) -> Run | None:
        """The run of this spool, if it is in memory. Raises PeerError if it is somebody else's."""
        with self._lock:
            known = self._known.get(spool)
            if known is None:
                return None
            self._known.move_to_end(spool)
        if known.peer != peer:
            raise _foreign(spool)
        return known.run

    def is_there(self, run: Run) -> bool:
        """Whether a run is still in the database. Raises StoreError."""
        return self._store.run(run.id) is not None

    def look_up(self, spool: bytes, peer: str, said: wire.Run | None) -> Run:
        """The run of this spool in the database, made or changed to what is `said` of it.

        Raises MalformedError for a run that nothing was ever said of, PeerError, StoreError.
        """
        found = self._store.admit_run(spool.hex(), peer, None if said is None else _described(spool, said))
        if found is None:
            raise MalformedError(f"of the run of spool {spool.hex()} nothing was said yet")
        run, first = found
        if first != peer:
            raise _foreign(spool)
        with self._lock:
            known = self._known.get(spool)
            if known is None or known.run.id != run:
                known = self._known[spool] = _Known(Run(run, 0, files=_FILES_OF_ONE), peer)
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return known.run


def _described(spool: bytes, said: wire.Run) -> RunRow:
    if not _RUN_ID.fullmatch(said.id) or said.started < 0 or said.ended < 0:
        raise MalformedError("a run's description makes no sense")
    command = json.dumps([argument.decode(errors="surrogateescape") for argument in said.command])
    return RunRow(
        said.id,
        spool.hex(),
        command if said.command else None,
        said.started,
        said.ended or None,
        said.status if said.HasField("status") else None,
        _container(said.container) if said.HasField("container") else None,
    )


def _container(said: wire.Container) -> Identity:
    def told(name: str) -> str | None:
        return getattr(said, name) if said.HasField(name) else None

    return Identity(
        id=said.id,
        name=told("name"),
        image=told("image"),
        digest=told("digest"),
        labels=dict(said.labels),
        project=told("project"),
        service=told("service"),
    )


def _foreign(spool: bytes) -> PeerError:
    return PeerError(f"the run of spool {spool.hex()} came from another peer first")


class Relay:
    """The Intake of one stream of one peer."""

    def __init__(self, runs: Runs, peer: str) -> None:
        self._runs, self._peer = runs, peer

    async def take(self, message: bytes) -> Item:
        """See Intake."""
        number, records, forwarded = take_apart(message)
        if forwarded is None or len(forwarded.spool) != _SPOOL_ID:
            raise MalformedError(
                "a batch names no spool: a collector is for sidecars, a process's sidecar for processes"
            )
        if number == _OWN:
            number = OWN_JOURNAL
        elif number > _LARGEST:
            raise MalformedError(f"journal {number} is beyond all numbers")
        said = forwarded.run if forwarded.HasField("run") else None
        run = self._runs.find(forwarded.spool, self._peer) if said is None else None
        if run is None:
            run = await asyncio.to_thread(self._runs.look_up, forwarded.spool, self._peer, said)
        notes = tuple((note.offset, note.event) for note in forwarded.notes)
        return Item(run, number, records, "forwarded", notes, forwarded.closed, forwarded.realtime_offset)

    async def explains(self, item: Item) -> bool:
        """See Intake. Who sends more of a run that was deleted has to say anew what it is, in another stream."""
        try:
            return await asyncio.to_thread(self._runs.is_there, item.run)
        except StoreError:
            return False

    def answered(self, item: Item, result: Result) -> None:
        """See Intake."""
