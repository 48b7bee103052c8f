"""Engines newer than this machine's: annotations, devices, and the image store that is containerd's."""

import json
import subprocess

import pytest

from support.cli import INTERPOSE
from support.engine import Engine, running
from support.roots import ROOTS, library, missing
from support.site import CAPTURED, install, installed
from support.waiting import until

IMAGE = "interpose-test/musl:1"
SORT = ("sh", "-c", "sort /etc/passwd > /out")
ENGINES = {
    "trixie": {"cdi": True},
    "sid": {"containerd-snapshotter": True},  # as a fresh Docker 29 has it; devices need no setting any more
}


@pytest.fixture(scope="module", params=ENGINES)
def newer(request, tmp_path_factory):
    """A site of that release's Engine."""
    library()
    if not (ROOTS / "musl.ok").exists():
        missing("the musl root")
    engine = Engine(release=request.param)
    settings = {"features": ENGINES[request.param], "cdi-spec-dirs": [f"{engine.folder}/cdi"]}
    engine.config.write_text(json.dumps(settings, indent=4))
    with running(engine):
        engine.import_root(IMAGE, ROOTS / "musl")
        with installed(engine, tmp_path_factory.mktemp(request.param) / "interpose.db") as made:
            yield made


@pytest.fixture(autouse=True)
def emptied(newer):
    """Whatever becomes of a test, the next one finds nothing of it."""
    yield
    newer.engine.empty()
    newer.service.settled()


@pytest.fixture
def command(newer):
    """`interpose docker SUBCOMMAND` as on a machine whose Engine this is."""

    def call(subcommand, *arguments, host=newer.host):
        engine = () if subcommand == "cdi" else ("--docker-host", newer.engine.url)
        given = [*INTERPOSE, "docker", subcommand, "--host", str(host), *engine, *arguments]
        return subprocess.run([*newer.engine.beside, *given], capture_output=True, text=True, timeout=120)

    return call


def test_it_is_newer_and_keeps_images_as_it_was_told(newer):
    told = json.loads(newer.engine.text("info", "--format", "{{json .}}"))
    wanted = "containerd-snapshotter" in newer.engine.config.read_text()

    assert int(told["ServerVersion"].partition(".")[0]) >= 26
    assert wanted == (["driver-type", "io.containerd.snapshotter.v1"] in told["DriverStatus"])


def test_a_labelled_container_is_captured(newer):
    done = newer.run("--name", "labelled", IMAGE, *SORT)
    told = newer.engine.inspect("labelled")
    newer.engine.docker("rm", "labelled")
    newer.service.settled()

    assert (0, b"", b"") == (done.status, done.stdout, done.stderr)
    assert "/etc/passwd" in {file["path"] for file in newer.lineage("labelled", "/out").files}
    (run,) = [run for run in newer.ask("runs") if run["container"]["name"] == "labelled"]
    assert {"id": told["Id"], "image": IMAGE, "digest": told["Image"]}.items() <= run["container"].items()


def test_what_exec_starts_is_captured(newer):
    newer.run("--detach", "--name", "entered", IMAGE, "sleep", "60")
    newer.engine.docker("exec", "entered", "cat", "/etc/hostname")
    until(20, lambda: ["cat", "/etc/hostname"] in newer.programs("entered"), "it is captured")


@pytest.mark.parametrize(("label", "annotation", "captured"), [("false", "true", True), ("true", "false", False)])
def test_an_annotation_goes_before_the_label(newer, label, annotation, captured):
    asked = ("--label", f"interpose.dev/capture={label}", "--annotation", f"interpose.dev/capture={annotation}")
    name = f"annotated-{annotation}"
    done = newer.engine.docker("run", "--rm", "--name", name, "--runtime", "interpose", *asked, IMAGE, *SORT)
    newer.service.settled()

    assert (b"", b"") == (done.stdout, done.stderr)
    assert captured == (["sort", "/etc/passwd"] in newer.programs(name))


@pytest.fixture
def device(newer, command):
    """The options by which a container has a device, which is removed however the test ends."""
    folder = ("--directory", str(newer.engine.folder / "cdi"))
    made = command("cdi", "job", *folder)
    assert (0, "") == (made.returncode, made.stderr)
    yield made.stdout.split()
    newer.engine.empty()
    removed = command("cdi", "job", *folder, "--remove")
    assert (0, "") == (removed.returncode, removed.stderr)


