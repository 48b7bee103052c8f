"""What the events of a journal say that images did to files, as columns of rows.

An event costs more to read in Python than to store, so accesses.c of sidecar/native reads those that say what was done
to a file, or nothing that leaves a row, and stops at the others.
"""

import ctypes
import enum
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from interpose.sidecar.native import library
from interpose.v1 import event_pb2 as pb

__all__ = ["KINDS", "LONGEST_NAME", "Accesses", "Columns", "Stop"]

KINDS: Final = ("open", "read", "write", "load", "consult", "create", "truncate", "remove", "metadata")
"""Access.kind, in the order of enum ip_access_kind."""
LONGEST_NAME: Final = 2600
"""Bytes of base and path together. PostgreSQL keeps no longer ones in an index."""
_EFFECTS: Final = 128
_MOST_ACCESSES: Final = 2048
_MOST_FILES: Final = 1024
_MOST_NAMES: Final = 1024
_MOST_TEXT: Final = 1 << 16
_NAMES: Final = {field.number: field.name for field in pb.Event.DESCRIPTOR.oneofs_by_name["effect"].fields}
_NUMBERS: Final = {name: number for number, name in _NAMES.items()}


class Stop(enum.IntEnum):
    """Why reading stopped: enum ip_stop."""

    END = 0
    FULL = 1
    """There is no room for more: take everything, `forget`, and read on."""
    EVENT = 2
    """An event whose effect is wanted."""
    BORROWED = 3
    """An event of another process than the journal's."""
    MALFORMED = 4
    """A record without an event; it counts as a gap."""
    NOBODY = 5
    """An event that is no Origin, while it is not known whose accesses are read: find it out, and begin again."""


_Accesses = ctypes.c_int64 * _MOST_ACCESSES
_Files = ctypes.c_uint64 * _MOST_FILES
_Names = ctypes.c_int64 * _MOST_NAMES


class _Reading(ctypes.Structure):
    """struct ip_accesses."""

    _fields_ = (
        ("records", ctypes.c_char_p),
        ("size", ctypes.c_uint64),
        ("shift", ctypes.c_int64),
        ("wanted", ctypes.c_uint8 * _EFFECTS),
        ("image", ctypes.c_int64),
        ("at", ctypes.c_uint64),
        ("event_at", ctypes.c_uint64),
        ("event_size", ctypes.c_uint64),
        ("event_time", ctypes.c_int64),
        ("boot_time", ctypes.c_uint64),
        ("effect", ctypes.c_int64),
        ("events", ctypes.c_uint64),
        ("first", ctypes.c_int64),
        ("last", ctypes.c_int64),
        ("own", ctypes.c_int64),
        ("effects", ctypes.c_uint64 * _EFFECTS),
        ("long_names", ctypes.c_uint64),
        ("access_count", ctypes.c_uint64),
        ("access_image", _Accesses),
        ("access_file", _Accesses),
        ("access_time", _Accesses),
        ("access_kind", _Accesses),
        ("access_amount", _Accesses),
        ("access_size", _Accesses),
        ("access_modified", _Accesses),
        ("file_count", ctypes.c_uint64),
        ("file_device", _Files),
        ("file_inode", _Files),
        ("file_birth_time", _Files),
        ("file_mode", _Files),
        ("name_count", ctypes.c_uint64),
        ("name_file", _Names),
        ("name_first", _Names),
        ("name_last", _Names),
        ("name_at", _Names),
        ("name_base", _Names),
        ("name_path", _Names),
        ("text_size", ctypes.c_uint64),
        ("text", ctypes.c_uint8 * _MOST_TEXT),
        ("files", ctypes.c_uint16 * (2 * _MOST_FILES)),
        ("names", ctypes.c_uint16 * (2 * _MOST_NAMES)),
    )


class Columns(NamedTuple):
    """Accesses: the values of each column, as many in each."""

    images: list[int]
    files: list[int]
    """Indexes of files, which are numbered as Accesses.new_files tells them."""
    times: list[int]
    kinds: list[str]
    amounts: list[int]
    sizes: list[int | None]
    modified: list[int | None]


