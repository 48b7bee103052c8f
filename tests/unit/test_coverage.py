"""`interpose coverage`: all that the specs have, and nothing else."""

import json

from click.testing import CliRunner

from interpose.cli.command import interpose
from interpose.generator.build import read_specs
from support.roots import REPOSITORY

MODEL = read_specs(REPOSITORY / "generator/specs")


def _coverage(*arguments):
    return CliRunner().invoke(interpose, ["coverage", *arguments])


def _rows(*arguments):
    return [json.loads(line) for line in _coverage("--json", *arguments).stdout.splitlines()]


def test_every_function_and_number_of_the_specs_is_listed():
    rows = _rows()
    listed = [(row["type"], row["name"]) for row in rows]
    expected = [("function", name) for name in sorted(function.name for function in MODEL.functions)]
    expected += [("number", name) for name in sorted(number.name for number in MODEL.numbers)]
    assert expected == listed


def test_what_is_wrapped_has_an_effect_and_all_else_a_reason():
    for row in _rows():
        assert (row["effect"] is None) != (row["reason"] is None), row
        assert (row["of"] is not None) == (row["how"] == "alias"), row


def test_one_name_is_shown_alone():
    shown = _coverage("open64").stdout.splitlines()
    assert ["NAME", "HOW", "EFFECT", "REASON"] == shown[0].split()
    assert ["open64", "alias", "of", "open", "open"] == shown[1].split()
    assert len(shown) == 2


def test_a_name_that_is_in_no_spec_is_a_problem():
    result = _coverage("no_such_function")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("interpose: unknown: no_such_function")
