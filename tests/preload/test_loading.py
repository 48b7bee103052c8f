"""The library loads into every program, needs nothing, and says nothing."""

import subprocess

import pytest

from interpose.generator.build import MACHINES
from support.capture import Capture
from support.cli import need
from support.roots import HOST, TARGETS, Outcome, library, run


@pytest.mark.parametrize("machine", MACHINES)
def test_the_library_needs_no_symbol_of_anybody(machine):
    need("nm")
    listed = subprocess.run(
        ["nm", "--dynamic", "--undefined-only", library(machine)], capture_output=True, text=True, check=True
    )
    assert listed.stdout == ""


@pytest.mark.parametrize("machine", MACHINES)
def test_the_library_needs_no_other_and_has_no_writable_code(machine):
    need("readelf")
    headers = subprocess.run(
        ["readelf", "--dynamic", "--program-headers", "--wide", library(machine)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "NEEDED" not in headers
    assert "TEXTREL" not in headers
    assert "RWE" not in headers


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_an_ordinary_program_of_each_libc_runs_as_without_the_library(target, programs, tmp_path):
    target.require()
    program = [str(programs.program(target, "ordinary.c"))]
    (tmp_path / "work").mkdir()
    bare = run(target, program, tmp_path / "work")
    with Capture(tmp_path / "capture", target) as capture:
        captured = capture.run(program, tmp_path / "work")
        events = sum(len(process.events) for process in capture.processes())
    assert bare == captured
    assert bare.stderr == b"on stderr\n"
    assert events > 10


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_program_runs_where_there_is_a_library_and_no_spool(target, programs, tmp_path):
    target.require()
    program = [str(programs.program(target, "ordinary.c"))]
    (tmp_path / "alone").mkdir()
    alone = tmp_path / "alone/libinterpose.so"
    alone.write_bytes(library(target.machine).read_bytes())
    assert run(target, program, tmp_path) == run(target, program, tmp_path, {"LD_PRELOAD": str(alone)})


@pytest.mark.skipif(HOST != "x86_64", reason="the program is written for x86-64")
def test_a_program_without_libc_loads_it(programs, tmp_path):
    target = TARGETS["host"]
    target.require()
    need("gcc")
    options = ("-nostdlib", "-fPIE", "-pie", "-fno-stack-protector")
    program = programs.program(target, "without_libc.c", options)
    with Capture(tmp_path / "capture", target) as capture:
        assert capture.run([str(program)], tmp_path) == Outcome(4, b"no libc\n", b"")
        (process,) = capture.processes()
    assert process.events[0].origin.executable.decode() == str(program)


def test_other_preloaded_libraries_stay_in_the_program_s_view(programs, tmp_path):
    target = TARGETS["host"]
    target.require()
    other = tmp_path / "libother.so"
    source = "int ip_test_other(void) { return 1; }"
    need("gcc")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", other, "-x", "c", "-"], input=source, text=True, check=True)
    program = ["/bin/sh", "-c", "echo $LD_PRELOAD; exec env"]
    bare = run(target, program, tmp_path, {"LD_PRELOAD": str(other)})
    with Capture(tmp_path / "capture", target) as capture:
        both = {"LD_PRELOAD": f"{capture.library}:{other}"}
        assert bare == run(target, program, tmp_path, both)
        assert [2, 2] == [
            sum(
                b"other" in event.load.name.path or event.load.name.path.endswith(b"/libc.so.6")
                for event in process.of("load")
            )
            for process in capture.processes()
        ]


def test_a_library_s_old_version_of_a_name_is_not_taken_for_libc_s(programs, tmp_path):
    """A new program is linked to libc's, wherever the library with the old one comes in the order of search."""
    target = TARGETS["host"]
    target.require()
    need("gcc")
    source = 'int former(const char *path) { return 77; }\n__asm__(".symver former, unlink@OLD_1.0");\n'
    (tmp_path / "versions").write_text("OLD_1.0 { };\n")
    made = ["-shared", "-fPIC", f"-Wl,--version-script={tmp_path / 'versions'}", "-o", tmp_path / "libold.so"]
    subprocess.run(["gcc", *made, "-x", "c", "-"], input=source, text=True, check=True)
    options = ("-Wl,--no-as-needed", f"-L{tmp_path}", "-lold", f"-Wl,-rpath,{tmp_path}")
    program = tmp_path / "program"
    source = '#include <unistd.h>\nint main(void) { return unlink("made") == 77; }\n'
    subprocess.run(["gcc", "-o", program, "-x", "c", "-", *options], input=source, text=True, check=True)
    (tmp_path / "made").touch()
    with Capture(tmp_path / "capture", target) as capture:
        assert capture.run([str(program)], tmp_path) == Outcome(0, b"", b"")
        (process,) = capture.processes()
    assert [b"made"] == [event.unlink.name.path for event in process.of("unlink")]


def test_one_hundred_descriptors_are_not_kept_from_the_program(programs, tmp_path):
    """Every descriptor number that a program can get bare, it gets captured."""
    target = TARGETS["host"]
    target.require()
    code = "import os; print([os.open('/dev/null', 0) for _ in range(100)][-1], os.listdir('/proc/self/fd'))"
    program = ["/usr/bin/env", "python3", "-c", code]
    with Capture(tmp_path / "capture", target) as capture:
        assert run(target, program, tmp_path).stdout == capture.run(program, tmp_path).stdout


@pytest.mark.parametrize("kind", [("-fPIE", "-pie"), ("-fno-pie", "-no-pie")], ids=["pie", "no-pie"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_program_finds_its_own_environment_under_every_name(target, kind, programs, tmp_path):
    """A program at a fixed address has a copy of environ of its own."""
    target.require()
    program = [str(programs.program(target, "environment.c", kind))]
    for variables in ({}, {"LD_LIBRARY_PATH": "/nowhere", "LAST": ""}):
        bare = run(target, program, tmp_path, variables)
        with Capture(tmp_path / f"capture-{len(variables)}", target) as capture:
            assert bare == capture.run(program, tmp_path, variables)
            assert capture.processes()
