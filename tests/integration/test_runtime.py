"""`interpose-oci` as an engine calls it, with a runtime that only says how it was called: no engine, no container."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

from interpose.cli.statx import identity_of
from interpose.injector.host import install_host, launcher_of, wrapped_by
from interpose.sidecar.hostdir import HostDirectory
from support.roots import library, missing

ID = "d" * 64
ON = {"interpose.dev/capture": "true"}
OWNER = os.geteuid()
"""Whose the programs of a bundle are: of the tests' user, who need not be root."""


@pytest.fixture
def host(tmp_path):
    """A host directory, and a runtime that prints its arguments and ends with status 9."""
    library()
    made = tmp_path / "host"
    install_host(made, runtime=str(_runtime(tmp_path)), level="summary", images=(), owner=(os.geteuid(), os.getegid()))
    return made


def _runtime(folder):
    runtime = folder / "runtime"
    runtime.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 9\n')
    runtime.chmod(0o755)
    return runtime


@pytest.fixture
def bundle(tmp_path):
    """Makes a bundle; its configuration's file is bundle(...)."""
    folder = tmp_path / "bundle"
    (folder / "rootfs").mkdir(parents=True)

    def make(annotations, **more):
        process = {"args": ["sh"], "env": ["PATH=/bin", "A=é\U0001f600"], "cwd": "/"}
        config = {"root": {"path": "rootfs"}, "process": process, "annotations": annotations, "mounts": [], **more}
        (folder / "config.json").write_text(json.dumps(config))
        return folder / "config.json"

    return make


def call(host, *arguments):
    done = subprocess.run([launcher_of(host), *arguments], capture_output=True, text=True, timeout=60, env={})
    assert (9, "".join(f"{argument}\n" for argument in arguments), "") == (done.returncode, done.stdout, done.stderr)


def create(host, config, *options):
    call(host, "--root", "/create", "--log", "run", *options, "create", "--bundle", str(config.parent), ID)


def outcomes(host):
    return [(noted.outcome, noted.reason) for noted in HostDirectory(host).noted()]


def test_a_container_that_asks_is_given_a_channel_and_starts_with_it(host, bundle):
    config = bundle(ON)
    create(host, config)
    edited = json.loads(config.read_text())

    (channel,) = HostDirectory(host).channels()
    assert ID == channel.identity.id
    assert str(channel.spool) == edited["mounts"][1]["source"]
    assert ["PATH=/bin", "A=é\U0001f600", "LD_PRELOAD=/dev/interpose/libinterpose.so"] == edited["process"]["env"]
    assert [("captured", "interpose.dev/capture=true")] == outcomes(host)
    assert ["bundle", "config.json", "rootfs"] == sorted(
        path.name for path in [config.parent, *config.parent.iterdir()]
    )


@pytest.mark.parametrize("annotations", [{}, {"interpose.dev/capture": "false"}])
def test_a_container_that_does_not_ask_is_not_touched(host, bundle, annotations):
    config = bundle(annotations)
    before = (config.read_bytes(), config.stat().st_ino)
    create(host, config)

    assert before == (config.read_bytes(), config.stat().st_ino)
    assert ([], []) == (list(HostDirectory(host).channels()), outcomes(host))


