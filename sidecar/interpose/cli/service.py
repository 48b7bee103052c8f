"""What commands that serve have in common: they run until they are told to end."""

import resource
import signal
from typing import Final

__all__ = ["ENDING", "begin", "until_told"]

ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})


def begin() -> None:
    """Keep the signals that end it for `until_told`, and allow as many descriptors as there may be."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def until_told() -> None:
    """Wait for SIGTERM or SIGINT; whoever sends another one is not kept waiting."""
    signal.sigwait(ENDING)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
