"""A program that was linked with old versions of libc's functions gets those."""

import pytest

from support.capture import Capture
from support.roots import HOST, TARGETS, run


@pytest.mark.skipif(HOST != "x86_64", reason="glibc on this machine has no versions that old")
def test_old_versions_of_functions_do_what_they_did(programs, tmp_path):
    target = TARGETS["host"]
    target.require()
    said = {}
    for name, options in (("new", ()), ("old", ("-DOLD",))):
        program = [str(programs.program(target, "old_versions.c", options))]
        (tmp_path / name).mkdir()
        (tmp_path / f"captured-{name}").mkdir()
        bare = run(target, program, tmp_path / name)
        with Capture(tmp_path / f"capture-{name}", target) as capture:
            assert bare == capture.run(program, tmp_path / f"captured-{name}"), name
            (process, *others) = capture.processes()
        said[name] = bare.stdout.splitlines()
        assert [5] == [event.exit.status for event in process.of("exit")]
        assert len(process.of("spawn")) == len(others) == (2 if name == "old" else 0)
    differing = {new.split(b":")[0] for new, old in zip(*said.values(), strict=True) if new != old}
    assert differing == {b"realpath", b"spawn", b"nftw"}
