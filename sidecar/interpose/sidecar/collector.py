"""The collector: reads journals from the spool, those of the dead to their end and those of the living as they grow.

It looks every 100 ms, and at once when a mapping of a segment disappears (a process ended or executed a program), which
inotify reports as IN_CLOSE_WRITE. It never writes to the database: what it reads goes to the writer.
"""

import contextlib
import ctypes
import logging
import os
import select
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from interpose.sidecar import decode
from interpose.sidecar.errors import InterposeError, SpoolError
from interpose.sidecar.ingest import OWN_JOURNAL, Item, Result, Writer
from interpose.sidecar.journal import Records, Stop, measure, scan
from interpose.sidecar.memory import Run
from interpose.sidecar.mend import mend
from interpose.sidecar.metrics import Metrics
from interpose.sidecar.spool import Header, Journal, Kind, Segment, Spool, boot_time
from interpose.v1.event_pb2 import Event

__all__ = ["Collector"]

_LOOK_SECONDS: Final = 0.1
_SETTLE_SECONDS: Final = 0.005
"""Between a notice and the look: it comes just before the lock ends, and others are on their way."""
_ABANDONED_SECONDS: Final = 5.0
_UNBORN_SECONDS: Final = 10.0
_STREAMING_SECONDS: Final = 1.0
_MOST_PENDING: Final = 256
"""Journals of living processes on their way to the database, and as many of those that are over."""
_FAILING_SECONDS: Final = 30.0
_FIRST_READ: Final = 4096
_IN_CLOSE_WRITE: Final = 0x8

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Reader:
    """What is known of one claimed journal."""

    journal: Journal
    committed: int
    since: float
    """Monotonic time of the claim, as far as it is known."""
    born: bool = False
    """Its header was begun to its end."""
    header: Header | None = None
    """None also for one that makes no sense."""
    live: bool = False
    over: bool = False
    """Its owner is gone: neither its header nor its lock can change any more."""
    done: bool = False
    failed: bool = False
    """It cannot be stored; it stays in the spool."""
    pending: "Future[Result] | None" = None
    unfinished: tuple[int, float] = (-1, 0.0)
    """A record that is not finished, and since when (monotonic)."""
    abandoned: frozenset[int] = frozenset()
    lingered: bool = False
    """Its owner seems dead, and was given a look's time to finish what it had begun."""


@dataclass(slots=True, eq=False)
class _Shelf:
    """The readers of one segment."""

    segment: Segment
    committed: dict[int, tuple[int, bool]]
    readers: list[_Reader] = field(default_factory=list)


