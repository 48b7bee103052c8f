"""Trees as lines of text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console

__all__ = ["Guides", "branches"]

Node = TypeVar("Node")


@dataclass(frozen=True, slots=True)
class Guides:
    """What joins a node to the one above."""

    fork: str
    end: str
    past: str
    space: str

    @classmethod
    def fitting(cls, console: Console) -> "Guides":
        """Lines, or what looks like them where the terminal has ASCII only."""
        if console.options.ascii_only:
            return cls("|-- ", "`-- ", "|   ", "    ")
        return cls("├── ", "└── ", "│   ", "    ")


def branches(root: Node, children: Callable[[Node], Sequence[Node]], guides: Guides) -> Iterator[tuple[Node, str]]:
    """The nodes in the order of their lines, with what stands before each.

    `children` is asked when its node's turn comes, so it may know which nodes came before. No recursion: a chain of
    programs may be thousands long.
    """
    todo: list[tuple[Node, str, str]] = [(root, "", "")]
    while todo:
        node, before, indent = todo.pop()
        yield node, before
        below = list(children(node))
        for place, child in reversed(list(enumerate(below))):
            if place < len(below) - 1:
                todo.append((child, indent + guides.fork, indent + guides.past))
            else:
                todo.append((child, indent + guides.end, indent + guides.space))
