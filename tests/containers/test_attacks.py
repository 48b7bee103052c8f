"""Two containers, one of which is run by somebody who wants to know, change or drown what is recorded of the other."""

import contextlib
import os
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from interpose.sidecar.hostdir import HostDirectory
from interpose.sidecar.spool import CONTROL
from support.roots import ZIG
from support.waiting import until

IMAGE = "interpose-test/bookworm"
LOOP = "while :; do cat /etc/debian_version > /dev/null; sleep 0.2; done"
SPOOL = "/dev/interpose/spool"


@pytest.fixture
def victim(site):
    """Goes about its work all the time."""
    yield from _container(site, "victim")


@pytest.fixture
def attacker(site):
    """Is root in its container, with what capabilities Docker gives."""
    yield from _container(site, "attacker")


def _container(site, name):
    site.run("--detach", "--name", name, IMAGE, "sh", "-c", LOOP)
    until(20, lambda: ["cat", "/etc/debian_version"] in site.programs(name), "it is captured")
    container = site.engine.inspect(name)["Id"]
    yield name
    site.engine.docker("rm", "--force", name, check=False)
    until(60, lambda: not any(channel.startswith(container) for channel in site.service.channels()), "it is stored")


def inside(site, container, script, *, check=True):
    return site.engine.docker("exec", container, "sh", "-c", script, check=check)


def channel_of(site, name):
    (found,) = [channel for channel in HostDirectory(site.host).channels() if channel.identity.name == name]
    return found


def run_of(site, name):
    return channel_of(site, name).run


def restart(site):
    site.service.stop(signal.SIGKILL)
    site.service.start()


def still_recorded(site, name):
    """What a container does now becomes known, in its own run and in no other."""
    mark = f"/etc/mark-{os.urandom(4).hex()}"
    inside(site, name, f"echo x > {mark}; cat {mark}")

    return until(60, lambda: _runs_of(site.service.database, f"cat\0{mark}\0"), f"{name} is still recorded")


def _runs_of(database, arguments):
    """The runs in which a program was started with these arguments; asked directly, a flood makes runs long."""
    question = "SELECT run_id FROM processes p JOIN images i ON i.process_id = p.id WHERE i.arguments = ?"
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        return [run for (run,) in connection.execute(question, (arguments.encode(),))]


def test_a_container_sees_nothing_of_another(site, victim, attacker):
    theirs = channel_of(site, victim)
    found = inside(
        site, attacker, "find / -xdev -name capture.sock; find /dev -name capture.sock; cat /proc/mounts"
    ).stdout
    listed = inside(site, attacker, f"ls -A {SPOOL}; cat {SPOOL}/../* 2>/dev/null | wc -c").stdout

    assert {b"/dev/interpose/spool/capture.sock"} == {line for line in found.splitlines() if b"capture.sock" in line}
    assert theirs.directory.name.encode() not in found + listed
    assert theirs.settings.id not in inside(site, attacker, f"cat {SPOOL}/control").stdout


def test_the_library_is_not_the_containers_to_change(site, victim, attacker):
    library = Path(HostDirectory(site.host).libraries()[os.uname().machine], "libinterpose.so")
    before = library.read_bytes()

    tries = "cd /dev/interpose; echo x > $0; rm -f $0; mv $0 /tmp; mount -o remount,rw .; umount .; echo x >> $0"
    site.engine.docker("exec", attacker, "sh", "-c", tries, "libinterpose.so", check=False)

    assert before == library.read_bytes()
    assert [run_of(site, victim)] == still_recorded(site, victim)


def test_who_takes_on_anothers_identity_keeps_its_own(site, victim, attacker):
    own, theirs = channel_of(site, attacker), channel_of(site, victim)
    with (own.spool / "control").open("r+b") as control:  # as the attacker could, if it had the id
        control.seek(CONTROL.offsets["id"])
        control.write(theirs.settings.id)
    restart(site)

    assert [own.run] == still_recorded(site, attacker)
    assert [theirs.run] == still_recorded(site, victim)


def test_who_writes_nonsense_into_its_spool_harms_itself_alone(site, victim, attacker):
    nonsense = f"""
        cd {SPOOL}
        head -c 4096 /dev/urandom | dd of=control bs=1 seek=16 count=32 conv=notrunc
        printf '\\377\\377\\377\\377\\377\\377\\377\\177' | dd of=control bs=1 seek=128 conv=notrunc
        head -c 4194304 /dev/urandom > segment-00000001
        : > segment-00000000
    """
    inside(site, attacker, nonsense, check=False)  # its own processes may end of it
    restart(site)

    assert [run_of(site, victim)] == still_recorded(site, victim)
    assert sum(file.lstat().st_blocks * 512 for file in (site.host / "containers").rglob("*")) < 1 << 30


