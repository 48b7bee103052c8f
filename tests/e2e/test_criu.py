"""A captured process that CRIU takes out of memory and brings back, under the same sidecar."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.criu import criu
from support.services import sidecar
from support.waiting import soon

PART = 21
MADE = [*(f"before-{number}" for number in range(20)), "waits", *(f"after-{number}" for number in range(20)), "ended"]
PROGRAM = """
import os, time

def make(name):
    open(name, "w").close()

for number in range(20):
    make(f"before-{number}")
    time.sleep(0.05)
make("waits")
os.read(0, 1)
for number in range(20):
    make(f"after-{number}")
    time.sleep(0.05)
make("ended")
"""


@pytest.fixture
def program(interpose):
    """It waits at the gate when it is yielded; then what lets it on, and CRIU."""
    tool = criu(interpose.temporary)
    gate = interpose.temporary / "gate"
    os.mkfifo(gate)
    handle = os.open(gate, os.O_RDWR)
    begun = []

    def begin():
        with gate.open("rb") as stdin:
            begun.append(
                subprocess.Popen(
                    [sys.executable, "-S", "-c", PROGRAM], cwd=interpose.folder, env=interpose.captured,
                    stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                )
            )  # fmt: skip
        assert soon((interpose.folder / "waits").exists)
        return begun[0]

    yield begin, lambda: os.write(handle, b"."), tool
    os.close(handle)
    for process in begun:
        process.kill()
        process.wait()


def dump(tool, process, images) -> bool:
    images.mkdir(exist_ok=True)
    done = subprocess.run([tool, "dump", "-t", str(process.pid), "-D", images, "-o", "log"], check=False)
    if done.returncode == 0:
        process.wait()
    return done.returncode == 0


def opened(events, began=0):
    """What the program made, of that which it did from a time on."""
    names = [
        event["fields"]["name"]["path"] for event in events if event["effect"] == "open" and event["time"] >= began
    ]
    return [name for name in names if name in MADE]


def over(process) -> bool:
    """Whether it has ended, be it that nobody has taken notice."""
    stat = Path(f"/proc/{process.pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def restore(tool, images):
    subprocess.run([tool, "restore", "-d", "-D", images, "-o", "log"], check=True)


@pytest.mark.parametrize("meanwhile", ["runs", "is killed and started again", "comes back later"])
def test_a_process_that_is_restored_is_another_whose_former_self_is_its_parent(meanwhile, interpose, program):
    begin, pass_gate, tool = program
    images = interpose.temporary / "images"
    service = sidecar(interpose)
    service.start()
    process = begin()
    assert not dump(tool, process, images)  # it is connected
    if meanwhile != "runs":
        service.kill()
    assert soon(lambda: dump(tool, process, images), 20)
    if meanwhile == "is killed and started again":
        service.start()
    restore(tool, images)
    if meanwhile == "comes back later":
        service.start()
    pass_gate()
    assert soon((interpose.folder / "ended").exists)
    assert soon(lambda: over(process))
    service.stop()

    (run,) = interpose.ask("runs")
    former, restored = sorted(interpose.ask("ps", "last"), key=lambda found: found["started"])
    events = interpose.ask("events", "last")
    began = next(event["time"] for event in events if event["fields"].get("reason") == "restored")
    assert (0, former["id"], process.pid) == (run["lost"], restored["parent"], restored["pid"])
    assert (None, 0) == (former["status"], restored["status"])
    assert ["restored"] == [program["reason"] for program in restored["programs"]]
    assert MADE == opened(events)
    assert MADE[PART:] == opened(events, began)


def test_where_no_sidecar_has_read_its_journal_meanwhile_it_goes_on_there(interpose, program):
    begin, pass_gate, tool = program
    images = interpose.temporary / "images"
    service = sidecar(interpose)
    service.start()
    process = begin()
    service.kill()
    assert soon(lambda: dump(tool, process, images), 20)
    restore(tool, images)
    pass_gate()
    assert soon((interpose.folder / "ended").exists)
    assert soon(lambda: over(process))
    service.start()
    service.stop()

    (run,), (only,) = interpose.ask("runs"), interpose.ask("ps", "last")
    assert (0, 0) == (run["lost"], only["status"])
    assert MADE == opened(interpose.ask("events", "last"))
