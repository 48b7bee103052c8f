"""A sidecar and a collector as their users run them, over TCP with mutual TLS, while certificates are replaced."""

import contextlib
import os
import shutil
import socket
import threading
import time

import pytest

from support.announced import Announcer
from support.certificates import Authority
from support.ports import free_port
from support.rows import rows
from support.services import collector, sidecar
from support.waiting import until


class Wire:
    """A port that leads to another, so that connections may be cut which neither end wants to end."""

    def __init__(self, port):
        self._target = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._ends = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, far = self._listening.accept()[0], socket.create_connection(self._target)
                self._ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=ends, daemon=True).start()

    @staticmethod
    def _copy(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self):
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()


@pytest.fixture
def wire():
    made = Wire(free_port())
    yield made
    made.close()


def replace(files, folder):
    """Put new files over the old ones, each in one step, as those who renew certificates do; the options for them."""
    folder.mkdir(exist_ok=True)
    named = {"cert": files.certificate, "key": files.key, "ca": files.authorities}
    for name, file in named.items():
        shutil.copy(file, folder / "next")
        os.rename(folder / "next", folder / name)
    return [part for name in named for part in (f"--tls-{name}", str(folder / name))]


def stored(interpose):
    return len(interpose.ask("events", "last")) if interpose.ask("runs") else 0


def test_certificates_are_replaced_while_a_sidecar_forwards(interpose, central, tmp_path, wire, compiled):
    old, new = (Authority(tmp_path / name, name) for name in ("old", "new"))
    place = "IP:127.0.0.1"
    upper_options = replace(old.certify("collector", place), tmp_path / "upper")
    lower_options = replace(old.certify("node", "URI:spiffe://example.org/node"), tmp_path / "lower")
    where = f"127.0.0.1:{wire._target[1]}"
    upper = collector(central, *upper_options, where=where)
    lower = sidecar(interpose, "--forward-to", f"127.0.0.1:{wire.port}", *lower_options)

    def arrives():
        before = stored(central)
        until(30, lambda: stored(central) > before + 100, "it is forwarded")

    with upper, lower, Announcer(interpose, compiled("announce")) as announcer:
        arrives()
        replace(old.certify("renewed", "URI:spiffe://example.org/node"), tmp_path / "lower")
        wire.cut()
        arrives()
        replace(new.certify("collector", place), tmp_path / "upper")
        arrives()  # what was trusted when it connected goes on
        wire.cut()
        time.sleep(0.5)  # what was on its way is stored
        stands, done = stored(central), announcer.calls
        until(30, lambda: announcer.calls > done + 1000, "the program goes on")
        assert stands == stored(central)  # neither trusts the other any more
        replace(new.certify("node", "URI:spiffe://example.org/node"), tmp_path / "lower")
        arrives()
        announcer.end()
        status, said = lower.stop()
        assert 0 == status
        lines = said.decode().splitlines()
        assert 2 == len(lines), said
        assert all(f"cannot forward to 127.0.0.1:{wire.port}: " in line for line in lines), said
        assert (0, b"") == upper.stop()

    assert rows(interpose.database) == rows(central.database)
    (run,) = central.ask("runs")
    assert ("spiffe://example.org/node", 0) == (run["peer"], run["lost"])
    announcer.check(central.ask("events", run["id"]))


def test_a_sidecar_that_the_collector_does_not_trust_keeps_everything(interpose, central, tmp_path, compiled):
    ours, theirs = (Authority(tmp_path / name, name) for name in ("ours", "theirs"))
    where = f"127.0.0.1:{free_port()}"
    options = replace(ours.certify("collector", "IP:127.0.0.1"), tmp_path / "upper")
    stranger = theirs.certify("stranger", "URI:spiffe://example.org/node")
    shutil.copy(ours.certificate, stranger.authorities)
    lower = sidecar(interpose, "--forward-to", where, *replace(stranger, tmp_path / "lower"))
    with collector(central, *options, where=where) as upper, lower:
        with Announcer(interpose, compiled("announce")) as announcer:
            until(30, lambda: announcer.calls > 1000, "the program goes on")
        status, said = lower.stop()
        assert (0, b"") == upper.stop()

    assert 0 != status, said
    assert [] == central.ask("runs")
    announcer.check(interpose.ask("events", "last"))
