"""What a sidecar and a collector need is away for a while, mid-stream: nothing is lost, nothing is stored twice."""

import os
import signal
import sqlite3
import subprocess
from contextlib import closing

import pytest

from support.announced import Announcer
from support.cli import Interpose, need
from support.postgresql import server
from support.roots import missing
from support.rows import rows
from support.services import collector, sidecar
from support.waiting import until


def events(interpose):
    """How many are stored; 0 while there is no run yet."""
    return len(interpose.ask("events", "last")) if interpose.ask("runs") else 0


def more(interpose, announcer):
    """Wait until some of what is done from now on is stored."""
    done, stored = announcer.calls, events(interpose)
    until(30, lambda: announcer.calls > done + 300, "the program goes on")
    until(30, lambda: events(interpose) > stored + 100, "what it does is stored")


def waiting(interpose):
    """How many journals have something that no collector has acknowledged."""
    with closing(sqlite3.connect(interpose.database)) as database:
        return database.execute('SELECT count(*) FROM journals WHERE forwarded < "offset"').fetchone()[0]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_collectors_postgresql_is_stopped_and_started_while_a_sidecar_forwards(interpose, tmp_path, compiled, how):
    (tmp_path / "central").mkdir()
    with server() as postgresql:
        central = Interpose(tmp_path / "central", url=postgresql.database())
        with collector(central) as upper, sidecar(interpose, "--forward-to", upper.arguments[-1]) as lower:
            with Announcer(interpose, compiled("announce")) as announcer:
                for _ in range(3):
                    more(central, announcer)
                    getattr(postgresql, how)()
                    more(interpose, announcer)
                    postgresql.start()
                more(central, announcer)
            until(120, lambda: not waiting(interpose), "the collector has caught up")
            assert (0, b"") == lower.stop()
            status, said = upper.stop()
        assert 0 == status
        assert 3 == len(said.splitlines()) == said.count(b"; retrying\n")
        assert rows(interpose.database) == rows(central.url)
        announcer.check(central.ask("events", "last"))


@pytest.fixture
def disk(tmp_path):
    """An ext4 file system of our own, which becomes read-only at an error, as most do; and how to break and mend it."""
    need("mkfs.ext4", "e2fsck", "findmnt", "mount")
    if os.geteuid() != 0:
        missing("root's permission to mount", "run as root")
    made = Disk(tmp_path)
    yield made
    subprocess.run(["umount", "--lazy", made.folder], check=False)


class Disk:
    """A file in a loop device."""

    def __init__(self, base):
        self.image, self.folder = base / "image", base / "disk"
        self.folder.mkdir()
        with self.image.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)
        self._mount()

    def _mount(self):
        done = subprocess.run(["mount", "-o", "loop,errors=remount-ro", self.image, self.folder], capture_output=True)
        if done.returncode:
            missing("a loop device", done.stderr.decode().strip())

    def fail(self):
        """The kernel finds an error in it: from here on it can only be read, whoever has what open there."""
        device = subprocess.run(["findmnt", "-no", "SOURCE", self.folder], check=True, capture_output=True, text=True)
        os.sync()
        with open(f"/sys/fs/ext4/{os.path.basename(device.stdout.strip())}/trigger_fs_error", "w") as file:
            file.write("1")
        with pytest.raises(OSError), open(self.folder / "probe", "w"):
            pass

    def repair(self):
        """Unmount, check, and mount it again: possible only if nobody holds a file open there for long."""
        until(30, lambda: not subprocess.run(["umount", self.folder], capture_output=True).returncode, "it is let go")
        assert subprocess.run(["e2fsck", "-fp", self.image], capture_output=True).returncode < 4
        self._mount()


def test_a_databases_file_system_becomes_read_only_under_the_open_database_and_is_mended(interpose, disk, compiled):
    (disk.folder / "state").mkdir()  # so that nothing is made below the mount while it is away
    interpose.url = f"sqlite:///{disk.folder}/state/db"
    with sidecar(interpose) as service:
        with Announcer(interpose, compiled("announce")) as announcer:
            for _ in range(2):
                more(interpose, announcer)
                # What the database wrote just before would be gone, as after a power failure: it stands still.
                service.process.send_signal(signal.SIGSTOP)
                disk.fail()
                service.process.send_signal(signal.SIGCONT)
                done = announcer.calls
                until(30, lambda done=done: announcer.calls > done + 1000, "the program goes on")
                disk.repair()
            more(interpose, announcer)
        status, said = service.stop()
    assert 0 == status
    assert 2 == len(said.splitlines()) == said.count(b"; retrying\n")
    (run,) = interpose.ask("runs")
    assert (0, 1) == (run["lost"], run["processes"])
    announcer.check(interpose.ask("events", run["id"]))
