"""Forwarding: what the database has goes on to a collector.

The same call and the same offsets as from a process to its sidecar, all runs in one stream: a collector stores each
byte once, so after any crash the stream goes on behind what is known to be acknowledged. Acknowledgements come in the
order of the batches.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import grpc

from interpose.sidecar.cache import Cache
from interpose.sidecar.endpoint import Endpoint, TlsFiles, Unix
from interpose.sidecar.errors import EndpointError, InterposeError, MalformedError, StoreError, UnsendableError
from interpose.sidecar.ingest import SIGN_SECONDS
from interpose.sidecar.metrics import Metrics
from interpose.sidecar.parcels import Parcel, parcel_of_run, parcels
from interpose.sidecar.server import SERVICE
from interpose.sidecar.store import RunRow, Store, Unsent
from interpose.v1.capture_pb2 import Acknowledgement

__all__ = ["Forwarder", "Forwarding"]

_WINDOW: Final = 4 << 20
"""Bytes on their way, and"""
_PARCELS: Final = 512
_PAGE: Final = 512
"""Journals that are looked at together."""
_DESCRIBED: Final = 1024
"""Runs; who is forgotten is described again."""
_GATHER_SECONDS: Final = 0.05
"""Between a commit and the look for what it brought: others are on their way."""
_REST_SECONDS: Final = 30.0
_NOTE_SECONDS: Final = 0.2
"""Between two transactions that say what was acknowledged."""
_NOTED_AT_ONCE: Final = 1000
_PAUSES: Final = (0.1, 0.2, 0.5, 1, 2, 5)
_KEEPALIVE_MS: Final = 30_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Where everything that is stored goes on to."""

    endpoint: Endpoint
    tls: TlsFiles | None
    """For a TCP endpoint."""


