"""What the generator makes of small specs. `python tests/golden/test_golden.py` writes the expected files anew."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from interpose.generator.build import read_specs
from interpose.generator.errors import SpecError
from interpose.generator.load import load_effects, load_functions
from interpose.generator.model import Model, build_model
from interpose.generator.render import render
from interpose.generator.wire import WireModel, build_wire

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
CASES = sorted(path.parent.name for path in HERE.glob("*/functions.yaml"))
BAD = sorted((HERE / "bad").glob("*.yaml"))
LIBCS = ("x86_64-linux-gnu.2.36", "aarch64-linux-gnu.2.36", "x86_64-linux-musl", "aarch64-linux-musl")
SHOWN = {"kinds": ("functions.h", "functions.c", "libinterpose.map", "prototypes.c"), "before": ("effects.h",)}
"""What else than wrappers.c a case is about."""


def _model(case: str) -> Model:
    return build_model(load_effects(HERE / "effects.yaml"), load_functions(HERE / case / "functions.yaml"))


def _compiled(proto: Path) -> FileDescriptorSet:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto.parent}", "--descriptor_set_out=/dev/stdout"]
    compiled = subprocess.run([*command, str(proto)], capture_output=True, check=True)
    return FileDescriptorSet.FromString(compiled.stdout)


def _made(case: str) -> dict[str, str]:
    """What is generated in a case, of the files that it is about."""
    if case == "wire":
        made = render(Model((), ()), build_wire(_compiled(HERE / "wire/event.proto")))
        return {name: made[name] for name in ("wire.h", "wire.c", "fields.h", "fields.c")}
    made = render(_model(case), WireModel((), ()))
    return {name: made[name] for name in ("wrappers.c", *SHOWN.get(case, ()))}


@pytest.mark.parametrize("case", [*CASES, "wire"])
def test_a_case_makes_the_expected_files(case):
    made = _made(case)
    expected = {path.name: path.read_text() for path in (HERE / case).iterdir() if path.suffix in (".c", ".h", ".map")}
    assert expected == made


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_wrong_spec_is_refused_with_its_file_and_line(path):
    lines = path.read_text().splitlines()
    wanted = lines[0].removeprefix("# ")
    with pytest.raises(SpecError) as caught:
        if lines[1:2] == ["# effects"]:
            build_model(load_effects(path), [])
        else:
            build_model(load_effects(HERE / "effects.yaml"), load_functions(path))
    assert str(caught.value).startswith(wanted)
    assert "\n" not in str(caught.value)


def _encoded(folder: Path) -> list[bytes]:
    """What the expected encoders write, message by message."""
    program = folder / "encode"
    library = REPOSITORY / "libinterpose"
    sources = [HERE / "encode.c", HERE / "wire/wire.c", library / "memory.c"]
    command = [sys.executable, "-m", "ziglang", "cc", "-O1", "-w", "-fno-builtin", "-fno-sanitize=all"]
    command += [f"-I{library / 'include'}", f"-I{HERE / 'wire'}", "-o", str(program), *map(str, sources)]
    subprocess.run(command, check=True)
    result = subprocess.run([program], capture_output=True, check=True)
    assert result.stderr == b""
    found, rest = [], result.stdout
    while rest:
        size = int.from_bytes(rest[:8], "little")
        found.append(rest[8 : 8 + size])
        rest = rest[8 + size :]
    return found


def test_the_encoders_write_what_protobuf_reads(tmp_path):
    event = message_factory.GetMessages(_compiled(HERE / "wire/event.proto").file)["golden.v1.Event"]
    read = [event.FromString(each) for each in _encoded(tmp_path)]
    values = [0, 1, 127, 128, 16383, 16384, 1 << 31, (1 << 63) - 1, (1 << 64) - 1]
    assert values == [each.time for each in read[:9]]
    assert values == [each.large for each in read[:9]]
    assert [value % (1 << 32) for value in values] == [each.small for each in read[:9]]
    assert [_signed(value, 32) for value in values] == [each.negative for each in read[:9]]
    assert [_signed(value, 64) for value in values] == [each.offset for each in read[:9]]
    assert [bool(place & 1) for place in range(9)] == [each.flag for each in read[:9]]
    assert [place & 1 for place in range(9)] == [each.kind for each in read[:9]]
    assert {("text", b"\0\1\2")} == {(each.text, each.data) for each in read[:9]}
    assert [[b"", b"one", b"two"][: place % 4] for place in range(9)] == [list(each.list) for each in read[:9]]
    assert [[0, 7, -7][: place % 4] for place in range(9)] == [
        [inner.value for inner in each.many] for each in read[:9]
    ]
    assert [-1 if place & 2 else None for place in range(9)] == [
        each.inner.value if each.HasField("inner") else None for each in read[:9]
    ]
    assert ["first", "second", "second"] == [each.WhichOneof("effect") for each in read[9:]]
    assert read[10].second.inner.value == -1
    assert not read[11].second.HasField("inner")


def _signed(value: int, bits: int) -> int:
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


def _prototype_errors(model: Model, libc: str, folder: Path) -> list[str]:
    source = folder / "prototypes.c"
    source.write_text(render(model, WireModel((), ()))["prototypes.c"])
    command = [sys.executable, "-m", "ziglang", "cc", "-target", libc, "-c", "-ferror-limit=0", "-fno-builtin"]
    command += ["-w", f"-I{HERE}", "-o", str(folder / "prototypes.o"), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = re.findall(r": error: (.*)", result.stderr)
    assert bool(errors) == bool(result.returncode), result.stderr
    return errors


@pytest.mark.parametrize("libc", LIBCS)
def test_every_prototype_is_that_of_the_headers(libc, tmp_path):
    assert [] == _prototype_errors(read_specs(REPOSITORY / "generator/specs"), libc, tmp_path)


@pytest.mark.parametrize("libc", LIBCS)
def test_a_wrong_prototype_is_refused(libc, tmp_path):
    effects = load_effects(HERE / "effects.yaml")
    model = build_model(effects, load_functions(HERE / "wrong_prototypes.yaml"))
    errors = "\n".join(_prototype_errors(model, libc, tmp_path))
    assert [] == [f.name for f in model.functions if f"'{f.name}'" not in errors]


def test_the_same_specs_give_the_same_bytes():
    assert _made("kinds") == _made("kinds")


if __name__ == "__main__":
    for each in [*CASES, "wire"]:
        for name, content in _made(each).items():
            (HERE / each / name).write_text(content)
