"""Podman: annotations ask for the same runtime, name and image come from its files, and devices need no runtime."""

import shutil
import subprocess

import pytest

from support.cli import INTERPOSE, need
from support.roots import ROOTS, missing
from support.waiting import until

IMAGE = "localhost/musl:1"
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")  # Podman would raise them, which needs a right


@pytest.fixture(scope="module")
def podman(site, tmp_path_factory):
    need("podman")
    if not (ROOTS / "musl.ok").exists():
        missing("the musl root")
    folder = site.engine.folder / "podman"
    fixed = [
        *("podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--cgroup-manager", "cgroupfs"),
        *("--events-backend", "file"),
    ]

    def call(*arguments, before=(), runtime=f"{site.host}/bin/interpose-oci", **options):
        command = [*before, *fixed, "--runtime", runtime, *arguments]
        return subprocess.run(command, **({"capture_output": True, "timeout": 120} | options))

    archive = subprocess.run(["tar", "-C", str(ROOTS / "musl"), "-c", "."], capture_output=True, check=True).stdout
    assert call("import", "-", IMAGE, input=archive).returncode == 0
    yield call
    call("rm", "--all", "--force", "--time", "0")
    subprocess.run(["umount", f"{folder}/root/overlay"], capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def test_an_annotated_container_is_captured(site, podman):
    job = "sort /etc/passwd > /out; echo $LD_PRELOAD; while :; do sleep 1; done"  # busybox knows whole seconds only
    annotated = ("--annotation", "interpose.dev/capture=true")
    options = ("--detach", "--name", "pod", "--network", "none", *LIMITS, *annotated)
    started = podman("run", *options, IMAGE, "sh", "-c", job)
    assert started.returncode == 0, started.stderr
    done = podman("exec", "pod", "cat", "/etc/passwd")
    until(20, lambda: ["cat", "/etc/passwd"] in site.programs("pod"), "exec is captured")
    podman("rm", "--force", "--time", "0", "pod")
    site.service.settled()

    assert b"root:" in done.stdout
    assert "/etc/passwd" in {file["path"] for file in site.lineage("pod", "/out").files}
    (run,) = [run for run in site.ask("runs") if run["container"]["name"] == "pod"]
    assert (IMAGE, started.stdout.decode().strip()) == (run["container"]["image"], run["container"]["id"])


def test_a_container_in_a_user_namespace_is_captured(site, podman):
    mapped = ("--uidmap", "0:231072:65536", "--gidmap", "0:231072:65536", "--annotation", "interpose.dev/capture=true")
    options = ("--rm", "--name", "mapped", "--network", "none", *LIMITS, *mapped)
    job = "cat /proc/self/uid_map; sort /etc/passwd > /tmp/out"
    done = podman("run", *options, IMAGE, "sh", "-c", job)
    site.service.settled()

    assert (0, b"") == (done.returncode, done.stderr)
    assert ["0", "231072", "65536"] == done.stdout.decode().split()
    assert "/etc/passwd" in {file["path"] for file in site.lineage("mapped", "/tmp/out").files}


def test_a_container_with_a_device_is_captured_without_our_runtime(site, podman, tmp_path):
    given = [*INTERPOSE, "docker", "cdi", "pod-device", "--host", str(site.host), "--directory", str(tmp_path)]
    made = subprocess.run(given, capture_output=True, text=True, timeout=60)
    devices = (
        'mount -t tmpfs tmpfs /run && mkdir /run/cdi && cp "$0"/* /run/cdi && exec "$@"'  # seen by one command alone
    )
    try:
        done = podman(
            *("run", "--rm", "--network", "none", *LIMITS, *made.stdout.split(), IMAGE),
            *("sh", "-c", "sort /etc/passwd > /out; echo $LD_PRELOAD"),
            before=("unshare", "--mount", "sh", "-c", devices, str(tmp_path)),
            runtime=shutil.which("runc"),
        )
    finally:
        removed = subprocess.run([*given, "--remove"], capture_output=True, text=True, timeout=60)
    site.service.settled()

    assert (0, "", 0) == (made.returncode, made.stderr, removed.returncode)
    assert (0, b"\n", b"") == (done.returncode, done.stdout, done.stderr)
    assert "/etc/passwd" in {file["path"] for file in site.lineage("pod-device", "/out").files}


def test_others_have_no_trace_of_us(podman):
    maps = podman("run", "--rm", "--network", "none", *LIMITS, IMAGE, "sh", "-c", "cat /proc/self/maps; ls -a /dev")

    assert (0, b"") == (maps.returncode, maps.stderr)
    assert b"interpose" not in maps.stdout
