"""A service that must end before everything is stored or forwarded says what is left and where, and loses nothing."""

import os
import re
import signal
import sqlite3
import subprocess
from contextlib import closing

import pytest

from support.cli import Interpose
from support.rows import rows
from support.services import Service, collector, sidecar
from support.waiting import until

UNFINISHED = 75
JOURNALS = re.compile(r"\b[1-9][0-9]? journals \([0-9.]+ KiB\) ")


def work(interpose):
    subprocess.run(["sh", "-c", "cat /etc/passwd | sort > sorted"], cwd=interpose.folder, env=interpose.captured)


def stay(interpose):
    return f"are not forwarded and stay in {interpose.database}; to go on, start this again"


def last_line(service):
    """Stops it: its status, and the last line that it says."""
    status, said = service.stop()
    return status, said.decode().splitlines()[-1]


@pytest.mark.slow
def test_what_could_not_be_stored_stays_in_the_directory(interpose):
    with sidecar(interpose) as service, closing(sqlite3.connect(interpose.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        work(interpose)
        status, line = last_line(service)
    assert UNFINISHED == status
    assert line.startswith(f"interpose: cannot write the database {interpose.database}: database is locked; ")
    assert JOURNALS.search(line)
    assert line.endswith(f"iB) are not stored and stay in {interpose.capture}/spool; to go on, start this again")
    with sidecar(interpose) as service:
        assert (0, b"") == service.stop()
    (run,) = interpose.ask("runs")
    assert (3, 0) == (run["processes"], run["lost"])


def test_what_could_not_be_forwarded_stays_in_the_database(interpose, central):
    with collector(central) as upper, sidecar(interpose, "--forward-to", upper.arguments[-1]) as service:
        upper.stop()
        work(interpose)
        status, line = last_line(service)
    assert UNFINISHED == status
    assert line.startswith(f"interpose: cannot forward to {upper.arguments[-1]}: ")
    assert JOURNALS.search(line)
    assert line.endswith(f"iB) and the ends of 1 run {stay(interpose)}")
    with collector(central), sidecar(interpose, *service.arguments[3:]) as service:
        assert (0, b"") == service.stop()
    assert rows(interpose.database) == rows(central.database)


def test_what_a_collector_that_does_not_answer_has_not_acknowledged_is_told(interpose, central):
    """Nothing fails, and time is up all the same."""
    with collector(central) as upper, sidecar(interpose, "--forward-to", upper.arguments[-1]) as service:
        work(interpose)
        until(10, lambda: central.ask("runs"), "it is forwarded")
        upper.process.send_signal(signal.SIGSTOP)
        work(interpose)
        status, line = last_line(service)
        upper.process.send_signal(signal.SIGCONT)
    assert UNFINISHED == status
    assert JOURNALS.search(line)
    assert line.endswith(stay(interpose))
    with collector(central), sidecar(interpose, *service.arguments[3:]):
        pass
    assert rows(interpose.database) == rows(central.database)


def test_a_collector_between_two_others_says_what_it_keeps(interpose, central, tmp_path):
    (tmp_path / "top").mkdir()
    with (
        collector(Interpose(tmp_path / "top")) as upper,
        collector(central, "--forward-to", upper.arguments[2]) as middle,
    ):
        upper.stop()
        with sidecar(interpose, "--forward-to", middle.arguments[2]):
            work(interpose)
        status, line = last_line(middle)
    assert UNFINISHED == status
    assert line.startswith(f"interpose: cannot forward to {upper.arguments[2]}: ")
    assert JOURNALS.search(line)
    assert line.endswith(stay(central))


def test_who_goes_on_living_leaves_nothing_to_be_told(interpose):
    with sidecar(interpose) as service:
        child = subprocess.Popen(["sleep", "60"], cwd=interpose.folder, env=interpose.captured)
        until(10, lambda: interpose.ask("runs") and interpose.ask("ps", "last"), "it is stored")
        assert (0, b"") == service.stop()
        os.kill(child.pid, signal.SIGKILL)
        child.wait()


def test_a_hosts_sidecar_says_what_it_keeps(interpose, central, tmp_path):
    arguments = ["host", str(tmp_path / "host"), "--forward-to"]
    with collector(central) as upper, Service(interpose, "serving", *arguments, upper.arguments[-1]) as service:
        upper.stop()
        with closing(sqlite3.connect(interpose.database, isolation_level=None)) as other:
            other.execute("INSERT INTO runs (id, spool, started, ended, lost) VALUES ('one', 'a0', 1, 2, 0)")
        status, line = last_line(service)
    assert UNFINISHED == status
    assert line.endswith(f"; 0 journals (0 bytes) and the ends of 1 run {stay(interpose)}")
