"""What commands that serve have in common: they run until they are told to end."""

import gc
import os
import resource
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from interpose.cli.output import amount, complain, size
from interpose.sidecar.location import shown
from interpose.sidecar.remainder import Remainder

__all__ = ["UNFINISHED", "Orders", "conclude", "serving"]

UNFINISHED: Final = os.EX_TEMPFAIL
"""The exit status, 75, of a service that left something to the next start. Nothing is lost, so it is not that of a
failure; nor is it 0, for who removes the directory or the machine next must know. No manager starts again what it was
asked to stop, whatever the status; systemd calls the unit failed, unless that says SuccessExitStatus=TEMPFAIL.
"""

_GARBAGE: Final = (20_000, 20, 20)
"""Objects between two looks for circles of them, and looks between two that look at older ones."""
_ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})


class Orders:
    """Waits in a thread of its own for the signals that end a service.

    Before the service runs, and when it ends already, they end the process as they end any other: whatever it waits
    for, nothing is lost.
    """

    def __init__(self) -> None:
        """Use `serving`."""
        self._end = threading.Event()
        self._is_serving = self._is_over = False
        self._thread = threading.Thread(target=self._listen, name="interpose-signals", daemon=True)
        self._thread.start()

    def wait(self, news: str) -> None:
        """The service runs, which is told: return when it is to end."""
        # What is there by now stays, and of what comes little is in circles: looking for these costs a tenth of the
        # rest.
        gc.freeze()
        gc.set_threshold(*_GARBAGE)
        self._is_serving = True
        complain(news)
        self._end.wait()

    def stop(self) -> None:
        """Listen no more."""
        self._is_over = True
        assert self._thread.ident is not None
        signal.pthread_kill(self._thread.ident, signal.SIGTERM)
        self._thread.join()

    def _listen(self) -> None:
        while True:
            number = signal.sigwait(_ENDING)
            if self._is_over:
                return
            if self._is_serving and not self._end.is_set():
                self._end.set()
            else:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
                signal.pthread_kill(threading.get_ident(), number)


@contextmanager
def serving() -> Iterator[Orders]:
    """Meanwhile SIGTERM and SIGINT are orders to the service, and it has as many descriptors as there may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    interrupt = signal.getsignal(signal.SIGINT)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own waits until whatever is called has returned
    orders = Orders()
    try:
        yield orders
    finally:
        orders.stop()
        signal.signal(signal.SIGINT, interrupt)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def conclude(problems: Sequence[str], left: Remainder, *, spool: object, url: str) -> int:
    """Tell in one line what could not be done before the end and where it stays; the exit status."""
    told = list(problems)
    if left.journals:
        told.append(f"{amount(left.journals, 'journal')} ({size(left.size)}) are not stored and stay in {spool}")
    unsent = left.unsent
    if any(unsent):
        ends = f" and the ends of {amount(unsent.runs, 'run')}" if unsent.runs else ""
        where = shown(url)
        told.append(
            f"{amount(unsent.journals, 'journal')} ({size(unsent.size)}){ends} are not forwarded and stay in {where}"
        )
    if not told:
        return 0
    complain(f"{'; '.join(told)}; to go on, start this again")
    return UNFINISHED
