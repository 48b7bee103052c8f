"""A Docker Engine of the tests' own: dockerd in a network of its own, with a configuration that nobody else has."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from support.cli import INTERPOSE, need
from support.roots import ROOTS, missing
from support.waiting import until

__all__ = ["Engine", "HostService", "Outcome", "running"]

_START_SECONDS = 60
_ENTER = 'ip link set lo up; exec dockerd "$@"'
_NEWER = "mount -t overlay -o lowerdir={}/usr:/usr overlay /usr || exit; "
"""Another release's programs and libraries before this machine's, for dockerd and what it starts."""
_IN_MEMORY = 'mkdir "$0/data" && mount -t tmpfs tmpfs "$0/data" || exit; '
_REMAPPED = 'for each in subuid subgid; do mount --bind "$0/subordinate" "/etc/$each" || exit; done; '
"""Whom Docker may lend which ids is a matter of files that are everybody's; here it sees one of its own instead."""


@dataclass(frozen=True)
class Outcome:
    """What the user of a container sees of it."""

    status: int
    stdout: bytes
    stderr: bytes


class Engine:
    """dockerd from `start` to `stop`. Nothing of it is left mounted or running then.

    With `remapped`, root of its containers is this user of the host, and the ids above are the others.
    With `release` it is the Engine of that Debian release; with `in_memory` it stores images and containers there.
    """

    def __init__(
        self,
        options: Sequence[str] = (),
        config: dict[str, Any] | None = None,
        *,
        remapped: int | None = None,
        release: str | None = None,
        in_memory: bool = False,
    ) -> None:
        need("dockerd", "docker", "runc", "iptables", "ip", "nsenter")
        if release is not None and not (ROOTS / f"engine-{release}.ok").exists():
            missing(f"the Engine of Debian {release}")
        if os.geteuid() != 0:
            missing("root's permission to run dockerd", "run as root")
        self.folder = Path(tempfile.mkdtemp(prefix="interpose-engine-", dir="/tmp"))  # sockets have short paths
        self.folder.chmod(0o711)
        self.config = self.folder / "daemon.json"
        self._release = release
        before = ""
        if release is not None:
            before += _NEWER.format(shlex.quote(str(ROOTS / f"engine-{release}")))
        if remapped is not None:
            config = {**(config or {}), "userns-remap": "daemon:daemon"}
            (self.folder / "subordinate").write_text(f"daemon:{remapped}:65536\n")
            before += _REMAPPED
        if in_memory:
            before += _IN_MEMORY
        self._enter = ["unshare", "--net", *(["--mount"] if before else []), "sh", "-c", before + _ENTER]
        self.config.write_text(json.dumps(config or {}))
        self.url = f"unix://{self.folder}/docker.sock"
        self._options = list(options)
        self._process: subprocess.Popen[bytes] | None = None
        self.programs = self.folder / "programs"
        """What dockerd finds there it prefers to the machine's programs."""
        self.programs.mkdir()

    def start(self) -> Self:
        """Start it and wait until it answers."""
        arguments = [
            "--data-root", self.folder / "data", "--exec-root", self.folder / "exec",
            "--pidfile", self.folder / "pid", "--host", self.url, "--config-file", self.config, *self._options,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._enter, str(self.folder), *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"},
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while self.docker("version", check=False).status != 0:
            ended = self._process.poll() is not None
            assert not ended and time.monotonic() < deadline, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.1)
        return self

    @property
    def pid(self) -> int:
        """dockerd's own."""
        assert self._process is not None
        return self._process.pid

    @property
    def beside(self) -> list[str]:
        """What runs a command among the programs and networks that dockerd has."""
        return ["nsenter", "--target", str(self.pid), "--mount", "--net"]

    def halt(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End dockerd; containers end with it, unless it is killed."""
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(timeout=60)
        self._process = None

    def stop(self) -> None:
        """End it and remove what it left."""
        if self._process is not None:
            self.empty()
        self.halt()
        for mount in reversed(_mounts_below(self.folder)):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def empty(self) -> None:
        """Remove all containers."""
        for container in self.docker("ps", "--all", "--quiet", check=False).stdout.split():
            self.docker("rm", "--force", "--volumes", container.decode(), check=False)

    def docker(self, *arguments: str, check: bool = True, **options: Any) -> Outcome:
        """The docker command, to its end."""
        given = {"capture_output": True, "stdin": subprocess.DEVNULL, "timeout": 120, "check": False}
        command = [*(self.beside if self._release else []), "docker", "--host", self.url, *arguments]
        done = subprocess.run(command, **(given | options))
        assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
        return Outcome(done.returncode, done.stdout or b"", done.stderr or b"")

    def text(self, *arguments: str) -> str:
        """What the docker command prints."""
        return self.docker(*arguments).stdout.decode().strip()

    def inspect(self, container: str) -> dict[str, Any]:
        """What is known of a container."""
        return dict(json.loads(self.text("inspect", container))[0])

    def import_root(self, name: str, root: Path, *changes: str) -> str:
        """An image of a folder."""
        options = [option for change in changes for option in ("--change", change)]
        archive = subprocess.Popen(
            [
                "tar",
                "-C",
                str(root),
                "--exclude=./var/cache/*",
                "--exclude=./var/lib/apt/lists/*",
                "--exclude=./usr/share/doc/*",
                "-c",
                ".",
            ],
            stdout=subprocess.PIPE,
        )
        self.docker("import", *options, "-", name, stdin=archive.stdout)
        assert archive.stdout is not None
        archive.stdout.close()
        assert archive.wait() == 0
        return name

    def import_release(self, release: str) -> str:
        """An image of a Debian release."""
        if not (ROOTS / f"{release}.ok").exists():
            missing(f"the root of Debian {release}")
        return self.import_root(f"interpose-test/{release}", ROOTS / release)


class HostService:
    """`interpose host` in a process of its own, and questions to its database."""

    def __init__(self, host: Path, database: Path) -> None:
        self.host, self.database = host, database
        self.process: subprocess.Popen[bytes] | None = None
        self.port: int | None = None

    def start(self, *options: str) -> None:
        """Start it and wait until it serves."""
        log = self.database.with_suffix(".log")
        with log.open("wb") as stderr:
            command = [*INTERPOSE, "host", str(self.host), "--db", f"sqlite:///{self.database}", *options]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
        until(60, lambda: self._serves(log), "the host service has started")

    def _serves(self, log: Path) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, log.read_text()
        return "serving the containers" in log.read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it."""
        if self.process is None:
            return 0
        self.process.send_signal(how)
        status = self.process.wait(timeout=60)
        self.process = None
        return status

    def channels(self) -> list[str]:
        """The names of the channels that there are."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(name for name in os.listdir(self.host / "containers") if not name.startswith("."))
        return []

    def settled(self, seconds: float = 30) -> None:
        """Wait until every container that has ended is stored."""
        until(seconds, lambda: not self.channels(), "every channel is stored and removed")


def _mounts_below(folder: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [mount for mount in mounts if mount.startswith(f"{folder}/")]


@contextlib.contextmanager
def running(engine: Engine) -> Iterator[Engine]:
    """An Engine for the length of a block."""
    try:
        yield engine.start()
    finally:
        engine.stop()
