"""Registering the runtime with a real Engine, and taking it away as if it had never been."""

import json
import subprocess

import pytest

from support.cli import INTERPOSE

IMAGE = "interpose-test/bookworm"


@pytest.fixture
def place(engine, bookworm, request):
    """A host directory, the bytes of the configuration before, and the command; all is as it was after the test."""
    before = engine.config.read_bytes()
    host = engine.folder / request.node.name[:20].replace("[", "-")

    def call(*arguments):
        given = ["docker", arguments[0], "--host", str(host), "--docker-host", engine.url, *arguments[1:]]
        if arguments[0] == "install":
            given += ["--config-file", str(engine.config), "--name", "other"]
        return subprocess.run([*INTERPOSE, *given], capture_output=True, text=True, timeout=120)

    yield host, before, call
    call("uninstall", "--force")
    assert before == engine.config.read_bytes()


def test_installed_and_uninstalled_nothing_is_left(engine, place):
    host, before, call = place
    odd = b'{"debug":false,\t"runtimes"  : {} }'
    engine.config.write_bytes(odd)
    try:
        assert call("install").returncode == 0
        assert {"path": f"{host}/bin/interpose-oci"} == json.loads(engine.config.read_text())["runtimes"]["other"]
        assert 0 == engine.docker("run", "--rm", "--runtime", "other", IMAGE, "true").status
        removed = call("uninstall")
    finally:
        content = engine.config.read_bytes()
        engine.config.write_bytes(before)

    assert (0, "") == (removed.returncode, removed.stderr)
    assert odd == content
    assert not host.exists()
    assert 125 == engine.docker("run", "--rm", "--runtime", "other", IMAGE, "true", check=False).status


def test_as_the_default_runtime_it_leaves_unlabelled_containers_alone(engine, place):
    host, _, call = place
    assert call("install", "--default").returncode == 0
    plain = engine.text("run", "--rm", IMAGE, "cat", "/proc/self/maps")
    asked = engine.text("run", "--rm", "--label", "interpose.dev/capture=true", IMAGE, "cat", "/proc/self/maps")
    removed = call("uninstall", "--force")

    assert ("interpose" in plain, "/dev/interpose/libinterpose.so" in asked) == (False, True)
    assert removed.returncode == 0
    assert "runc" == json.loads(engine.text("info", "--format", "{{json .DefaultRuntime}}"))
    assert not host.exists()


def test_images_may_ask_for_their_containers(engine, place):
    _, _, call = place
    assert call("install", "--image", "interpose-test/book*").returncode == 0
    asked = engine.text("run", "--rm", "--runtime", "other", IMAGE, "cat", "/proc/self/maps")
    refused = engine.text(
        "run", "--rm", "--runtime", "other", "--label", "interpose.dev/capture=false", IMAGE, "cat", "/proc/self/maps"
    )

    assert (True, False) == ("libinterpose" in asked, "libinterpose" in refused)


def test_installing_again_renews_what_is_there(engine, place):
    host, _, call = place
    assert call("install").returncode == 0
    first = (host / "bin/interpose-oci").read_text()
    assert call("install", "--level", "calls").returncode == 0

    assert first != (host / "bin/interpose-oci").read_text()
    assert "calls" == json.loads((host / "settings.json").read_text())["level"]
    assert 1 == len(list((host / "runtime").iterdir()))


def test_our_own_runtime_is_not_wrapped_again(engine, place):
    host, before, call = place
    assert call("install", "--default").returncode == 0
    launcher = host / "bin/interpose-oci"
    real = json.loads((host / "settings.json").read_text())["runtime"]
    alias = host / "alias"
    alias.symlink_to(launcher)

    def second(*more):
        given = ["docker", "install", "--host", f"{host}-2", "--docker-host", engine.url, "--name", "second"]
        given += ["--config-file", str(engine.config), *more]
        return subprocess.run([*INTERPOSE, *given], capture_output=True, text=True, timeout=120)

    try:
        for runtime in (launcher, alias):
            refused = second("--runtime", str(runtime))
            assert (1, False) == (refused.returncode, host.with_name(f"{host.name}-2").exists())
            assert f"is interpose-oci itself: name the runtime that it calls, {real}" in refused.stderr
        assert second().returncode == 0
        assert real == json.loads(host.with_name(f"{host.name}-2").joinpath("settings.json").read_text())["runtime"]
        asked = engine.text(
            "run", "--rm", "--runtime", "second", "-e", "INTERPOSE_CAPTURE=1", IMAGE, "cat", "/proc/self/maps"
        )
        assert "/dev/interpose/libinterpose.so" in asked
    finally:
        subprocess.run(
            [*INTERPOSE, "docker", "uninstall", "--force", "--host", f"{host}-2", "--docker-host", engine.url],
            check=False,
        )
        call("uninstall", "--force")
        engine.config.write_bytes(before)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"{", "is no JSON"), (b'{"runtimes": {"other": {"path": "/x"}}}', "has a runtime other already")],
)
def test_a_configuration_that_is_not_understood_is_not_touched(engine, place, content, problem):
    host, before, call = place
    engine.config.write_bytes(content)
    try:
        done = call("install")
        after = engine.config.read_bytes()
    finally:
        engine.config.write_bytes(before)

    assert (1, content, False) == (done.returncode, after, host.exists())
    assert problem in done.stderr


def test_a_runtime_that_does_not_work_is_taken_back(engine, place):
    host, before, call = place
    done = call("install", "--runtime", "/bin/false")

    assert (1, before, False) == (done.returncode, engine.config.read_bytes(), host.exists())
    assert done.stderr.startswith("interpose: ")
    assert 125 == engine.docker("run", "--rm", "--runtime", "other", IMAGE, "true", check=False).status


def test_containers_that_need_the_runtime_keep_it(engine, place):
    _, _, call = place
    assert call("install").returncode == 0
    engine.docker("create", "--name", "needing", "--runtime", "other", IMAGE, "true")
    refused = call("uninstall")
    engine.docker("rm", "needing")

    assert 1 == refused.returncode
    assert "needing; remove them first, or use --force" in refused.stderr
    assert call("uninstall").returncode == 0


def test_what_somebody_has_changed_since_is_kept(engine, place):
    _, before, call = place
    assert call("install").returncode == 0
    changed = json.loads(engine.config.read_text()) | {"debug": True}
    engine.config.write_text(json.dumps(changed))
    done = call("uninstall")
    left = json.loads(engine.config.read_text())
    engine.config.write_bytes(before)

    assert (0, True) == (done.returncode, left["debug"])
    assert "other" not in left.get("runtimes", {})
    assert "was changed since" in done.stderr


def test_status_tells_what_is_wrong(engine, place):
    host, _, call = place
    nothing = call("status")
    assert call("install").returncode == 0
    fine = call("status")
    (host / "bin/interpose-oci").unlink()
    broken = call("status")

    assert (0, 0, 1) == (nothing.returncode, fine.returncode, broken.returncode)
    assert "not installed" in nothing.stdout
    assert f"installed as other ({host})" in fine.stdout
    assert f"none: run interpose host {host}" in fine.stdout
    assert "is gone: install it again" in broken.stderr
