"""A collector: the service that sidecars forward to. It has no spool, and as many runs as come."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Final, Self

from prometheus_client import CollectorRegistry

from interpose.sidecar import metrics as metrics_
from interpose.sidecar.endpoint import Endpoint, TlsFiles
from interpose.sidecar.errors import EndpointError
from interpose.sidecar.forward import Forwarder, Forwarding
from interpose.sidecar.ingest import Writer
from interpose.sidecar.parcels import LARGEST_MESSAGE
from interpose.sidecar.relay import Relay, Runs
from interpose.sidecar.remainder import NOTHING, Remainder
from interpose.sidecar.retention import Retention
from interpose.sidecar.server import Limits, Listener, Server
from interpose.sidecar.store import Store
from interpose.sidecar.streams import Streams

__all__ = ["Central"]

_STOP_SECONDS: Final = 10.0
"""How long `stop` waits for a database that fails."""
_CONNECTIONS: Final = 1024
_STREAMED: Final = 16 << 20
"""Bytes of all streams that may wait for their commit."""
_WAITING_OF_ONE: Final = 512
"""A batch is of one journal, and short processes leave many small ones."""
_BATCHES_A_SECOND: Final = 50_000


class Central:
    """Stores what sidecars forward into a database, from `start` to `stop`. Thread-safe."""

    def __init__(
        self, listeners: Sequence[Endpoint], store: Store, tls: TlsFiles | None, metrics: metrics_.Metrics
    ) -> None:
        """Use `start`."""
        self._store = store
        self._writer = Writer(store, metrics)
        runs = Runs(store)
        self._server = Server(
            [Listener(endpoint) for endpoint in listeners],
            tls,
            Limits(LARGEST_MESSAGE, _CONNECTIONS),
            Streams(self._writer, metrics, budget=_STREAMED, rate=_BATCHES_A_SECOND, waiting=_WAITING_OF_ONE),
            lambda peer: Relay(runs, peer),
        )
        self._forwarder: Forwarder | None = None
        self._retention: Retention | None = None
        self._close_metrics: Callable[[], None] = lambda: None
        self._stopping = threading.Lock()
        self._stopped = False
        self._problem: str | None = None
        self.remainder: Remainder = NOTHING
        """What `stop` has left to the next start."""
        self.metrics_port: int | None = None
        """Where /metrics is served; None without metrics_address."""

    @classmethod
    def start(
        cls,
        listeners: Sequence[Endpoint],
        database_url: str,
        *,
        tls: TlsFiles | None = None,
        forward: Forwarding | None = None,
        retain: float | None = None,
        metrics_address: tuple[str, int] | None = None,
        registry: CollectorRegistry | None = None,
    ) -> Self:
        """Open the database and listen.

        TCP endpoints need `tls`; a Unix socket is made for this user alone. With `forward` another collector gets
        everything. `database_url`, `retain` and `metrics_address` are as for Sidecar.start. Raises InterposeError.
        """
        if forward is not None and forward.endpoint in listeners:
            raise EndpointError(f"{forward.endpoint} is this collector itself: forward to another, or to none")
        metrics = metrics_.Metrics(CollectorRegistry() if registry is None else registry)
        with contextlib.ExitStack() as undo:
            store = Store.open(database_url, durable=True)
            undo.callback(store.close)
            central = cls(listeners, store, tls, metrics)
            if metrics_address is not None:
                metrics.at_zero()
                central.metrics_port, central._close_metrics = metrics_.serve(metrics.registry, *metrics_address)
                undo.callback(central._close_metrics)
            if forward is not None:
                central._forwarder = Forwarder(store, forward, metrics)
                central._forwarder.start()
                undo.callback(central._forwarder.stop, 0)
                central._writer.committed = central._forwarder.notify
            if retain is not None:
                central._retention = Retention(store, retain, delivered=forward is not None)
                central._retention.start()
                undo.callback(central._retention.stop)
            central._writer.start()
            undo.callback(central._writer.stop, 0)
            central._server.start()
            undo.pop_all()
        return central

    @property
    def ports(self) -> list[int]:
        """Of the TCP endpoints, in their order; port 0 has taken a free one."""
        return self._server.ports

    def stop(self) -> str | None:
        """End streams, store what has come, close everything; one line on what still fails, None if nothing does.

        What was not stored was not acknowledged, so the sidecars still have it; what was not forwarded is stored.
        """
        with self._stopping:
            if not self._stopped:
                self._stopped = True
                self._server.stop()
                if self._retention is not None:
                    self._retention.stop()
                self._writer.stop(_STOP_SECONDS)
                self._problem = self._writer.problem
                if self._forwarder is not None:
                    self.remainder = Remainder(unsent=self._forwarder.finish(_STOP_SECONDS))
                    self._problem = self._problem or self._forwarder.problem
                self._close_metrics()
                self._store.close()
            return self._problem
