"""One stream of Capture.Stream: batches in, acknowledgements out, several batches on their way at a time.

What has been read and not been stored is bounded, for each stream and for all of them together; beyond that nothing is
read, and the peer waits: by HTTP/2's flow control, in its journals.
"""

import asyncio
import contextlib
import functools
import math
import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, Protocol

import grpc

from interpose.sidecar.errors import InterposeError, MalformedError, PeerError, StoreError, UnstorableError
from interpose.sidecar.ingest import Item, Result, Writer
from interpose.sidecar.metrics import Metrics
from interpose.v1.capture_pb2 import Acknowledgement

__all__ = ["Budget", "Intake", "Pace", "Streams"]

_AT_ONCE: Final = 1000


class Intake(Protocol):
    """What becomes of one stream's batches."""

    async def take(self, message: bytes) -> Item:
        """The range that an encoded Batch holds. Raises MalformedError, PeerError, StoreError."""

    async def explains(self, item: Item) -> bool:
        """Whether the peer is told that a range can never be stored; else its stream ends."""

    def answered(self, item: Item, result: Result) -> None:
        """A range has been through the writer."""


class Budget:
    """Bytes that may be in memory at a time. One event loop's; who comes first is served first."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Wait until there is room for `size` bytes, or for all that there is room for; returns what to give back."""
        size = min(size, self._size)
        if self._waiting or self._free < size:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.give(size)
                raise
        else:
            self._free -= size
        return size

    def give(self, size: int) -> None:
        """Give back what `take` returned."""
        self._free += size
        while self._waiting and (self._waiting[0][1].cancelled() or self._waiting[0][0] <= self._free):
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= wanted
                turn.set_result(None)


class Pace:
    """So many turns a second, after some at once. One event loop's; who comes too soon waits."""

    def __init__(self, rate: float, at_once: int) -> None:
        self._gap = 1 / rate
        self._credit = at_once * self._gap
        self._next = 0.0

    async def turn(self) -> None:
        """Wait until it is time."""
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now - self._credit) + self._gap
        if self._next > now:
            await asyncio.sleep(self._next - now)


class _Patience:
    """Cancels the task that it is made in when that has waited for so many seconds at a stretch."""

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._seconds, self._task, self._loop = seconds, task, asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.waits()
        if seconds < math.inf:
            self._look()

    def waits(self) -> None:
        """From now on the task waits."""
        self._since = self._loop.time()

    def works(self) -> None:
        """It has something to do, and whatever that waits for is its own affair."""
        self._since = math.inf

    def stop(self) -> None:
        """It waits as long as it likes."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(min(left, self._seconds), self._look)
        else:
            self._task.cancel()


class _Answers:
    """Brings results from the writer's thread into the event loop: all of a transaction's by one system call."""

    def __init__(self) -> None:
        self._ready: list[tuple[asyncio.Future[Result], Future[Result]]] = []
        self._lock = threading.Lock()

    def of(self, future: "Future[Result]") -> "asyncio.Future[Result]":
        """The same future in the event loop that runs."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        future.add_done_callback(lambda done: self._bring(loop, answer, done))
        return answer

    def _bring(self, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Result]", done: "Future[Result]") -> None:
        with self._lock:
            self._ready.append((answer, done))
            first = len(self._ready) == 1
        if first:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            ready, self._ready = self._ready, []
        for answer, done in ready:
            if answer.cancelled():
                continue
            error = done.exception()
            if error is None:
                answer.set_result(done.result())
            else:
                answer.set_exception(error)


class _Sent(NamedTuple):
    item: Item
    future: "asyncio.Future[Result]"


class Streams:
    """Answers the streams of one server, all in one event loop."""

    def __init__(
        self,
        writer: Writer,
        metrics: Metrics,
        *,
        budget: int,
        rate: float,
        waiting: int,
        idle: float = math.inf,
    ) -> None:
        """What all streams may do together, and one alone.

        `budget`: bytes of batches that may wait for their commit; `rate`: batches a second; `waiting`: batches of one
        stream that may wait; `idle`: seconds that a stream may say nothing.
        """
        self._writer, self._metrics = writer, metrics
        self._budget, self._pace = Budget(budget), Pace(rate, _AT_ONCE)
        self._waiting, self._idle = waiting, idle
        self._answers = _Answers()
        self._reading: set[asyncio.Task[None]] = set()

    def end(self) -> None:
        """Read nothing more: the streams end when what they have sent is stored and acknowledged."""
        for task in self._reading:
            task.cancel()

    async def serve(
        self, intake: Intake, requests: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[Acknowledgement]:
        """Serve one stream until its peer ends it or does what it may not."""
        sent: asyncio.Queue[_Sent | InterposeError | None] = asyncio.Queue(self._waiting)
        reading = asyncio.create_task(self._read(intake, requests, sent))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        try:
            while (entry := await sent.get()) is not None:
                if isinstance(entry, InterposeError):
                    await context.abort(_status(entry), str(entry))
                try:
                    result = await entry.future
                except UnstorableError as error:
                    if not await intake.explains(entry.item):
                        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
                    number, start = entry.item.number & _WRAP, entry.item.records.start
                    yield Acknowledgement(journal=number, offset=start, refused=str(error))
                    continue
                except StoreError as error:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
                if not result.accepted:
                    self._metrics.refused.labels("ahead").inc()
                intake.answered(entry.item, result)
                yield Acknowledgement(journal=entry.item.number & _WRAP, offset=result.committed)
        finally:
            reading.cancel()

    async def _read(
        self, intake: Intake, requests: AsyncIterator[bytes], sent: "asyncio.Queue[_Sent | InterposeError | None]"
    ) -> None:
        patience = _Patience(self._idle)
        end: InterposeError | None = None
        try:
            async for message in requests:
                patience.works()
                await self._pace.turn()
                size = await self._budget.take(len(message))
                try:
                    item = await intake.take(message)
                    future = self._answers.of(self._writer.submit(item))
                except BaseException:
                    self._budget.give(size)
                    raise
                future.add_done_callback(functools.partial(self._had_its_turn, size))
                await sent.put(_Sent(item, future))
                patience.waits()
        except InterposeError as error:
            if isinstance(error, (MalformedError, PeerError)):
                self._metrics.refused.labels("malformed" if isinstance(error, MalformedError) else "peer").inc()
            end = error
        finally:
            patience.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await sent.put(end)

    def _had_its_turn(self, size: int, future: "asyncio.Future[Result]") -> None:
        self._budget.give(size)
        if not future.cancelled():
            future.exception()  # or asyncio complains that nobody asked for it


_WRAP: Final = 0xFFFF_FFFF_FFFF_FFFF


def _status(error: InterposeError) -> grpc.StatusCode:
    if isinstance(error, MalformedError):
        return grpc.StatusCode.INVALID_ARGUMENT
    if isinstance(error, PeerError):
        return grpc.StatusCode.PERMISSION_DENIED
    return grpc.StatusCode.UNAVAILABLE
