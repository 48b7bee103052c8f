"""Death at one instruction: a call is followed through the library, instruction by instruction, and killed."""

import ctypes
import os
import random
import signal
import time
from typing import Final

from chaos.account import Account, State
from chaos.programs import Program

__all__ = ["kill_in_a_call"]

_PTRACE_CONT, _PTRACE_SINGLESTEP, _PTRACE_DETACH = 7, 9, 17
_PTRACE_SEIZE, _PTRACE_INTERRUPT = 0x4206, 0x4207
_WALL: Final = 0x40000000
_MOST_STEPS: Final = 100_000
_WAIT_SECONDS: Final = 10.0

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, thread: int, data: int = 0) -> None:
    if _libc.ptrace(request, thread, None, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"ptrace {request:#x}")


class _Traced:
    """A thread that waits at the account's gate, stopped."""

    def __init__(self, account: Account) -> None:
        self.account, self.thread, self.entry = account, account.gate_thread, account.gate_entry
        _ptrace(_PTRACE_SEIZE, self.thread)
        _ptrace(_PTRACE_INTERRUPT, self.thread)
        self._signal = self._wait()
        account.gate_open = 1

    def _wait(self) -> int:
        """The signal that is to be given to it when it goes on."""
        _, status = os.waitpid(self.thread, _WALL)
        if not os.WIFSTOPPED(status):
            raise ProcessLookupError
        number = os.WSTOPSIG(status)
        return 0 if number == signal.SIGTRAP else number

    def step(self) -> None:
        """One instruction."""
        _ptrace(_PTRACE_SINGLESTEP, self.thread, self._signal)
        self._signal = self._wait()

    def has_returned(self) -> bool:
        """Whether the call that it stood before is over."""
        return self.account.state(self.entry) == State.DONE

    def release(self) -> None:
        """Let it run on."""
        _ptrace(_PTRACE_DETACH, self.thread, self._signal)


def _stand_at_gate(account: Account, program: Program, rng: random.Random) -> _Traced | None:
    """Stop a thread before one of the next calls; None if the program ends before."""
    account.gate_open = account.gate_thread = 0
    account.gate_at = account.next + rng.randrange(1, 60)
    deadline = time.monotonic() + _WAIT_SECONDS
    while not account.gate_thread:
        if not program.is_running() or time.monotonic() > deadline:
            account.gate_at = 0
            account.gate_open = 1  # for one that has come meanwhile
            return None
        time.sleep(0.0005)
    try:
        return _Traced(account)
    except ProcessLookupError:
        account.gate_open = 1
        return None


def _count_steps(traced: _Traced) -> int:
    """How many instructions the call takes, the library's among them."""
    for steps in range(_MOST_STEPS):
        if traced.has_returned():
            return steps
        traced.step()
    return _MOST_STEPS


def kill_in_a_call(account: Account, program: Program, rng: random.Random) -> bool:
    """SIGKILL at a random instruction of a call. False if the program ended before."""
    try:
        measured = _stand_at_gate(account, program, rng)
        if measured is None:
            return False
        length = _count_steps(measured)
        measured.release()
        traced = _stand_at_gate(account, program, rng)
        if traced is None:
            return False
        for _ in range(rng.randrange(length)):
            if traced.has_returned():
                break
            traced.step()
        os.kill(traced.thread, signal.SIGKILL)
        os.waitpid(traced.thread, _WALL)
    except ProcessLookupError:
        return False
    return True
