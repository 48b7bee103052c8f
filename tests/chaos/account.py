"""The account that accountant.c keeps of its own calls in shared memory."""

import enum
import mmap
import struct
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from chaos.tally import Key, Tally

__all__ = ["CAPACITY", "Account", "Entry", "State", "What"]

CAPACITY: Final = 40_000
"""Entries."""
_HEAD: Final = struct.Struct("<8I")
_ENTRY: Final = struct.Struct("<4I2Q")
_U32: Final = struct.Struct("<I")
_STATUSES: Final = 100


class What(enum.IntEnum):
    """`enum what` of accountant.c."""

    STRUCK = 0
    OPEN = 1
    REOPEN = 2
    WRITE = 3
    READ = 4
    RENAME = 5
    CHMOD = 6
    TRUNCATE = 7
    LINK = 8
    SYMLINK = 9
    UNLINK = 10
    MKDIR = 11
    RMDIR = 12
    PIPE = 13
    FORK = 14
    VFORK = 15
    SPAWN = 16
    EXEC = 17
    IMAGE = 18
    EXIT = 19
    WAIT = 20
    THREAD_START = 21
    THREAD_EXIT = 22
    SIGNAL = 23
    KILL = 24


_ONLY_COUNTED: Final = frozenset(
    {What.PIPE, What.FORK, What.VFORK, What.SPAWN, What.EXEC, What.IMAGE, What.THREAD_START, What.THREAD_EXIT}
)
"""What tells nothing by which two of them could be held apart."""


class State(enum.IntEnum):
    """`enum state` of accountant.c."""

    EMPTY = 0
    BEGUN = 1
    DONE = 2


class Entry(NamedTuple):
    """A call; times in nanoseconds since 1970."""

    state: int
    what: int
    pid: int
    number: int
    began: int
    ended: int

    @property
    def key(self) -> Key:
        """How its event is known."""
        what = What(self.what)
        number = 0 if what in _ONLY_COUNTED else self.number
        if what is What.EXIT:
            number %= _STATUSES
        name = "open" if what is What.REOPEN else what.name.lower()
        return Key(self.pid, name, number)


class _Word:
    """One of the account's words that programs and tests use to tell each other something."""

    def __init__(self, place: int) -> None:
        self._place = 4 * place

    def __get__(self, account: "Account", _: object = None) -> int:
        return int(_U32.unpack_from(account.map, self._place)[0])

    def __set__(self, account: "Account", value: int) -> None:
        _U32.pack_into(account.map, self._place, value)


class Account:
    """A file that programs map: accountant.c says what stands where."""

    next = _Word(1)
    stop = _Word(2)
    gate_at = _Word(3)
    gate_thread = _Word(4)
    gate_entry = _Word(5)
    gate_open = _Word(6)

    def __init__(self, path: Path, capacity: int = CAPACITY) -> None:
        """Make it, with room for `capacity` entries."""
        self.path = path
        with path.open("x+b") as file:
            file.truncate(_HEAD.size + capacity * _ENTRY.size)
            self.map = mmap.mmap(file.fileno(), 0)
        _HEAD.pack_into(self.map, 0, capacity, 1, 0, 0, 0, 0, 0, 0)
        self._capacity = capacity

    def state(self, index: int) -> int:
        """How far one entry is."""
        return int(_U32.unpack_from(self.map, _HEAD.size + index * _ENTRY.size)[0])

    def is_full(self) -> bool:
        """Whether calls were made that had no entry any more."""
        return self.next >= self._capacity

    def entries(self) -> Iterator[Entry]:
        """Every call that was begun, in that order."""
        for index in range(1, min(self.next, self._capacity)):
            entry = Entry(*_ENTRY.unpack_from(self.map, _HEAD.size + index * _ENTRY.size))
            if entry.state != State.EMPTY and entry.what != What.STRUCK:
                yield entry

    def tally(self, started: Iterable[int], exited: Container[int]) -> Tally:
        """What must be known and what may be.

        `started` are processes that may have died before they could enter themselves, `exited` those that were seen to
        end by themselves.
        """
        tally = Tally()
        for pid in started:
            tally.add(Key(pid, "image", 0), 1, certain=False)
        for entry in self.entries():
            done = entry.state == State.DONE or (entry.what == What.EXIT and entry.pid in exited)
            tally.add(entry.key, 1, certain=done)
        return tally

    def close(self) -> None:
        """Let go of it; the file stays."""
        self.map.close()
