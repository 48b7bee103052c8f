"""What commands that serve have in common: they run until they are told to end."""

import gc
import os
import resource
import signal
from collections.abc import Sequence
from typing import Final

from sqlalchemy import make_url

from interpose.cli.output import amount, complain, size
from interpose.sidecar.remainder import Remainder

__all__ = ["ENDING", "UNFINISHED", "begin", "conclude", "until_told"]

UNFINISHED: Final = os.EX_TEMPFAIL
"""The exit status, 75, of a service that left something to the next start. Nothing is lost, so it is not that of a
failure; nor is it 0, for who removes the directory or the machine next must know. No manager starts again what it was
asked to stop, whatever the status; systemd calls the unit failed, unless that says SuccessExitStatus=TEMPFAIL.
"""

_GARBAGE: Final = (20_000, 20, 20)
"""Objects between two looks for circles of them, and looks between two that look at older ones."""
ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})


def begin() -> None:
    """Keep the signals that end it for `until_told`, and allow as many descriptors as there may be."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def until_told() -> None:
    """Wait for SIGTERM or SIGINT; whoever sends another one is not kept waiting."""
    # What is there by now stays, and of what comes little is in circles: looking for these costs a tenth of all else.
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    signal.sigwait(ENDING)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def conclude(problems: Sequence[str], left: Remainder, *, spool: object, url: str) -> int:
    """Tell in one line what could not be done before the end and where it stays; the exit status."""
    told = list(problems)
    if left.journals:
        told.append(f"{amount(left.journals, 'journal')} ({size(left.size)}) are not stored and stay in {spool}")
    unsent = left.unsent
    if any(unsent):
        ends = f" and the ends of {amount(unsent.runs, 'run')}" if unsent.runs else ""
        where = make_url(url).render_as_string(hide_password=True)
        told.append(
            f"{amount(unsent.journals, 'journal')} ({size(unsent.size)}){ends} are not forwarded and stay in {where}"
        )
    if not told:
        return 0
    complain(f"{'; '.join(told)}; to go on, start this again")
    return UNFINISHED