class Collector:
    """The thread that looks into one spool."""

    def __init__(
        self,
        spool: Spool,
        run: Run,
        writer: Writer,
        metrics: Metrics,
        *,
        committed: dict[int, tuple[int, bool]],
        told: list[bytes],
    ) -> None:
        """`committed` is Store.journals, `told` are the encoded events that OWN_JOURNAL has already."""
        self._spool, self._run, self._writer, self._metrics = spool, run, writer, metrics
        self._committed = committed
        self._shelves: dict[int, _Shelf] = {}
        self._families: dict[tuple[int, int], list[_Reader]] = {}
        """The journals of a process, by pid and start time."""
        self._claimed = 0
        """By processes, when it was last looked at."""
        self._told_lost = [0] * 8
        self._told_refused = 0
        self._told = len(told)
        for body in told:
            gap = Event.FromString(body).gap
            self._told_lost[gap.cause % 8] += gap.events
        self._streaming: dict[int, float] = {}
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watch = _watch(spool)
        self._stopping = False
        self._is_full = False
        """The last look left journals unread, as enough are on their way to the database."""
        self._draining = 0
        self._looks = 0
        self._idle_since = 0
        self._idle = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="interpose-collector", daemon=True)
        self.problem: str | None = None
        """Why the last look failed; None after one that did not."""

    def start(self) -> None:
        """Look once, then start the thread."""
        self._look()
        self._thread.start()

    def streaming(self, number: int) -> None:
        """A journal's events come over gRPC just now: leave it alone while its owner lives. From any thread."""
        self._streaming[number] = time.monotonic()

    def behind(self, number: int) -> None:
        """What came over gRPC lies beyond what is committed: read the journal itself. From any thread."""
        self._streaming.pop(number, None)
        self._notify()

    def is_claimed(self, number: int) -> bool:
        """Whether a process may have this journal. From any thread."""
        return number >= 0 and (number < self._claimed or number < self._spool.claimed())

    def drain(self, timeout: float | None) -> bool:
        """Wait until everything of dead owners is committed.

        False if `timeout` seconds passed before; without a limit, if spool or database fail for 30 seconds.
        """
        self._writer.hurry(on=True)
        with self._idle:
            self._draining += 1
            begun = self._looks
        self._notify()
        deadline = None if timeout is None else time.monotonic() + timeout
        patience = time.monotonic() + _FAILING_SECONDS
        try:
            with self._idle:
                while self._idle_since <= begun:
                    now = time.monotonic()
                    if self.problem is None and self._writer.problem is None:
                        patience = now + _FAILING_SECONDS
                    if now >= (patience if deadline is None else deadline):
                        return False
                    self._idle.wait(_LOOK_SECONDS)
                return True
        finally:
            with self._idle:
                self._draining -= 1
                if not self._draining:
                    self._writer.hurry(on=False)

    def pending(self) -> int:
        """Journals that are not stored to their end. After `stop` and Writer.stop."""
        for shelf in self._shelves.values():
            for reader in shelf.readers:
                self._settle(reader)
        self._remove_done()
        return sum(not reader.done for shelf in self._shelves.values() for reader in shelf.readers)

    def stop(self) -> None:
        """End the thread, after a last look. What that submits is the writer's to finish."""
        self._stopping = True
        self._notify()
        self._thread.join()
        with contextlib.suppress(SpoolError):
            self._look()

    def close(self) -> None:
        """Close what belongs to the thread; after `stop` and Writer.stop."""
        for file in (self._wake, self._watch):
            if file >= 0:
                os.close(file)

    # The thread.

    def _notify(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _work(self) -> None:
        news, room = select.poll(), select.poll()
        for poll in (news, room):
            poll.register(self._wake, select.POLLIN)
        if self._watch >= 0:
            news.register(self._watch, select.POLLIN)
        while not self._stopping:
            noticed = (room if self._is_full else news).poll(_LOOK_SECONDS * 1000)
            for file, _ in noticed:
                with contextlib.suppress(BlockingIOError):
                    os.read(file, 65536)
            if any(file == self._watch for file, _ in noticed):
                time.sleep(_SETTLE_SECONDS)
            try:
                self._look()
                self.problem = None
            except InterposeError as error:
                self.problem = str(error)
            except Exception as error:  # noqa: BLE001
                # One bad look must not end the service: the journals keep everything.
                if self.problem is None:
                    _log.exception("the collector stumbled")
                self.problem = f"the collector stumbled, report this: {error!r}"

    def _look(self) -> None:
        self._looks += 1
        look = self._looks
        problem = None
        try:
            self._spool.refresh()
        except SpoolError as error:
            problem = error
        self._spool.beat()
        self._tell()
        claimed = self._claimed = self._spool.claimed()
        for segment in list(self._spool.segments.values()):
            self._unshelve(segment, claimed)
        waiting = self._waiting()
        over = [reader for reader in waiting if reader.over]
        self._is_full = False
        self._read_some([reader for reader in waiting if not reader.over])
        # A home journal's last Io events come after all that its continuations tell.
        self._read_some([r for r in over if not _is_home(r)] + [r for r in over if _is_home(r)])
        self._drop_unborn(waiting)
        self._remove_done()
        self._metrics.journals_live.set(sum(reader.live for reader in waiting if not reader.done))
        if self._writer.problem is None and all(reader.done or reader.failed or reader.live for reader in waiting):
            with self._idle:
                self._idle_since = look
                self._idle.notify_all()
        if problem is not None:
            raise problem

    def _read_some(self, readers: list[_Reader]) -> None:
        """Read what is not on its way to the database, until enough is."""
        pending = [reader.pending for reader in readers if reader.pending is not None]
        for reader in readers:
            if reader.pending is not None or reader.failed:
                continue
            if len(pending) >= _MOST_PENDING:
                self._is_full = True
                self._writer.go_on()
                pending[_MOST_PENDING // 2].add_done_callback(lambda _: self._notify())
                return
            self._read(reader)
            if reader.pending is not None:
                pending.append(reader.pending)

    def _waiting(self) -> list[_Reader]:
        """What is not done, by number. There may be as many as the quota allows, and each look goes through them."""
        waiting = []
        for _, shelf in sorted(self._shelves.items()):
            for reader in shelf.readers:
                if reader.pending is not None:
                    self._settle(reader)
                if not reader.done:
                    waiting.append(reader)
                    if not reader.over:
                        self._examine(reader)
        return waiting

    def _examine(self, reader: _Reader) -> None:
        # In this order: an owner locks, then writes the header, then events. What has begun and is not locked is over.
        reader.born = reader.born or reader.journal.is_born()
        if reader.born and reader.header is None and (header := reader.journal.header()) is not None:
            reader.header = header
            self._families.setdefault((header.pid, header.start_time), []).append(reader)
        reader.live = reader.journal.is_live()
        reader.over = reader.born and not reader.live
        if reader.over:
            reader.journal.give_up()

    def _unshelve(self, segment: Segment, claimed: int) -> None:
        """Make readers for what has been claimed."""
        shelf = self._shelves.get(segment.index)
        if shelf is None:
            shelf = self._shelves[segment.index] = _Shelf(segment, self._committed)
        for slot in range(len(shelf.readers), min(claimed - segment.first, segment.settings.journals_per_segment)):
            journal = Journal(segment, slot)
            committed, closed = shelf.committed.get(journal.number, (0, False))
            done = closed or journal.number < segment.settings.first
            shelf.readers.append(_Reader(journal, committed, time.monotonic(), done=done))

    def _settle(self, reader: _Reader) -> None:
        """Take note of what became of a range that was submitted."""
        future = reader.pending
        if future is None or not future.done():
            return
        reader.pending = None
        if future.exception() is not None:
            reader.failed = True
            return
        result = future.result()
        reader.committed = result.committed
        reader.done = result.closed
        if not reader.done:
            reader.journal.acknowledge(result.committed)

    def _read(self, reader: _Reader) -> None:
        if reader.header is None:
            if reader.born and not reader.live:
                self._metrics.refused.labels("header").inc()
                self._spool.quarantine(reader.journal)
                self._submit(
                    reader, Records(reader.committed, b""), [decode.corrupt(reader.committed, boot_time())], close=True
                )
        elif reader.live:
            if time.monotonic() - self._streaming.get(reader.journal.number, -_STREAMING_SECONDS) >= _STREAMING_SECONDS:
                self._read_live(reader, reader.header)
        elif not any(other.live and not other.done for other in self._continuations(reader)):
            self._read_dead(reader)

    def _submit(self, reader: _Reader, records: Records, notes: list[decode.Note], *, close: bool = False) -> None:
        reader.pending = self._writer.submit(
            Item(self._run, reader.journal.number, records, "collected", tuple(notes), close)
        )
        if self._draining:
            reader.pending.add_done_callback(lambda _: self._notify())

    def _read_live(self, reader: _Reader, header: Header) -> None:
        start = header.events_offset + reader.committed
        left = header.events_size - reader.committed
        data = reader.journal.read(start, min(left, _FIRST_READ))
        extent = measure(data, reader.committed, reader.abandoned)
        if extent.stop is Stop.END and left > len(data):
            data = reader.journal.read(start, left)
            extent = measure(data, reader.committed, reader.abandoned)
        if extent.stop is Stop.UNFINISHED:
            self._watch_unfinished(reader, reader.committed + extent.size, data)
        if extent.size:
            # Read again: the first reading may have copied a body before its flag.
            records = scan(reader.journal.read(start, extent.size), reader.committed)
            if records.end == reader.committed + extent.size:
                now = boot_time()
                self._submit(reader, records, [decode.abandoned(place, now) for place in records.unfinished])

    def _watch_unfinished(self, reader: _Reader, offset: int, data: bytes) -> None:
        """Give up a record that stays unfinished while later ones are finished: its thread will not come back."""
        now = time.monotonic()
        if reader.unfinished[0] != offset:
            reader.unfinished = (offset, now)
        elif now - reader.unfinished[1] > _ABANDONED_SECONDS:
            rest = scan(data[offset - reader.committed :], offset)
            if any(place > offset for place in rest.offsets):
                reader.abandoned |= {offset}

    def _read_dead(self, reader: _Reader) -> None:
        journal = reader.journal
        header = journal.header() or reader.header
        assert header is not None
        left = header.events_size - reader.committed
        data = journal.read(header.events_offset + reader.committed, left)
        mended = mend(data, reader.committed)
        if mended.records.unfinished and not (reader.lingered or self._stopping):
            reader.lingered = True  # a checkpoint may have brought it back just now
            return
        records, now = mended.records, boot_time()
        notes = [decode.corrupt(place, now) for place in mended.damaged]
        if records.stop is Stop.CORRUPT or (len(data) < left and records.stop is Stop.END):
            notes.append(decode.corrupt(records.end, now))
        if notes:
            self._metrics.refused.labels("journal").inc()
            self._spool.quarantine(journal)
        if header.lost_events:
            last = _clip(header.lost_last)
            event = decode.gap(last, header.lost_events, header.lost_cause & 7, _clip(header.lost_first), last)
            notes.append((-1, event))
        if descriptors := journal.descriptors(header, self._spool.is_told):
            ended = max(_last_time(other) for other in [reader, *self._continuations(reader)])
            notes += [decode.last_io(descriptor, ended) for descriptor in descriptors]
        self._submit(reader, records, notes, close=True)

    def _continuations(self, home: _Reader) -> list[_Reader]:
        """The journals that a process filled after this home journal and before it executed another program."""
        header, found = home.header, list[_Reader]()
        assert header is not None
        family = self._families[(header.pid, header.start_time)]
        if header.kind is not Kind.HOME or len(family) == 1:
            return found
        for reader in sorted(family, key=lambda reader: reader.journal.number):
            if reader.journal.number > home.journal.number and reader.header is not None:
                if reader.header.kind is Kind.HOME:
                    break
                found.append(reader)
        return found

    def _drop_unborn(self, readers: list[_Reader]) -> None:
        """Close journals that were claimed and never begun to whoever claimed them: it will claim another."""
        unborn = [reader for reader in readers if not reader.born and not reader.live and not reader.done]
        if not unborn:
            return
        rest = any(not r.live and not r.done and not r.failed and r not in unborn for r in readers)
        now = time.monotonic()
        for reader in unborn:
            patience = 0.0 if (self._draining or self._stopping) and not rest else _UNBORN_SECONDS
            if now - reader.since >= patience and reader.journal.lock():
                # Or it was begun, and has ended, just before: then the next look reads it.
                reader.done = not reader.journal.is_born()

    def _remove_done(self) -> None:
        per = self._spool.settings.journals_per_segment
        finished = [
            (index, shelf)
            for index, shelf in self._shelves.items()
            if len(shelf.readers) == per
            and all(reader.done for reader in shelf.readers)
            and shelf.segment.first >= self._spool.settings.first  # or a restored process may be about to map it
        ]
        needed = self._needed() if finished else set()
        for index, shelf in finished:
            if not any(reader.journal.number in needed for reader in shelf.readers):
                self._spool.remove(shelf.segment)
                del self._shelves[index]
                for reader in shelf.readers:
                    self._streaming.pop(reader.journal.number, None)
                    self._leave_family(reader)

    def _needed(self) -> set[int]:
        """Journals that the home journals of dead processes may yet name: Spool.is_told."""
        readers = (reader for shelf in self._shelves.values() for reader in shelf.readers if reader.header is not None)
        homes = [home for home in readers if not (home.live or home.done or home.failed)]
        return {other.journal.number for home in homes for other in self._continuations(home)}

    def _leave_family(self, reader: _Reader) -> None:
        if reader.header is not None:
            key = (reader.header.pid, reader.header.start_time)
            self._families[key].remove(reader)
            if not self._families[key]:
                del self._families[key]

    def _tell(self) -> None:
        """Account for processes that got no journal, and for what is refused in the spool: once each."""
        now, notes = boot_time(), []
        for cause, amount in enumerate(self._spool.lost_processes()):
            if amount > self._told_lost[cause]:
                notes.append((0, decode.gap(now, amount - self._told_lost[cause], cause)))
                self._told_lost[cause] = amount
        if notes:
            self._writer.submit(Item(self._run, OWN_JOURNAL, Records(self._told, b""), "collected", tuple(notes)))
            self._told += len(notes)
        if (refused := len(self._spool.refused)) > self._told_refused:
            _log.warning("refused in the spool, not a journal segment: %s", ", ".join(sorted(self._spool.refused)))
            self._metrics.refused.labels("segment").inc(refused - self._told_refused)
            self._told_refused = refused


def _is_home(reader: _Reader) -> bool:
    return reader.header is not None and reader.header.kind is Kind.HOME


def _last_time(reader: _Reader) -> int:
    """The latest time in a journal, CLOCK_BOOTTIME in nanoseconds."""
    assert reader.header is not None
    data = reader.journal.read(reader.header.events_offset, reader.header.events_size)
    return decode.last_time(scan(data, 0))


def _clip(time: int) -> int:
    return min(time, (1 << 63) - 1)


def _watch(spool: Spool) -> int:
    """An inotify descriptor that becomes readable when a mapping of a segment ends; -1 where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    file = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if file >= 0 and libc.inotify_add_watch(file, os.fsencode(spool.directory), _IN_CLOSE_WRITE) < 0:
        os.close(file)
        return -1
    return file
