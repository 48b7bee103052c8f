"""Writes what the generator renders, and runs protoc and the C compiler: the only module that touches the disk."""

import contextlib
import fcntl
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from interpose.generator.errors import BuildError
from interpose.generator.load import load_effects, load_functions, load_numbers
from interpose.generator.model import Model, build_model
from interpose.generator.own_calls import OwnCall, header, page, read_calls
from interpose.generator.render import render, render_coverage
from interpose.generator.wire import build_wire

__all__ = ["MACHINES", "build", "compile_library", "document", "generate", "own_calls", "read_specs"]

MACHINES = ("x86_64", "aarch64")
"""The machines that one build serves, as uname names them."""
_NO_FAMILIES = ("effects.yaml", "syscalls.yaml", "own_calls.yaml")


def read_specs(specs: Path) -> Model:
    """The model of all spec files in a folder; raises SpecError."""
    families = sorted(path for path in specs.glob("*.yaml") if path.name not in _NO_FAMILIES)
    return build_model(
        load_effects(specs / "effects.yaml"),
        (entry for family in families for entry in load_functions(family)),
        load_numbers(specs / "syscalls.yaml"),
    )


def own_calls(root: Path) -> tuple[OwnCall, ...]:
    """The system calls that the library itself makes."""
    return read_calls(root / "libinterpose", root / "generator/specs/own_calls.yaml")


def document(root: Path) -> Path:
    """Write the page that lists them; returns where."""
    target = root / "docs/system-calls.md"
    _write_if_changed(target, page(own_calls(root)))
    return target


def generate(root: Path, out: Path) -> None:
    """Write the generated C to `out`; the generated Python, and what is covered, to `root`/build/python."""
    model = read_specs(root / "generator/specs")
    wire = build_wire(_compile_protos(root))
    out.mkdir(parents=True, exist_ok=True)
    rendered = render(model, wire) | {"own_calls.h": header(own_calls(root))}
    for name, content in rendered.items():
        _write_if_changed(out / name, content)
    for stale in out.iterdir():
        if stale.name not in rendered:
            stale.unlink()
    coverage = root / "build/python/interpose/lib/functions.json"
    coverage.parent.mkdir(parents=True, exist_ok=True)
    _write_if_changed(coverage, render_coverage(model))


def compile_library(root: Path, machine: str, compiler: Sequence[str]) -> list[Path]:
    """Compile what changed of libinterpose.so and libsidecar.so for `machine` with `compiler` (an argument vector).

    Returns their paths; raises BuildError.
    """
    target = root / "build/python/interpose/lib" / machine
    return [
        _make(root / source, target / f"{name}.so", root / "build/objects" / machine / name, machine, compiler)
        for source, name in (("libinterpose", "libinterpose"), ("sidecar/native", "libsidecar"))
    ]


def build(root: Path, compiler: str | None = None) -> list[Path]:
    """Generate and compile everything.

    Without a compiler, zig's makes the library for every machine; with one (`gcc`), it makes that of this machine.
    """
    with _exclusively(root / "build"):
        generated = root / "build/generated"
        generate(root, generated)
        if (root / "docs").is_dir():  # an image is built without them
            document(root)
        compilers = {os.uname().machine: shlex.split(compiler)} if compiler else {one: _zig(one) for one in MACHINES}
        return [
            library for machine, command in compilers.items() for library in compile_library(root, machine, command)
        ]


def _make(source: Path, target: Path, objects: Path, machine: str, compiler: Sequence[str]) -> Path:
    """The Makefile in `source` says of what the library is made: generator/library.mk."""
    variables = {"CC": shlex.join(compiler), "MACHINE": machine, "TARGET": target, "OBJECTS": objects}
    variables["GENERATED"] = objects.parents[2] / "generated"
    jobs = f"-j{os.cpu_count() or 1}"
    _run(["make", "-C", str(source), "-s", jobs, *(f"{name}={value}" for name, value in variables.items())])
    return target


def _zig(machine: str) -> list[str]:
    """zig's C compiler for a machine, with the kernel's headers: without a libc it leaves them out too."""
    headers = Path(str(resources.files("ziglang"))) / "lib/libc/include"
    kernel = {"x86_64": "x86-linux-any"}.get(machine, f"{machine}-linux-any")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-gnu"]
    return [*command, f"-isystem{headers / kernel}", f"-isystem{headers / 'any-linux-any'}"]


def _compile_protos(root: Path) -> FileDescriptorSet:
    protos = sorted((root / "protos").glob("interpose/v1/*.proto"))
    python = root / "build/python"
    python.mkdir(parents=True, exist_ok=True)
    descriptors = root / "build/protos.binpb"
    arguments = ["protoc", f"-I{root / 'protos'}", f"-I{resources.files('grpc_tools') / '_proto'}"]
    arguments += [f"--python_out={python}", f"--pyi_out={python}", f"--descriptor_set_out={descriptors}"]
    if protoc.main([*arguments, *map(str, protos)]) != 0:
        raise BuildError("protoc refused the files under protos/: see the lines above")
    return FileDescriptorSet.FromString(descriptors.read_bytes())


@contextlib.contextmanager
def _exclusively(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_if_changed(path: Path, content: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != content:
        path.write_text(content, encoding="utf-8")


def _run(command: list[str]) -> None:
    ours = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of a make that called us
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    try:
        result = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is not installed, and the libraries are compiled by it") from error
    if result.returncode != 0:
        raise BuildError(f"{shlex.join(command[:4])} ... failed ({result.returncode}):\n{result.stderr.strip()}")
