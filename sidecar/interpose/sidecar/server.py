"""The gRPC server of a sidecar or of a collector: interpose.v1.Capture on Unix sockets, and over TCP with mutual TLS.

There is no generated service code: a Batch is taken as raw bytes (batch.py).
"""

import asyncio
import contextlib
import logging
import math
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from interpose.sidecar.endpoint import Credentials, Endpoint, TlsFiles, Unix
from interpose.sidecar.errors import EndpointError
from interpose.sidecar.shared import SharedDirectory
from interpose.sidecar.streams import Intake, Streams
from interpose.v1.capture_pb2 import Acknowledgement

__all__ = ["SERVICE", "Limits", "Listener", "Server", "peer_of"]

SERVICE: Final = "interpose.v1.Capture"

_LONGEST_SOCKET_PATH: Final = 107
_GRACE_SECONDS: Final = 1.0
_HANDSHAKE_MS: Final = 5000
_STREAMS_OF_ONE: Final = 128
"""Of one connection, at a time."""
_LEAST_PING_MS: Final = 10_000
"""Between two pings of a peer that asks whether we live."""
_METADATA: Final = 4096
"""Bytes of headers; ours have 80."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What peers may ask of the server's memory, whatever they send."""

    message: int
    """Bytes of one encoded Batch."""
    connections: int
    """At a time; further ones are refused, and their events stay in their journals."""
    idle: float = math.inf
    """Seconds that a connection may be without a stream."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen."""

    endpoint: Endpoint
    mode: int = 0o600
    """A Unix socket's permissions."""
    beneath: SharedDirectory | None = None
    """The endpoint's directory where a container can write in it. Whatever stands there is to go: who has a spool's
    lock owns its socket too."""


class Server:
    """Serves in a thread of its own, from `start` to `stop`."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        tls: TlsFiles | None,
        limits: Limits,
        streams: Streams,
        intake: Callable[[str], Intake],
    ) -> None:
        """`intake` makes what takes the batches of one stream, from the peer's identity: see `peer_of`."""
        self._listeners, self._tls, self._limits = listeners, tls, limits
        self._streams, self._intake = streams, intake
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name="interpose-server", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.ports: list[int] = []
        """Of the TCP listeners, in their order; port 0 has taken a free one."""

    def start(self) -> None:
        """Listen. Raises EndpointError."""
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
        server = grpc.aio.server(options=_options(self._limits), maximum_concurrent_rpcs=self._limits.connections)
        handler = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=None,
            response_serializer=Acknowledgement.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Stream": handler}),))
        with contextlib.ExitStack() as stack:
            try:
                for listener in self._listeners:
                    stack.enter_context(self._listen(server, listener))
                await server.start()
                for listener in self._listeners:
                    _permit(listener)
            except (OSError, RuntimeError) as error:
                await server.stop(None)
                where = ", ".join(str(listener.endpoint) for listener in self._listeners)
                raise EndpointError(f"cannot listen on {where}: {_why(error)}; free it or use another") from error
            except EndpointError:
                await server.stop(None)
                raise
            self._ready.set_result(None)
            await self._stop.wait()
            stopping = asyncio.create_task(server.stop(_GRACE_SECONDS))
            await asyncio.sleep(0)  # it takes no new streams from here on
            self._streams.end()
            await stopping

    def _listen(self, server: grpc.aio.Server, listener: Listener) -> contextlib.AbstractContextManager[object]:
        if isinstance(listener.endpoint, Unix):
            path = listener.endpoint.path
            if listener.beneath is not None:
                return _listen_beneath(server, listener.beneath, path.name)
            return _listen_on_unix(server, path)
        if self._tls is None:
            raise EndpointError(
                f"{listener.endpoint} is not served without mutual TLS: give certificate, key and authorities"
            )
        reload = _Reload(self._tls)
        credentials = grpc.dynamic_ssl_server_credentials(
            reload.configuration(), reload.changed, require_client_authentication=True
        )
        self.ports.append(server.add_secure_port(str(listener.endpoint), credentials))
        return contextlib.nullcontext()

    async def _stream(
        self, requests: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[Acknowledgement]:
        async for answer in self._streams.serve(self._intake(peer_of(context.auth_context())), requests, context):
            yield answer


def peer_of(context: Mapping[str, Iterable[bytes]]) -> str:
    """Who is at the other end: the names in its certificate, SPIFFE's or any, else its subject. Unix: empty."""
    names = context.get("x509_subject_alternative_name") or context.get("x509_subject") or []
    return ",".join(sorted(name.decode(errors="replace") for name in names))


class _Reload:
    """The files' contents for each handshake: the newest that make sense."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._last = files.read()
        self._problem: str | None = None

    def configuration(self) -> Any:
        """What is in use."""
        return _configuration(self._last)

    def changed(self) -> Any:
        """What to use from now on, or None if that is what is used already. Called by gRPC, from any thread."""
        try:
            found = self._files.read()
        except EndpointError as error:
            if str(error) != self._problem:
                _log.warning("%s; the former ones stay in use", error)
            self._problem = str(error)
            return None
        self._problem = None
        if found == self._last:
            return None
        self._last = found
        return _configuration(found)


def _configuration(found: Credentials) -> Any:
    return grpc.ssl_server_certificate_configuration([(found.key, found.certificate)], found.authorities)


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.message),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.max_concurrent_streams", _STREAMS_OF_ONE),
        ("grpc.max_metadata_size", _METADATA),
        ("grpc.absolute_max_metadata_size", _METADATA),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ("grpc.http2.bdp_probe", 0),  # it would let a peer widen its window to megabytes
        ("grpc.http2.min_ping_interval_without_data_ms", _LEAST_PING_MS),
        ("grpc.so_reuseport", 0),  # a second service on the same port is a mistake
        *([("grpc.max_connection_idle_ms", int(limits.idle * 1000))] if limits.idle < math.inf else []),
    ]


@contextlib.contextmanager
def _listen_beneath(server: grpc.aio.Server, directory: SharedDirectory, name: str) -> Iterator[None]:
    """Listen there while the block lasts, in the place of whatever stands there."""
    directory.clear(name)
    server.add_insecure_port(f"unix:{directory.address(name)}")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            directory.clear(name)


@contextlib.contextmanager
def _listen_on_unix(server: grpc.aio.Server, path: Path) -> Iterator[None]:
    """Listen there while the block lasts, in the place of a socket on which nobody listens any more."""
    with contextlib.ExitStack() as stack:
        address = os.fspath(path)
        if len(os.fsencode(address)) > _LONGEST_SOCKET_PATH:
            directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, directory)
            address = f"/proc/self/fd/{directory}/{path.name}"
        if _is_left_over(path, address):
            path.unlink(missing_ok=True)
        server.add_insecure_port(f"unix:{address}")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _permit(listener: Listener) -> None:
    """Set a socket's permissions; what others may have put in its place stays as it is."""
    if isinstance(listener.endpoint, Unix):
        path = listener.endpoint.path
        if listener.beneath is not None:
            listener.beneath.permit(path.name, listener.mode)
            return
        with SharedDirectory(os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as directory:
            directory.permit(path.name, listener.mode)


def _is_left_over(path: Path, address: str) -> bool:
    """Whether a socket stands there whose listener has died. Raises EndpointError if one lives."""
    if path.is_symlink() or not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            pass  # its queue is full
    raise EndpointError(f"cannot listen on {path}: somebody does already")


def _why(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())
