"""Test programs can be compiled by the compiler that comes from PyPI, for the oldest glibc, as a fresh machine does."""

import pytest

from support.programs import PROGRAMS
from support.roots import HOST, TARGETS

OLDEST = TARGETS["bullseye"]  # its root need not be there: nothing is run

NEEDED = {
    "caller.c": [("-shared", "-fPIC")],
    "cancelled.c": [],  # its frames are unwound by gcc's own library
    "environment.c": [("-fPIE", "-pie"), ("-fno-pie", "-no-pie")],
    "old_versions.c": [(), ("-DOLD",)] if HOST == "x86_64" else [],
    "plugin.c": [("-shared", "-fPIC")],
    "without_libc.c": [],  # zig makes it a static program
}
"""Programs that are compiled with options, or in more than one way."""
CASES = [
    pytest.param(path.name, options, id=" ".join([path.name, *options]))
    for path in sorted(PROGRAMS.glob("*.c"))
    for options in NEEDED.get(path.name, [()])
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_program_is_compiled_where_there_is_no_other_compiler(name, options, programs):
    assert programs.program(OLDEST, name, options).stat().st_size > 0


def test_the_snippets_are_compiled_where_there_is_no_other_compiler(programs):
    assert programs.harness(OLDEST).stat().st_size > 0
