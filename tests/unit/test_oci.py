"""What is read from OCI bundles and engines' files, and what is written into bundles."""

import json

import pytest

from interpose.injector.container import ContainerPlan, Mount
from interpose.injector.engine_files import identify
from interpose.injector.engine_path import engine_file
from interpose.injector.oci import describe, edit, edit_process, group_of_root
from interpose.sidecar.hostdir import Identity

ID = "a" * 64
CONFIG = {
    "ociVersion": "1.0.2",
    "process": {"args": ["sh"], "env": ["PATH=/bin", "LD_PRELOAD=/a.so", "LD_PRELOAD=/b.so"], "cwd": "/"},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/dev/", "type": "tmpfs", "source": "tmpfs"}],
    "linux": {"seccomp": {"syscalls": [{"args": [{"value": 18446744073709551615}]}]}},
}


def test_a_bundle_is_described_with_the_values_that_its_program_would_see(tmp_path):
    annotated = CONFIG | {"annotations": {"interpose.dev/level": "calls", "b": "annotation"}}
    annotated["process"] = CONFIG["process"] | {"rlimits": [{"type": "RLIMIT_STACK", "soft": 1 << 16, "hard": 1 << 16}]}

    known = describe(annotated, str(tmp_path), {"a": "label", "b": "label"}, "web", "app:1")

    assert {"PATH": "/bin", "LD_PRELOAD": "/b.so"} == known.environment
    assert {"a": "label", "b": "annotation", "interpose.dev/level": "calls"} == known.labels
    assert ("web", "app:1", frozenset({"/dev"}), 1 << 16) == (known.name, known.image, known.targets, known.stack)


def test_an_edited_bundle_has_what_it_had_and_the_plans_part():
    mounts = (Mount("/h/l", "/dev/interpose", read_only=True), Mount("/h/s", "/dev/interpose/spool", read_only=False))
    edited = edit(CONFIG, ContainerPlan(captured=True, reason="", environment={"LD_PRELOAD": "/x.so"}, mounts=mounts))

    assert ["PATH=/bin", "LD_PRELOAD=/x.so"] == edited["process"]["env"]
    assert CONFIG["mounts"] == edited["mounts"][:1]
    assert [("/h/l", True), ("/h/s", False)] == [
        (mount["source"], "ro" in mount["options"]) for mount in edited["mounts"][1:]
    ]
    assert all({"bind", "nosuid", "nodev"} <= set(mount["options"]) for mount in edited["mounts"][1:])
    assert "noexec" in edited["mounts"][2]["options"]
    assert {"interpose.dev/status": "captured"} == edited["annotations"]
    untouched = {name: value for name, value in edited.items() if name not in ("process", "mounts", "annotations")}
    assert untouched == {name: CONFIG[name] for name in untouched}
    assert "18446744073709551615" in json.dumps(edited)


def test_a_process_without_an_environment_gets_one():
    assert ["LD_PRELOAD=/x.so"] == edit_process({"args": ["sh"]}, {"LD_PRELOAD": "/x.so"})["env"]


@pytest.mark.parametrize(
    ("mappings", "group"),
    [
        ([], None),
        ([(0, 231072, 65536)], 231072),
        ([(1, 100000, 1000), (0, 1000, 1)], 1000),
        ([(0, 0, 4294967295)], None),
        ([(1, 100000, 1000)], None),
    ],
)
def test_the_group_of_a_remapped_root_is_known(mappings, group):
    keys = ("containerID", "hostID", "size")
    linux = {"gidMappings": [dict(zip(keys, mapping, strict=True)) for mapping in mappings]}

    assert group == group_of_root({**CONFIG, "linux": linux})
    assert group_of_root({name: value for name, value in CONFIG.items() if name != "linux"}) is None


def docker(tmp_path, labels=None, image="app:1"):
    file = tmp_path / "docker/containers" / ID / "config.v2.json"
    file.parent.mkdir(parents=True)
    config = {"Labels": labels or {}, "Image": image}
    file.write_text(json.dumps({"Name": "/web", "Image": "sha256:1", "Driver": "overlay2", "Config": config}))
    return file


def test_dockers_file_is_found_from_the_root_file_system(tmp_path):
    file = docker(tmp_path)

    assert str(file) == engine_file(str(tmp_path / "docker/overlay2/abc/merged"), ID)
    assert str(file) == engine_file(str(tmp_path / "docker/rootfs/overlayfs" / ID), ID)
    assert engine_file(str(tmp_path / "docker/overlay2/abc/merged"), "b" * 64) is None
    assert engine_file("relative/rootfs", ID) is None


def test_docker_tells_name_labels_and_image(tmp_path):
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "a": "b"}
    file = docker(tmp_path, labels)

    assert Identity(ID, "web", "app:1", "sha256:1", labels, "shop", "web") == identify(ID, str(file), {})


def test_the_digest_of_a_pulled_image_is_its_manifests(tmp_path):
    file = docker(tmp_path)
    repositories = tmp_path / "docker/image/overlay2/repositories.json"
    repositories.parent.mkdir(parents=True)
    names = {"app:1": "sha256:1", "app@sha256:22": "sha256:1", "app@sha256:33": "sha256:other"}
    repositories.write_text(json.dumps({"Repositories": {"app": names}}))

    assert "sha256:22" == identify(ID, str(file), {}).digest


@pytest.mark.parametrize(
    ("driver", "root"), [("overlay", "storage/overlay/abc/merged"), ("vfs", "storage/vfs/dir/abc")]
)
def test_podman_tells_name_and_image_and_annotations_are_its_labels(tmp_path, driver, root):
    file = tmp_path / f"storage/{driver}-containers/containers.json"
    file.parent.mkdir(parents=True)
    metadata = json.dumps({"image-name": "localhost/app:1", "name": "web"})
    file.write_text(json.dumps([{"id": "other"}, {"id": ID, "names": ["web"], "image": "1f", "metadata": metadata}]))

    known = engine_file(str(tmp_path / root), ID)

    assert str(file) == known
    assert Identity(ID, "web", "localhost/app:1", "sha256:1f", {"a": "b"}) == identify(ID, known, {"a": "b"})


def test_an_engine_that_is_not_known_leaves_the_id_and_the_annotations():
    assert Identity(ID, labels={"a": "b"}) == identify(ID, None, {"a": "b"})
