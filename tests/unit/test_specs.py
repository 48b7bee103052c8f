"""The specs as a whole: how much they wrap, and that the library exports just that."""

import re
import subprocess
from collections import Counter

import pytest

from interpose.generator.build import MACHINES, read_specs
from support.cli import need
from support.roots import REPOSITORY, library

MODEL = read_specs(REPOSITORY / "generator/specs")
ENOUGH = 180


def _exported(machine: str) -> set[str]:
    need("nm")
    listed = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=posix", library(machine)],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split()[0] for line in listed.stdout.splitlines()}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_library_exports_what_the_specs_wrap_and_nothing_else(machine):
    assert {function.name for function in MODEL.exported} == _exported(machine)


def test_enough_functions_are_wrapped():
    assert sum(function.kind == "wrapped" and not function.of for function in MODEL.functions) >= ENOUGH


def test_every_function_that_is_not_generated_says_why():
    assert [] == [f.name for f in MODEL.functions if f.kind != "wrapped" and len(f.reason.split()) < 3]


def test_every_effect_is_that_of_some_function():
    by_hand = {"load", "exec", "spawn", "fork", "exit", "thread_start", "thread_exit"}
    used = Counter(function.effect.name for function in MODEL.functions if function.effect)
    assert set() == {effect.name for effect in MODEL.effects} - set(used) - by_hand


def test_templates_test_no_function_s_name():
    names = {function.name for function in MODEL.functions if len(function.name) > 3}
    for template in (REPOSITORY / "generator/interpose/generator/templates").glob("*.j2"):
        tests = re.findall(r"{%-? *(?:if|elif) (.*?)-?%}", template.read_text())
        assert [] == [test for test in tests if names & set(re.findall(r"[\"'](\w+)[\"']", test))]


def test_each_manual_function_has_a_body_in_the_folder_of_those():
    sources = "\n".join(
        path.read_text()
        for pattern in ("manual/*.c", "arch/*/*.S")
        for path in (REPOSITORY / "libinterpose").glob(pattern)
    )
    words = set(re.findall(r"\w+", sources))
    assert [] == [
        function.name for function in MODEL.functions if function.kind == "manual" and function.name not in words
    ]
