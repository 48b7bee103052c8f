"""Spec files -> plain entries that remember their line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from interpose.generator.errors import SpecError

__all__ = ["Entry", "load_effects", "load_functions", "load_numbers"]


@dataclass(frozen=True)
class Entry:
    """One mapping of a spec file: its keys and where it stands."""

    file: str
    line: int
    values: dict[str, Any]
    name: str = ""

    def error(self, problem: str) -> SpecError:
        """The exception to raise about this entry."""
        return SpecError(self.file, self.line, problem)

    def check_keys(self, known: frozenset[str]) -> None:
        """Raise SpecError for the first key that is not in `known`."""
        for key in self.values:
            if key not in known:
                raise self.error(f"unknown key '{key}' (known: {', '.join(sorted(known))})")


def _parse(path: Path) -> tuple[yaml.Node | None, Any]:
    text = path.read_text(encoding="utf-8")
    try:
        return yaml.compose(text), yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(path.name, line, f"not YAML: {error.problem}") from error


def _mapping(node: yaml.Node | None, path: Path) -> yaml.MappingNode:
    if not isinstance(node, yaml.MappingNode):
        raise SpecError(path.name, 1, "the file must be a mapping")
    return node


def load_effects(path: Path) -> Iterator[Entry]:
    """The entries of effects.yaml, in order."""
    node, values = _parse(path)
    for key, _ in _mapping(node, path).value:
        yield Entry(path.name, key.start_mark.line + 1, values[key.value] or {}, key.value)


def load_functions(path: Path) -> Iterator[Entry]:
    """The entries of one family's `functions`, in order."""
    return _load_list(path, "functions")


def load_numbers(path: Path) -> Iterator[Entry]:
    """The entries of syscalls.yaml's `numbers`, in order."""
    return _load_list(path, "numbers")


def _load_list(path: Path, section: str) -> Iterator[Entry]:
    node, values = _parse(path)
    for key, child in _mapping(node, path).value:
        if key.value != section:
            continue
        if not isinstance(child, yaml.SequenceNode):
            raise SpecError(path.name, key.start_mark.line + 1, f"'{section}' must be a list")
        for item, value in zip(child.value, values[section], strict=True):
            line = item.start_mark.line + 1
            if not isinstance(value, dict):
                raise SpecError(path.name, line, f"a {section.removesuffix('s')} must be a mapping")
            yield Entry(path.name, line, value)
