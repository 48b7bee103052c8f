"""What a container puts under a name leads nowhere, and nobody uses names in a container's directory but shared.py."""

import ast
import contextlib
import os
import stat
from pathlib import Path

import pytest

import interpose.injector
import interpose.sidecar
from interpose.sidecar.shared import SharedDirectory, remove_tree

TREES = [Path(*package.__path__) for package in (interpose.sidecar, interpose.injector)]
RESOLVING = {
    *("os.open", "os.link", "os.symlink", "os.rename", "os.replace", "os.unlink", "os.remove", "os.stat", "os.lstat"),
    *("os.readlink", "os.access", "os.mkdir", "os.makedirs", "os.rmdir", "os.listdir", "os.scandir", "os.walk"),
    *("os.chown", "os.lchown", "os.chmod", "os.statvfs", "os.truncate", "os.utime", "os.mknod", "os.mkfifo"),
    *("os.path.exists", "os.path.lexists", "os.path.isfile", "os.path.isdir", "os.path.islink", "os.path.realpath"),
    *("shutil.rmtree", "shutil.copyfile", "shutil.copy", "shutil.copytree", "shutil.move", "shutil.chown"),
}
"""Functions that resolve a path."""
METHODS = {
    *("symlink_to", "hardlink_to", "readlink", "unlink", "mkdir", "rmdir", "chmod", "lstat", "iterdir"),
    *("stat", "is_file", "is_dir", "is_socket", "is_symlink", "is_fifo", "glob", "rglob", "samefile"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "open"),
}
"""Methods of pathlib's that do, in so far as nothing else has these names."""
ELSEWHERE = {
    "sidecar/decisions.py": "the host directory's log",
    "sidecar/endpoint.py": "certificates",
    "sidecar/holding.py": "the host directory",
    "sidecar/host.py": "channels that were discarded are listed where they lie",
    "sidecar/hostdir.py": "the host directory, in which no container can write but for spools",
    "sidecar/location.py": "the database's file",
    "sidecar/native.py": "the library that is installed with it",
    "sidecar/server.py": "endpoints outside of spools",
    "sidecar/spool.py": "the spool itself, before anybody else knows it",
    "injector/builds.py": "the host directory, and systemd's units",
    "injector/cdi.py": "device descriptions in the engine's directory",
    "injector/checkpoint.py": "the engine's images of a checkpoint",
    "injector/engine.py": "dockerd's folder below /proc",
    "injector/engine_files.py": "the engine's files",
    "injector/engine_path.py": "the engine's files",
    "injector/host.py": "the host directory",
    "injector/inject.py": "the bundle, in the runtime's directory",
    "injector/installation.py": "the engine's configuration",
    "injector/local.py": "a local command's program, and /proc",
    "injector/runtime.py": "the host directory",
    "injector/tree.py": "an image's root, in steps of its own",
}
"""Modules that resolve paths, and where these lie: in no directory that a container can write while they do."""