def test_links_and_special_files_lead_nowhere(site, victim, attacker, tmp_path):
    secret = site.engine.folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    inside(
        site,
        attacker,
        f"""
        cd {SPOOL}; rm -f capture.sock segment-00000001 lock
        ln -s {secret} capture.sock; ln -s {secret} segment-00000001; ln -s / everything
        mkfifo segment-00000002 lock; ln control segment-00000003
        mkdir -p segment-00000004 deep/er/and/deeper; touch .segment-x .draft-y
        """,
    )
    restart(site)

    assert [run_of(site, victim)] == still_recorded(site, victim)
    assert ("secret", 0o600) == (secret.read_text(), secret.stat().st_mode & 0o777)
    site.engine.docker("rm", "--force", attacker)
    until(60, lambda: len(site.service.channels()) == 1, "nothing of the attacker's is left")
    assert secret.exists()


def test_a_journal_of_ten_gigabytes_is_none(site, victim, attacker):
    inside(
        site,
        attacker,
        f"cd {SPOOL}; truncate -s 10G segment-00000000; truncate -s 10G segment-00000001 segment-00000002",
    )
    before = _memory(site)
    restart(site)

    assert [run_of(site, victim)] == still_recorded(site, victim)
    assert _memory(site) < before + (64 << 20)


def test_who_removes_its_spool_is_not_recorded_and_others_are(site, victim, attacker):
    inside(site, attacker, f"rm -rf {SPOOL}/*; echo still alive; cat /etc/debian_version")
    restart(site)

    assert [run_of(site, victim)] == still_recorded(site, victim)
    site.engine.docker("rm", "--force", attacker)
    until(60, lambda: len(site.service.channels()) == 1, "nothing of the attacker's is left")


def test_a_flood_of_processes_and_events_does_not_drown_the_others(site, victim, attacker):
    flood = "for i in 1 2 3 4; do (for n in $(seq 100); do /bin/true; cat /etc/hostname > /dev/null; done) & done; wait"
    process = subprocess.Popen(
        ["docker", "--host", site.engine.url, "exec", attacker, "sh", "-c", flood], stdout=subprocess.DEVNULL
    )
    try:
        assert [run_of(site, victim)] == still_recorded(site, victim)
        assert _memory(site) < 512 << 20
    finally:
        process.wait(timeout=120)


def test_who_talks_to_its_socket_says_nothing_about_others(site, victim, attacker):
    """Garbage, and a batch of a journal that nobody has claimed."""
    talk = r"""
        use IO::Socket::UNIX;
        for my $data ("x" x 100000, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . "\xff" x 100000) {
            my $peer = IO::Socket::UNIX->new(Peer => "/dev/interpose/spool/capture.sock") or die $!;
            print $peer $data;
            close $peer;
        }
    """
    site.engine.docker("exec", attacker, "perl", "-e", "$SIG{PIPE} = 'IGNORE'; " + talk)

    assert [run_of(site, victim)] == still_recorded(site, victim)
    assert [run_of(site, attacker)] == still_recorded(site, attacker)


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """attacker.c, for any container."""
    made = tmp_path_factory.mktemp("attacker") / "attacker"
    source = Path(__file__).with_name("attacker.c")
    target = ["-target", f"{os.uname().machine}-linux-musl", "-static", "-O2", "-w"]
    subprocess.run([*ZIG, *target, "-o", str(made), str(source)], check=True, capture_output=True)
    return made


@pytest.mark.parametrize("attack", ["swap", "segments", "numbers", "names"])
def test_who_never_stops_attacking_wins_nothing_and_costs_the_others_nothing(site, victim, attacker, program, attack):
    """INTERPOSE_ATTACK_SECONDS says for how long, each of them."""
    secret = site.engine.folder / "target"
    secret.write_text("of the host")
    secret.chmod(0o600)
    before, memory = secret.stat(), _memory(site)
    site.engine.docker("cp", str(program), f"{attacker}:/attacker")
    what = [attack, str(secret)] if attack == "swap" else [attack]
    command = ["exec", attacker, "/attacker", *what, os.environ.get("INTERPOSE_ATTACK_SECONDS", "10")]
    recorded, most = 0, memory
    with subprocess.Popen(["docker", "--host", site.engine.url, *command], stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            assert [run_of(site, victim)] == still_recorded(site, victim)
            recorded, most = recorded + 1, max(most, _memory(site))
        assert process.stdout is not None
        told = process.stdout.read().decode()
    spoken = _log(site).read_text()
    restart(site)
    assert [run_of(site, victim)] == still_recorded(site, victim)
    spoken += _log(site).read_text()

    assert (0, True) == (process.returncode, recorded > 0), told
    assert attack != "swap" or int(told.split()[1]) > 10, told
    assert ("of the host", before[:7]) == (secret.read_text(), secret.stat()[:7])
    assert most < memory + (50 << 20), f"{(most - memory) >> 20} MiB more"
    assert "Traceback" not in spoken
    assert len(spoken) < 64 << 10, spoken[:2000]


def _log(site):
    return site.service.database.with_suffix(".log")


def _memory(site):
    """The host service's, in bytes."""
    assert site.service.process is not None
    status = Path(f"/proc/{site.service.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
