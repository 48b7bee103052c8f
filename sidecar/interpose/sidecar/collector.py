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
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from interpose.sidecar import decode
from interpose.sidecar.allowance import Allowance
from interpose.sidecar.errors import InterposeError, SpoolError
from interpose.sidecar.ingest import OWN_JOURNAL, SIGN_SECONDS, Item, Result, Writer
from interpose.sidecar.journal import Records, Stop, measure, scan
from interpose.sidecar.memory import Run
from interpose.sidecar.mend import Mended, mend
from interpose.sidecar.metrics import Metrics
from interpose.sidecar.spool import Header, Journal, Kind, Segment, Spool, boot_time
from interpose.sidecar.unstarted import Unstarted
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
_MOST_NAMED: Final = 8
_PROCESSES_A_SECOND: Final = 10**6
"""More than a machine starts."""
_MOST_PROCESSES: Final = 1 << 40
_WORD: Final = 8
"""Bytes of which the first of a record is made at once, and is not zero."""
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
    left: int
    """Journals that are not done, claimed or not."""
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
        first: Event | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """`committed` is Store.journals, `told` are the encoded events that OWN_JOURNAL has already.

        `first` is what to say of the run's first program, which runs unseen. `allowance` is what may be read while the
        container runs, None for no limit.
        """
        self._spool, self._run, self._writer, self._metrics = spool, run, writer, metrics
        self._committed = committed
        self._shelves: dict[int, _Shelf] = {}
        self._watched: list[_Reader] = []
        """What was claimed and is not over: each look asks after all of it."""
        self._over_continued: deque[_Reader] = deque()
        self._over_homes: deque[_Reader] = deque()
        """What is over and not on its way to the database: as much as the quota allows, so no look goes through it."""
        self._pending: list[_Reader] = []
        """What is on its way to the database."""
        self._families: dict[tuple[int, int], list[_Reader]] = {}
        """The journals of a process, by pid and start time."""
        self._claimed = 0
        """By processes, when it was last looked at."""
        self._told_lost = [0] * 8
        self._lost_processes = 0
        """Told of since the start."""
        self._poisoned: set[int] = set()
        """Causes whose number of processes was nonsense: from there on it is counted anew."""
        self._told_refused = 0
        self._told = len(told)
        self._signed = time.monotonic()
        self._first = first
        self._unstarted = Unstarted()
        for body in told:
            event = Event.FromString(body)
            self._told_lost[event.gap.cause % 8] += event.gap.events
            if event.HasField("origin") and not self._unstarted.remember(event):
                self._first = None
        self._allowance = allowance
        self._is_slowed = False
        self._claims_nonsense = False
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
        try:
            self._look()
        except SpoolError as error:  # no room for more journals: those that are there are stored, which makes room
            self.problem = str(error)
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

    def may_read(self) -> bool:
        """Whether the container is within its limit, or has ended. From any thread."""
        return self._allowance is None or self._draining > 0 or self._stopping or self._allowance.has_room()

    def took(self, size: int) -> None:
        """So many bytes of journals are on their way to the database. From any thread."""
        if self._allowance is not None:
            self._allowance.take(size)

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
        self._settle()
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
        self._doubt_claims()
        for _, segment in sorted(self._spool.segments.items()):
            self._unshelve(segment, claimed)
        self._settle()
        self._examine()
        self._is_full = False
        if not self._is_slow():
            self._read_watched()
            self._read_over()
        self._drop_unborn()
        self._remove_done()
        self._metrics.journals_live.set(sum(reader.live and reader.born for reader in self._watched))
        if (
            self._writer.problem is None
            and not self._has_ended_ones()
            and all(r.live or r.done or r.failed for r in self._watched)
        ):
            with self._idle:
                self._idle_since = look
                self._idle.notify_all()
        if problem is not None:
            raise problem

    def _doubt_claims(self) -> None:
        """Count it once when a number of claims stands there that there cannot have been."""
        nonsense = self._spool.claims_nonsense()
        if nonsense and not self._claims_nonsense:
            self._metrics.poisoned.labels("control").inc()
        self._claims_nonsense = nonsense

    def _is_slow(self) -> bool:
        """Whether nothing more is read for now; said once."""
        slow = not self.may_read()
        if slow and not self._is_slowed:
            self._is_slowed = True
            _log.warning("run %s is over its daily limit: it is read no faster than that from here on", self._run.id)
        self._metrics.slowed.set(slow)
        return slow

    def _settle(self) -> None:
        """Take note of what became of what was submitted."""
        for reader in self._pending:
            future = reader.pending
            if future is None or not future.done():
                continue
            reader.pending = None
            if future.exception() is not None:
                reader.failed = True
                continue
            result = future.result()
            reader.committed = result.committed
            if result.closed:
                self._finish(reader)
                continue
            reader.journal.acknowledge(result.committed)
            if reader.over:
                self._queue(reader)
        self._pending = [reader for reader in self._pending if reader.pending is not None]

    def _examine(self) -> None:
        """Ask whether what is watched has begun, and whether it is over."""
        for reader in self._watched:
            if reader.done or reader.over:
                continue
            # In this order: an owner locks, then writes the header, then events. What has begun and is not locked is
            # over.
            reader.born = reader.born or reader.journal.is_born()
            if reader.born and reader.header is None and (header := reader.journal.header()) is not None:
                reader.header = header
                self._families.setdefault((header.pid, header.start_time), []).append(reader)
            reader.live = reader.journal.is_live()
            reader.over = reader.born and not reader.live
            if reader.over:
                reader.journal.give_up()
                if reader.pending is None and not reader.failed:
                    self._queue(reader)
        self._watched = [reader for reader in self._watched if not (reader.done or reader.over)]

    def _queue(self, reader: _Reader) -> None:
        (self._over_homes if _is_home(reader) else self._over_continued).append(reader)

    def _finish(self, reader: _Reader) -> None:
        reader.done = True
        self._shelves[reader.journal.segment.index].left -= 1

    def _has_ended_ones(self) -> bool:
        """Whether anything of ended processes is still to be stored."""
        return bool(self._over_continued or self._over_homes) or any(reader.over for reader in self._pending)

    def _read_watched(self) -> None:
        pending = [reader for reader in self._pending if not reader.over]
        for reader in self._watched:
            if reader.pending is not None or reader.failed or reader.done or reader.header is None or not reader.live:
                continue
            if len(pending) >= _MOST_PENDING:
                self._wait_for_room(pending)
                return
            if not self.may_read():
                return
            if time.monotonic() - self._streaming.get(reader.journal.number, -_STREAMING_SECONDS) >= _STREAMING_SECONDS:
                self._read_live(reader, reader.header)
                if reader.pending is not None:
                    pending.append(reader)

    def _read_over(self) -> None:
        """Read what is over; a home journal's last Io events come after all that its continuations tell."""
        pending = [reader for reader in self._pending if reader.over]
        for queue in (self._over_continued, self._over_homes):
            for _ in range(len(queue)):
                if not self.may_read():
                    return
                if len(pending) >= _MOST_PENDING:
                    self._wait_for_room(pending)
                    return
                reader = queue.popleft()
                try:
                    self._read_dead(reader)
                finally:  # what cannot be read yet, or makes us stumble, holds up nobody else
                    (queue if reader.pending is None else pending).append(reader)

    def _wait_for_room(self, pending: list[_Reader]) -> None:
        """Look again when half of this is stored."""
        self._is_full = True
        self._writer.go_on()
        middle = pending[_MOST_PENDING // 2].pending
        assert middle is not None
        middle.add_done_callback(lambda _: self._notify())

    def _unshelve(self, segment: Segment, claimed: int) -> None:
        """Make readers for what has been claimed."""
        shelf = self._shelves.get(segment.index)
        if shelf is None:
            shelf = self._shelves[segment.index] = _Shelf(segment, segment.settings.journals_per_segment)
        for slot in range(len(shelf.readers), min(claimed - segment.first, segment.settings.journals_per_segment)):
            journal = Journal(segment, slot)
            committed, closed = self._committed.get(journal.number, (0, False))
            reader = _Reader(journal, committed, time.monotonic())
            shelf.readers.append(reader)
            if closed or journal.number < segment.settings.first:
                self._finish(reader)
            else:
                self._watched.append(reader)

    def _submit(self, reader: _Reader, records: Records, notes: list[decode.Note], *, close: bool = False) -> None:
        self.took(len(records.data))
        reader.pending = self._writer.submit(
            Item(self._run, reader.journal.number, records, "collected", tuple(notes), close)
        )
        self._pending.append(reader)
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
        if reader.header is None:
            self._metrics.refused.labels("header").inc()
            self._spool.quarantine(journal)
            note = decode.corrupt(reader.committed, boot_time())
            self._submit(reader, Records(reader.committed, b""), [note], close=True)
            return
        continuations = self._continuations(reader)
        if not all(other.done or other.failed or (other.over and other.pending is not None) for other in continuations):
            return
        header = journal.header() or reader.header
        mended, is_cut = _read_to_the_end(journal, header, reader.committed)
        if mended.records.unfinished and not (reader.lingered or self._stopping):
            reader.lingered = True  # a checkpoint may have brought it back just now
            return
        records, now = mended.records, boot_time()
        notes = [decode.corrupt(place, now) for place in mended.damaged]
        if records.stop is Stop.CORRUPT or is_cut:
            notes.append(decode.corrupt(records.end, now))
        if notes:
            self._metrics.refused.labels("journal").inc()
            self._spool.quarantine(journal)
        if header.lost_events:
            last = _clip(header.lost_last)
            event = decode.gap(last, header.lost_events, header.lost_cause & 7, _clip(header.lost_first), last)
            notes.append((-1, event))
        if descriptors := journal.descriptors(header, self._spool.is_told):
            ended = max(_last_time(other) for other in [reader, *continuations])
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

    def _drop_unborn(self) -> None:
        """Close journals that were claimed and never begun to whoever claimed them: it will claim another."""
        unborn = [reader for reader in self._watched if not (reader.born or reader.live or reader.done)]
        if not unborn:
            return
        rest = self._has_ended_ones()
        now = time.monotonic()
        for reader in unborn:
            patience = 0.0 if (self._draining or self._stopping) and not rest else _UNBORN_SECONDS
            # Or it was begun, and has ended, just before: then the next look reads it.
            if now - reader.since >= patience and reader.journal.lock() and not reader.journal.is_born():
                self._finish(reader)

    def _remove_done(self) -> None:
        # What lies before the first journal of this life of the spool, a restored process may be about to map.
        first = self._spool.settings.first
        for index, shelf in list(self._shelves.items()):
            if shelf.left or shelf.segment.first < first or any(self._is_needed(reader) for reader in shelf.readers):
                continue
            self._spool.remove(shelf.segment)
            del self._shelves[index]
            for reader in shelf.readers:
                self._streaming.pop(reader.journal.number, None)
                self._leave_family(reader)

    def _is_needed(self, reader: _Reader) -> bool:
        """Whether the home journal of a dead process may yet name this one: Spool.is_told."""
        header, number = reader.header, reader.journal.number
        if header is None or header.kind is Kind.HOME:
            return False
        family = self._families[(header.pid, header.start_time)]
        homes = [home for home in family if _is_home(home) and home.journal.number < number]
        home = max(homes, key=lambda home: home.journal.number, default=None)
        return home is not None and not (home.live or home.done or home.failed)

    def _leave_family(self, reader: _Reader) -> None:
        if reader.header is not None:
            key = (reader.header.pid, reader.header.start_time)
            self._families[key].remove(reader)
            if not self._families[key]:
                del self._families[key]

    def _tell(self) -> None:
        """Account for processes that got no journal, and for what is refused in the spool: once each.

        And say now and then that the run goes on.
        """
        now = boot_time()
        notes: list[decode.Note] = [(0, decode.gap(now, amount, cause)) for cause, amount in self._newly_lost()]
        if self._first is not None:
            notes.append((0, self._first))
            self._first = None
        notes += [(0, event) for event in self._newly_unstarted(now)]
        if notes or time.monotonic() - self._signed >= SIGN_SECONDS:
            self._writer.submit(Item(self._run, OWN_JOURNAL, Records(self._told, b""), "collected", tuple(notes)))
            self._told += len(notes)
            self._signed = time.monotonic()
        if (refused := len(self._spool.refused)) > self._told_refused:
            names = _some(self._spool.refused)
            _log.warning("refused in the spool of run %s, not a journal segment: %s", self._run.id, names)
            self._metrics.refused.labels("segment").inc(refused - self._told_refused)
            self._told_refused = refused

    def _newly_lost(self) -> Iterator[tuple[int, int]]:
        """By Gap.Cause, the processes that got no journal and were not told of."""
        for cause, amount in enumerate(self._spool.lost_processes()):
            more = amount - self._told_lost[cause]
            if more > 0 and self._can_have_lost(more):
                self._lost_processes += more
                yield cause, more
            elif more > 0:
                self._poisoned.add(cause)
                self._metrics.poisoned.labels("control").inc()
            if more > 0 or cause in self._poisoned:
                self._told_lost[cause] = amount

    def _newly_unstarted(self, now: int) -> Iterator[Event]:
        """What is to be told of processes that the library let go at their start."""
        for cause, amount, events in self._unstarted.news(self._spool, now, self._can_have_lost):
            if amount < 0:
                self._metrics.poisoned.labels("control").inc()
                continue
            self._lost_processes += amount
            self._metrics.blind.labels(cause).inc(amount - len(events))  # the others are counted when they are stored
            yield from events

    def _can_have_lost(self, processes: int) -> bool:
        most = min(int(self._run.age() * _PROCESSES_A_SECOND), _MOST_PROCESSES)
        return self._lost_processes + processes <= most


def _read_to_the_end(journal: Journal, header: Header, committed: int) -> tuple[Mended, bool]:
    """What stands in a dead process's journal behind what is committed, and whether the file was cut short there."""
    start, left = header.events_offset + committed, header.events_size - committed
    used = header.tail - committed
    if 0 <= used <= left - _WORD:
        # Nearly always nothing stands behind the tail, and where a word of nothing does, nothing need be looked for.
        mended = mend(journal.read(start, used + _WORD), committed)
        if mended.records.stop is Stop.EMPTY and mended.records.end == header.tail and not mended.damaged:
            return mended, False
    data = journal.read(start, left)
    mended = mend(data, committed)
    return mended, len(data) < left and mended.records.stop is Stop.END


def _some(names: set[str]) -> str:
    """Few enough for a line of a log."""
    few = sorted(names)[:_MOST_NAMED]
    more = len(names) - len(few)
    return ", ".join(few) + (f" and {more} more" if more else "")


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
