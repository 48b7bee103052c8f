"""A captured container's life: what is started in it later, how it ends, and who is away meanwhile."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.waiting import until

IMAGE = "interpose-test/bookworm"
SLEEP = ("sh", "-c", "trap 'exit 0' TERM; echo up > /up; while :; do sleep 0.1; done")


@pytest.fixture
def container(site, request):
    """A captured container that runs until the test is over, by name."""
    name = request.node.name.replace("[", "-").replace("]", "").removeprefix("test_")[:60]
    assert site.run("--detach", "--name", name, IMAGE, *SLEEP).status == 0
    until(20, lambda: site.engine.docker("exec", name, "test", "-e", "/up", check=False).status == 0, "it runs")
    yield name
    site.engine.docker("rm", "--force", name, check=False)
    site.service.settled()


def lives(site, name):
    return [run for run in site.ask("runs") if run["container"] and run["container"]["name"] == name]


def test_what_exec_starts_is_captured_too(site, container):
    done = site.engine.docker("exec", "--env", "LD_PRELOAD=/none.so", "--workdir", "/etc", container, "sort", "passwd")

    assert b"root:" in done.stdout
    until(20, lambda: ["sort", "passwd"] in site.programs(container), "exec was captured")
    assert "/etc/passwd" in site.paths(container, "--read")


def test_in_a_container_that_is_not_captured_exec_changes_nothing(site):
    site.engine.docker("run", "--detach", "--name", "unlabelled", "--runtime", "interpose", IMAGE, "sleep", "60")
    maps = site.engine.text("exec", "unlabelled", "cat", "/proc/self/maps", "/proc/self/environ")
    listed = site.engine.text("exec", "unlabelled", "ls", "-A", "/dev")
    changed = site.engine.text("diff", "unlabelled")
    site.engine.docker("rm", "--force", "unlabelled")

    assert "interpose" not in maps + listed
    assert changed == ""
    assert "unlabelled" not in (site.host / "decisions.log").read_text()


def test_a_captured_container_leaves_no_trace_in_what_is_made_of_it(site, container):
    assert "interpose" not in site.engine.text("diff", container)
    site.engine.docker("commit", container, "interpose-test/committed")
    inside = site.engine.text("run", "--rm", "interpose-test/committed", "find", "/", "-xdev", "-name", "*interpose*")
    site.engine.docker("rmi", "interpose-test/committed")

    assert inside == ""
    assert "LD_PRELOAD" not in str(site.engine.inspect(container)["Config"]["Env"])


def test_health_checks_are_captured(site):
    options = ("--health-cmd", "cat /etc/hostname", "--health-interval", "1s")
    site.run("--detach", "--name", "healthy", *options, IMAGE, *SLEEP)
    try:
        until(30, lambda: site.engine.inspect("healthy")["State"]["Health"]["Status"] == "healthy", "it is healthy")
        until(20, lambda: ["cat", "/etc/hostname"] in site.programs("healthy"), "the check was captured")
    finally:
        site.engine.docker("rm", "--force", "healthy")
    site.service.settled()


def test_each_restart_is_a_run_of_its_own(site):
    site.run("--detach", "--name", "again", "--restart", "on-failure:2", IMAGE, "sh", "-c", "cat /etc/hostname; exit 3")
    until(60, lambda: len(lives(site, "again")) == 3, "it was started three times")
    until(20, lambda: not site.engine.inspect("again")["State"]["Running"], "it has ended")
    site.service.settled()
    site.engine.docker("start", "--attach", "again", check=False)
    site.engine.docker("rm", "--force", "again")
    site.service.settled()

    runs = lives(site, "again")
    assert len(runs) >= 4
    assert len({run["container"]["id"] for run in runs}) == 1
    for run in runs:
        assert run["ended"] is not None
        assert ["cat", "/etc/hostname"] in [
            program["arguments"] for process in site.ask("ps", run["id"]) for program in process["programs"]
        ]


def test_a_paused_container_goes_on_and_ends_as_usual(site, container):
    site.engine.docker("pause", container)
    site.engine.docker("unpause", container)
    site.engine.docker("exec", container, "cat", "/etc/hostname")
    site.engine.docker("stop", container)
    site.service.settled()

    assert 0 == site.engine.inspect(container)["State"]["ExitCode"]
    assert ["cat", "/etc/hostname"] in site.programs(container)
    assert [False] == [run["ended"] is None for run in lives(site, container)]


def test_what_a_container_did_before_it_ran_out_of_memory_is_known(site):
    greedy = "sort /etc/passwd > /sorted; tail /dev/zero"
    options = ("--memory", "24m", "--memory-swap", "24m")
    bare = site.run("--rm", *options, IMAGE, "sh", "-c", greedy, captured=False)
    ours = site.run("--name", "greedy", *options, IMAGE, "sh", "-c", greedy)
    killed = site.engine.inspect("greedy")["State"]["OOMKilled"]
    site.engine.docker("rm", "greedy")
    site.service.settled()

    assert (bare.status, True) == (ours.status, killed)
    assert ["tail", "/dev/zero"] in site.programs("greedy")
    assert "/etc/passwd" in {file["path"] for file in site.lineage("greedy", "/sorted").files}


def test_a_container_that_is_killed_is_stored_to_its_end(site, container):
    site.engine.docker("exec", container, "sh", "-c", "sort /etc/passwd > /sorted")
    site.engine.docker("kill", container)
    site.service.settled()

    assert "/etc/passwd" in {file["path"] for file in site.lineage(container, "/sorted").files}


def test_containers_that_come_and_go_while_the_sidecar_is_down_are_stored_when_it_is_back(site):
    site.run("--detach", "--name", "survivor", IMAGE, *SLEEP)
    until(20, lambda: ["sleep", "0.1"] in site.programs("survivor"), "it is captured")
    site.service.stop(signal.SIGKILL)
    try:
        site.run("--rm", "--name", "meanwhile", IMAGE, "sh", "-c", "sort /etc/passwd > /sorted")
        site.engine.docker("exec", "survivor", "cat", "/etc/hostname")
        site.engine.docker("rm", "--force", "survivor")
        assert 2 == len(site.service.channels())
    finally:
        site.service.start()
    site.service.settled()

    assert "/etc/passwd" in {file["path"] for file in site.lineage("meanwhile", "/sorted").files}
    assert ["cat", "/etc/hostname"] in site.programs("survivor")
    assert 1 == len(lives(site, "survivor"))


def test_a_second_sidecar_for_the_same_host_refuses(site, tmp_path):
    from support.cli import INTERPOSE

    done = subprocess.run(
        [*INTERPOSE, "host", str(site.host), "--db", str(tmp_path / "db")], capture_output=True, timeout=60
    )

    assert (1, f"interpose: another sidecar serves {site.host}: stop it first\n") == (
        done.returncode, done.stderr.decode(),
    )  # fmt: skip


def test_a_full_disk_takes_the_events_and_not_the_container(site, tmp_path):
    """A host directory of its own, on a file system with room for not even one channel."""
    place = site.engine.folder / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=711", "tmpfs", str(place)]
    subprocess.run([*site.engine.beside, *mount], check=True)
    small = Path(f"/proc/{site.engine.pid}/root{place}")
    launcher = site.host / "bin/interpose-oci"
    text = launcher.read_text()
    try:
        subprocess.run(
            ["cp", "-a", *[str(site.host / name) for name in ("library", "settings.json")], str(small)], check=True
        )
        (small / "containers").mkdir()
        (small / "active").mkdir()
        launcher.write_text(text.replace(f" {site.host} ", f" {place} "))
        ours = site.run("--rm", "--name", "full", IMAGE, "sh", "-c", "sort /etc/passwd | wc -l; echo $LD_PRELOAD")
        bare = site.run("--rm", IMAGE, "sh", "-c", "sort /etc/passwd | wc -l; echo $LD_PRELOAD", captured=False)
        decided = (small / "decisions.log").read_text()
        left = os.listdir(small / "containers")
    finally:
        launcher.write_text(text)
        subprocess.run([*site.engine.beside, "umount", "--lazy", str(place)], check=True)

    assert bare == ours
    assert "No space left on device" in decided
    assert [] == left


@pytest.mark.parametrize("damage", ["no modules", "no interpreter", "no host directory", "broken bundle"])
def test_whatever_is_wrong_with_us_the_container_starts(site, damage):
    launcher = site.host / "bin/interpose-oci"
    text = launcher.read_text()
    changed = {
        "no modules": text.replace("/runtime.py", "/missing.py"),
        "no interpreter": text.replace(" -I -S ", ".missing -I -S "),
        "no host directory": text.replace(f" {site.host} ", " /nonexistent "),
        "broken bundle": text.replace('"$@" </dev/null', '"$@" --bundle /nonexistent </dev/null'),
    }[damage]
    assert changed != text
    before = site.service.channels()
    try:
        launcher.write_text(changed)
        ours = site.run("--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 5")
    finally:
        launcher.write_text(text)

    assert (5, b"out\n", b"err\n") == (ours.status, ours.stdout, ours.stderr)
    assert before == site.service.channels()


def test_when_the_engine_restarts_containers_are_captured_as_before(site, container):
    site.engine.halt()
    site.engine.start()
    site.engine.docker("start", container)
    site.engine.docker("exec", container, "cat", "/etc/hostname")
    site.engine.docker("stop", container)
    site.service.settled()

    assert ["cat", "/etc/hostname"] in site.programs(container)
    assert 2 == len(lives(site, container))
