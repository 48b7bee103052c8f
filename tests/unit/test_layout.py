"""The structs of spool.h and what the sidecar reads of them are the same bytes."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from interpose.sidecar import accesses, journal, spool

HEADER = Path(__file__).parents[2] / "libinterpose" / "include"
NATIVE = Path(__file__).parents[2] / "sidecar" / "native"
LAYOUTS = [spool.CONTROL, spool.FD, spool.JOURNAL, spool.UNSTARTED]
CONSTANTS = {
    "IP_CONTROL_MAGIC": spool.CONTROL_MAGIC,
    "IP_JOURNAL_MAGIC": spool.JOURNAL_MAGIC,
    "IP_SPOOL_VERSION": spool.VERSION,
    "IP_LEVEL_SUMMARY": spool.Level.SUMMARY,
    "IP_LEVEL_CALLS": spool.Level.CALLS,
    "IP_JOURNAL_HOME": spool.Kind.HOME,
    "IP_JOURNAL_CONTINUED": spool.Kind.CONTINUED,
    "IP_UNSTARTED_OFFSET": spool.UNSTARTED_OFFSET,
    "IP_UNSTARTED_KEPT": spool.UNSTARTED_KEPT,
    "IP_FD_KNOWN": spool.FD_KNOWN,
    "IP_FD_INTERNAL": spool.FD_INTERNAL,
    "IP_RECORD_HELD": spool.RECORD_HELD,
    "IP_RECORD_POSITION_BITS": spool.RECORD_POSITION_BITS,
    "IP_RECORD_HEAD": journal.HEAD,
    "IP_TAG_EVENT": journal.EVENT,
    "IP_TAG_UNFINISHED": journal.UNFINISHED,
    "IP_TAG_SEALED": journal.SEALED,
}


def expected() -> dict[str, int]:
    sizes = {layout.name: layout.size for layout in LAYOUTS}
    members = {f"{layout.name}.{name}": offset for layout in LAYOUTS for name, offset in layout.offsets.items()}
    return sizes | members | {name: int(value) for name, value in CONSTANTS.items()}


def native_constants() -> dict[str, int]:
    """What accesses.h and interpose.sidecar.accesses both know."""
    constants = {
        f"IP_{name}": getattr(accesses, f"_{name}")
        for name in ("EFFECTS", "MOST_ACCESSES", "MOST_FILES", "MOST_NAMES", "MOST_TEXT")
    }
    constants |= {f"IP_ACCESS_{kind.upper()}": number for number, kind in enumerate(accesses.KINDS)}
    constants |= {f"IP_STOP_{stop.name}": stop for stop in accesses.Stop}
    return constants | {"IP_LONGEST_NAME": accesses.LONGEST_NAME}


def ends() -> dict[str, int]:
    """The same of records.h and interpose.sidecar.journal."""
    names = {
        stop: "BYTES" if stop is journal.Stop.END else "FULL" if stop is None else stop.name for stop in journal._STOPS
    }
    return {f"IP_END_{names[stop]}": number for number, stop in enumerate(journal._STOPS)}


def in_c(folder: Path, names: list[str], header: str) -> dict[str, int]:
    """The same names, evaluated by a C compiler."""
    lines = []
    for name in names:
        struct, dot, member = name.partition(".")
        if dot:
            value = f"offsetof(struct {struct}, {member})"
        else:
            value = name if name.isupper() else f"sizeof(struct {struct})"
        lines.append(f'    printf("{name} %llu\\n", (unsigned long long)({value}));')
    source = folder / "layout.c"
    source.write_text(
        f"#include <stddef.h>\n#include <stdio.h>\n{header}\nint main(void)\n{{\n" + "\n".join(lines) + "\n}\n"
    )
    compiler = [shutil.which("cc")] if shutil.which("cc") else [sys.executable, "-m", "ziglang", "cc"]
    subprocess.run([*compiler, "-std=c11", "-o", folder / "layout", source], check=True)
    output = subprocess.run([folder / "layout"], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def test_every_member_stands_where_the_header_says(tmp_path):
    header = f'#include "{HEADER / "spool.h"}"'

    assert expected() == in_c(tmp_path, list(expected()), header)


@pytest.mark.parametrize(
    ("name", "structure", "constants"),
    [
        ("accesses", accesses._Reading, native_constants()),
        ("records", journal._Native, {"IP_MOST_RECORDS": journal.MOST_RECORDS, **ends()}),
    ],
)
def test_the_part_in_c_sees_the_same_memory(tmp_path, name, structure, constants):
    members = {f"ip_{name}.{member}": getattr(structure, member).offset for member, *_ in structure._fields_}
    wanted = {f"ip_{name}": ctypes.sizeof(structure)} | members | constants

    assert wanted == in_c(tmp_path, list(wanted), f'#include "{NATIVE / name}.h"')


def test_every_member_of_the_header_is_known_to_the_sidecar():
    text = (HEADER / "spool.h").read_text()
    for layout in LAYOUTS:
        body = text.partition(f"struct {layout.name} {{")[2].partition("\n};")[0]
        declared = [line.split(";")[0].split()[1].partition("[")[0] for line in body.splitlines() if ";" in line]

        assert declared == list(layout.offsets)


def test_a_member_that_has_moved_is_noticed(tmp_path):
    moved = (HEADER / "spool.h").read_text().replace("uint64_t tail;", "uint64_t new_member, tail;")
    moved = moved.replace("reserved[19]", "reserved[18]")

    assert expected() != in_c(tmp_path, list(expected()), moved)


@pytest.mark.parametrize("length", [3, 11, 123, 1027, 65531, (1 << 28) - 5])
def test_a_records_head_is_read_as_it_was_written(length):
    extent = journal.measure(journal.head(journal.EVENT, length))

    assert extent == journal.Extent(0, journal.Stop.END)
    assert journal._lengths[int.from_bytes(journal.head(journal.EVENT, length)[1:], "little")] == length + journal.HEAD
