"""Captured containers that are checkpointed by CRIU, and restored."""

import signal
import time

import pytest

from support.criu import criu
from support.engine import Engine, running
from support.site import installed
from support.waiting import until

IMAGE = "interpose-test/bookworm"
EARLIER = 150
"""Programs before the one that is checkpointed: its journal lies beyond the segments with which a spool begins."""
TALKS = "i=0; while [ $i -lt 12 ]; do sleep 0.1; i=$((i + 1)); done"
"""For so long that it is connected to the sidecar."""
GATE = "read line < /gate"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A site whose Engine makes checkpoints, which it calls an experiment."""
    engine = Engine(config={"experimental": True})
    criu(engine.programs)
    with running(engine):
        engine.import_release("bookworm")
        with installed(engine, tmp_path_factory.mktemp("checkpoints") / "interpose.db") as made:
            yield made


def checkpoint(site, name, point) -> bool:
    return site.engine.docker("checkpoint", "create", name, point, check=False).status == 0


def restore(site, name, point):
    """Docker keeps checkpoints by their content, and for a while takes none again that it had: moby/moby#42900.

    That a checkpoint has ended a paused container it notes a moment later.
    """
    passing = (b"already exists", b"cannot start a paused container")

    def started() -> bool:
        done = site.engine.docker("start", "--checkpoint", point, name, check=False)
        assert done.status == 0 or any(reason in done.stderr for reason in passing), done.stderr
        return done.status == 0

    until(60, started, f"{point} is restored")


def pass_gate(site, name, made):
    """Let it on, and wait for a file that it makes then."""
    site.engine.docker("exec", name, "sh", "-c", "echo > /gate")
    there = ("exec", name, "test", "-e", made)
    until(20, lambda: site.engine.docker(*there, check=False).status == 0, f"{made} is made")


@pytest.mark.parametrize("sidecar", ["stays", "is away"])
def test_an_idle_container_is_checkpointed_and_what_is_restored_is_captured_as_a_run_of_its_own(checkpoints, sidecar):
    """Twice: what was restored can be checkpointed too."""
    site, name = checkpoints, sidecar.replace(" ", "-")
    early = f"i=0; while [ $i -lt {EARLIER} ]; do cat /etc/hostname; i=$((i + 1)); done; mkfifo /gate"
    later = f"{TALKS}; : > /0; {GATE}; sort /etc/passwd > /1; {TALKS}; : > /2; {GATE}; sort /etc/group > /3; {GATE}"
    site.run("--detach", "--name", name, IMAGE, "sh", "-c", f"{early}; exec sh -c '{later}'")
    try:
        until(30, lambda: site.engine.docker("exec", name, "test", "-e", "/0", check=False).status == 0, "it waits")
        assert not checkpoint(site, name, "early")  # it is connected
        if sidecar == "is away":
            site.service.stop(signal.SIGKILL)
        until(30, lambda: checkpoint(site, name, "first"), "it is checkpointed")
        restore(site, name, "first")
        pass_gate(site, name, "/2")
        until(30, lambda: checkpoint(site, name, "second"), "it is checkpointed again")
        restore(site, name, "second")
        pass_gate(site, name, "/3")
    finally:
        if sidecar == "is away":
            site.service.start()
        site.engine.docker("rm", "--force", name, check=False)
    site.service.settled()

    runs = [run for run in site.ask("runs") if run["container"] and run["container"]["name"] == name]
    read = [{path for file in site.ask("files", run["id"], "--read") for path in file["paths"]} for run in runs]
    assert [False, True, False] == ["/etc/passwd" in paths for paths in read]
    assert [False, False, True] == ["/etc/group" in paths for paths in read]
    assert [0, 0, 0] == [run["lost"] for run in runs]
    shells = [
        [
            process
            for process in site.ask("ps", run["id"])
            if ["sh", "-c", later] in [p["arguments"] for p in process["programs"]]
        ]
        for run in runs
    ]
    assert [[1], [1], [1]] == [[process["pid"] for process in found] for found in shells]
    assert "/etc/group" in {file["path"] for file in site.lineage(name, "/3").files}


def test_a_container_that_always_has_something_to_say_is_paused_first(checkpoints):
    site, name = checkpoints, "busy"
    site.run("--detach", "--name", name, IMAGE, "sh", "-c", "while :; do sleep 0.05; echo line >> /lines; done")
    try:
        time.sleep(2)
        assert not checkpoint(site, name, "running")
        site.engine.docker("pause", name)
        until(30, lambda: checkpoint(site, name, "paused"), "it is checkpointed")
        restore(site, name, "paused")
        time.sleep(2)
        site.engine.docker("stop", "--time", "0", name)
        lines = site.engine.text("cp", f"{name}:/lines", "-").count("line\n")
    finally:
        site.engine.docker("rm", "--force", name, check=False)
    site.service.settled()

    runs = [run for run in site.ask("runs") if run["container"] and run["container"]["name"] == name]
    told = [
        sum(
            event["effect"] == "open" and event["fields"]["name"]["path"] == "/lines"
            for event in site.ask("events", run["id"])
        )
        for run in runs
    ]
    assert [0, 0] == [run["lost"] for run in runs]
    assert all(told)
    assert lines == sum(told)
