"""A program of another processor, run by an emulator that is captured: what it does itself goes past libc."""

from pathlib import Path

from support.cli import need
from support.roots import CROSS, missing


def test_a_program_under_an_emulator_runs_as_it_does_uncaptured(interpose, compiled):
    need("qemu-aarch64")
    if not CROSS.exists():
        missing(str(CROSS))
    (interpose.folder / "in").write_text("content\n")
    command = ["qemu-aarch64", "-L", str(CROSS), compiled("emulated", compiler=("aarch64-linux-gnu-gcc",))]
    bare, captured = interpose.bare(*command), interpose.run(*command, options=("-q",))
    assert (3, b"content\nnone\n", b"") == (bare.returncode, bare.stdout, bare.stderr)
    assert (bare.returncode, bare.stdout, bare.stderr) == (captured.returncode, captured.stdout, captured.stderr)
    (process,) = interpose.ask("ps", "last")
    assert command == process["programs"][0]["arguments"]
    read = {Path(path).resolve() for file in interpose.ask("files", "last", "--read") for path in file["paths"]}
    assert Path("/usr/bin/qemu-aarch64").resolve() in read
