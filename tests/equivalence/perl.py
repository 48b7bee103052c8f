"""Perl's own tests, run by Debian's perl: the core's, and those of the modules that have to do with the system."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from equivalence.suites import SOURCES, Step, Suite
from equivalence.tap import read_tap

__all__ = ["SUITES"]

_PERL = Path("/usr/bin/perl")
_TREE = SOURCES / "perl"
_CORE = ("io", "op", "run")
_MODULES = (
    "cpan/File-Path cpan/File-Temp cpan/IPC-Cmd cpan/IPC-SysV cpan/Socket cpan/Sys-Syslog dist/IO dist/PathTools"
    " dist/Storable dist/Thread-Queue dist/Thread-Semaphore dist/Time-HiRes dist/threads dist/threads-shared"
    " ext/File-Find ext/File-Glob ext/IPC-Open3 ext/POSIX ext/SDBM_File ext/Sys-Hostname"
).split()
_UNBUILT = ("op/goto_xs.t",)
"""They need XS::APItest, which is built for perl's own build only."""
_SECONDS = 200


def _library() -> list[str]:
    """The folders of the installed perl's own modules."""
    script = 'use Config; print join "\\n", @Config{qw(privlibexp archlibexp)}, grep m{/perl-base$}, @INC'
    return subprocess.run([_PERL, "-e", script], check=True, capture_output=True, text=True).stdout.splitlines()


def _prepare_core(folder: Path) -> None:
    """The tests look for modules in ../lib alone: there go those of the source tree, and the installed ones."""
    shutil.copytree(_TREE / "t", folder / "t", symlinks=True)
    for source in (str(_TREE / "lib"), *_library()):
        subprocess.run(["cp", "-rsn", f"{source}/.", str(folder / "lib")], check=True)
    for entry in _TREE.iterdir():  # some tests read the source
        if entry.name not in ("t", "lib", *{module.split("/")[0] for module in _MODULES}):
            (folder / entry.name).symlink_to(entry)
    (folder / "t/perl").symlink_to(_PERL)


def _switches(test: Path) -> tuple[str, ...]:
    """What perl refuses to find on the first line of a script alone."""
    found = re.match(r"#!.*perl.*\s-\w*([tT])", test.read_text(encoding="latin-1"))
    return (f"-{found[1]}",) if found else ()


def _step(name: str, perl: str, test: Path, folder: Path, variables: Mapping[str, str]) -> Step:
    command = (perl, *_switches(test), str(test.relative_to(folder)))
    place = str(folder.relative_to(_TREE))
    return Step(name, command, partial(read_tap, name), place, seconds=_SECONDS, variables=variables)


def _core_steps(part: str) -> Sequence[Step]:
    folder, core = _TREE / "t", {"PERL_CORE": "1"}
    tests = sorted(test for test in (folder / part).glob("*.t") if f"{part}/{test.name}" not in _UNBUILT)
    return [_step(f"{part}/{test.name}", "./perl", test, folder, core) for test in tests]


def _prepare_modules(folder: Path) -> None:
    _prepare_core(folder)
    for module in _MODULES:
        copy = folder / module
        shutil.copytree(_TREE / module, copy, symlinks=True)
        for name, original in (("t/test.pl", "t/test.pl"), ("lib", "lib")):  # as their distributions have them
            if not (copy / name).exists():
                (copy / name).symlink_to(folder / original)


def _module_steps() -> Sequence[Step]:
    return [
        _step(f"{module}/{test.name}", str(_PERL), test, _TREE / module, {})
        for module in _MODULES
        for test in sorted((_TREE / module).glob("t/*.t"))
    ]


_NEEDS = (_TREE / "t/test.pl",)
SUITES = (
    *(Suite(f"perl/{part}", _PERL, _NEEDS, partial(_core_steps, part), _prepare_core) for part in _CORE),
    Suite("perl/modules", _PERL, _NEEDS, _module_steps, _prepare_modules),
)
