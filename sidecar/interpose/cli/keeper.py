"""The process beside the command of `interpose run` that stores what is captured, seen from the one that has both.

It is a process, so that nothing that happens to it happens to the command: a database that lets it wait, a lack of
memory, its own death. We tell it when the command has ended, and it tells us what is to be told to the user.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import shlex
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from interpose.cli.child import close_inherited
from interpose.cli.note import Note

__all__ = ["Ending", "Job", "Keeper", "Line", "outlive", "start_keeper", "whereabouts"]

_PR_SET_PDEATHSIG: Final = 1
_FAILED: Final = 70


@dataclass(frozen=True, slots=True)
class Job:
    """What it is asked to do."""

    directory: Path
    note: Note
    metrics_address: tuple[str, int] | None
    metrics_file: Path | None
    quiet: bool


def whereabouts(directory: Path) -> str:
    """Where what could not be stored is, and what is to be done about it."""
    return (
        f"what was captured is in {directory}: the next interpose run stores it, "
        f"or now (--db for another database): interpose sidecar --capture {shlex.quote(str(directory))}"
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """How the command ended: what the keeper waits for."""

    ended: int
    status: int


class Line:
    """The keeper's end: what comes from `interpose run`, and where its answer goes."""

    def __init__(self, orders: int, answer: int) -> None:
        self._orders, self._answer = orders, answer
        self._told = b""
        self._ending: Ending | None = None

    def ending(self, timeout: float | None) -> Ending | None:
        """How the command ended, if that is told within so many seconds, None for no limit. Raises EOFError."""
        while self._ending is None:
            if not select.select([self._orders], [], [], timeout)[0]:
                return None
            part = os.read(self._orders, 4096)
            self._told += part
            if not part:
                raise EOFError("interpose run is gone")
            if self._told.endswith(b"\n"):
                self._ending = Ending(**json.loads(self._told))
        return self._ending

    def answer(self, lines: Sequence[str]) -> None:
        """Have this told to the user; `interpose run` ends with it."""
        with contextlib.suppress(OSError), os.fdopen(self._answer, "w") as answer:
            json.dump(list(lines), answer)


class Keeper:
    """The process, as `interpose run` has it."""

    def __init__(self, pid: int, orders: int, answer: int) -> None:
        """Use `start_keeper`."""
        self._pid, self._orders, self._answer = pid, orders, answer
        self._said = b""
        self._complete = False

    def tell(self, ending: Ending) -> None:
        """The command has ended."""
        with contextlib.suppress(OSError):  # it is gone: then there is no answer
            os.write(self._orders, json.dumps({"ended": ending.ended, "status": ending.status}).encode() + b"\n")

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has answered within so many seconds, None for no limit, or is gone."""
        while not self._complete:
            if not select.select([self._answer], [], [], timeout)[0]:
                return False
            part = os.read(self._answer, 65536)
            self._said += part
            self._complete = not part
        return True

    def said(self) -> list[str] | None:
        """The lines that it has for the user; None if it died before it had them."""
        try:
            return list(json.loads(self._said))
        except ValueError:
            return None

    def end(self) -> str:
        """End it, if it is not gone, and say how it did."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return f"signal {-code}" if code < 0 else f"status {code}"


def start_keeper(work: Callable[[Line], None]) -> Keeper:
    """The process, which does this work. Raises OSError if there is no room for one."""
    told, orders = os.pipe()
    answer, answered = os.pipe()
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        for file in (told, orders, answer, answered):
            os.close(file)
        raise
    if pid == 0:
        _be_keeper(work, parent, (orders, answer), Line(told, answered))
    os.close(told)
    os.close(answered)
    return Keeper(pid, orders, answer)


def _be_keeper(work: Callable[[Line], None], parent: int, others: Sequence[int], line: Line) -> NoReturn:
    try:
        for file in others:
            os.close(file)
        _stand_apart(parent)
        work(line)
        os._exit(0)
    finally:
        os._exit(_FAILED)


def _stand_apart(parent: int) -> None:
    """Hold nothing that is the command's, its terminal and its pipes least of all, and end with `interpose run`."""
    _die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(_FAILED)
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    os.close(nothing)
    close_inherited()


def outlive() -> None:
    """From now on the keeper outlives `interpose run`."""
    _die_with_parent(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _die_with_parent(number: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
