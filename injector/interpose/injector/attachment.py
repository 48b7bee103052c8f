"""The terminal, or the streams, of a container that runs in the foreground."""

import contextlib
import os
import select
import socket
import struct
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from typing import Final

__all__ = ["Attachment"]

_HEAD: Final = struct.Struct(">BxxxI")
_CHUNK: Final = 65536


class Attachment:
    """What goes between a container and the descriptors 0, 1 and 2; `peer` is the Engine's socket for that."""

    def __init__(self, peer: socket.socket, *, terminal: bool, interactive: bool) -> None:
        self._peer, self._terminal, self._interactive = peer, terminal, interactive

    def carry(self) -> None:
        """Carry over until the container has closed its streams."""
        with self._raw_terminal():
            if self._interactive:
                threading.Thread(target=self._send, name="interpose-stdin", daemon=True).start()
            if self._terminal:
                while data := self._peer.recv(_CHUNK):
                    _write(1, data)
            else:
                self._receive()

    def _receive(self) -> None:
        """Standard output and error come in frames on one connection."""
        while head := self._exactly(_HEAD.size):
            stream, size = _HEAD.unpack(head)
            _write(2 if stream == 2 else 1, self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        """So many bytes; none at the end of the connection."""
        data = b""
        while len(data) < size:
            more = self._peer.recv(min(size - len(data), _CHUNK))
            if not more:
                return b""
            data += more
        return data

    def _send(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(0, _CHUNK):
                self._peer.sendall(data)
            self._peer.shutdown(socket.SHUT_WR)

    @contextlib.contextmanager
    def _raw_terminal(self) -> Iterator[None]:
        """A terminal of ours hands every key on, for the container's terminal to make sense of."""
        if not (self._terminal and self._interactive and sys.stdin is not None and os.isatty(0)):
            yield
            return
        before = termios.tcgetattr(0)
        tty.setraw(0, termios.TCSANOW)  # what was typed ahead counts
        try:
            yield
        finally:
            termios.tcsetattr(0, termios.TCSANOW, before)


def _write(file: int, data: bytes) -> None:
    """Everything, also where the descriptor does not block; somebody who reads no more is no error of the container."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(file, view) :]
        except BlockingIOError:
            select.select([], [file], [])
        except BrokenPipeError:
            return
