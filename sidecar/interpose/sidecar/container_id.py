"""What a container's id may be: the one place that decides it, for ids become names of files of ours.

`interpose-oci` is made of this module too, and imports it for every container: so there is no pattern to compile.
"""

from typing import Final, Self

__all__ = ["LETTERS", "ContainerId"]

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-"
"""What runc takes; the hyphen is last, so that they may stand as they are between a shell pattern's brackets."""
_LONGEST: Final = 255
"""NAME_MAX: no runtime could keep the state of a longer one."""


class ContainerId(str):
    """An id that names an entry of a directory, and nothing beside or above it. ValueError for any other."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The same text, checked."""
        if text in ("", ".", "..") or len(text) > _LONGEST or not set(text) <= set(LETTERS):
            raise ValueError(f"no container's id: {text[:_LONGEST]!r}")
        return super().__new__(cls, text)
