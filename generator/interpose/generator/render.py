"""Models -> the text of every generated file, by name."""

import json

from jinja2 import Environment, PackageLoader, StrictUndefined

from interpose.generator.model import Function, Model, Number
from interpose.generator.wire import WireModel

__all__ = ["render", "render_coverage"]

_FROM_SPECS = (
    *("effects.h", "functions.h", "functions.c", "wrappers.c", "syscalls.c"),
    *("libinterpose.map", "prototypes.c"),
)
_FROM_PROTOS = ("wire.h", "wire.c", "fields.h", "fields.c")


def render(model: Model, wire: WireModel) -> dict[str, str]:
    """File name -> content. The same models give the same bytes."""
    environment = Environment(  # noqa: S701 - what is rendered is C, not HTML
        loader=PackageLoader("interpose.generator"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    rendered = {name: environment.get_template(f"{name}.j2").render(model=model) for name in _FROM_SPECS}
    rendered |= {name: environment.get_template(f"{name}.j2").render(wire=wire) for name in _FROM_PROTOS}
    return rendered


def render_coverage(model: Model) -> str:
    """What `interpose coverage` reads: every function and number of the specs, in the order of their names."""
    functions = sorted(map(_function, model.functions), key=lambda function: str(function["name"]))
    numbers = sorted(map(_number, model.numbers), key=lambda number: str(number["name"]))
    return json.dumps({"functions": functions, "numbers": numbers}, indent=1) + "\n"


def _function(function: Function) -> dict[str, str | None]:
    return {
        "name": function.name,
        "how": "alias" if function.of else function.kind,
        "of": function.of or None,
        "effect": function.effect.name if function.effect else None,
        "reason": function.reason or None,
        "family": function.family,
        "libc": function.libc or None,
        "since": function.since or None,
    }


def _number(number: Number) -> dict[str, str | None]:
    effect = number.effect.name if number.effect else None
    return {"name": number.name, "how": number.kind, "effect": effect, "reason": number.reason or None}
