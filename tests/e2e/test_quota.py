"""A spool that is full: the program goes on, and what is missing is said."""

import signal
import struct
import subprocess
import time
import urllib.request

from interpose.sidecar.spool import CONTROL
from support.journals import control
from support.ports import free_port
from support.services import sidecar
from support.waiting import until

CALLS = 90_000
PROGRAM = """
import os, sys
name = "n" * 200
for number in range(int(sys.argv[1])):
    try: os.stat(name)
    except OSError: pass
print("done", flush=True)
sys.stdin.readline()
for number in range(10):
    try: os.stat("later")
    except OSError: pass
"""


def test_what_a_full_spool_does_not_take_is_a_gap_with_its_number_its_span_and_its_cause(interpose):
    port = free_port()
    options = ["--quota", "16", "--level", "calls", "--metrics-listen", f"127.0.0.1:{port}"]
    with sidecar(interpose, *options) as service:
        command = ["python3", "-c", PROGRAM, str(CALLS)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        service.process.send_signal(signal.SIGSTOP)
        began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        with subprocess.Popen(command, cwd=interpose.folder, env=interpose.captured, **pipes) as child:
            assert b"done\n" == child.stdout.readline()
            ended = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            service.process.send_signal(signal.SIGCONT)
            until(60, lambda: room(interpose), "journals are gone")
            child.communicate(b"\n")
        counted = until(60, lambda: lost(port), "the loss is counted")
    (run,) = interpose.ask("runs")
    events = interpose.ask("events", run["id"])
    gaps = [event["fields"] for event in events if event["effect"] == "gap"]
    calls = [(event["fields"].get("name") or {}).get("path") for event in events if event["effect"] == "stat"]

    assert sum(path == "n" * 200 for path in calls) < CALLS
    assert 10 == calls.count("later")
    assert run["lost"] == counted == sum(gap["events"] for gap in gaps) > 0
    assert CALLS <= calls.count("n" * 200) + run["lost"] <= CALLS + 50  # Python's own calls
    assert {"quota"} == {gap["cause"] for gap in gaps}
    assert all(began <= gap["first"] <= gap["last"] <= ended for gap in gaps)


def lost(port):
    """Events that the sidecar counts as lost in the library for want of room."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    for line in text.splitlines():
        if line.startswith('interpose_events_lost_total{reason="quota",stage="library"}'):
            return float(line.split()[1])
    return None


def room(interpose):
    """How many journals the sidecar has told the processes to be gone from the spool."""
    with control(interpose.capture / "spool") as page:
        return struct.unpack_from("<Q", page, CONTROL.offsets["released"])[0]
