"""Podman of a user without privileges: container, runtime and host directory are all his."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from interpose.injector.host import install_host, launcher_of
from support.cli import need
from support.engine import HostService
from support.roots import ROOTS, library, missing
from support.site import Site

IMAGE = "localhost/musl:1"
NOBODY = 65534
# Whom podman may lend which ids is said in files that are everybody's; here it sees one of its own instead.
ENTER = (
    'for each in subuid subgid; do mount --bind "$0/subordinate" "/etc/$each" || exit; done; cd "$0" && '
    f'exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups env -i "HOME=$0/home" "XDG_RUNTIME_DIR=$0/run" "$@"'
)


@pytest.fixture
def folder():
    """The user's, at whose end nothing of his runs."""
    library()
    need("podman", "runc", "newuidmap", "setpriv", "/usr/bin/python3")
    if os.geteuid() != 0:
        missing("root's permission to become another user", "run as root")
    if not (ROOTS / "musl.ok").exists():
        missing("the musl root")
    made = Path(tempfile.mkdtemp(prefix="interpose-rootless-", dir="/tmp"))
    made.chmod(0o755)
    (made / "subordinate").write_text("nobody:300000:65536\n")
    for name in ("home", "run", "host"):
        (made / name).mkdir()
        os.chown(made / name, NOBODY, NOBODY)
    yield made
    for pause in made.glob("run/**/pause.pid"):
        os.kill(int(pause.read_text()), signal.SIGKILL)  # keeps the user's namespace
    shutil.rmtree(made)


def test_an_annotated_container_is_captured(folder, tmp_path):
    host, runc = folder / "host", str(shutil.which("runc"))
    install_host(host, runtime=runc, level="summary", images=(), owner=(NOBODY, NOBODY))
    launcher = launcher_of(host)
    text = launcher.read_text()  # the tests' own Python may be where only root can go
    launcher.write_text(text.replace(os.path.realpath(sys.executable), "/usr/bin/python3"))

    def podman(runtime, *arguments, **options):
        fixed = ("--cgroup-manager", "cgroupfs", "--events-backend", "file", "--storage-driver", "overlay")
        command = ["unshare", "--mount", "sh", "-c", ENTER, str(folder), f"PATH={os.environ['PATH']}"]
        command += ["podman", *fixed, "--runtime", runtime, *arguments]
        return subprocess.run(command, capture_output=True, timeout=120, **options)

    archive = subprocess.run(["tar", "-C", str(ROOTS / "musl"), "-c", "."], capture_output=True, check=True).stdout
    imported = podman(runc, "import", "-", IMAGE, input=archive)
    assert imported.returncode == 0, imported.stderr
    limits = ("--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    job = (IMAGE, "sh", "-c", "sort /etc/passwd > /out; echo $LD_PRELOAD; cat /proc/self/uid_map")
    bare = podman(runc, "run", *limits, *job)
    ours = podman(str(launcher), "run", *limits, "--name", "his", "--annotation", "interpose.dev/capture=true", *job)
    site = Site(None, HostService(host, tmp_path / "interpose.db"))
    site.service.start()
    try:
        site.service.settled()
    finally:
        site.service.stop()

    decided = [json.loads(line)["outcome"] for line in (host / "decisions.log").read_text().splitlines()]
    assert ["captured"] == decided
    assert (0, str(NOBODY)) == (bare.returncode, bare.stdout.split()[1].decode()), bare.stderr
    assert (bare.returncode, bare.stdout, bare.stderr) == (ours.returncode, ours.stdout, ours.stderr)
    assert "/etc/passwd" in {file["path"] for file in site.lineage("his", "/out").files}
    (run,) = site.ask("runs")
    assert IMAGE == run["container"]["image"]