@pytest.mark.parametrize(
    ("user", "more", "cause"),
    [
        ({}, {}, "static"),
        ({"uid": 1000}, {}, "static"),
        ({"uid": OWNER}, {"mode": 0o4755}, None),
        ({"uid": OWNER + 1, "gid": 1000}, {"mode": 0o4755}, "secure_exec"),
        ({"uid": OWNER + 1, "gid": 1000}, {"mode": 0o4755, "noNewPrivileges": True}, None),
    ],
)
def test_a_first_program_that_will_run_unseen_is_named_in_the_channel(host, bundle, user, more, cause):
    config = bundle(ON, linux={"namespaces": [{"type": "pid"}]})
    kind = 3 if "mode" in more else 1  # PT_INTERP
    head = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, _machine(), 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0) + struct.pack("<I", kind)
    program = config.parent / "rootfs" / "first"
    program.write_bytes(head + bytes(52))
    program.chmod(more.get("mode", 0o755))
    made = json.loads(config.read_text())
    made["process"] |= {"args": ["/first", "x"], "user": user, "noNewPrivileges": more.get("noNewPrivileges", False)}
    config.write_text(json.dumps(made))
    create(host, config)

    (channel,) = HostDirectory(host).channels()
    ((outcome, reason),) = outcomes(host)
    if cause is None:
        assert (None, "captured") == (channel.unseen, outcome)
        return
    unseen = channel.unseen
    assert (cause, "/first", ("/first", "x"), 1) == (unseen.cause, unseen.executable, unseen.arguments, unseen.pid)
    assert program.stat().st_ino == unseen.inode
    assert identity_of(os.fsencode(program)).birth_time == unseen.birth_time
    assert (user.get("uid", 0), "unseen", True) == (unseen.user, outcome, reason.endswith(" and runs unseen"))


def _machine():
    return {"x86_64": 62, "aarch64": 183}[os.uname().machine]


def test_what_is_executed_in_it_is_captured_too_until_it_is_deleted(host, bundle, tmp_path):
    process = tmp_path / "process.json"
    process.write_text(json.dumps({"args": ["sh"], "env": ["LD_PRELOAD=/own.so"]}))
    before = process.read_bytes()
    call(host, "exec", "--process", str(process), "--detach", ID)
    assert before == process.read_bytes()

    create(host, bundle(ON))
    call(host, "exec", "--process", str(process), "--detach", ID)
    assert ["LD_PRELOAD=/dev/interpose/libinterpose.so:/own.so"] == json.loads(process.read_text())["env"]

    call(host, "delete", "--force", ID)
    (channel,) = HostDirectory(host).channels()
    assert channel.ended() is not None
    process.write_bytes(before)
    call(host, "exec", "--process", str(process), ID)
    assert before == process.read_bytes()


def test_a_container_that_starts_again_has_another_channel_and_the_former_one_has_ended(host, bundle):
    create(host, bundle(ON))
    create(host, bundle(ON))
    first, second = HostDirectory(host).channels()

    assert first.run != second.run
    assert (True, True) == (first.ended() is not None, second.ended() is None)


NO_IDS = [
    "", ".", "..", "../x", "../decisions.log", "../containers", "a/b", "/", "a\nb", "a b", "a*", "é", "$(id)",
    "x" * 256, "-x\t",
]  # fmt: skip


