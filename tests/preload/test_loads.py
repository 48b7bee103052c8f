"""Libraries that a program loads while it runs: each is told once, as the file that it is, whatever becomes of that."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.capture import Capture
from support.programs import PROGRAMS
from support.roots import TARGETS, run

SHARED = ("-shared", "-fPIC")
PLUGIN = "libplugin.so"
PLACES = [pytest.param(target, id=target.name) for target in TARGETS.values() if target.satisfies("exec")]
GLIBC = [place for place in PLACES if place.values[0].libc == "glibc"]
WAYS = ("unlinked", "renamed", "replaced", "left", "jailed", "killed", "closed", "memory")


@dataclass
class Loading:
    """A folder with a library, a program that loads it, and who else there is."""

    target: Any
    programs: Any
    base: Path

    def folder(self, name: str) -> Path:
        folder = self.base / name
        folder.mkdir(exist_ok=True)
        shutil.copy(self.programs.program(self.target, "plugin.c", SHARED), folder / PLUGIN)
        return folder

    def both(self, arguments: list[str], variables: dict[str, str] | None = None) -> list[Any]:
        """The program's processes, which did bare what they did captured."""
        program = str(self.programs.program(self.target, "loads.c", ("-ldl",)))
        bare = run(self.target, [program, *arguments], self.folder("bare"), variables)
        self.work = self.folder("work")
        self.identity = (self.work / PLUGIN).stat()
        with Capture(self.base / "capture", self.target) as capture:
            assert bare == capture.run([program, *arguments], self.work, variables)
            self.status = bare.status
            return capture.processes()


@pytest.fixture
def loading(request, programs, tmp_path):
    target = request.param
    target.require()
    return Loading(target, programs, tmp_path)


def loads(process: Any, name: bytes) -> list[Any]:
    return [event for event in process.of("load") if name in event.load.name.path]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loading", PLACES, indirect=True)
def test_a_library_is_told_as_the_file_that_it_was(loading, way):
    if way == "jailed" and os.geteuid() != 0:
        pytest.skip("only root can change its root")
    process, *_ = loading.both([way, f"./{PLUGIN}"])
    if way == "memory":
        (load,) = loads(process, b"/proc/self/fd/")
        assert load.load.file.size == loading.identity.st_size
        assert load.load.file.inode != loading.identity.st_ino
        return
    (load,) = loads(process, PLUGIN.encode())
    assert ("dlopen", f"./{PLUGIN}", str(loading.work)) == (
        load.function, load.load.name.path.decode(), load.load.name.base.decode(),
    )  # fmt: skip
    assert loading.identity.st_ino == load.load.file.inode
    assert loading.identity.st_mode == load.load.file.mode


@pytest.mark.parametrize("loading", PLACES, indirect=True)
def test_forked_children_do_not_tell_of_it_again(loading):
    processes = loading.both(["forked", f"./{PLUGIN}"])
    assert 4 == len(processes)
    assert [1, 0, 0, 0] == [len(process.of("load")) and len(loads(process, b"plugin")) for process in processes]
    assert [0, 0, 0] == [len(process.of("load")) for process in processes[1:]]


@pytest.mark.parametrize("loading", PLACES, indirect=True)
def test_nothing_is_looked_for_that_is_no_file(loading):
    """The kernel's own object has a name that may be a file's in the working directory."""
    for folder in ("bare", "work"):
        (loading.folder(folder) / "linux-vdso.so.1").write_text("")
    process, *_ = loading.both(["loaded", f"./{PLUGIN}"])
    assert [] == loads(process, b"vdso")


LATE = {
    "loaded": PLUGIN, "unlinked": PLUGIN, "renamed": "elsewhere", "replaced": PLUGIN, "left": PLUGIN, "closed": PLUGIN,
}  # fmt: skip
"""As what the kernel knows it afterwards."""


@pytest.mark.parametrize("way", LATE)
@pytest.mark.parametrize("loading", GLIBC, indirect=True)
def test_where_a_library_s_own_search_path_counts_it_does_and_a_later_look_finds_what_is_mapped(loading, way):
    options = (*SHARED, "-Wl,--enable-new-dtags,-rpath,.")
    process, *_ = loading.both([way, PLUGIN, str(loading.programs.program(loading.target, "caller.c", options))])
    assert 11 == loading.status
    (load,) = loads(process, LATE[way].encode())
    assert (f"{loading.work}/{LATE[way]}", loading.identity.st_ino) == (
        load.load.name.path.decode(), load.load.file.inode,
    )  # fmt: skip


@pytest.mark.parametrize("way", ["slash", "name"])
@pytest.mark.parametrize("loading", GLIBC, indirect=True)
def test_an_old_search_path_counts_as_without_us(loading, way):
    """DT_RPATH, unlike DT_RUNPATH, may count also for what is needed by what is loaded: that is glibc's affair."""
    deps = loading.base / "deps"

    def make(name: str, source: str, *options: str) -> None:
        made = [*loading.target.compiler, *SHARED, "-o", str(deps / name), "-x", "c", "-", *options]
        subprocess.run(made, input=source, text=True, check=True)

    deps.mkdir()
    make("libdep.so", "int plugin(void) { return 11; }", "-Wl,-soname,libdep.so")
    make("libneedy.so", "int plugin(void); int other(void) { return plugin(); }", f"-L{deps}", "-ldep")
    make("libcaller.so", (PROGRAMS / "caller.c").read_text(), f"-Wl,--disable-new-dtags,-rpath,{deps}")
    for library in ("libdep.so", "libneedy.so"):
        path = f"{deps}/{library}" if way == "slash" else library
        process, *_ = loading.both(["loaded", path, f"{deps}/libcaller.so"])
        shutil.rmtree(loading.base / "capture")
        if library == "libdep.so":
            assert (11, 1) == (loading.status, len(loads(process, b"libdep.so")))


@pytest.mark.parametrize("loading", GLIBC, indirect=True)
def test_an_auditor_is_told_of(loading):
    options = (*SHARED, "-DAUDITS")
    auditor = str(loading.programs.program(loading.target, "plugin.c", options))
    process, *_ = loading.both(["loaded", f"./{PLUGIN}"], {"LD_AUDIT": auditor})
    (load,) = loads(process, auditor.encode())
    assert Path(auditor).stat().st_ino == load.load.file.inode
