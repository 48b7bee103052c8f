"""Containers of an Engine that remaps users: their root is nobody on the host."""

import pytest

from support.engine import Engine, running
from support.site import installed

IMAGE = "interpose-test/bookworm"
ROOT = 231072
FORKS = 200  # more journals than stand ready


@pytest.fixture(scope="module")
def remapped(tmp_path_factory):
    """A site whose Engine remaps users."""
    with running(Engine(remapped=ROOT)) as engine:
        engine.import_release("bookworm")
        with installed(engine, tmp_path_factory.mktemp("remapped") / "interpose.db") as made:
            yield made


def test_it_is_captured_with_lineage_whoever_its_programs_run_as(remapped):
    other = "setpriv --reuid 33 --clear-groups sort /etc/group"
    job = f"cat /proc/self/uid_map; sort /etc/passwd > /tmp/out; {other} > /tmp/groups"
    bare = remapped.run("--rm", IMAGE, "sh", "-c", job, captured=False)
    ours = remapped.run("--rm", "--name", "remapped", IMAGE, "sh", "-c", job)
    remapped.service.settled()

    assert ["0", str(ROOT), "65536"] == ours.stdout.decode().split()
    assert (bare.status, bare.stdout, bare.stderr) == (ours.status, ours.stdout, ours.stderr) == (0, bare.stdout, b"")
    for read, written in (("/etc/passwd", "/tmp/out"), ("/etc/group", "/tmp/groups")):
        assert read in {file["path"] for file in remapped.lineage("remapped", written).files}


def test_its_root_makes_the_journals_that_are_missing_while_the_sidecar_is_down(remapped):
    remapped.service.stop()
    job = f"i=0; while [ $i -lt {FORKS} ]; do /bin/true; i=$((i + 1)); done"
    done = remapped.run("--rm", "--name", "alone", IMAGE, "sh", "-c", job)
    remapped.service.start()
    remapped.service.settled()

    assert (0, b"") == (done.status, done.stderr)
    assert FORKS == remapped.programs("alone").count(["/bin/true"])


def test_no_other_container_sees_its_spool(remapped):
    remapped.engine.docker(
        "run", "--detach", "--name", "owner", "--runtime", "interpose", "--label", "interpose.dev/capture=true", IMAGE,
        "sleep", "60",
    )  # fmt: skip
    (channel,) = remapped.service.channels()
    try:
        spools = f"/host/containers/{channel}/spool"
        look = f"ls /host/containers; ls {spools}; ls /dev/interpose"
        other = remapped.run("--rm", "--volume", f"{remapped.host}:/host:ro", IMAGE, "sh", "-c", look, captured=False)
    finally:
        remapped.engine.docker("rm", "--force", "owner")
        remapped.service.settled()

    assert b"" == other.stdout
    assert 2 == other.stderr.count(b"Permission denied")
    assert 1 == other.stderr.count(b"No such file or directory")