def resolving(source):
    """The calls in a module's text that resolve a path, as they are written."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called, of = ast.unparse(node.func), ast.unparse(node.func.value)
        if called in RESOLVING or (node.func.attr in METHODS and of != "os" and not of.lstrip("_")[:1].isupper()):
            yield ast.unparse(node)


def modules():
    """Name and text of each but the one that may."""
    for tree in TREES:
        for path in sorted(tree.glob("*.py")):
            if path.name != "shared.py":
                yield f"{tree.name}/{path.name}", path.read_text(encoding="utf-8")


def test_the_finder_finds_uses():
    written = "os.unlink('a', dir_fd=b)\n(self.spool / 'control').lstat()\nfile.open()\nStore.open()\nos.read(1)\n"
    assert ["os.unlink('a', dir_fd=b)", "(self.spool / 'control').lstat()", "file.open()"] == list(resolving(written))


def test_paths_are_resolved_only_where_no_container_writes():
    found = {name for name, source in modules() if any(resolving(source))}
    assert found == set(ELSEWHERE), "say where the paths lie, or let SharedDirectory use them"


def test_no_path_leads_into_a_spool():
    into = [(name, text) for name, source in modules() for text in resolving(source) if "spool" in text.lower()]
    assert {"sidecar/hostdir.py"} == {name for name, _ in into}
    assert all("draft / 'spool'" in text for _, text in into), into  # when it is made: no container has it yet


@pytest.fixture
def victim(tmp_path):
    """A file of the host, and a check that nothing has happened to it."""
    path = tmp_path / "victim"
    path.write_text("of the host")
    before = path.stat()
    yield path
    after = path.stat()
    assert "of the host" == path.read_text()
    assert before[:7] == after[:7]  # mode, number, device, links, owner, group, size
    assert before.st_ctime_ns == after.st_ctime_ns


@pytest.fixture
def shared(tmp_path):
    (tmp_path / "spool").mkdir()
    with SharedDirectory.open(tmp_path / "spool") as opened:
        yield opened


def publish(shared):
    file = shared.make_file("other", 0o666)
    try:
        shared.publish(file, "name")
    finally:
        os.close(file)


USES = {
    "open": lambda shared: os.close(shared.open_file("name")),
    "open for reading": lambda shared: os.close(shared.open_file("name", write=False)),
    "make": lambda shared: os.close(shared.make_file("name", 0o666)),
    "permit": lambda shared: shared.permit("name", 0o777),
    "remove": lambda shared: shared.remove_file("name"),
    "clear": lambda shared: shared.clear("name"),
    "empty": lambda shared: shared.empty(),
    "publish": publish,
}


@pytest.mark.parametrize("use", USES)
def test_a_link_is_not_followed(tmp_path, shared, victim, use):
    (tmp_path / "spool" / "name").symlink_to(victim)
    refuses = use in ("open", "open for reading", "make", "publish")
    with pytest.raises(OSError) if refuses else contextlib.nullcontext():
        USES[use](shared)


@pytest.mark.parametrize("use", USES)
def test_a_link_to_a_directory_is_not_followed(tmp_path, shared, use):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "spool" / "name").symlink_to(tmp_path / "outside")
    with contextlib.suppress(OSError):
        USES[use](shared)
    assert ["kept"] == os.listdir(tmp_path / "outside")


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR, stat.S_IFLNK])
def test_nothing_but_a_file_is_opened(tmp_path, shared, kind):
    place = tmp_path / "spool" / "name"
    if kind == stat.S_IFDIR:
        place.mkdir()
    elif kind == stat.S_IFLNK:
        place.symlink_to("name")
    else:
        os.mknod(place, kind | 0o666)
    with pytest.raises(OSError):
        shared.open_file("name")
    shared.clear("name")
    assert not os.path.lexists(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a device")
def test_a_device_is_not_opened(tmp_path, shared):
    os.mknod(tmp_path / "spool" / "name", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(OSError, match="not a regular file"):
        shared.open_file("name")


@pytest.mark.parametrize("name", ["../victim", "/etc/passwd", "a/b", ".", "..", "", "a\0b"])
@pytest.mark.parametrize("use", ["open_file", "status", "remove_file", "clear", "address"])
def test_a_path_is_no_name(shared, name, use):
    with pytest.raises(OSError, match="not a name"):
        getattr(shared, use)(name)


def test_no_more_names_are_taken_than_asked_for(tmp_path, shared):
    for number in range(100):
        (tmp_path / "spool" / str(number)).touch()
    assert 10 == len(shared.names(10))
    assert 100 == len(shared.names(1000))


def test_a_tree_of_any_width_and_depth_is_removed(tmp_path, victim):
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(5000):
        (tree / str(number)).touch()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(1200):  # deeper than a path can be long, and than calls can nest
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.symlink(victim, "link", dir_fd=below)
        os.close(here)
        here = below
    os.close(here)

    assert remove_tree(tree)
    assert not tree.exists()


def test_a_removal_that_is_stopped_says_so_and_is_gone_on_with(tmp_path):
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    assert not remove_tree(tree, lambda: True)
    assert tree.exists()
    assert remove_tree(tree)
