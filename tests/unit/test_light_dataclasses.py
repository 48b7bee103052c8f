"""The stand-in for `dataclasses` makes the same objects as the real one of the classes that `interpose-oci` has."""

import ast
import dataclasses
import importlib
import importlib.resources
from typing import Any

import pytest

from interpose.injector import host, light_dataclasses


@pytest.fixture(params=[dataclasses, light_dataclasses], ids=lambda module: module.__name__)
def module(request) -> Any:
    return request.param


@pytest.fixture
def made(module) -> Any:
    """A class that has what those of the wrapper have."""

    @module.dataclass(frozen=True, slots=True)
    class Made:
        first: str
        """A string between fields is no field."""
        second: int | None = None
        third: dict[str, str] = module.field(default_factory=dict)

        @property
        def both(self) -> str:
            return f"{self.first} {self.second}"

    return Made


@pytest.mark.parametrize(
    ("values", "named", "fields"),
    [
        (("a",), {}, ("a", None, {})),
        (("a", 1, {"b": "c"}), {}, ("a", 1, {"b": "c"})),
        ((), {"third": {}, "first": "a"}, ("a", None, {})),
        (("a",), {"second": 2}, ("a", 2, {})),
    ],
)
def test_fields_are_what_was_given_or_the_default(made, values, named, fields):
    record = made(*values, **named)

    assert fields == (record.first, record.second, record.third)
    assert f"{fields[0]} {fields[1]}" == record.both
    assert "Made" == type(record).__name__


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a", 1, {}, 2), {}), (("a",), {"first": "b"}), (("a",), {"fourth": 1}), ((), {"second": 1})],
)
def test_what_does_not_fit_is_a_type_error(made, values, named):
    with pytest.raises(TypeError):
        made(*values, **named)


def test_each_object_has_a_default_of_its_own(made):
    made("a").third["b"] = "c"

    assert {} == made("a").third


def test_an_object_has_its_fields_and_no_others(made):
    with pytest.raises((AttributeError, TypeError)):
        made("a").fourth = 1


def test_all_fields_are_told(module):
    @module.dataclass(frozen=True, slots=True)
    class Flat:
        first: str
        second: dict[str, str] = module.field(default_factory=dict)

    assert {"first": "a", "second": {}} == module.asdict(Flat("a"))


@pytest.mark.parametrize("options", [{"frozen": True, "slots": False}, {"frozen": False, "slots": True}])
def test_what_the_stand_in_does_not_know_is_refused(options):
    with pytest.raises(TypeError, match="only frozen"):
        light_dataclasses.dataclass(**options)


def test_what_interpose_oci_is_made_of_asks_the_stand_ins_for_nothing_that_they_have_not():
    missing = []
    for package, names in host._MODULES.items():
        for name in names:
            text = importlib.resources.files(package).joinpath(f"{name}.py").read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom) and node.module in host._STAND_INS:
                    stand_in = importlib.import_module(f"interpose.injector.{host._STAND_INS[node.module]}")
                    missing += [(name, each.name) for each in node.names if not hasattr(stand_in, each.name)]
    assert [] == missing
