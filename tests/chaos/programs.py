"""The programs that are captured: each with a process group of its own, of which every process is known to end."""

import contextlib
import ctypes
import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from chaos.services import RoundError
from support.roots import ENVIRONMENT

__all__ = ["Program", "adopt_orphans"]

_END_SECONDS: Final = 300.0
_IN_ORDER: Final = (signal.SIGKILL, signal.SIGPIPE)
"""What may end a program here: we, or a pipe of which we killed the reader."""
_PR_SET_CHILD_SUBREAPER: Final = 36


def adopt_orphans() -> None:
    """What our descendants leave behind becomes our child, so that its end can be waited for."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Program:
    """A command with all that it starts."""

    def __init__(self, command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={**ENVIRONMENT, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        self.group = self._process.pid
        self.exited: dict[int, int] = {}
        """Exit statuses of those of its processes that ended by themselves, as far as we were told."""

    def members(self) -> list[int]:
        """Processes of the group that run."""
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and self._is_member(int(entry.name)):
                found.append(int(entry.name))
        return sorted(found)

    def _is_member(self, pid: int) -> bool:
        try:
            state, _, group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            return False
        return int(group) == self.group and state != "Z"

    def kill_one(self, rng: random.Random, *, spare: Sequence[int] = ()) -> int | None:
        """SIGKILL of one process at random."""
        victims = [pid for pid in self.members() if pid not in spare]
        if not victims:
            return None
        victim = rng.choice(victims)
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(victim)
            try:
                if self._is_member(victim):  # and not somebody else who got its number meanwhile
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
        return victim

    def kill_all(self) -> None:
        """SIGKILL of all processes at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)

    def is_running(self) -> bool:
        """Whether the command itself runs."""
        return self._process.poll() is None

    def finish(self) -> int:
        """Wait until nothing of it runs any more; the command's status, as subprocess gives it."""
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise RoundError(f"a program does not end: {self.members()}") from error
        if status >= 0:
            self.exited[self._process.pid] = status
        elif -status not in _IN_ORDER:
            raise RoundError(f"a program was ended by {signal.Signals(-status).name}")
        deadline = time.monotonic() + _END_SECONDS
        while self._reap():
            if time.monotonic() > deadline:
                raise RoundError(f"what a program started does not end: {self.members()}")
            time.sleep(0.005)
        return status

    def _reap(self) -> bool:
        """Whether somebody of the group is left."""
        try:
            while True:
                pid, status = os.waitpid(-self.group, os.WNOHANG)
                if not pid:
                    return True
                if os.WIFEXITED(status):
                    self.exited[pid] = os.WEXITSTATUS(status)
                elif os.WTERMSIG(status) not in _IN_ORDER:
                    raise RoundError(f"process {pid} was ended by {signal.Signals(os.WTERMSIG(status)).name}")
        except ChildProcessError:
            return False

    def close(self) -> None:
        """Let nothing run on."""
        self.kill_all()
        with contextlib.suppress(RoundError):
            self.finish()
