"""`interpose docker run`, `watch` and `cdi`: captured on an Engine that does not know our runtime."""

import json
import os
import pty
import signal
import stat
import subprocess

import pytest

from support.cli import INTERPOSE
from support.engine import HostService
from support.site import Site
from support.waiting import until

IMAGE = "interpose-test/bookworm"
ON = ("--label", "interpose.dev/capture=true")
UP = "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done"


class Bare:
    """The Engine without our runtime, a host directory of its own, and its service."""

    def __init__(self, site, folder):
        self.engine = site.engine
        self.service = HostService(folder / "host", folder / "interpose.db")
        self.service.start()
        self.site = Site(site.engine, self.service)

    def command(self, *arguments):
        place = () if arguments[0] == "cdi" else ("--docker-host", self.engine.url)
        return [*INTERPOSE, "docker", arguments[0], "--host", str(self.service.host), *place, *arguments[1:]]

    def __call__(self, *arguments, **options):
        given = {"capture_output": True, "timeout": 60, "stdin": subprocess.DEVNULL} | options
        if "input" in given:
            del given["stdin"]
        return subprocess.run(self.command(*arguments), **given)

    def start(self, *arguments, **options):
        return subprocess.Popen(self.command(*arguments), **options)


@pytest.fixture(scope="module")
def bare(site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    for each in (folder, folder.parent, folder.parent.parent):
        each.chmod(0o711)
    made = Bare(site, folder)
    yield made
    made.service.stop()


def test_a_container_runs_as_with_docker_run_and_is_captured(bare):
    options = ("--rm", "--env", "A=b", "--user", "1000", "--workdir", "/tmp", "--tmpfs", "/run", "--read-only")
    command = (IMAGE, "sh", "-c", "sort /etc/passwd | head -n 1; echo $A $LD_PRELOAD $(id -u) $(pwd) >&2; exit 4")
    plain = bare.engine.docker("run", *options, *command, check=False)

    ours = bare("run", "--name", "like", *options, *command)

    assert (plain.status, plain.stdout, plain.stderr) == (ours.returncode, ours.stdout, ours.stderr)
    bare.service.settled()
    assert ["sort", "/etc/passwd"] in bare.site.programs("like")
    (run,) = [run for run in bare.site.ask("runs") if run["container"]["name"] == "like"]
    assert (IMAGE, 4) == (run["container"]["image"], run["status"])
    assert run["container"]["digest"].startswith("sha256:")


@pytest.mark.parametrize("mount", ["--volume", "--runtime"])
def test_nothing_is_left_on_the_host_through_a_mount_of_the_users(bare, site, tmp_path, mount):
    devices = tmp_path / "devices"
    devices.mkdir()
    os.mknod(devices / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    command = ("--rm", "--name", f"devices{mount}", "--volume", f"{devices}:/dev", IMAGE, "true")
    if mount == "--runtime":
        assert 0 == site.run(*command).status
        assert "skipped" == site.decision(f"devices{mount}")[0]
    else:
        done = bare("run", *command)
        assert (0, True) == (done.returncode, b"not captured: its mount would leave a directory" in done.stderr)
    assert [] == [path.name for path in devices.iterdir() if path.name == "interpose"]


def test_standard_input_goes_in_and_ends(bare):
    done = bare("run", "--rm", "-i", IMAGE, "sort", input=b"b\na\n" * 50_000)

    assert (0, b"a\n" * 50_000 + b"b\n" * 50_000, b"") == (done.returncode, done.stdout, done.stderr)


def test_a_terminal_is_one(bare):
    ours, theirs = pty.openpty()
    command = ("sh", "-c", "tty; read x; echo got $x; exit 5")
    process = bare.start("run", "--rm", "-it", IMAGE, *command, stdin=theirs, stdout=theirs)
    os.close(theirs)
    os.write(ours, b"word\r")
    status, said = process.wait(timeout=60), b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:
        pass  # how a terminal ends
    os.close(ours)

    assert 5 == status
    assert b"/dev/pts/0" in said
    assert b"got word" in said


def test_signals_go_on_to_the_container(bare):
    process = bare.start("run", "--rm", IMAGE, "sh", "-c", UP, stdout=subprocess.PIPE)
    assert b"up\n" == process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert 3 == process.returncode


def test_a_container_that_stays_is_captured_over_restarts_until_it_is_removed(bare):
    made = bare("run", "--detach", "--name", "stays", IMAGE, "sh", "-c", UP)
    assert made.returncode == 0, made.stderr
    bare.engine.docker("exec", "stays", "cat", "/etc/hostname")
    bare.engine.docker("restart", "--time", "5", "stays")
    bare.engine.docker("exec", "stays", "cat", "/etc/debian_version")
    until(20, lambda: ["cat", "/etc/debian_version"] in bare.site.programs("stays"), "it is captured")
    assert ["cat", "/etc/hostname"] in bare.site.programs("stays")
    assert 1 == len(bare.service.channels())
    bare.engine.docker("rm", "--force", "stays")
    bare("watch", "--once")
    bare.service.settled()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--label", "interpose.dev/level=all"), "not captured: interpose.dev/level=all: neither summary nor calls"),
        (("--env", "LD_PRELOAD=" + "a" * 131_030), "not captured: its environment and arguments leave no room for"),
    ],
)
def test_what_cannot_be_captured_runs_all_the_same(bare, options, reason):
    done = bare("run", "--rm", *options, IMAGE, "echo", "out")

    assert (0, b"out\n") == (done.returncode, done.stdout)
    assert reason in done.stderr.decode()
    assert [] == bare.service.channels()


