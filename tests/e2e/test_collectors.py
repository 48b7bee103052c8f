"""Sidecars and collectors as processes: SIGKILL of either at any moment, and the same answers at both."""

import random
import subprocess
import time
from collections import Counter

import pytest

from support.announced import counted
from support.rows import rows
from support.services import collector, sidecar

SEED = 20261126
KILLS = 5
SHORT = "cat /etc/passwd | sort > sorted"


def forwarding(interpose, central, *options):
    return sidecar(interpose, "--forward-to", f"unix:{central.base}/collector.sock", *options)


@pytest.mark.parametrize("retain", ["0", "forever"])
def test_what_is_killed_on_the_way_loses_and_repeats_nothing(interpose, central, compiled, retain):
    program, moments = compiled("announce"), random.Random(f"{SEED} {retain}")
    children = []
    with collector(central) as upper, forwarding(interpose, central, "--retain", retain) as lower:
        for number in range(3):
            (interpose.folder / str(number)).mkdir()
            with open(interpose.folder / f"{number}.calls", "wb") as calls:
                command = [program, str(number), "0", "800"]
                children.append(subprocess.Popen(command, cwd=interpose.folder, env=interpose.captured, stdout=calls))
        for _ in range(KILLS):
            time.sleep(0.1 + moments.random() / 2)
            victim = moments.choice([upper, lower])
            victim.kill()
            victim.start()
            subprocess.run(
                ["sh", "-c", "cat /etc/passwd | sort > sorted"], cwd=interpose.folder, env=interpose.captured
            )
        for child in children:
            child.terminate()
            child.wait()
        status, said = lower.stop()
        assert (0, set()) == (status, {line[:15] for line in said.splitlines()} - {b"cannot forward "})
    if retain == "forever":
        assert rows(interpose.database) == rows(central.database)
    (run,) = central.ask("runs")
    assert (0, 3 + 3 * KILLS) == (run["lost"], run["processes"])
    events = central.ask("events", run["id"])
    for number, child in enumerate(children):
        stored = counted([event for event in events if event["pid"] == child.pid])
        announced = Counter((interpose.folder / f"{number}.calls").read_text())
        assert all(announced[call] <= count <= announced[call] + 1 for call, count in stored.items()), (
            announced,
            stored,
        )
        assert min(announced.values()) > 100


def test_the_lineage_is_the_same_at_the_collector(interpose, central):
    (interpose.folder / "in").write_text("b\na\n")
    script = "sort in | uniq > mid; cat mid mid > out; (sleep 100 & echo $! > pid)"
    with collector(central), forwarding(interpose, central):
        subprocess.run(["sh", "-c", script], cwd=interpose.folder, env=interpose.captured, check=True)
        subprocess.run(["sh", "-c", "kill -9 $(cat pid)"], cwd=interpose.folder, check=True)
    target = str(interpose.folder / "out")
    below, above = (each("lineage", target).stdout.decode() for each in (interpose, central))

    assert "sort in" in below
    assert below == above
    for what in ("ps", "files", "events"):
        assert interpose(what, "last").stdout == central(what, "last").stdout