def everything(folder):
    """What lies in a folder: names, sizes and times."""
    return {
        path: (path.lstat().st_mode, path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
        if "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("container", NO_IDS)
@pytest.mark.parametrize("subcommand", ["create", "run", "restore", "exec", "delete"])
def test_what_is_no_id_goes_to_the_runtime_and_nowhere_else(host, bundle, tmp_path, subcommand, container):
    config, process = bundle({}), tmp_path / "process.json"
    process.write_text("{}")
    (tmp_path / "x").write_text("nothing of ours")
    (host / "x").write_text("nothing of ours")
    before = everything(tmp_path)
    call(host, subcommand, "--bundle", str(config.parent), "--process", str(process), container)

    assert before == everything(tmp_path)


def test_a_container_that_asks_and_has_no_id_is_not_captured_and_told(host, bundle):
    config = bundle(ON)
    before = config.read_bytes()
    call(host, "create", "--bundle", str(config.parent), "a b\n")

    assert ("skipped", before, []) == (outcomes(host)[0][0], config.read_bytes(), list(HostDirectory(host).channels()))
    assert r"'a b\n'" in outcomes(host)[0][1]


@pytest.mark.parametrize("container", ["x" * 255, "...", ".hidden", "-", "a+b_c-d.e"])
def test_whatever_the_runtime_takes_for_an_id_is_one(host, bundle, tmp_path, container):
    config, process = bundle(ON), tmp_path / "process.json"
    process.write_text(json.dumps({"args": ["sh"], "env": []}))
    call(host, "create", "--bundle", str(config.parent), container)
    call(host, "exec", "--process", str(process), container)
    (channel,) = HostDirectory(host).channels()
    assert container == channel.identity.id
    assert "libinterpose.so" in process.read_text()
    assert [container] == [path.name for path in (host / "active").iterdir()]

    call(host, "delete", container)
    assert channel.ended() is not None
    assert [] == list((host / "active").iterdir())


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_container_that_runs_in_the_foreground_ends_with_its_runtime(host, bundle, tmp_path, shell):
    if shutil.which(shell) is None:
        missing(shell)
    go = tmp_path / "go"
    os.mkfifo(go)
    (tmp_path / "runtime").write_text(f"#!/bin/sh\necho up; read line <{go}\n")
    config = bundle(ON)
    arguments = [shell, str(launcher_of(host)), "run", "--bundle", str(config.parent), ID]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (channel,) = HostDirectory(host).channels()
        assert (ID, None) == (channel.identity.id, channel.ended())
        go.write_text("on\n")
    ended = channel.ended()
    assert ended is not None
    assert channel.created <= ended

    HostDirectory(host).discard(channel)  # as the sidecar does when everything is stored
    assert [] == list((host / "active").iterdir())


def test_the_launcher_takes_no_descriptor_that_is_somebody_elses(host, bundle, tmp_path):
    (tmp_path / "runtime").write_text("#!/bin/sh\nreadlink /proc/$$/fd/9\n")
    config = str(bundle({}).parent)

    def nine(*arguments, **options):
        command = [launcher_of(host), *arguments, "--bundle", config, ID]
        return subprocess.run(command, capture_output=True, text=True, check=False, **options).stdout.strip()

    assert str(host / "running") == nine("run")
    for other in (("create",), ("run", "--preserve-fds", "7"), ("run", "--preserve-fds=7")):
        assert "" == nine(*other)
    assert "" == nine("run", env={"LISTEN_FDS": "7", "PATH": os.environ["PATH"]})
    assert "/dev/zero" == nine("run", preexec_fn=lambda: os.dup2(os.open("/dev/zero", os.O_RDONLY), 9), close_fds=False)


@pytest.mark.parametrize("detached", ["--detach", "-d", "--detach=true"])
def test_one_that_is_detached_ends_when_it_is_deleted(host, bundle, detached):
    config = bundle(ON)
    call(host, "run", detached, "--bundle", str(config.parent), ID)
    (channel,) = HostDirectory(host).channels()

    assert (None, None) == (channel.held, channel.ended())
    call(host, "delete", ID)
    assert channel.ended() is not None


def checkpoint(folder, *segments):
    """CRIU's images of a container that maps these segments of a spool, and files with names like theirs."""
    folder.mkdir()
    paths = [f"/dev/interpose/spool/segment-{segment:08x}" for segment in segments]
    paths += ["/dev/interpose/spool/control", "/tmp/dev/interpose/spool/segment-0000000f"]
    strings = [bytes([0x32, len(path)]) + path.encode() + b"8\x80" for path in paths]
    (folder / "files.img").write_bytes(b"\x12\x34".join(strings))
    return folder


@pytest.mark.parametrize("segments", [(), (0,), (2, 0x1F)])
def test_a_container_that_is_restored_finds_the_segments_that_it_maps(host, bundle, segments, tmp_path):
    config, images = bundle(ON), checkpoint(tmp_path / "images", *segments)
    call(host, "restore", "--image-path", str(images), "--bundle", str(config.parent), ID)

    (channel,) = HostDirectory(host).channels()
    first = max(segments, default=-1) + 1
    expected = [f"segment-{index:08x}" for index in sorted({*segments, first, first + 1})]
    assert expected == sorted(path.name for path in channel.spool.glob("segment-*"))
    assert first * 64 == channel.settings.first
    assert [("captured", "interpose.dev/capture=true")] == outcomes(host)


def test_a_checkpoint_that_names_more_segments_than_there_may_be_is_not_captured(host, bundle, tmp_path):
    config, images = bundle(ON), checkpoint(tmp_path / "images", *range(257))
    before = config.read_bytes()
    call(host, "restore", "--image-path", str(images), "--bundle", str(config.parent), ID)

    ((outcome, reason),) = outcomes(host)
    assert ("failed", before, []) == (outcome, config.read_bytes(), list(HostDirectory(host).channels()))
    assert "257 segments" in reason


def test_one_that_starts_again_without_asking_is_not_captured(host, bundle, tmp_path):
    create(host, bundle(ON))
    create(host, bundle({}))

    assert HostDirectory(host).active_name(ID) is None


@pytest.mark.parametrize("other", [("state", ID), ("kill", ID, "9"), ("start", ID), ("--version",), ("delete", ID)])
def test_other_calls_go_through(host, other):
    call(host, *other)

    assert [] == outcomes(host)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"interpose.dev/capture": "true"', "JSONDecodeError"),
        (b'{"annotations": {"interpose.dev/capture": "true"}}', "KeyError: 'root'"),
        (b'{"root": {"path": "r"}, "annotations": {"interpose.dev/capture": "true"}}', "KeyError: 'process'"),
    ],
)
def test_what_is_not_understood_is_left_as_it_is_and_said(host, bundle, content, reason):
    config = bundle({})
    config.write_bytes(content)
    create(host, config)

    assert content == config.read_bytes()
    ((outcome, said),) = outcomes(host)
    assert ("failed", True) == (outcome, said.startswith(reason))
    assert [] == list(HostDirectory(host).channels())


