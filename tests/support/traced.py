"""A thread that is followed instruction by instruction."""

import ctypes
import os
import signal
from typing import Final

__all__ = ["WALL", "Traced"]

WALL: Final = 0x40000000
"""__WALL: waits for any thread that is traced."""
_PTRACE_SINGLESTEP, _PTRACE_DETACH = 9, 17
_PTRACE_SEIZE, _PTRACE_INTERRUPT = 0x4206, 0x4207

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, thread: int, data: int = 0) -> None:
    if _libc.ptrace(request, thread, None, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"ptrace {request:#x}")


class Traced:
    """A thread, stopped. Everything raises ProcessLookupError when it is gone."""

    def __init__(self, thread: int) -> None:
        """Stop it."""
        self.thread = thread
        _ptrace(_PTRACE_SEIZE, thread)
        _ptrace(_PTRACE_INTERRUPT, thread)
        self._signal = self._wait()

    def _wait(self) -> int:
        """The signal that is to be given to it when it goes on."""
        _, status = os.waitpid(self.thread, WALL)
        if not os.WIFSTOPPED(status):
            raise ProcessLookupError
        number = os.WSTOPSIG(status)
        return 0 if number == signal.SIGTRAP else number

    def step(self) -> None:
        """One instruction."""
        _ptrace(_PTRACE_SINGLESTEP, self.thread, self._signal)
        self._signal = self._wait()

    def give(self, number: int) -> None:
        """The next step begins with a signal; after a step only: ptrace(2), "Signal injection and suppression"."""
        self._signal = number

    def release(self) -> None:
        """Let it run on."""
        _ptrace(_PTRACE_DETACH, self.thread, self._signal)
