"""Programs and objects whose system calls pass libc are told of: by their code, once in a spool, or by Go's note."""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from interpose.v1.event_pb2 import BlindSpot
from support.capture import Capture
from support.cli import need
from support.roots import TARGETS, missing

HOST = TARGETS["host"]
EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
DIRECT, RINGS, GO = BlindSpot.CAUSE_DIRECT_SYSCALLS, BlindSpot.CAUSE_IO_URING, BlindSpot.CAUSE_GO
VERDICTS = slice(2816, 4096)
"""Where in `control` it stands what was found in objects: IP_VERDICTS_OFFSET."""
NOTHING = 1


def spots(capture):
    """Cause and path of each blind spot, process by process."""
    return [
        [(event.blind_spot.cause, event.blind_spot.name.path.decode()) for event in process.of("blind_spot")]
        for process in capture.processes()
    ]


def told(target, arguments, folder):
    target.require()
    with Capture(folder / "capture", target) as capture:
        outcome = capture.run([str(argument) for argument in arguments], folder)
        assert outcome.status in (0, 1), outcome
        return spots(capture)


def compiled(folder, options, name="program"):
    """A program that is made with the system's own compiler and linker."""
    need("gcc")
    source = Path(__file__).parent / "programs/direct.c"
    subprocess.run(["gcc", "-O2", "-w", "-o", folder / name, source, *options], check=True)
    return folder / name


@EACH
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("-DWRITES", [(DIRECT, "")]),
        ("-DANY", [(DIRECT, "")]),
        ("-DRINGS", [(RINGS, "")]),
        ("-DWAITS", []),
        ("-DDATA", []),
        ("-DNOTHING", []),
    ],
)
def test_a_program_that_makes_system_calls_past_libc_is_a_blind_spot(target, option, expected, programs, tmp_path):
    target.require()
    assert [expected] == told(target, [programs.program(target, "direct.c", [option])], tmp_path)


@EACH
def test_an_object_that_is_loaded_later_is_named(target, programs, tmp_path):
    target.require()
    program = programs.program(target, "calls_object.c")
    object_ = programs.program(target, "direct.c", ["-DWRITES", "-DOBJECT", "-shared", "-fPIC"])
    assert [[(DIRECT, str(object_))]] == told(target, [program, object_], tmp_path)


@EACH
def test_a_forked_child_tells_of_it_too(target, programs, tmp_path):
    target.require()
    (parent, child) = told(target, [programs.program(target, "direct.c", ["-DWRITES", "-DFORKS"])], tmp_path)
    assert ([(DIRECT, "")], [(DIRECT, "")]) == (parent, child)


@pytest.mark.parametrize("build_id", ["sha1", "none"])
def test_the_code_is_looked_through_once_in_a_spool(build_id, tmp_path):
    program = compiled(tmp_path, ["-DWRITES", f"-Wl,--build-id={build_id}"])
    other = compiled(tmp_path, ["-DWRITES", "-DANY", f"-Wl,--build-id={build_id}"], "other")
    with Capture(tmp_path / "capture", HOST) as capture:
        capture.run([str(program)], tmp_path)
        with open(capture.spool.directory / "control", "r+b") as file, mmap.mmap(file.fileno(), 4096) as page:
            found = struct.unpack("<320I", page[VERDICTS])
            assert sum(place & 3 == 2 for place in found) == 1
            page[VERDICTS] = struct.pack("<320I", *(place and place & ~3 | NOTHING for place in found))
        capture.run([str(program)], tmp_path)
        capture.run([str(other)], tmp_path)
        assert [[(DIRECT, "")], [], [(DIRECT, "")]] == spots(capture)


def test_where_everything_else_is_remembered_something_is_forgotten(tmp_path):
    program = compiled(tmp_path, ["-DWRITES"])
    with Capture(tmp_path / "capture", HOST) as capture:
        with open(capture.spool.directory / "control", "r+b") as file, mmap.mmap(file.fileno(), 4096) as page:
            page[VERDICTS] = b"\x81" * 1280
        for _ in range(2):
            assert capture.run([str(program)], tmp_path).status == 0
        assert [[(DIRECT, "")]] * 2 == spots(capture)


def test_data_between_code_is_none(tmp_path):
    program = compiled(tmp_path, ["-DDATA", "-Wl,-z,noseparate-code"])
    assert [[]] == told(HOST, [program], tmp_path)


def test_calls_in_a_segment_with_data_are_found(tmp_path):
    program = compiled(tmp_path, ["-DWRITES", "-Wl,-z,noseparate-code"])
    assert [[(DIRECT, "")]] == told(HOST, [program], tmp_path)


def test_a_program_made_by_go_is_known_by_its_note(tmp_path):
    note = tmp_path / "note.s"
    note.write_text('.section .note.go.buildid,"a"\n.balign 4\n.long 4, 4, 4\n.asciz "Go\\0"\n.ascii "abcd"\n')
    program = compiled(tmp_path, ["-DWRITES", str(note)])
    assert [[(GO, "")]] == told(HOST, [program], tmp_path)


def test_a_real_program_of_go_with_c_in_it(tmp_path):
    if not shutil.which("go") or not shutil.which("gcc"):
        missing("go with gcc", "install golang")
    (tmp_path / "main.go").write_text('package main\n\nimport "C"\n\nfunc main() { println("ran") }\n')
    variables = {"CGO_ENABLED": "1", "GO111MODULE": "off", "GOCACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    command = ["go", "build", "-o", "program", "main.go"]
    subprocess.run(
        command, cwd=tmp_path, env={"PATH": "/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin", **variables}, check=True
    )
    with Capture(tmp_path / "capture", HOST) as capture:
        assert b"ran\n" == capture.run([str(tmp_path / "program")], tmp_path).stderr
        assert [(GO, "")] == spots(capture)[0]


def test_liburing_is_named(programs, tmp_path):
    library = next(Path("/usr/lib").glob("*-linux-gnu/liburing.so.2"), None)
    if library is None:
        missing("liburing.so.2")
    with Capture(tmp_path / "capture", HOST) as capture:
        assert 9 == capture.run([str(programs.program(HOST, "calls_object.c")), str(library)], tmp_path).status
        assert [[(RINGS, str(library))]] == spots(capture)


def test_notes_that_are_not_in_memory_are_not_read(tmp_path):
    program = compiled(tmp_path, ["-DWRITES", "-no-pie"])
    content = bytearray(program.read_bytes())
    (start,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    moved = 0
    for place in range(start, start + size * count, size):
        (kind,), (align,) = struct.unpack_from("<I", content, place), struct.unpack_from("<Q", content, place + 48)
        if (kind, align) == (4, 4):  # PT_NOTE; the loader reads those that are aligned to eight bytes
            struct.pack_into("<Q", content, place + 16, 0x10000)  # p_vaddr
            moved += 1
    program.write_bytes(content)
    assert moved
    assert [[(DIRECT, "")]] == told(HOST, [program], tmp_path)


def test_a_program_that_the_loader_is_called_for(tmp_path):
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    if not loader.exists():
        missing(str(loader))
    program = compiled(tmp_path, ["-DWRITES", "-no-pie"])
    assert [[(DIRECT, "")]] == told(HOST, [loader, program], tmp_path)