class Accesses:
    """Reads the records of one journal after the other; not for several threads at once."""

    def __init__(self, wanted: Iterable[str]) -> None:
        """`wanted` are the effects of which to tell by Stop.EVENT. Raises MissingError."""
        native = library()
        self._reading = reading = _Reading()
        for effect in wanted:
            reading.wanted[_NUMBERS[effect]] = 1
        self._pointer = ctypes.byref(reading)
        self._begin, self._find_origin, self._read_on = native.ip_begin, native.ip_find_origin, native.ip_read_on
        self._read_borrowed, self._forget = native.ip_read_borrowed, native.ip_forget
        self._columns = _columns(reading, "access", "image", "file", "time", "kind", "amount", "size", "modified")
        self._files = _columns(reading, "file", "device", "inode", "birth_time", "mode")
        self._names = _columns(reading, "name", "file", "at", "base", "path", "first", "last")
        self._text = memoryview(reading.text)
        self._told_files = 0
        self._records = b""

    def begin(self, records: bytes, shift: int, image: int) -> None:
        """Go on with these whole records, of this image's journal; 0 as long as it is not known.

        `shift` is what to add to their times to get nanoseconds since 1970, as long as no Origin says it.
        """
        reading = self._reading
        reading.records, reading.size, reading.shift, reading.image = records, len(records), shift, image
        self._records = records
        self._begin(self._pointer)

    def of(self, image: int) -> None:
        """Whose accesses are read from here on."""
        self._reading.image = image

    def find_origin(self) -> bool:
        """Whether an Origin of the journal's own process follows: then stop there. Reads no accesses."""
        return bool(self._find_origin(self._pointer))

    def read_on(self) -> int:
        """Read up to what the caller must know of: a Stop."""
        return int(self._read_on(self._pointer))

    def read_borrowed(self, image: int) -> None:
        """After Stop.BORROWED: read that event, as this image's."""
        owner, self._reading.image = self._reading.image, image
        self._read_borrowed(self._pointer)
        self._reading.image = owner

    def forget(self) -> None:
        """Forget files and names; accesses must be taken before, and names, or nobody gets them."""
        self._forget(self._pointer)
        self._told_files = 0

    def clear(self) -> None:
        """Forget everything that was not taken."""
        self._reading.access_count = 0
        self.forget()
        self.take_effects()
        self.take_long_names()

    # The event at which reading stands.

    @property
    def place(self) -> int:
        """Where in the records its body stands."""
        return int(self._reading.event_at)

    @property
    def time(self) -> int:
        """Nanoseconds since 1970."""
        return int(self._reading.event_time)

    @property
    def boot_time(self) -> int:
        """As it says itself."""
        return int(self._reading.boot_time)

    @property
    def effect(self) -> str:
        """Its name in the oneof of Event; empty for none that is known."""
        return _NAMES.get(self._reading.effect, "")

    def event(self) -> pb.Event:
        """All of it."""
        start = self._reading.event_at
        return pb.Event.FromString(self._records[start : start + self._reading.event_size])

    # What was read.

    def take(self) -> Columns | None:
        """The accesses that were not taken yet; None if there are none."""
        count = self._reading.access_count
        if not count:
            return None
        self._reading.access_count = 0
        images, files, times, kinds, amounts, sizes, modified = (column[:count].tolist() for column in self._columns)
        return Columns(
            images,
            files,
            times,
            [KINDS[kind] for kind in kinds],
            amounts,
            [size if when else None for size, when in zip(sizes, modified, strict=True)],
            [when or None for when in modified],
        )

    def new_files(self) -> Iterator[tuple[int, int, int, int]]:
        """Device, inode, birth time and type (S_IFMT) of the files that were not told yet, in the order of indexes."""
        first, self._told_files = self._told_files, self._reading.file_count
        return zip(*(column[first : self._told_files].tolist() for column in self._files), strict=True)

    def names(self) -> Iterator[tuple[int, bytes, bytes, int, int]]:
        """File, base and path, and when the file was seen first and last under it."""
        count, text = self._reading.name_count, bytes(self._text[: self._reading.text_size])
        columns = (column[:count].tolist() for column in self._names)
        for file, base, base_size, path_size, first, last in zip(*columns, strict=True):
            path = base + base_size
            yield file, text[base:path], text[path : path + path_size], first, last

    def take_long_names(self) -> int:
        """Names that were left out, since this was last asked."""
        count, self._reading.long_names = self._reading.long_names, 0
        return int(count)

    def extent(self) -> tuple[int, int, int]:
        """Events since `begin`, and the times of the earliest and the latest; zeros if there are none."""
        return self._reading.events, self._reading.first, self._reading.last

    def own(self) -> int:
        """The earliest time of an event of the journal's own process since `begin`; LATEST if there is none."""
        return int(self._reading.own)

    def take_effects(self) -> dict[str, int]:
        """Events by effect, since this was last asked."""
        effects = self._reading.effects
        found = {_NAMES.get(number, "unknown"): count for number, count in enumerate(effects) if count}
        ctypes.memset(effects, 0, ctypes.sizeof(effects))
        return found


def _columns(reading: _Reading, table: str, *names: str) -> "list[memoryview[int]]":
    views = (memoryview(getattr(reading, f"{table}_{name}")).cast("B") for name in names)
    return [view.cast("Q" if table == "file" else "q") for view in views]
