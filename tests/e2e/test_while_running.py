"""While something runs: it can be asked about, and others can run into the same database."""

import subprocess
import sys
import time

from support.cli import summary
from support.waiting import until

SLEEPING = "import sys, time; open(sys.argv[1]).read(); print('ready', flush=True); time.sleep(60)"


def test_what_a_sleeping_process_did_can_be_asked_for_within_a_second(interpose):
    (interpose.folder / "read").write_text("content")
    command = [sys.executable, "-c", SLEEPING, "read"]
    running = interpose.start("run", "-q", "--", *command, stdout=subprocess.PIPE)
    with running:
        assert b"ready\n" == running.stdout.readline()
        until(30, lambda: 0 == interpose("runs").returncode, "what stores has begun")
        started = time.monotonic()
        took = None
        while took is None and time.monotonic() - started < 10:
            events = interpose.ask("events", "last", "--effect", "open")
            if any(event["fields"]["name"]["path"] == "read" for event in events):
                took = time.monotonic() - started
        (run,) = interpose.ask("runs")
        shown = interpose("ps", "last").stdout.decode()
        running.terminate()
    assert (143, None, None) == (running.returncode, run["ended"], run["status"])
    assert "running" in shown
    assert took is not None
    assert took <= 1.0


def test_runs_at_the_same_time_share_a_new_database(interpose):
    script = "for i in $(seq 20); do cat in$0 > mid$0; sort mid$0 > out$0; done; exit $0"
    running = []
    for number in range(3):
        (interpose.folder / f"in{number}").write_text(f"{number}\n")
        command = ["sh", "-c", script, str(number)]
        running.append(interpose.start("run", "--", *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    for number, run in enumerate(running):
        output, errors = run.communicate(timeout=120)
        assert (number, b"") == (run.returncode, output), errors.decode()
        counts = summary(errors)
        processes = interpose.ask("ps", counts.run)
        # One process for the shell, one for seq's substitution, two for each round.
        assert (42, 42, 0) == (counts.processes, len(processes), counts.lost)
        assert counts.events == len(interpose.ask("events", counts.run))
        own = {f"{interpose.folder}/{name}{number}" for name in ("in", "mid")}
        paths = interpose.lineage(f"out{number}").paths
        assert own == {path for path in paths if path.startswith(str(interpose.folder))}
    assert [["0"], ["1"], ["2"]] == sorted(run["command"][-1:] for run in interpose.ask("runs"))
