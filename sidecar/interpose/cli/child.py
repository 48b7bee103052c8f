"""Waiting for a command in such a way that it is signalled just as it would be without us."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "close_inherited",
    "drop_pending",
    "fill_standard_descriptors",
    "held_signals",
    "let_go_of_descriptors",
    "wait_for",
]

_FORWARDED = {signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
_HELD = _FORWARDED | {signal.SIGCHLD}
_LAST_STANDARD = 2
_SI_KERNEL = 0x80
"""siginfo_t.si_code of what the terminal sends: to the whole foreground group, so the command has it already."""


def fill_standard_descriptors() -> None:
    """Open those of the first three descriptors that we were started without, or a file of ours would become one.

    Who reads the first or writes the others is told that it is not open for that. A command is started without them all
    the same: they are closed by exec.
    """
    for descriptor in range(_LAST_STANDARD + 1):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor else os.O_WRONLY)


def close_inherited() -> None:
    """Close what we were given beyond the first three descriptors: of ours, every one is closed by exec."""
    for path in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(path.name)
        with suppress(OSError):  # the one of the list itself
            if descriptor > _LAST_STANDARD and os.get_inheritable(descriptor):
                os.close(descriptor)


def let_go_of_descriptors() -> None:
    """Hold nothing of the command's but stderr: whoever waits for the end of its output waits for it alone."""
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.close(nothing)
        close_inherited()


@contextmanager
def held_signals() -> Iterator[set[signal.Signals]]:
    """Hold back the signals that `wait_for` takes, in this thread and those it starts; gives the mask from before."""
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or the command's status is lost
    before = {signal.Signals(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)}
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_for(child: int) -> int:
    """The status of a child when it has ended, as a shell reports it. Meanwhile signals to us go on to the child.

    Those that the terminal sends do not: the child is in the same process group, unless it left it on purpose.
    """
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        received = signal.sigwaitinfo(_HELD)
        if received.si_signo in _FORWARDED and received.si_code != _SI_KERNEL:
            os.kill(child, received.si_signo)


def drop_pending() -> None:
    """Forget held signals that came before the command's end: they were meant for it."""
    while signal.sigtimedwait(_HELD, 0) is not None:
        pass