def test_a_container_with_a_device_is_captured(newer, device):
    job = "sort /etc/passwd > /out; echo $LD_PRELOAD; sleep 60"
    newer.engine.docker("run", "--detach", "--name", "with-device", *device, IMAGE, "sh", "-c", job)
    newer.engine.docker("exec", "with-device", "cat", "/etc/hostname")
    until(20, lambda: ["sleep", "60"] in newer.programs("job"), "it is captured")
    said = newer.engine.docker("logs", "with-device")

    assert ["--device", "interpose.dev/capture=job"] == device
    assert (b"\n", b"") == (said.stdout, said.stderr)
    assert "/etc/passwd" in {file["path"] for file in newer.lineage("job", "/out").files}
    assert ["cat", "/etc/hostname"] not in newer.programs("job")  # docs/docker.md says so


def test_a_device_that_nobody_made_is_refused(newer):
    refused = newer.run("--rm", "--device", "interpose.dev/capture=none", IMAGE, "true", captured=False)

    assert refused.status != 0
    assert b"interpose.dev/capture=none" in refused.stderr


def test_others_have_no_trace_of_us(newer):
    traces = newer.engine.text(
        "run", "--rm", "--runtime", "interpose", IMAGE, "sh", "-c", "cat /proc/self/maps /proc/self/environ; ls -A /dev"
    )

    assert "interpose" not in traces


def test_one_that_was_started_without_it_is_made_anew(newer, command):
    labels = ("--label", "interpose.dev/capture=true", "--label", "interpose.dev/recreate=true")
    options = ("--hostname", "given", "--volume", "/anonymous", "--env", "A=b", "--network", "watched")
    newer.engine.docker("network", "create", "watched")
    job = "trap exit TERM; while :; do sleep 1; done"
    newer.engine.docker("run", "--detach", "--name", "anew", *labels, *options, IMAGE, "sh", "-c", job)
    before = newer.engine.inspect("anew")
    watched = command("watch", "--once")
    after = newer.engine.inspect("anew")
    until(20, lambda: ["sleep", "1"] in newer.programs("anew"), "it is captured")

    assert (0, "anew: recreated: with the runtime\n", "") == (watched.returncode, watched.stdout, watched.stderr)
    assert before["Id"] != after["Id"]
    for key in ("Hostname", "Env", "Cmd", "Image", "Labels"):
        assert before["Config"][key] == after["Config"][key]
    assert [mount["Name"] for mount in before["Mounts"]] == [mount["Name"] for mount in after["Mounts"]]
    assert "runc" != after["HostConfig"]["Runtime"]


def test_without_our_runtime_a_container_is_captured_by_mounts(newer, command):
    done = command("run", "--rm", "--name", "mounted", IMAGE, "sh", "-c", "sort /etc/passwd | head -n 1; exit 3")
    newer.service.settled()

    assert (3, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith(("_apt:", "root:"))
    assert ["sort", "/etc/passwd"] in newer.programs("mounted")


def test_installed_and_uninstalled_nothing_is_left(newer, command):
    before, host = newer.engine.config.read_bytes(), newer.engine.folder / "other"
    install(newer.engine, host, "--name", "other", "--default")
    default = newer.engine.text("info", "--format", "{{.DefaultRuntime}}")
    asked = newer.engine.text("run", "--rm", *CAPTURED[2:], IMAGE, "cat", "/proc/self/maps")
    plain = newer.engine.text("run", "--rm", IMAGE, "cat", "/proc/self/maps")
    removed = command("uninstall", "--force", host=host)

    assert ("other", True, False) == (default, "libinterpose.so" in asked, "interpose" in plain)
    assert (0, "", "") == (removed.returncode, removed.stdout, removed.stderr)
    assert before == newer.engine.config.read_bytes()
    assert not host.exists()
    assert "runc" == newer.engine.text("info", "--format", "{{.DefaultRuntime}}")
    assert newer.engine.docker("run", "--rm", "--runtime", "other", IMAGE, "true", check=False).status == 125
