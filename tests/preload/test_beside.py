"""Beside other preloaded libraries, before or after them, a program behaves as with those alone, and is captured."""

import shutil
import subprocess
from collections.abc import Mapping
from glob import glob
from pathlib import Path

import pytest

from support.capture import Capture, Process
from support.cli import need
from support.events import effect_of
from support.programs import PROGRAMS
from support.roots import TARGETS, Outcome, missing, run

HOST = TARGETS["host"]
ORDERS = ("{ours}:{other}", "{other}:{ours}", "{other} {ours}")
SCRIPT = """
import ctypes, os, subprocess, sys, threading, time
file = os.open("written", os.O_WRONLY | os.O_CREAT, 0o600)
os.write(file, b"12345")
os.fsync(file)
os.close(file)
threads = [threading.Thread(target=lambda: bytearray(1 << 20)) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(subprocess.run(["sh", "-c", "echo $LD_PRELOAD; cat written"], capture_output=True).stdout)
child = os.fork()
if not child:
    os._exit(len(os.listdir(".")))
print(os.waitpid(child, 0)[1], os.environ.get("LD_PRELOAD"), open("/proc/self/maps").read().count(sys.argv[1]) > 0)
print(sys.argv[2] == "date" and time.strftime("%Y-%m-%d"))
"""


def _library(pattern: str) -> str:
    found = sorted(glob(f"/usr/lib/*/{pattern}"))
    if not found:
        missing(pattern)
    return found[0]


def _wrote(processes: list[Process], name: bytes, size: int) -> bool:
    inodes = {e.open.file.inode for p in processes for e in p.of("open") if e.open.name.path == name and e.open.write}
    return size == sum(e.io.bytes_written for p in processes for e in p.of("io") if e.io.file.inode in inodes)


def _compare(command: list[str], other: str, variables: Mapping[str, str], folder: Path) -> Outcome:
    (folder / "bare").mkdir()
    bare = run(HOST, command, folder / "bare", {**variables, "LD_PRELOAD": other})
    for number, order in enumerate(ORDERS):
        work = folder / f"work-{number}"
        work.mkdir()
        with Capture(folder / f"capture-{number}", HOST) as capture:
            preload = order.format(ours=capture.library, other=other)
            assert bare == run(HOST, command, work, {**variables, "LD_PRELOAD": preload}), order
            processes = capture.processes()
        assert _wrote(processes, b"written", 5), order
        assert all(effect_of(process.events[0]) == "origin" for process in processes)
        assert 0 == sum(process.lost + process.gaps + process.unfinished for process in processes)
    return bare


@pytest.mark.parametrize(
    ("pattern", "variables", "date"),
    [
        ("libjemalloc.so.2", {"MALLOC_CONF": "abort_conf:true,background_thread:true"}, "False"),
        ("libeatmydata.so", {}, "False"),
        ("faketime/libfaketime.so.1", {"FAKETIME": "2001-02-03 12:00:00"}, "2001-02-03"),
        ("faketime/libfaketimeMT.so.1", {"FAKETIME": "2001-02-03 12:00:00"}, "2001-02-03"),
    ],
    ids=["jemalloc", "eatmydata", "faketime", "faketimeMT"],
)
def test_beside_another_library_a_program_behaves_as_with_that_alone(pattern, variables, date, tmp_path):
    HOST.require()
    other = _library(pattern)
    name = Path(pattern).name.split(".")[0]
    command = ["/usr/bin/env", "python3", "-c", SCRIPT, name, "date" if "faketime" in pattern else ""]
    bare = _compare(command, other, variables, tmp_path)
    assert (bare.status, bare.stderr) == (0, b"")
    assert f"{other} True\n{date}\n".encode() in bare.stdout


@pytest.mark.parametrize("captured_first", [True, False])
def test_under_fakeroot_a_program_owns_what_it_says(captured_first, tmp_path):
    HOST.require()
    need("fakeroot")
    script = ["sh", "-c", "printf 12345 >written; chown 12:34 written; stat -c %u:%g written; id -u; echo $LD_PRELOAD"]
    (tmp_path / "bare").mkdir()
    (tmp_path / "work").mkdir()
    bare = run(HOST, ["/usr/bin/fakeroot", *script], tmp_path / "bare")
    assert bare.stdout.startswith(b"12:34\n0\n")
    with Capture(tmp_path / "capture", HOST) as capture:
        if captured_first:
            captured = capture.run(["/usr/bin/fakeroot", *script], tmp_path / "work")
        else:
            inner = [
                "/usr/bin/fakeroot",
                "/bin/sh",
                "-c",
                f'LD_PRELOAD="$LD_PRELOAD {capture.library}" exec "$@"',
                "sh",
            ]
            captured = run(HOST, [*inner, *script], tmp_path / "work")
        processes = capture.processes()
    assert bare == captured
    assert _wrote(processes, b"written", 5)


def _compile(path: Path, source: Path, *options: str) -> Path:
    need("gcc")
    command = ["gcc", "-w", "-pthread", *options, "-o", str(path), str(source)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        missing(" ".join(options))
    return path


@pytest.mark.parametrize("options", ["address", "address -static-libasan", "thread", "undefined"])
def test_a_program_with_a_sanitizer_runs_and_is_captured(options, tmp_path):
    HOST.require()
    program = _compile(tmp_path / "program", PROGRAMS / "ordinary.c", *f"-fsanitize={options}".split())
    (tmp_path / "work").mkdir()
    bare = run(HOST, [str(program)], tmp_path / "work")
    assert bare.stderr == b"on stderr\n"
    shutil.rmtree(tmp_path / "work")
    (tmp_path / "work").mkdir()
    with Capture(tmp_path / "capture", HOST) as capture:
        assert bare == capture.run([str(program)], tmp_path / "work")
        assert any(process.of("rename") for process in capture.processes())


def test_a_sanitizer_finds_what_it_finds_without_the_library(tmp_path):
    HOST.require()
    source = tmp_path / "overflow.c"
    source.write_text("#include <stdlib.h>\nint main(void) { volatile char *at = malloc(5); return at[5]; }\n")
    program = str(_compile(tmp_path / "program", source, "-fsanitize=address"))
    bare = run(HOST, [program], tmp_path)
    with Capture(tmp_path / "capture", HOST) as capture:
        captured = capture.run([program], tmp_path)
    assert b"heap-buffer-overflow" in bare.stderr
    assert (bare.status, b"heap-buffer-overflow" in bare.stderr) == (
        captured.status,
        b"heap-buffer-overflow" in captured.stderr,
    )
