"""Every function of a libc that could carry provenance is in the specs; so is what a newer libc adds to its family."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import pytest

from interpose.generator.build import read_specs
from support.roots import REPOSITORY, ROOTS, missing
from support.symbols import Symbol, exported

NAMES = REPOSITORY / "tests/symbols/names.txt"
MODEL = read_specs(REPOSITORY / "generator/specs")
SPECIFIED = {function.name for function in MODEL.functions}
TRIPLE = f"{os.uname().machine}-linux-gnu"
OBJECTS = ("libc.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2", "libanl.so.1")
"""Where glibc's functions of these families are; before 2.34 several had objects of their own."""
RELEASES = {"bullseye", "bookworm", "trixie", "sid"} | {mark.stem for mark in ROOTS.glob("*.ok")}
FOLDERS = {
    "host": Path(f"/lib/{TRIPLE}"),
    **{release: ROOTS / release / f"lib/{TRIPLE}" for release in RELEASES},
}
MUSL = Path(f"/lib/ld-musl-{os.uname().machine}.so.1")

_BEFORE = re.compile(r"^(_IO_|__isoc\d\d_|__libc_|__xpg_|__sysv_|_+)")
_AFTER = re.compile(r"(_chk|_time64|64|_nocancel|_unlocked|_2|_r|_internal|_np|v\d)$")


def _family(name: str) -> str:
    """What siblings have in common: __open64_2 is of the family open."""
    name = _BEFORE.sub("", name)
    while (shorter := _AFTER.sub("", name)) and shorter != name:
        name = shorter
    return name


def _groups() -> dict[str, list[str]]:
    lines = (line for line in NAMES.read_text().splitlines() if line and not line.startswith("#"))
    return {title: names.split() for title, names in (line.split(": ") for line in lines)}


def _unaccounted(symbols: Iterable[Symbol], specified: set[str]) -> list[str]:
    """Public siblings of a specified name that are not specified themselves."""
    families = {_family(name) for name in specified}
    public = {symbol.name for symbol in symbols if symbol.version != "GLIBC_PRIVATE"}
    return sorted(name for name in public - specified if _family(name) in families)


def _symbols(name: str) -> list[Symbol]:
    paths = [MUSL] if name == "musl" else [FOLDERS[name] / each for each in OBJECTS]
    found = [path for path in paths if path.exists()]
    if not found:
        missing(f"the libc of {name}")
    return [symbol for path in found for symbol in exported(path)]


@pytest.mark.parametrize(("group", "names"), _groups().items())
def test_every_name_of_a_group_has_an_entry(group, names):
    assert [] == [name for name in names if name not in SPECIFIED]


def test_the_groups_are_those_that_were_counted():
    assert sum(map(len, _groups().values())) == 906


@pytest.mark.parametrize("libc", [*sorted(FOLDERS), "musl"])
def test_every_sibling_that_a_libc_has_is_accounted_for(libc):
    assert [] == _unaccounted(_symbols(libc), SPECIFIED)


@pytest.mark.parametrize("libc", sorted(FOLDERS))
def test_what_is_said_to_be_of_glibc_s_own_objects_only_is(libc):
    public = {symbol.name for symbol in _symbols(libc) if symbol.version != "GLIBC_PRIVATE"}
    private = {symbol.name for symbol in _symbols(libc)} - public
    said = {function.name for function in MODEL.functions if "GLIBC_PRIVATE" in function.reason}
    assert set() == said & public
    assert set() == {function.name for function in MODEL.exported} & private


def test_a_libc_s_functions_are_found():
    found = {symbol.name: symbol for symbol in _symbols("host")}
    assert found["openat"].default
    assert found["openat"].version == "GLIBC_2.4"
    assert found["__libc_fork" if "__libc_fork" in found else "__open_nocancel"].version == "GLIBC_PRIVATE"


INVENTED = ("__openat_chk", "openat_time64", "_IO_openat", "__openat_nocancel", "fgets_unlocked64")


@pytest.mark.parametrize("name", INVENTED)
def test_an_invented_sibling_is_refused(name):
    assert [name] == _unaccounted([Symbol(name, "GLIBC_2.99", default=True)], SPECIFIED)


def test_a_sibling_of_glibc_s_own_objects_only_is_not():
    assert [] == _unaccounted([Symbol("__openat_nocancel", "GLIBC_PRIVATE", default=True)], SPECIFIED)


def test_what_is_of_no_family_is_not():
    assert [] == _unaccounted([Symbol("memcpy", "GLIBC_2.14", default=True)], SPECIFIED)


def test_a_compiled_object_with_an_invented_sibling_is_refused(tmp_path):
    if not shutil.which("gcc"):
        missing("gcc")
    source = """
        int __openat_chk(void) { return 0; }
        __attribute__((visibility("hidden"))) int __stat_chk(void) { return 0; }
        int openat64_2;
        int memcpy_of_mine(void) { return 0; }
    """
    (tmp_path / "invented.c").write_text(source)
    built = tmp_path / "invented.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", built, tmp_path / "invented.c"], check=True)
    assert ["__openat_chk"] == _unaccounted(exported(built), SPECIFIED)


HEADERS = Path(str(resources.files("ziglang"))) / "lib/libc/include"
NUMBERS = {
    machine: set(re.findall(r"#define __NR_(\w+)", (HEADERS / folder / "asm/unistd_64.h").read_text()))
    for machine, folder in (("x86_64", "x86-linux-any"), ("aarch64", "aarch64-linux-any"))
}


NAMESAKES = {"syslog"}
"""Functions that have the name of a system call and do something else: the kernel's own log is klogctl(3)'s."""


@pytest.mark.parametrize("machine", NUMBERS)
def test_what_is_wrapped_and_has_a_number_is_seen_by_number_too(machine):
    specified = {number.name for number in MODEL.numbers}
    assert [] == [f.name for f in MODEL.exported if f.name in NUMBERS[machine] - specified - NAMESAKES]


def test_every_number_is_one_of_a_machine():
    assert [] == [number.name for number in MODEL.numbers if number.name not in set.union(*NUMBERS.values())]


def test_every_number_that_passes_says_why():
    assert [] == [
        number.name for number in MODEL.numbers if number.kind != "wrapped" and len(number.reason.split()) < 3
    ]
