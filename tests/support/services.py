"""A long-running command of ours as a process: started, killed, and stopped in order."""

import signal
import subprocess
from typing import Self

from support.cli import Interpose

__all__ = ["Service", "collector", "sidecar"]


class Service:
    """Ready once entered; stopped in order at the end, when it may have said nothing more."""

    def __init__(self, interpose: Interpose, ready: str, *arguments: str) -> None:
        """`ready`: what stands in the line that the command writes when it is ready."""
        self.interpose, self.ready, self.arguments = interpose, ready, arguments
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process = self.interpose.start(*self.arguments, stderr=subprocess.PIPE)
        line = self.process.stderr.readline().decode()
        while line.endswith("; trying again\n"):  # its collector does not answer, which it may find out first
            line = self.process.stderr.readline().decode()
        assert self.ready in line, line

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._close()

    def stop(self) -> tuple[int, bytes]:
        """SIGTERM; the status, and what it said since it was ready."""
        self.process.send_signal(signal.SIGTERM)
        return self._close()

    def _close(self) -> tuple[int, bytes]:
        errors = self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait(), errors

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self.process.kill()
            self.process.stderr.close()  # a skipped test leaves this block by an exception, too
            self.process.wait()
        elif self.process.returncode is None:
            assert (0, b"") == self.stop()


def sidecar(interpose: Interpose, *options: str) -> Service:
    """The sidecar of interpose.capture."""
    capture = str(interpose.capture)
    return Service(interpose, f"LD_PRELOAD={capture}/libinterpose.so", "sidecar", "--capture", capture, *options)


def collector(central: Interpose, *options: str, where: str | None = None) -> Service:
    """A collector into the database of `central`, at the endpoint `where`: a socket in its folder if none is given."""
    where = where or f"unix:{central.base}/collector.sock"
    return Service(central, f"collecting on {where}", "collector", "--listen", where, *options)
