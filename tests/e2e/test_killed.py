"""SIGKILL at any moment, of the program or of the sidecar: what had returned is in the database, and nothing twice."""

import os
import random
import signal
import subprocess
import time
from collections import Counter

import pytest

from support.announced import counted
from support.services import sidecar

SEED = 20261123
KILLS = 20


def read_announced(stream, least):
    """What is announced until there are `least` calls."""
    announced = b""
    while len(announced) < least:
        part = os.read(stream.fileno(), 65536)
        assert part, "the program ended too early"
        announced += part
    return announced


def test_what_a_killed_program_had_done_is_in_the_database(interpose, compiled):
    """Twenty rounds of one run: every program announces its calls over a pipe of its own, and is killed at random."""
    program, moments = compiled("announce"), random.Random(SEED)
    with sidecar(interpose):
        announced = []
        for number in range(KILLS):
            (interpose.folder / str(number)).mkdir()
            child = subprocess.Popen(
                [program, str(number), "0", "0"],
                cwd=interpose.folder,
                env=interpose.captured,
                stdout=subprocess.PIPE,
            )
            with child:
                calls = read_announced(child.stdout, moments.randrange(1, 2000))
                time.sleep(moments.random() / 100)
                child.kill()
                calls += child.stdout.read()
            announced.append((child.pid, Counter(calls.decode())))
    (run,) = interpose.ask("runs")
    assert (0, KILLS) == (run["lost"], run["processes"])
    events = interpose.ask("events", run["id"])
    for pid, calls in announced:
        stored = counted([event for event in events if event["pid"] == pid])
        missing = {call: calls[call] - number for call, number in stored.items() if calls[call] > number}
        beyond = {call: number - calls[call] for call, number in stored.items() if number > calls[call] + 1}
        assert ({}, {}) == (missing, beyond)


@pytest.mark.parametrize("victim", ["program", "shell"])
def test_a_run_whose_command_is_killed_ends_with_its_status_and_everything_stored(interpose, compiled, victim):
    program = compiled("announce")
    command = [program, ".", "0", "0"] if victim == "program" else ["sh", "-c", f"{program} . 0 0; exit 7"]
    running = interpose.start("run", "--", *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with running:
        calls = read_announced(running.stdout, 1000)
        (target,) = [pid for pid in descendants(running.pid) if program in command_line(pid)[:1]]
        os.kill(target, signal.SIGKILL)
        calls += running.stdout.read()
        errors = running.stderr.read().decode()
    assert (128 + signal.SIGKILL if victim == "program" else 7) == running.returncode, errors
    stored = counted(interpose.ask("events", "last"))
    announced = Counter(calls.decode())
    assert all(announced[call] <= number <= announced[call] + 1 for call, number in stored.items()), (announced, stored)


def descendants(pid):
    children = [int(child) for child in open_text(f"/proc/{pid}/task/{pid}/children").split()]
    return [*children, *(below for child in children for below in descendants(child))]


def command_line(pid):
    return open_text(f"/proc/{pid}/cmdline").split("\0")


def open_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("programs", [1, 3])
def test_a_sidecar_that_is_killed_and_started_again_loses_and_repeats_nothing(interpose, compiled, programs):
    program, moments = compiled("announce"), random.Random(SEED + programs)
    with sidecar(interpose) as service:
        children = []
        for number in range(programs):
            (interpose.folder / str(number)).mkdir()
            with open(interpose.folder / f"{number}.calls", "wb") as calls:
                children.append(
                    subprocess.Popen(
                        [program, str(number), "0", "800"],
                        cwd=interpose.folder,
                        env=interpose.captured,
                        stdout=calls,
                    )
                )
        for _ in range(3):
            time.sleep(0.1 + moments.random() / 2)
            service.kill()
            service.start()
        time.sleep(0.1)
        for child in children:
            child.terminate()
        assert [-signal.SIGTERM] * programs == [child.wait() for child in children]
    (run,) = interpose.ask("runs")
    assert (0, programs) == (run["lost"], run["processes"])
    events = interpose.ask("events", run["id"])
    for number, child in enumerate(children):
        stored = counted([event for event in events if event["pid"] == child.pid])
        announced = Counter(open_text(interpose.folder / f"{number}.calls"))
        assert all(announced[call] <= count <= announced[call] + 1 for call, count in stored.items()), (
            announced,
            stored,
        )
        assert min(announced.values()) > 100
