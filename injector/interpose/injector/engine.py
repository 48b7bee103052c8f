"""The Docker Engine by its API: the only module that imports docker."""

import contextlib
import os
import signal
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import parse_repository_tag

from interpose.injector.errors import EngineError

__all__ = ["Engine"]

_DEFAULT: Final = "unix:///var/run/docker.sock"
_TIMEOUT_SECONDS: Final = 60


class Engine:
    """A connection; close it, or use it as a context manager. Every method raises EngineError."""

    def __init__(self, url: str | None) -> None:
        """`url` is Docker's (unix:///path, tcp://host:port); None for $DOCKER_HOST, else the usual socket."""
        self.url = url or os.environ.get("DOCKER_HOST") or _DEFAULT
        with _told():
            self.client = docker.DockerClient(base_url=self.url, timeout=_TIMEOUT_SECONDS, version="auto")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def info(self) -> dict[str, Any]:
        """What `docker info` tells."""
        with _told():
            return dict(self.client.info())

    def reload(self) -> None:
        """Have it read its configuration again: the signal comes before this returns, the change some time after."""
        pid = self._pid()
        if pid is None:
            raise EngineError(f"cannot tell which process serves {self.url}: reload it by hand")
        os.kill(pid, signal.SIGHUP)

    def process(self) -> Path | None:
        """Its folder below /proc; None if it cannot be told."""
        with _told():
            pid = self._pid()
        return None if pid is None else Path(f"/proc/{pid}")

    def environment(self) -> dict[str, str] | None:
        """What its process was started with; None for who cannot look."""
        process = self.process()
        if process is None:
            return None
        with contextlib.suppress(OSError):
            entries = (process / "environ").read_bytes().split(b"\0")
            return {
                os.fsdecode(name): os.fsdecode(value) for name, _, value in (one.partition(b"=") for one in entries)
            }
        return None

    def _pid(self) -> int | None:
        """The process that listens on the socket; if systemd does for it, the one that the usual file names."""
        if not self.url.startswith("unix://"):
            return None
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(self.url.removeprefix("unix://"))
            pid, _, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if pid > 1 and _is_dockerd(pid):
            return int(pid)
        with contextlib.suppress(OSError, ValueError):
            told = int(Path("/var/run/docker.pid").read_text(encoding="ascii"))
            return told if _is_dockerd(told) else None
        return None

    def inspect(self, container: str) -> dict[str, Any] | None:
        """What is known of a container, None if there is none."""
        with _told():
            try:
                return dict(self.client.api.inspect_container(container))
            except NotFound:
                return None

    def containers(self, *, everything: bool = False, label: str | None = None) -> list[dict[str, Any]]:
        """The containers that run, or all, as inspect tells of them."""
        filters = {"label": label} if label else {}
        with _told():
            ids = [row["Id"] for row in self.client.api.containers(all=everything, filters=filters)]
        return [found for found in map(self.inspect, ids) if found is not None]

    def run(self, image: str, command: list[str], **options: Any) -> tuple[str, int, str]:
        """Run a container to its end and remove it: its id, its status, and what it said."""
        with _told():
            container = self.client.containers.create(image, command, **options)
            try:
                container.start()
                status = int(container.wait()["StatusCode"])
                return str(container.id), status, container.logs().decode(errors="replace")
            finally:
                container.remove(force=True)

    def image(self, reference: str) -> dict[str, Any]:
        """An image, pulled if it is not there."""
        with _told():
            try:
                return dict(self.client.images.get(reference).attrs)
            except ImageNotFound:
                name, tag = parse_repository_tag(reference)
                return dict(self.client.images.pull(name, tag=tag or "latest").attrs)

    def create(self, image: str, command: list[str] | None, **options: Any) -> str:
        """Make a container with the options of docker.models.containers.create: its id."""
        with _told():
            return str(self.client.containers.create(image, command, **options).id)

    def create_like(self, name: str, body: dict[str, Any]) -> str:
        """Make a container from what the Engine's API takes: its id."""
        with _told():
            create: Any = self.client.api.create_container_from_config
            return str(create(body, name)["Id"])

    def attach(self, container: str, *, interactive: bool) -> socket.socket:
        """The streams of a container that is about to start."""
        wanted = {"stdin": int(interactive), "stdout": 1, "stderr": 1, "stream": 1}
        with _told():
            stream = self.client.api.attach_socket(container, params=wanted)
            peer: socket.socket = getattr(stream, "_sock", stream)
            peer.settimeout(None)  # a container may be silent for as long as it likes
            return peer

    def start(self, container: str) -> None:
        """Start a container."""
        with _told():
            self.client.api.start(container)

    def kill(self, container: str, number: int) -> None:
        """Send it a signal."""
        with _told():
            self.client.api.kill(container, number)

    def wait(self, container: str) -> int:
        """The status of a container when it has ended."""
        with _told():
            return int(self.client.api.wait(container, timeout=None)["StatusCode"])

    def resize(self, container: str, rows: int, columns: int) -> None:
        """Tell its terminal how large it is."""
        with _told():
            self.client.api.resize(container, rows, columns)

    def stop(self, container: str) -> None:
        """Have a container end in its own way, or kill it."""
        with _told():
            self.client.api.stop(container)

    def rename(self, container: str, name: str) -> None:
        """Give a container another name."""
        with _told():
            self.client.api.rename(container, name)

    def connect(self, container: str, network: str, settings: Mapping[str, Any]) -> None:
        """Connect a container to a network as another one was."""
        known = {
            "aliases": settings.get("Aliases"),
            "links": settings.get("Links"),
            "ipv4_address": (settings.get("IPAMConfig") or {}).get("IPv4Address"),
            "ipv6_address": (settings.get("IPAMConfig") or {}).get("IPv6Address"),
            "driver_opt": settings.get("DriverOpts"),
        }
        with _told():
            self.client.api.connect_container_to_network(
                container, network, **{key: value for key, value in known.items() if value}
            )

    def remove(self, container: str, *, volumes: bool = False) -> None:
        """Remove a container, whatever it does, and `volumes` without a name that were made for it."""
        with _told():
            self.client.api.remove_container(container, force=True, v=volumes)

    def empty_image(self) -> str:
        """The id of an image with nothing in it."""
        with _told():
            self.client.api.import_image_from_data(bytes(1024), repository="interpose-empty", tag="1")
            return str(self.client.images.get("interpose-empty:1").id)

    def remove_image(self, image: str) -> None:
        """Remove an image, whatever its names."""
        with _told(), contextlib.suppress(NotFound):
            self.client.api.remove_image(image, force=True)

    def events(self, since: int | None = None) -> Iterator[dict[str, Any]]:
        """What happens to containers, as it happens."""
        with _told():
            yield from self.client.events(decode=True, filters={"type": "container"}, since=since)


def _is_dockerd(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "dockerd"
    return False


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Errors of the API in one line."""
    try:
        yield
    except APIError as error:
        raise EngineError(f"the Docker Engine refuses: {error.explanation or error}") from error
    except (DockerException, requests.RequestException, OSError) as error:
        raise EngineError(f"cannot talk to the Docker Engine: {' '.join(str(error).split())}") from error
