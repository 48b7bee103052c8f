"""Having what builds run go through the launcher, as far as no Engine is needed for that."""

import os

import pytest

from interpose.injector import builds
from interpose.injector.container import BUILD, Container, InjectionSettings, plan_container
from interpose.injector.engine_path import is_build_step

V1 = "2:cpu:/system.slice/other.service\n1:name=systemd:/system.slice/docker.service\n0::/\n"


@pytest.fixture
def host(tmp_path):
    """A host directory with a launcher, and a folder with the real runtime."""
    for place in ("host/bin/interpose-oci", "real/runc"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text("#!/bin/sh\n")
        (tmp_path / place).chmod(0o755)
    (tmp_path / "host/path").mkdir()
    (tmp_path / "host/path/runc").symlink_to("../bin/interpose-oci")
    return tmp_path / "host"


@pytest.fixture(autouse=True)
def no_systemd(monkeypatch):
    monkeypatch.setattr(builds, "_reload", lambda: None)


def test_the_first_runc_of_dockerds_path_counts_unless_it_was_told_another(host):
    ours, real = f"{host}/path", f"{host.parent}/real"
    launcher = f"{host}/bin/interpose-oci"

    def goes(**environment):
        return builds.goes_through(environment, host)

    assert goes(PATH=f"{ours}:{real}")
    assert not goes(PATH=f"{real}:{ours}")
    assert not goes()
    assert not goes(PATH=f"{ours}:{real}", DOCKER_BUILDKIT_RUNC_COMMAND=f"{real}/runc")
    assert goes(PATH=real, DOCKER_BUILDKIT_RUNC_COMMAND=launcher)
    assert [True, False] == [
        builds.is_named(each, host) for each in ({"DOCKER_BUILDKIT_RUNC_COMMAND": launcher}, {"PATH": ours})
    ]


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/system.slice/docker.service\n", "docker.service"),
        ("0::/system.slice/snap.docker.dockerd.service", "snap.docker.dockerd.service"),
        (V1, "docker.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service\n", None),
        ("0::/\n", None),
        ("", None),
    ],
)
def test_the_drop_in_is_that_of_dockerds_unit(tmp_path, cgroups, unit):
    expected = unit and tmp_path / f"{unit}.d" / "interpose.conf"

    assert expected == builds.drop_in_of(cgroups, tmp_path)


def test_the_units_path_begins_with_ours_once_and_is_as_before_afterwards(host, tmp_path):
    drop_in = tmp_path / "docker.service.d/interpose.conf"
    for before in ("/sbin:/bin", f"{host}/path:/sbin:/bin"):
        builds.put_drop_in(drop_in, host, {"PATH": before})
        assert f'Environment="PATH={host}/path:/sbin:/bin"' == drop_in.read_text().splitlines()[-1]
    builds.put_drop_in(drop_in, host, {"PATH": '/100%:/a"b\\'})
    assert drop_in.read_text().endswith(f'PATH={host}/path:/100%%:/a\\"b\\\\"\n')

    builds.take_drop_in(drop_in)
    assert not drop_in.parent.exists()
    drop_in.parent.mkdir()
    (drop_in.parent / "theirs.conf").touch()
    builds.put_drop_in(drop_in, host, {})
    builds.take_drop_in(drop_in)
    assert ["theirs.conf"] == os.listdir(drop_in.parent)


@pytest.mark.parametrize(
    ("bundle", "step"),
    [
        ("/var/lib/docker/buildkit/executor/ddzg4dgyediqy9iqcx6ub6vq1", True),
        ("/var/lib/buildkit/runc-overlayfs/executor/ddzg4dgyediqy9iqcx6ub6vq1", True),
        ("/var/tmp/buildah783373008", True),
        ("/run/containerd/io.containerd.runtime.v2.task/moby/" + "a" * 64, False),
        ("/srv/executor/x", False),
        ("/", False),
    ],
)
def test_a_builders_bundle_is_told_by_where_it_lies(bundle, step):
    assert step == is_build_step(bundle)


def test_the_steps_of_builds_are_captured_where_the_host_wants_it_and_nobody_objects():
    def plan(builds, labels, **environment):
        settings = InjectionSettings(machine="x86_64", libraries={"x86_64": "/l"}, spool="/s", builds=builds)
        return plan_container(Container(labels=labels, environment=environment), settings)

    step = {BUILD: "true"}
    assert (True, "every build is captured") == (plan(True, step).captured, plan(True, step).reason)
    assert [False] * 3 == [plan(*each).captured for each in ((False, step), (True, {}), (True, {BUILD: "no"}))]
    assert not plan(True, step, INTERPOSE_CAPTURE="false").captured
