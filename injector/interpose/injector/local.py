"""Starts a local command as planned, and otherwise as its user's shell would have."""

import contextlib
import errno
import os
import shutil
import signal
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from interpose.injector.executable import Program, program_of
from interpose.injector.tree import EndlessError, Tree
from interpose.sidecar.unseen import Unseen

__all__ = ["HeldCommand", "become", "unseen_command"]

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class HeldCommand:
    """A command whose process is there already and waits to be let go.

    It is forked while this process has one thread only: forking a process with threads may copy a lock that is held,
    and posix_spawn leaves signals ignored that glibc uses itself. It inherits our process group and every descriptor
    that we were given, and none that we made, since Python's are closed by exec.
    """

    def __init__(self, command: Sequence[str], mask: Collection[signal.Signals]) -> None:
        """Make the process. `mask` are the signals that the command shall find blocked.

        Raises OSError if there is no room for another process.
        """
        pipes = [*os.pipe()]
        try:
            pipes += os.pipe()
            self.pid = os.fork()
        except OSError:
            for file in pipes:
                os.close(file)
            raise
        told, self._go, self._failure, failed = pipes
        if self.pid == 0:
            self.disown()
            _obey(command, mask, told, failed)
        os.close(told)
        os.close(failed)

    def disown(self) -> None:
        """Let another process have it, in one that was forked from this."""
        os.close(self._go)
        os.close(self._failure)

    def start(self, environment: Mapping[str, str]) -> None:
        """Let it become the command, with these variables set. Raises OSError as execve does."""
        pairs = [os.fsencode(f"{name}={value}") + b"\0" for name, value in environment.items()]
        _write(self._go, b"+" + b"".join(pairs))
        answer = os.read(self._failure, 64)
        os.close(self._failure)
        if answer:
            os.waitpid(self.pid, 0)
            number = int(answer)
            raise OSError(number, os.strerror(number))


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
    os.close(file)


def _obey(command: Sequence[str], mask: Collection[signal.Signals], told: int, failed: int) -> NoReturn:
    """What the child does: nothing of it returns into the program that was forked."""
    number = errno.EINVAL
    try:
        orders = b"".join(iter(lambda: os.read(told, 4096), b""))
        if orders:
            pairs = (os.fsdecode(pair).partition("=") for pair in orders[1:].split(b"\0")[:-1])
            become(command, mask, {name: value for name, _, value in pairs})
    except OSError as error:
        number = error.errno or number
    finally:
        os.write(failed, str(number).encode())
        os._exit(126)


def become(command: Sequence[str], mask: Collection[signal.Signals], environment: Mapping[str, str]) -> NoReturn:
    """Execute the command, with these signals blocked and these variables set. Raises OSError as execve does."""
    os.environ.update(environment)
    for ignored in _IGNORED_BY_PYTHON:
        signal.signal(ignored, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - no shell, on purpose
    except OSError as error:
        script = shutil.which(command[0]) if error.errno == errno.ENOEXEC else None
        if script is None:
            raise
        # No program and no `#!`: shells, and execvp(3), take it for a script of theirs.
        os.execv("/bin/sh", ["/bin/sh", script, *command[1:]])  # noqa: S606


_NO_NEW_PRIVILEGES: Final = "NoNewPrivs:\t1"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def unseen_command(command: Sequence[str], pid: int) -> Unseen | None:
    """What is to be told of a command that will tell nothing of itself, as process `pid`; None if it will."""
    try:
        directory = os.getcwd()  # noqa: PTH109 - a string is wanted
        program = program_of(Tree("/", ()), command[0], os.environ.get("PATH"), directory)
        cause = None if program is None else _cause(program)
        if program is None or cause is None:
            return None
        path = Path(directory, program.path)
        if not os.access(path, os.X_OK):
            return None
        return Unseen(
            cause,
            str(path),
            tuple(command),
            directory,
            os.geteuid(),
            os.getegid(),
            program.device,
            program.inode,
            program.birth_time,
            program.mode,
            pid,
            _start_time(pid),
            Path("/proc/self/ns/pid").stat().st_ino,
        )
    except (OSError, EndlessError):
        return None


def _cause(program: Program) -> str | None:
    """As libinterpose/image.c judges what captured programs execute."""
    if program.machine != os.uname().machine:
        return "other_machine"
    gains = True
    with contextlib.suppress(OSError):
        gains = _NO_NEW_PRIVILEGES not in Path("/proc/self/status").read_text()
    return program.cause(os.getuid(), os.getgid(), gains=gains)


def _start_time(pid: int) -> int:
    """Nanoseconds after boot, as the library tells it: field 22 of proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[19]) * (1_000_000_000 // _TICKS)
