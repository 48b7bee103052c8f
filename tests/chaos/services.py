"""Our services as their users run them: programs of their own, started, killed, stopped and started again."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from support.cli import INTERPOSE
from support.roots import ENVIRONMENT

__all__ = ["RoundError", "Service"]

_READY_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 180.0
_LOOK_SECONDS: Final = 0.02


class RoundError(Exception):
    """A round could not be brought to its end as it should."""


class Service:
    """`interpose` with some arguments; what it says goes to files in a folder."""

    def __init__(self, folder: Path, arguments: Sequence[str], ready: str, variables: Mapping[str, str]) -> None:
        """`ready` is what it says once it serves."""
        self._folder, self._arguments, self._ready = folder, list(arguments), ready
        self.variables = dict(variables)
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    @property
    def _said(self) -> Path:
        return self._folder / f"{self._arguments[0]}-{self._starts}.err"

    def start(self) -> None:
        """Start it and wait until it serves."""
        self._launch()
        assert self._process is not None
        deadline = time.monotonic() + _READY_SECONDS
        while self._ready not in self._said.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RoundError(f"{self._arguments[0]} does not start: {self._said.read_text(errors='replace')}")
            time.sleep(_LOOK_SECONDS)

    def refuse(self) -> str:
        """Start it where it cannot serve: it must end with one line that says why."""
        self._launch()
        assert self._process is not None
        status = self._process.wait(_READY_SECONDS)
        lines = self._said.read_text(errors="replace").splitlines()
        if status != 1 or len(lines) != 1:
            raise RoundError(f"{self._arguments[0]} ended with status {status} and said {lines}")
        return lines[0]

    def _launch(self) -> None:
        self._starts += 1
        with self._said.open("wb") as said:
            environment = {**ENVIRONMENT, **self.variables}
            self._process = subprocess.Popen(
                [*INTERPOSE, *self._arguments], env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RoundError(f"{self._arguments[0]} has ended: {self._said.read_text(errors='replace')}")
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        self._send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM: it must store everything and end well."""
        self._send(signal.SIGTERM)
        assert self._process is not None
        status = self._process.wait(_STOP_SECONDS)
        if status:
            raise RoundError(f"{self._arguments[0]} ended with status {status}: {self._said.read_text()}")

    def revive(self) -> None:
        """Start it if it does not run."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def close(self) -> None:
        """Let nothing run on."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
