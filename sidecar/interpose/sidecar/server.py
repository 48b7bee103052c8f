"""The gRPC server of one spool: interpose.v1.Capture on SPOOL/capture.sock.

There is no generated service code: a Batch is taken as raw bytes, because its records' places in the bytes are their
offsets in the journal.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any, Final

import grpc

from interpose.sidecar import decode
from interpose.sidecar.collector import Collector
from interpose.sidecar.errors import InterposeError, MalformedError, SpoolError, StoreError
from interpose.sidecar.ingest import Item, Result, Writer
from interpose.sidecar.journal import Records, Stop, scan
from interpose.sidecar.memory import Run
from interpose.sidecar.metrics import Metrics
from interpose.sidecar.spool import Spool, boot_time
from interpose.v1.capture_pb2 import Acknowledgement

__all__ = ["SERVICE", "Server", "split"]

SERVICE: Final = "interpose.v1.Capture"

_JOURNAL: Final = 0x10
_OFFSET: Final = 0x18
_LARGEST_MESSAGE: Final = 4 << 20
_WAITING_ITEMS: Final = 256
"""Of all streams, in the writer's queue."""
_WAITING_OF_ONE: Final = 16
_LONGEST_SOCKET_PATH: Final = 107
_GRACE_SECONDS: Final = 1.0


def split(message: bytes) -> tuple[int, Records]:
    """An encoded Batch: the journal's number, and the records. Raises MalformedError."""
    number = start = position = 0
    pieces = []
    records: Records | None = None
    while position < len(message):
        tag = message[position]
        if tag in (_JOURNAL, _OFFSET):
            value, position = _varint(message, position + 1)
            if tag == _JOURNAL:
                number = value
            else:
                start = value
            continue
        records = scan(message[position:] if position else message, start)
        if not records.data or records.stop is Stop.EMPTY:
            raise MalformedError(f"byte {position} of a batch begins no record")
        if records.stop is Stop.CORRUPT:
            records.stop = Stop.END  # another field follows, or the next turn says that none does
        pieces.append(records.data)
        position += len(records.data)
    if records is None:
        records = Records(start, b"")
    elif len(pieces) > 1 or records.start != start:
        records = scan(b"".join(pieces), start)
    if start % 8:
        raise MalformedError(f"offset {start} is no record's")
    return number, records


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[position : position + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + place + 1
    raise MalformedError(f"byte {position} of a batch begins no number")


class Server:
    """Serves in a thread of its own, from `start` to `stop`."""

    def __init__(self, spool: Spool, run: Run, writer: Writer, collector: Collector, metrics: Metrics) -> None:
        self._spool, self._run, self._writer = spool, run, writer
        self._collector, self._metrics = collector, metrics
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name="interpose-server", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._turns: asyncio.Semaphore

    def start(self) -> None:
        """Listen. Raises SpoolError if the socket cannot be made."""
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self._thread.join()
            raise

    def stop(self) -> None:
        """End streams and thread. What was submitted is the writer's to finish."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._turns = asyncio.Semaphore(_WAITING_ITEMS)
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", _LARGEST_MESSAGE)])
        handler = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=None,
            response_serializer=Acknowledgement.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Stream": handler}),))
        path = self._spool.socket
        with contextlib.ExitStack() as stack:
            address = os.fspath(path)
            try:
                path.unlink(missing_ok=True)  # a former sidecar's: this one has the spool's lock
                if len(os.fsencode(address)) > _LONGEST_SOCKET_PATH:
                    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                    stack.callback(os.close, directory)
                    address = f"/proc/self/fd/{directory}/{path.name}"
                server.add_insecure_port(f"unix:{address}")
                await server.start()
                path.chmod(0o666)
            except (OSError, RuntimeError) as error:
                await server.stop(None)
                raise SpoolError(f"cannot listen on {path}: {error}; remove it or use another directory") from error
            self._ready.set_result(None)
            await self._stop.wait()
            await server.stop(_GRACE_SECONDS)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    async def _stream(
        self, requests: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[Acknowledgement]:
        """Capture.Stream: ranges up, acknowledgements down, several ranges on their way at a time."""
        sent: asyncio.Queue[tuple[int, asyncio.Future[Result]] | InterposeError | None]
        sent = asyncio.Queue(_WAITING_OF_ONE)
        reading = asyncio.create_task(self._read(requests, sent))
        try:
            while (entry := await sent.get()) is not None:
                if isinstance(entry, InterposeError):
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(entry))
                number, future = entry
                try:
                    result = await future
                except StoreError as error:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
                if not result.accepted:
                    self._metrics.refused.labels("ahead").inc()
                    self._collector.behind(number)
                yield Acknowledgement(journal=number, offset=result.committed)
        finally:
            reading.cancel()

    async def _read(self, requests: AsyncIterator[bytes], sent: "asyncio.Queue[Any]") -> None:
        end: InterposeError | None = None
        try:
            async for message in requests:
                number, records = self._take(message)
                await self._turns.acquire()
                now = boot_time()
                notes = tuple(decode.abandoned(place, now) for place in records.unfinished)
                self._collector.streaming(number)
                future = asyncio.wrap_future(self._writer.submit(Item(self._run, number, records, "stream", notes)))
                future.add_done_callback(self._had_its_turn)
                await sent.put((number, future))
        except MalformedError as error:
            self._metrics.refused.labels("malformed").inc()
            end = error
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await sent.put(end)

    def _take(self, message: bytes) -> tuple[int, Records]:
        number, records = split(message)
        if not self._collector.is_claimed(number):
            raise MalformedError(f"journal {number} of this spool was never claimed")
        if records.end > self._spool.settings.journal_size:
            raise MalformedError(f"offset {records.end} lies beyond a journal's end")
        return number, records

    def _had_its_turn(self, future: "asyncio.Future[Result]") -> None:
        self._turns.release()
        if not future.cancelled():
            future.exception()  # or asyncio complains that nobody asked for it
