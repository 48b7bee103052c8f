"""TCP ports of this machine."""

import socket

__all__ = ["free_port"]


def free_port() -> int:
    """One on which nobody listens on the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