class Forwarder:
    """The thread that sends what a database has to a collector, from `start` to `stop`."""

    def __init__(self, store: Store, to: Forwarding, metrics: Metrics) -> None:
        self._store, self._endpoint, self._tls, self._metrics = store, to.endpoint, to.tls, metrics
        self._thread = threading.Thread(target=self._work, name="interpose-forwarder", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._news: asyncio.Event
        self._room: asyncio.Event
        self._ending: asyncio.Event
        self._stopping = False
        self._task: asyncio.Task[None]
        self._in_flight: deque[Parcel] = deque()
        self._bytes = 0
        self._sent: dict[int, tuple[int, bool]] = {}
        """By the journal's id: how far it was sent, and whether with its end; only of what no row tells yet."""
        self._finished = False
        """Everything was sent, and the stream may end."""
        self._signs: tuple[float, dict[str, int]] | None = None
        """When signs of life were last passed on (monotonic), and Run.heard of each open run then."""
        self._arrived: dict[int, tuple[int, bool]] = {}
        """The same of what is acknowledged."""
        self._ended: dict[str, int] = {}
        """Runs whose end is acknowledged, and which end."""
        self._refused: set[int] = set()
        """Ids of journals that the collector will never take, or that have holes."""
        self.problem: str | None = None
        """Why nothing is forwarded; None while it is."""

    def start(self) -> None:
        """Start the thread. A collector that cannot be reached is no error: it is tried again."""
        self._thread.start()
        self._ready.wait()

    def notify(self) -> None:
        """Something was committed. From any thread."""
        with contextlib.suppress(RuntimeError):  # the thread has ended
            self._loop.call_soon_threadsafe(self._news.set)

    def stop(self, timeout: float) -> None:
        """Send what is stored, for `timeout` seconds at most, and end the thread; the rest stays stored."""
        self._stopping = True
        self.notify()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()

    def finish(self, timeout: float) -> Unsent:
        """`stop`, and what is left to send then. Without any, `problem` is none."""
        self.stop(timeout)
        try:
            unsent = self._store.unsent()
        except StoreError as error:
            self.problem = self.problem or str(error)
            return Unsent()
        if not any(unsent):
            self.problem = None
        return unsent

    # The thread.

    def _work(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._news, self._room, self._ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._ready.set()
        attempt = 0
        while True:
            try:
                await self._session()
                self.problem = None
            except Exception as error:  # noqa: BLE001 - what is stored waits for a better attempt
                attempt = 0 if self.problem is None else attempt + 1
                self._failed(error)
            finally:
                self._note()
            if self._stopping:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _PAUSES[min(attempt, len(_PAUSES) - 1)])

    def _failed(self, error: Exception) -> None:
        self._metrics.forward_failures.inc()
        known = isinstance(error, (grpc.aio.AioRpcError, InterposeError))
        if isinstance(error, grpc.aio.AioRpcError):
            reason = error.details()
        else:
            reason = str(error) if known else f"report this: {error!r}"
        if self.problem is None:
            _log.warning("cannot forward to %s: %s; trying again", self._endpoint, reason, exc_info=not known)
        self.problem = f"cannot forward to {self._endpoint}: {reason}"

    async def _session(self) -> None:
        """One stream, until it breaks, or until nothing is left to send after `stop`."""
        self._in_flight.clear()
        self._sent.clear()
        self._bytes = 0
        async with self._channel() as channel:
            call: Any = channel.stream_stream(
                f"/{SERVICE}/Stream", request_serializer=None, response_deserializer=Acknowledgement.FromString
            )
            stream = call()
            both = [asyncio.create_task(self._send(stream)), asyncio.create_task(self._receive(stream))]
            try:
                for task in asyncio.as_completed(both):
                    await task
            finally:
                for each in both:
                    each.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                stream.cancel()

    def _channel(self) -> grpc.aio.Channel:
        options = [
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.use_local_subchannel_pool", 1),  # another channel's failed attempts do not count
        ]
        if isinstance(self._endpoint, Unix):
            return grpc.aio.insecure_channel(f"unix:{self._endpoint.path}", options=options)
        assert self._tls is not None
        ours = self._tls.read()
        credentials = grpc.ssl_channel_credentials(ours.authorities, ours.key, ours.certificate)
        return grpc.aio.secure_channel(str(self._endpoint), credentials, options=options)

    # What is sent.

    async def _send(self, stream: Any) -> None:
        described: Cache[str, RunRow] = Cache(_DESCRIBED)
        while True:
            self._news.clear()
            count = 0
            for parcel in self._outstanding(described):
                while self._bytes + len(parcel.message) > _WINDOW or len(self._in_flight) >= _PARCELS:
                    if not self._in_flight:
                        break
                    self._room.clear()
                    await self._room.wait()
                self._in_flight.append(parcel)
                self._bytes += len(parcel.message)
                if parcel.journal is not None:
                    self._sent[parcel.journal] = parcel.end, parcel.closing
                try:
                    await stream.write(parcel.message)
                except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
                    return  # the stream has ended: reading from it says why
                count += 1
            if not count:
                if self._stopping and not self._in_flight:
                    self._finished = True
                    await stream.done_writing()
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), _REST_SECONDS)
                await asyncio.sleep(0 if self._stopping else _GATHER_SECONDS)

    def _outstanding(self, described: Cache[str, RunRow]) -> Iterator[Parcel]:
        """Everything that is stored and not on its way yet."""
        known: dict[str, RunRow | None] = {}
        after = 0
        while page := self._store.to_forward(after, _PAGE):
            for pending in page:
                after = pending.id
                start, closed = self._sent.get(pending.id, (pending.forwarded, False))
                if pending.id in self._refused or (start >= pending.offset and closed >= pending.closed):
                    continue
                if pending.run not in known:
                    known[pending.run] = self._store.run(pending.run)
                run = known[pending.run]
                if run is None:
                    continue  # it was deleted just now
                try:
                    yield from parcels(self._store, run, pending, start, describe=described.get(run.id) != run)
                except UnsendableError as error:
                    self._refuse(pending.id, str(error))
                described[run.id] = run
        last = ""
        while ended := self._store.ended_to_forward(last, _PAGE):
            for run in ended:
                last = run.id
                if described.get(last) != run:
                    yield parcel_of_run(run)
                    described[last] = run
        yield from self._signs_of_life()

    def _signs_of_life(self) -> Iterator[Parcel]:
        """Now and then the descriptions of the runs that go on and were heard of since the last time."""
        now = time.monotonic()
        if self._signs is not None and now - self._signs[0] < SIGN_SECONDS:
            return
        before, heard = self._signs, self._store.open_runs()
        self._signs = now, heard
        if before is not None:
            for id_, last in heard.items():
                if last != before[1].get(id_) and (run := self._store.run(id_)) is not None:
                    yield parcel_of_run(run)

    # What is acknowledged.

    async def _receive(self, stream: Any) -> None:
        noted = time.monotonic()
        async for answer in stream:
            if not self._in_flight:
                raise MalformedError("it acknowledges what it was not sent")
            parcel = self._in_flight.popleft()
            self._bytes -= len(parcel.message)
            self._room.set()
            self.problem = None
            self._acknowledged(parcel, answer)
            now = time.monotonic()
            if not self._in_flight or len(self._arrived) >= _NOTED_AT_ONCE or now - noted >= _NOTE_SECONDS:
                await asyncio.to_thread(self._note)
                noted = now
                self._news.set()
        if not self._finished:
            raise EndpointError("it has ended the stream")

    def _acknowledged(self, parcel: Parcel, answer: Acknowledgement) -> None:
        if parcel.ended is not None:
            self._ended[parcel.run] = parcel.ended
        if parcel.journal is None:
            return
        if answer.refused:
            why = f"{self._endpoint} refuses journal {answer.journal} of run {parcel.run}: {answer.refused}"
            self._refuse(parcel.journal, why)
        elif answer.offset >= parcel.end:
            self._arrived[parcel.journal] = parcel.end, parcel.closing
            self._metrics.forwarded.inc(parcel.end - parcel.start)
        else:
            # The collector has less than it once acknowledged: its database is an older one.
            self._sent[parcel.journal] = answer.offset, False

    def _refuse(self, journal: int, why: str) -> None:
        _log.error("%s", why)
        self._metrics.refused.labels("forward").inc()
        self._refused.add(journal)

    def _note(self) -> None:
        """Store what has arrived."""
        arrived, self._arrived = self._arrived, {}
        ended, self._ended = self._ended, {}
        try:
            self._store.note_forwarded(arrived, ended)
        except StoreError:
            self._arrived = arrived | self._arrived
            self._ended = ended | self._ended
            return
        for journal, state in arrived.items():
            if self._sent.get(journal) == state:
                self._sent.pop(journal, None)
