"""The programs of these tests can be compiled by the compiler that comes from PyPI, for the oldest glibc."""

from pathlib import Path

import pytest

from support.roots import TARGETS


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(__file__).parent.glob("*.c")))
def test_a_program_is_compiled_where_there_is_no_other_compiler(name, compiled):
    assert Path(compiled(name, compiler=TARGETS["bullseye"].compiler)).stat().st_size > 0
