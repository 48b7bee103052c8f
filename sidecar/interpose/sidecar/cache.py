"""A bounded mapping that keeps what is used."""

from typing import Generic, TypeVar

__all__ = ["Cache"]

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Keeps at least the `size` entries that were used last, at most twice as many; a hit costs one dict access."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.young: dict[K, V] = {}
        """Where most of what is used stands: who asks often looks here first."""
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value, or None."""
        found = self.young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self[key] = found
        return found

    def __setitem__(self, key: K, value: V) -> None:
        """Keep a value."""
        if len(self.young) >= self._size:
            self._old, self.young = self.young, {}
        self.young[key] = value

    def clear(self) -> None:
        """Forget everything."""
        self.young, self._old = {}, {}