@pytest.mark.parametrize("quoted", ["plain", "a b'c"])
def test_a_launcher_tells_what_it_calls(tmp_path, quoted):
    library()
    made, runtime = tmp_path / "host", f"/opt/{quoted}/runc"
    install_host(made, runtime=runtime, level="summary", images=(), owner=(os.geteuid(), os.getegid()))
    (tmp_path / "other").write_text('#!/bin/sh\nexec runc "$@"\n')
    (tmp_path / "link").symlink_to(launcher_of(made))

    assert runtime == wrapped_by(str(launcher_of(made))) == wrapped_by(str(tmp_path / "link"))
    assert [None] * 3 == [wrapped_by(place) for place in (str(tmp_path / "other"), "/bin/sh", str(tmp_path / "none"))]


def test_a_static_program_of_a_volume_is_told(host, bundle, tmp_path):
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/x").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + b"\x3e\x00" + bytes(44))
    mounts = [{"destination": "/v", "type": "bind", "source": str(tmp_path / "volume"), "options": ["rbind"]}]
    (tmp_path / "bundle/rootfs/v").mkdir()
    create(host, bundle(ON, mounts=mounts, process={"args": ["/v/x"], "cwd": "/"}))

    assert "linked statically" in outcomes(host)[0][1]


@pytest.mark.parametrize("away", ["runtime", "library", "containers"])
def test_whatever_of_ours_is_gone_the_runtime_is_called(host, bundle, away):
    config = bundle(ON)
    before = config.read_bytes()
    (host / away).rename(host / "elsewhere")
    create(host, config)

    assert before == config.read_bytes()
    assert "captured" not in [outcome for outcome, _ in outcomes(host)]


def test_an_image_whose_program_is_looked_for_without_end_is_captured_all_the_same(host, bundle, tmp_path):
    rootfs = tmp_path / "bundle/rootfs"
    for number in range(39):
        (rootfs / f"l{number}").symlink_to(f"{'./' * 1000}l{number + 1}")
    process = {"args": ["l0"], "env": ["PATH=" + ":".join(["/"] * 20_000)], "cwd": "/"}
    config = bundle(ON, process=process)
    create(host, config)

    ((outcome, reason),) = outcomes(host)
    assert "captured" == outcome
    assert "what its first program is built for is not known: it was not found in 4096 steps" in reason
    assert "LD_PRELOAD" in config.read_text()


