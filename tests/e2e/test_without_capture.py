"""Where nothing can be captured, or no longer, the program runs as if nobody had tried, and the user is told why."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.cli import INTERPOSE, need, summary
from support.roots import REPOSITORY, library, missing

SCRIPT = "echo out; echo err >&2; cat; sort /etc/passwd | uniq -c | wc -l; exit 5"


def preloaded(interpose, directory):
    """Run the script with the library of a directory preloaded, with no help from the command."""
    variables = {"LD_PRELOAD": f"{directory}/libinterpose.so"}
    return interpose.bare("sh", "-c", SCRIPT, env=interpose.environment | variables, input=b"in\0\xff\n")


def same(interpose, other):
    bare = interpose.bare("sh", "-c", SCRIPT, input=b"in\0\xff\n")
    assert (bare.returncode, bare.stdout, bare.stderr) == (other.returncode, other.stdout, other.stderr)
    assert (5, b"err\n") == (bare.returncode, bare.stderr)


@pytest.fixture
def capture(interpose):
    """A capture directory whose sidecar has been killed."""
    directory = interpose.base / "capture"
    service = interpose.start("sidecar", "--capture", str(directory), stderr=subprocess.PIPE)
    with service:
        service.stderr.readline()
        service.kill()
    return directory


def test_a_library_without_a_spool(interpose, tmp_path):
    directory = tmp_path / "lone"
    directory.mkdir()
    shutil.copy(library(), directory)
    same(interpose, preloaded(interpose, directory))


def test_a_spool_of_garbage(interpose, capture):
    for name in os.listdir(capture / "spool"):
        path = capture / "spool" / name
        if path.is_file():
            path.write_bytes(b"\xa5" * path.stat().st_size)
    same(interpose, preloaded(interpose, capture))


@pytest.mark.parametrize("name", ["control", "segment-00000000"])
def test_a_spool_of_which_a_file_was_cut(interpose, capture, name):
    os.truncate(capture / "spool" / name, 100)
    same(interpose, preloaded(interpose, capture))


def test_a_dead_sidecar_whose_spool_is_stored_later(interpose, capture):
    same(interpose, preloaded(interpose, capture))
    service = interpose.start("sidecar", "--capture", str(capture), stderr=subprocess.PIPE)
    with service:
        service.stderr.readline()
        service.terminate()
    assert 0 == service.returncode
    (run,) = interpose.ask("runs")
    assert (0, 5) == (run["lost"], run["processes"])


def test_a_spool_that_may_not_be_written(interpose, capture):
    if os.getuid() == 0:
        need("setpriv")
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for parent in [interpose.base, *interpose.base.parents]:
            if parent.name.startswith("pytest-"):
                parent.chmod(parent.stat().st_mode | 0o011)
        interpose.base.chmod(0o755)
    else:
        other = []
    for name in os.listdir(capture / "spool"):
        (capture / "spool" / name).chmod(0o444)
    (capture / "spool").chmod(0o555)
    variables = {"LD_PRELOAD": f"{capture}/libinterpose.so"}
    how = {"input": b"in\n"}
    bare = interpose.bare(*other, "sh", "-c", SCRIPT, **how)
    captured = interpose.bare(*other, "env", *(f"{k}={v}" for k, v in variables.items()), "sh", "-c", SCRIPT, **how)
    assert (bare.returncode, bare.stdout, bare.stderr) == (captured.returncode, captured.stdout, captured.stderr)


def test_a_temporary_directory_that_is_not_there(interpose):
    interpose.variables = {"TMPDIR": "/nonexistent"}
    result = interpose.run("sh", "-c", SCRIPT, input=b"in\0\xff\n")
    assert 0 == summary(result.stderr).lost  # /tmp took its place
    assert 5 == result.returncode


# A small file system over /tmp, in a mount namespace; what the test needs of the former /tmp is put back into it.
_SMALL = """
set -e
size=$1 kept=$2
shift 2
mount -t tmpfs tmpfs /mnt
for path in $kept; do
    mkdir -p "/mnt$path"
    mount --rbind "$path" "/mnt$path"
done
mount -t tmpfs -o "size=$size" tmpfs /tmp
for path in $kept; do
    mkdir -p "$path"
    mount --rbind "/mnt$path" "$path"
done
status=0
"$@" || status=$?
for left in /tmp/interpose-*; do
    [ ! -e "$left" ] || echo "left: $left" >&2
done
exit $status
"""


@pytest.fixture
def small(interpose):
    """Runs the command where all room for temporary files is a file system of a given size."""
    need("unshare")
    if os.getuid() != 0:
        missing("root's permission to mount", "run as root")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        missing("permission to make a mount namespace", "run where one may")
    interpose.variables = {"TMPDIR": "/tmp"}
    needed = [interpose.base, REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)]
    kept = " ".join(str(path) for path in needed if path.is_relative_to("/tmp"))

    def run(*command, size, **options):
        enter = ["unshare", "--mount", "sh", "-c", _SMALL, "sh", size, kept]
        return interpose.bare(*enter, *INTERPOSE, *command, **options)

    return run


def test_a_full_disk(interpose, small):
    result = small("run", "--", "sh", "-c", SCRIPT, size="1m", input=b"in\0\xff\n")
    reason, rest = result.stderr.split(b"\n", 1)
    assert reason.startswith(b"interpose: not captured: cannot make the capture directory /tmp/interpose-"), reason
    assert b": No space left on device" in reason
    result.stderr = rest
    same(interpose, result)


def test_a_disk_that_fills_up_during_the_run(interpose, small):
    """There is room for the first journals and no more: what does not fit is counted, and the count is told."""
    script = "for i in $(seq 400); do cat /etc/passwd > /dev/null; done; sleep 1; echo done; exit 3"
    result = small("run", "--", "sh", "-c", script, size="11m")
    assert (3, b"done\n") == (result.returncode, result.stdout)
    lines = result.stderr.decode().splitlines()
    assert [] == [line for line in lines if not line.startswith("interpose: ") or "to store the rest" in line]
    counts = summary(result.stderr)
    (run,) = interpose.ask("runs")
    assert run["lost"] == counts.lost
    assert 401 <= counts.processes + counts.lost
