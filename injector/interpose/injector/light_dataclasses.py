"""What `interpose-oci` has under the name `dataclasses`: a third of the time of a start went into the library's own.

That module imports `inspect` and compiles source for each class. This one does for keyword and positional arguments,
defaults and factories what that does, and nothing else: no comparison, no representation, no fields that are themselves
such objects in `asdict`. Who changes an object is told by the tests, which run the same modules with the real one.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["asdict", "dataclass", "field"]


class _Factory:
    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], Any]) -> Any:
    """A default that each object gets one of its own of."""
    return _Factory(default_factory)


def dataclass(*, frozen: bool, slots: bool) -> Callable[[type], type]:
    """A class of the annotated names, in their order; both options must be set."""
    if not (frozen and slots):
        raise TypeError("only frozen dataclasses with slots are known here")
    return _made


def asdict(record: Any) -> dict[str, Any]:
    """The fields of an object."""
    return {name: getattr(record, name) for name in record.__slots__}


def _made(declared: type) -> type:
    body = {name: value for name, value in vars(declared).items() if name not in ("__dict__", "__weakref__")}
    names = tuple(body.get("__annotations__", ()))
    defaults = {name: body.pop(name) for name in names if name in body}

    def fill(self: Any, *values: Any, **named: Any) -> None:
        if len(values) > len(names):
            raise TypeError(f"{declared.__name__} takes {len(names)} values, not {len(values)}")
        for name, value in zip(names, values, strict=False):
            if name in named:
                raise TypeError(f"{declared.__name__} is given {name} twice")
            named[name] = value
        for name in names:
            if name in named:
                value = named.pop(name)
            elif name in defaults:
                value = defaults[name]
                value = value.make() if isinstance(value, _Factory) else value
            else:
                raise TypeError(f"{declared.__name__} needs {name}")
            setattr(self, name, value)
        if named:
            raise TypeError(f"{declared.__name__} has no {', '.join(named)}")

    return type(declared.__name__, declared.__bases__, {**body, "__slots__": names, "__init__": fill})