def test_a_container_that_had_to_start_without_us_is_named(host, bundle, tmp_path):
    config, images = bundle(ON), tmp_path / "images"
    before = config.read_bytes()
    images.mkdir()
    os.mkfifo(images / "files.img")  # nobody ever writes there
    call(host, "restore", "--image-path", str(images), "--bundle", str(config.parent), ID)

    (noted,) = HostDirectory(host).noted()
    assert ("failed", ID) == (noted.outcome, noted.id)
    assert "more than 3 s had passed" in noted.reason
    assert (before, []) == (config.read_bytes(), [*(host / "containers").iterdir(), *(host / "active").iterdir()])


def test_one_whose_start_nothing_could_interrupt_is_named_too(host, bundle):
    (module,) = host.glob("runtime/*/interpose/injector/oci.py")
    stuck = "import signal, time\n signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})\n time.sleep(60)\n"
    module.write_text(f"{module.read_text()}\ndef describe(*_):\n {stuck}")
    config = bundle(ON)
    create(host, config)
    noted = next(HostDirectory(host).noted())

    assert ("failed", ID) == (noted.outcome, noted.id)
    assert "interpose-oci ended with status 1" in noted.reason


def test_nothing_is_left_on_the_host_by_a_mount_through_the_users(host, bundle, tmp_path):
    devices = tmp_path / "devices"
    devices.mkdir()
    mounts = [{"destination": "/dev", "type": "bind", "source": str(devices), "options": ["rbind"]}]
    config = bundle(ON, mounts=mounts)
    before = config.read_bytes()
    create(host, config)
    assert before == config.read_bytes()
    assert [("skipped", f"make {devices}/interpose there if it may stay")] == [
        (outcome, reason.rpartition(": ")[2]) for outcome, reason in outcomes(host)
    ]

    (devices / "interpose").mkdir()
    create(host, config)
    assert "captured" == outcomes(host)[-1][0]


def test_a_pattern_of_images_is_a_wish_too(host, bundle):
    (host / "images").write_text("# ours\n*\n")
    config = bundle({})
    create(host, config)

    assert "LD_PRELOAD" not in config.read_text()  # nobody has told which image this is
    assert [] == outcomes(host)


def test_a_channel_is_the_host_directorys_owners(tmp_path, bundle):
    if os.geteuid() != 0:
        missing("root's permission to make files for others", "run as root")
    with tempfile.TemporaryDirectory() as folder:  # pytest's is for its user alone
        Path(folder).chmod(0o755)
        host = Path(folder, "host")
        install_host(host, runtime=str(_runtime(tmp_path)), level="calls", images=(), owner=(65532, 65533))
        create(host, bundle(ON))

        (channel,) = HostDirectory(host).channels()
        assert "CALLS" == channel.settings.level.name
        for made in (channel.directory, channel.spool, *channel.spool.iterdir(), channel.directory / "container.json"):
            assert (65532, 65533) == (made.stat().st_uid, made.stat().st_gid)


def test_a_step_of_a_build_needs_no_wish_of_its_own(host, bundle, tmp_path):
    config = bundle({})
    folder = tmp_path / "buildkit/executor"
    folder.mkdir(parents=True)
    step = config.parent.rename(folder / "ddzg4dgyediqy9iqcx6ub6vq1") / "config.json"
    call(host, "run", "--bundle", str(step.parent), "--keep", ID)
    assert [] == outcomes(host)

    (host / "builds").touch()
    call(host, "run", "--bundle", str(step.parent), "--keep", ID)
    (channel,) = HostDirectory(host).channels()
    assert [("captured", "every build is captured")] == outcomes(host)
    assert {"interpose.dev/build": "true"} == channel.identity.labels