def test_what_the_engine_refuses_is_told_in_a_line(bare):
    done = bare("run", "--rm", "--network", "none-such", IMAGE, "true")

    assert 125 == done.returncode
    assert 1 == done.stderr.count(b"\n")
    assert b"none-such" in done.stderr


def test_a_labelled_container_that_is_not_captured_is_reported(bare):
    bare.engine.docker("run", "--detach", "--name", "missed", *ON, IMAGE, "sleep", "60")
    before = bare.engine.inspect("missed")
    done = bare("watch", "--once", "--json")
    after = bare.engine.inspect("missed")
    bare.engine.docker("rm", "--force", "missed")

    found = [json.loads(line) for line in done.stdout.splitlines()]
    reason = "it was started without capture, and interpose.dev/recreate=true is not set"
    assert {"container": "missed", "outcome": "reported", "reason": reason} in found
    assert before["Id"] == after["Id"]


def test_one_that_may_be_is_made_anew_with_the_same_settings(bare):
    options = (
        *("--env", "A=b", "--user", "1000", "--memory", "64m", "--restart", "on-failure:3", "--cap-drop", "ALL"),
        *("--volume", "/anonymous", "--volume", "named:/named", "--tmpfs", "/memory", "--workdir", "/tmp"),
        *("--health-cmd", "true", "--network", "watched", "--network-alias", "other-name"),
    )
    bare.engine.docker("network", "create", "watched")
    try:
        bare.engine.docker(
            "run", "--detach", "--name", "anew", *ON, "--label", "interpose.dev/recreate=true", *options, IMAGE,
            "sh", "-c", UP,
        )  # fmt: skip
        before = bare.engine.inspect("anew")
        watcher = bare.start("watch", stdout=subprocess.PIPE)
        assert b"anew: recreated: with mounts\n" == watcher.stdout.readline()
        watcher.terminate()
        watcher.communicate(timeout=30)
        after = bare.engine.inspect("anew")
        bare.engine.docker("exec", "anew", "cat", "/etc/hostname")
        until(20, lambda: ["cat", "/etc/hostname"] in bare.site.programs("anew"), "it is captured")
    finally:
        bare.engine.docker("rm", "--force", "--volumes", "anew", check=False)
        bare.engine.docker("network", "rm", "watched", check=False)
        bare("watch", "--once")
    bare.service.settled()

    assert before["Id"] != after["Id"]
    for key in ("Memory", "RestartPolicy", "CapDrop", "Tmpfs", "NetworkMode"):
        assert before["HostConfig"][key] == after["HostConfig"][key]
    for key in ("User", "WorkingDir", "Cmd", "Healthcheck", "Image"):
        assert before["Config"][key] == after["Config"][key]
    assert {"A=b"} < set(after["Config"]["Env"])
    assert {mount["Name"] for mount in before["Mounts"]} == {mount.get("Name") for mount in after["Mounts"]} - {None}
    assert "other-name" in after["NetworkSettings"]["Networks"]["watched"]["Aliases"]


def test_one_that_cannot_be_captured_stays(bare):
    labels = (*ON, "--label", "interpose.dev/recreate=true", "--label", "interpose.dev/level=none")
    bare.engine.docker("run", "--detach", "--name", "back", *labels, IMAGE, "sleep", "60")
    before = bare.engine.inspect("back")["Id"]
    done = bare("watch", "--once")
    after = bare.engine.inspect("back")
    bare.engine.docker("rm", "--force", "back")

    assert b"back: failed: interpose.dev/level=none: neither summary nor calls" in done.stdout
    assert (before, True) == (after["Id"], after["State"]["Running"])


def test_a_device_is_a_channel(bare, tmp_path):
    made = bare("cdi", "job", "--directory", str(tmp_path))
    told = json.loads((tmp_path / "interpose-job.json").read_text())
    (device,) = told["devices"]
    edits = device["containerEdits"]
    mounts = [f"--volume={mount['hostPath']}:{mount['containerPath']}" for mount in edits["mounts"]]
    bare.engine.docker("run", "--rm", f"--env={edits['env'][0]}", *mounts, IMAGE, "cat", "/etc/hostname")
    until(20, lambda: ["cat", "/etc/hostname"] in bare.site.programs("job"), "it is captured")
    removed = bare("cdi", "job", "--directory", str(tmp_path), "--remove")
    bare.service.settled()

    assert b"--device interpose.dev/capture=job\n" == made.stdout
    assert ("interpose.dev/capture", "job") == (told["kind"], device["name"])
    assert (0, []) == (removed.returncode, list(tmp_path.iterdir()))
