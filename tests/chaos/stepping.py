"""Death at one instruction: a call is followed through the library, instruction by instruction, and killed."""

import os
import random
import signal
import time
from typing import Final

from chaos.account import Account, State
from chaos.programs import Program
from support.traced import WALL, Traced

__all__ = ["kill_in_a_call"]

_MOST_STEPS: Final = 100_000
_WAIT_SECONDS: Final = 10.0


class _Caller(Traced):
    """A thread that waits at the account's gate, stopped."""

    def __init__(self, account: Account) -> None:
        self.account, self.entry = account, account.gate_entry
        super().__init__(account.gate_thread)
        account.gate_open = 1

    def has_returned(self) -> bool:
        """Whether the call that it stood before is over."""
        return self.account.state(self.entry) == State.DONE


def _stand_at_gate(account: Account, program: Program, rng: random.Random) -> _Caller | None:
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
        return _Caller(account)
    except ProcessLookupError:
        account.gate_open = 1
        return None


def _count_steps(traced: _Caller) -> int:
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
        os.waitpid(traced.thread, WALL)
    except ProcessLookupError:
        return False
    return True
