"""One sidecar takes over a spool from another, while programs stream to it."""

import subprocess
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from support.announced import counted
from support.ports import free_port
from support.services import Service, sidecar
from support.waiting import until


def streamed(port):
    """Bytes that the sidecar with this metrics port has stored from streams."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    return max(
        float(line.split()[1]) for line in text.splitlines() if line.startswith('interpose_bytes_total{path="stream')
    )


def test_a_second_sidecar_is_refused_with_one_line(interpose):
    with sidecar(interpose):
        answer = interpose("sidecar", "--capture", str(interpose.capture))
        assert (1, b"") == (answer.returncode, answer.stdout)
        assert (
            f"interpose: another sidecar works on {interpose.capture}/spool: stop it first\n" == answer.stderr.decode()
        )


def test_a_sidecar_takes_over_from_another_while_streams_are_open(interpose, compiled):
    program, ports = compiled("announce"), [free_port(), free_port()]
    (interpose.folder / "0").mkdir()
    options = ["--metrics-listen", f"127.0.0.1:{ports[0]}"]
    with sidecar(interpose, *options) as old, open(interpose.folder / "calls", "wb") as calls:
        command = [program, "0", "0", "500"]
        with subprocess.Popen(command, cwd=interpose.folder, env=interpose.captured, stdout=calls) as child:
            until(30, lambda: streamed(ports[0]), "the old one is streamed to")
            new = Service(
                interpose, "waiting for it to end", "sidecar", "--capture", str(interpose.capture), "--wait", "60",
                "--metrics-listen", f"127.0.0.1:{ports[1]}",
            )  # fmt: skip
            new.start()
            before = (interpose.folder / "calls").stat().st_size
            assert (0, b"") == old.stop()
            assert b"LD_PRELOAD=" in new.process.stderr.readline()
            until(30, lambda: streamed(ports[1]), "the new one is streamed to")
            assert (interpose.folder / "calls").stat().st_size > before
            child.terminate()
    assert (0, b"") == new.stop()
    (run,) = interpose.ask("runs")
    assert (0, 1) == (run["lost"], run["processes"])
    announced = Counter((interpose.folder / "calls").read_text())
    stored = counted(interpose.ask("events", run["id"]))
    assert all(announced[call] <= count <= announced[call] + 1 for call, count in stored.items()), (announced, stored)


IDLE = """
import os, sys, time
open(sys.argv[1]).read()
time.sleep(0.7)
open(sys.argv[1]).read()
print("idle", flush=True)
"""


@pytest.mark.parametrize("forever", ["time.sleep(60)", "while True: pass"], ids=["sleeping", "computing"])
def test_what_a_process_did_is_told_while_it_makes_no_more_calls(interpose, forever):
    (interpose.folder / "read").write_text("content")
    with sidecar(interpose):
        command = ["python3", "-c", IDLE + forever, "read"]
        child = subprocess.Popen(command, cwd=interpose.folder, env=interpose.captured, stdout=subprocess.PIPE)
        with child:
            assert b"idle\n" == child.stdout.readline()
            began, reads = time.monotonic(), 0
            while reads < 2:
                assert time.monotonic() - began < 1
                opened = interpose.ask("events", "last", "--effect", "open")
                reads = sum(event["fields"]["name"]["path"] == "read" for event in opened)
            if "sleep" in forever:
                switches = woken(child.pid)
                time.sleep(3)
                assert switches == woken(child.pid)
            child.kill()


def woken(pid):
    """How often each thread of a process went to sleep: what wakes it up makes it go to sleep again."""
    tasks = sorted(Path(f"/proc/{pid}/task").iterdir())
    lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
    return [line for line in lines if line.startswith("voluntary_ctxt_switches")]
