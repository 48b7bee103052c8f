"""The spool: the directory that a sidecar shares with the processes it captures.

Layout and rules are those of libinterpose/include/spool.h. Everything in a spool may be written by the processes that
are captured, so nothing in it is believed: its names are used as shared.py says, sizes are checked, and contents are
read with pread, never mapped (a file that somebody cuts short would kill a reader that maps it).
"""

import contextlib
import enum
import errno
import fcntl
import os
import re
import stat
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from interpose.sidecar.errors import SpoolBusyError, SpoolError
from interpose.sidecar.shared import SharedDirectory

__all__ = [
    "CONTROL",
    "DEFAULT_QUOTA",
    "EVENT",
    "FD",
    "JOURNAL",
    "JOURNAL_MAGIC",
    "SOCKET",
    "UNSTARTED",
    "UNSTARTED_KEPT",
    "UNSTARTED_OFFSET",
    "Descriptor",
    "Header",
    "Journal",
    "Kind",
    "Layout",
    "Level",
    "Segment",
    "Settings",
    "Spool",
    "UnstartedMark",
    "boot_time",
    "is_blank",
]

DEFAULT_QUOTA: Final = 16384
"""Journals; with 64 KiB each, 1 GiB."""

_PAGE: Final = 4096
_AHEAD: Final = 2
"""Segments that stand ready beyond the one in use."""
_F_OFD_GETLK: Final = 36
_F_OFD_SETLK: Final = 37
_FLOCK: Final = struct.Struct("hhqqi0q")  # struct flock of 64-bit machines
_MOST_AT_ONCE: Final = 8
"""Segments that one look makes: processes can make them too, and the number of claims may be nonsense."""
_MOST_REFUSED: Final = 1000
_MOST_LISTED: Final = 4096
"""Names that one look takes from the directory, beyond those of as many segments as there may be."""
_MOST_QUARANTINED: Final = 16
_OURS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors that say nothing of a file."""
_NOT_ITS_FAULT: Final = (*_OURS, errno.EIO, errno.EINTR)
"""Errors that say nothing of a spool: it is not given up for one of these."""
_U64: Final = struct.Struct("<Q")
_U32_MAX: Final = (1 << 32) - 1
_SEGMENT_NAME: Final = re.compile(r"segment-([0-9a-f]{8})\Z")
_CONTROL: Final = "control"
_LOCK: Final = "lock"
SOCKET: Final = "capture.sock"
"""Where the sidecar listens."""


class Level(enum.IntEnum):
    """What the library records: `enum ip_level`."""

    SUMMARY = 0
    CALLS = 1


class Redaction(enum.IntEnum):
    """Which variables of the environment are recorded without their values: `enum ip_redaction`."""

    SECRETS = 0
    ALL = 1


class Kind(enum.IntEnum):
    """`enum ip_journal_kind`."""

    HOME = 1
    CONTINUED = 2


class Layout:
    """One struct of spool.h: where its members stand, and how to read all of them at once."""

    def __init__(self, name: str, members: str) -> None:
        """`members` is a line per member: its C type (u8, u32, u64), its name, and `[n]` for an array."""
        self.name = name
        self.offsets: dict[str, int] = {}
        codes, position = [], 0
        for line in members.split(","):
            kind, member = line.split()
            member, _, count = member.removesuffix("]").partition("[")
            width = {"u8": 1, "u32": 4, "u64": 8}[kind]
            position += -position % width
            self.offsets[member] = position
            position += width * int(count or 1)
            codes.append((count or "") + {"u8": "s", "u32": "I", "u64": "Q"}[kind])
        self.struct = struct.Struct("<" + "".join(codes))
        self.size = position
        assert self.struct.size == position


CONTROL: Final = Layout(
    "ip_control",
    "u64 magic, u32 version, u32 level, u32 journal_size, u32 journals_per_segment, u64 quota, u8 id[16],"
    "u64 redaction, u64 reserved[9], u64 next_journal, u64 lost_processes[8], u64 unstarted[2],"
    "u64 reserved2[5], u64 released,"
    "u64 heartbeat",
)
UNSTARTED: Final = Layout(
    "ip_unstarted", "u64 time, u64 start_time, u64 pid_namespace, u32 pid, u32 cause, u8 program[96]"
)
UNSTARTED_OFFSET: Final = 320
UNSTARTED_KEPT: Final = 9
FD: Final = Layout(
    "ip_fd",
    "u64 device, u64 inode, u64 birth_time, u64 bytes_read, u64 bytes_written, u32 reads, u32 writes,"
    "u32 state, u32 epoch, u32 mode, u32 reserved,"
    "u64 reported_bytes_read, u64 reported_bytes_written, u32 reported_reads, u32 reported_writes,"
    "u64 telling_bytes_read, u64 telling_bytes_written, u32 telling_reads, u32 telling_writes,"
    "u64 record, u64 waiting",
)
JOURNAL: Final = Layout(
    "ip_journal",
    "u64 magic, u32 kind, u32 pid, u64 start_time, u32 fds_offset, u32 fds_count, u32 events_offset,"
    "u32 events_size, u64 number, u64 tail, u64 acknowledged, u64 lost_events, u64 lost_first, u64 lost_last,"
    "u64 lost_cause, u64 owner, u64 reserved[19]",
)

# Where in a descriptor's entry its counters stand, and what is reported of them, in the same order.
_MOVED: Final = FD.offsets["bytes_read"]
_STATE: Final = FD.offsets["state"]
_REPORTED: Final = FD.offsets["reported_bytes_read"]
_TELLING: Final = FD.offsets["telling_bytes_read"]
assert _STATE - _MOVED == _TELLING - _REPORTED
_FEW: Final = 16 * FD.size
"""Bytes of the descriptors that most processes do with."""

CONTROL_MAGIC: Final = 0x314C4F4F50535049
JOURNAL_MAGIC: Final = 0x314C4E524A505049
VERSION: Final = 2
SEGMENT_MAX: Final = 256 << 20
"""Bytes; IP_SEGMENT_MAX in libinterpose/include/spool.h."""
FD_KNOWN: Final = 1
FD_INTERNAL: Final = 16
RECORD_HELD: Final = 1
EVENT: Final = 0x0A
"""The tag of a record that is whole; here, because the OCI runtime wrapper has this module and not journal.py."""
RECORD_POSITION_BITS: Final = 28


def boot_time() -> int:
    """CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def is_blank(data: bytes, start: int) -> bool:
    """Whether nothing was ever written into `data` from `start` on."""
    return data[start:] == bytes(max(len(data) - start, 0))


@dataclass(frozen=True, slots=True)
class Settings:
    """The part of `struct ip_control` that never changes."""

    level: Level
    journal_size: int
    journals_per_segment: int
    quota: int
    id: bytes
    redaction: Redaction
    first: int = 0
    """The first journal that may be claimed; those below are mapped by processes that a checkpoint brought back."""

    @property
    def segment_size(self) -> int:
        """Bytes."""
        return self.journal_size * self.journals_per_segment


@dataclass(frozen=True, slots=True)
class Descriptor:
    """`struct ip_fd`: what one descriptor moved since its last Io event."""

    fd: int
    device: int
    inode: int
    birth_time: int
    bytes_read: int
    bytes_written: int
    reads: int
    writes: int
    mode: int
    internal: bool = False
    """libc opened it for itself."""


@dataclass(frozen=True, slots=True)
class Header:
    """The checked part of `struct ip_journal`."""

    kind: Kind
    pid: int
    start_time: int
    fds_offset: int
    fds_count: int
    events_offset: int
    events_size: int
    tail: int
    """A hint: no free byte of the events is below."""
    lost_events: int
    lost_first: int
    lost_last: int
    lost_cause: int


class Segment:
    """An open segment file. Its descriptor holds the locks that keep late owners out of abandoned journals."""

    def __init__(self, index: int, file: int, settings: Settings) -> None:
        self.index = index
        self.file = file
        self.settings = settings
        self.first = index * settings.journals_per_segment
        """The number of its first journal."""

    def close(self) -> None:
        """Give up the descriptor and all locks."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def _lock_at(self, slot: int) -> bytes:
        return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, slot * self.settings.journal_size, 1, 0)

    def is_live(self, slot: int) -> bool:
        """Whether somebody else holds the lock of this journal."""
        answer = fcntl.fcntl(self.file, _F_OFD_GETLK, self._lock_at(slot))
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def lock(self, slot: int) -> bool:
        """Take the lock of a journal that was claimed and never locked, so that a late owner claims another."""
        try:
            fcntl.fcntl(self.file, _F_OFD_SETLK, self._lock_at(slot))
        except (BlockingIOError, PermissionError):
            return False
        return True


class Journal:
    """One journal of a segment. Reading never raises: what cannot be read is empty."""

    __slots__ = ("_base", "number", "segment", "slot")

    def __init__(self, segment: Segment, slot: int) -> None:
        self.segment = segment
        self.slot = slot
        self.number = segment.first + slot
        self._base = slot * segment.settings.journal_size

    def is_live(self) -> bool:
        """Whether the process that claimed it still has it mapped."""
        return self.segment.is_live(self.slot)

    def lock(self) -> bool:
        """See Segment.lock."""
        return self.segment.lock(self.slot)

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`, counted from the journal's start; fewer if the file was cut short."""
        size = min(size, self.segment.settings.journal_size - offset)
        if size <= 0:
            return b""
        try:
            return os.pread(self.segment.file, size, self._base + offset)
        except OSError:
            return b""

    def is_born(self) -> bool:
        """Whether its header stands: the magic is written last."""
        return self.read(0, 8) == _U64.pack(JOURNAL_MAGIC)

    def header(self) -> Header | None:
        """The header, or None if it is not one."""
        raw = self.read(0, JOURNAL.size)
        if len(raw) < JOURNAL.size:
            return None
        (
            magic, kind, pid, start_time, fds_offset, fds_count, events_offset, events_size, number, tail, _acked,
            lost_events, lost_first, lost_last, lost_cause, _owner, *_reserved,
        ) = JOURNAL.struct.unpack(raw)  # fmt: skip
        size = self.segment.settings.journal_size
        if (
            magic != JOURNAL_MAGIC
            or kind not in (Kind.HOME, Kind.CONTINUED)
            or number != self.number
            or events_offset % 8
            or events_size % 8
            or events_offset < JOURNAL.size
            or events_offset + events_size > size
            or (fds_offset and fds_offset + fds_count * FD.size > events_offset)
        ):
            return None
        return Header(
            Kind(kind), pid, start_time, fds_offset, fds_count if fds_offset else 0, events_offset, events_size, tail,
            lost_events, lost_first, lost_last, lost_cause,
        )  # fmt: skip

    def descriptors(self, header: Header, is_told: Callable[[int, int], bool]) -> list[Descriptor]:
        """Those that moved bytes which no Io event has told of yet; `is_told` is Spool.is_told."""
        raw = self.read(header.fds_offset, header.fds_count * FD.size)
        if is_blank(raw, _FEW):
            raw = raw[:_FEW]
        found = []
        for fd, place in enumerate(range(0, len(raw) - FD.size + 1, FD.size)):
            if raw[place + _MOVED : place + _STATE] == raw[place + _REPORTED : place + _TELLING]:
                continue
            values = FD.struct.unpack_from(raw, place)
            device, inode, birth_time, *moved, state, _epoch, mode, _ = values[:11]
            reported, telling, (record, _waiting) = values[11:15], values[15:19], values[19:]
            told = telling if record and not record & RECORD_HELD and is_told(*_record_of(record)) else reported
            bytes_read, bytes_written = (max(whole - part, 0) for whole, part in zip(moved[:2], told[:2], strict=True))
            reads, writes = ((whole - part) & _U32_MAX for whole, part in zip(moved[2:], told[2:], strict=True))
            if reads or writes or bytes_read or bytes_written:
                if not state & FD_KNOWN:
                    device = inode = birth_time = mode = 0
                internal = bool(state & FD_INTERNAL)
                found.append(
                    Descriptor(fd, device, inode, birth_time, bytes_read, bytes_written, reads, writes, mode, internal)
                )
        return found

    def acknowledge(self, offset: int) -> None:
        """Tell the owner how many bytes of its events are in the database."""
        with contextlib.suppress(OSError):
            os.pwrite(self.segment.file, _U64.pack(offset), self._base + JOURNAL.offsets["acknowledged"])

    def give_up(self) -> None:
        """Tell the owner, who seems to be dead, to append nothing more: a checkpoint may bring it back."""
        with contextlib.suppress(OSError):
            os.pwrite(self.segment.file, bytes(8), self._base + JOURNAL.offsets["owner"])


@dataclass(frozen=True, slots=True)
class UnstartedMark:
    """A process that the library let go at its start, by its own word."""

    time: int
    """CLOCK_BOOTTIME in nanoseconds."""
    start_time: int
    pid_namespace: int
    pid: int
    cause: int
    """1: it was refused a system call; 2: there was no memory."""
    program: bytes
    """Padded with zeros."""


class Spool:
    """An open spool; at most one at a time in the whole system. `close` it, or use it as a context manager."""

    def __init__(self, directory: Path, shared: SharedDirectory, lock: int, control: int, settings: Settings) -> None:
        """Use `create` or `open`."""
        self.directory = directory
        self.settings = settings
        self.segments: dict[int, Segment] = {}
        """Those that exist, by index. `refresh` keeps it true."""
        self.refused: set[str] = set()
        """Names of what was found and not believed; not more of them than anybody reads."""
        self.shared = shared
        """The directory, open."""
        self._lock, self._control = lock, control
        self._made = 0
        """Every segment below this index exists or did."""
        self._gone = 0
        """Journals that are gone: `released` as this sidecar knows it, for processes can write there."""
        try:
            self._gone = min(self._word(CONTROL.offsets["released"]), self._word(CONTROL.offsets["next_journal"]))
            self._find_segments()
            self._made = max(self.segments, default=self._next_segment() - 1) + 1
            with contextlib.suppress(SpoolError):  # where there is no room, what is there can be read, and makes room
                self.refresh()
        except OSError as error:
            self.close()
            raise SpoolError(f"cannot look into the spool {directory}: {error.strerror}") from error
        except SpoolError:
            self.close()
            raise

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        level: Level = Level.SUMMARY,
        redaction: Redaction = Redaction.SECRETS,
        quota: int = DEFAULT_QUOTA,
        journal_size: int = 65536,
        journals_per_segment: int = 64,
        mapped: Collection[int] = (),
    ) -> Self:
        """Make the directory (its parent must exist), `control` and the first segments, and open it.

        `quota` counts journals that are claimed and not yet collected; `journal_size` is in bytes, a multiple of
        64 KiB. `mapped` are segments that processes will expect there which are restored from a checkpoint: nobody
        claims a journal up to those. Raises SpoolError, also for a spool that is already there.
        """
        if not _sensible(journal_size, journals_per_segment):
            raise SpoolError(
                f"{journals_per_segment} journals of {journal_size} bytes: give a multiple of 65536, and at least one "
                f"journal but at most {SEGMENT_MAX >> 20} MiB to a segment"
            )
        first = max(mapped, default=-1) + 1
        settings = Settings(
            level, journal_size, journals_per_segment, quota, os.urandom(16), redaction, first * journals_per_segment
        )
        try:
            with contextlib.suppress(FileExistsError):
                directory.mkdir()
                directory.chmod(0o711)
            shared = SharedDirectory.open(directory)
        except OSError as error:
            raise SpoolError(f"cannot make the spool {directory}: {error.strerror}") from error
        with contextlib.ExitStack() as undo:
            undo.enter_context(shared)
            try:
                lock = _take_lock(shared, directory)
                undo.callback(os.close, lock)
                _refuse_existing(shared, directory)
                for index in (*mapped, *range(first, first + _AHEAD)):
                    _make_segment(shared, index, settings)
                _make_control(shared, settings)
                control = _open_of_size(shared, _CONTROL, _PAGE)
            except OSError as error:
                raise SpoolError(
                    f"cannot make the spool {directory}: {error.strerror}; free space or remove it"
                ) from error
            undo.pop_all()
        return cls(directory, shared, lock, control, settings)

    @classmethod
    def open(cls, directory: Path, settings: Settings | None = None) -> Self:
        """Open a spool that `create` made, now or before. Raises SpoolError, or SpoolBusyError if it is in use.

        `settings` are what `create` made it with, for who does not believe `control`, which its processes can write.
        """
        try:
            shared = SharedDirectory.open(directory)
        except OSError as error:
            raise SpoolError(f"cannot open the spool {directory}: {error.strerror}") from error
        with contextlib.ExitStack() as undo:
            undo.enter_context(shared)
            try:
                control = _open_of_size(shared, _CONTROL, _PAGE)
                undo.callback(os.close, control)
                if settings is None:
                    settings = _read_settings(os.pread(control, CONTROL.size, 0), directory)
                lock = _take_lock(shared, directory)
                undo.callback(os.close, lock)
                _remove_leftovers(shared)
            except OSError as error:
                raise SpoolError(
                    f"{directory} is not a spool: {error.strerror}: {error.filename or _CONTROL}"
                ) from error
            undo.pop_all()
        return cls(directory, shared, lock, control, settings)

    @staticmethod
    def exists(directory: Path) -> bool:
        """Whether `open` has something to open there."""
        try:
            with SharedDirectory.open(directory) as shared:
                shared.status(_CONTROL)
        except OSError:
            return False
        return True

    @staticmethod
    def last_beat(directory: Path) -> int | None:
        """When a sidecar last wrote into it, nanoseconds since 1970, as its processes let us believe.

        None if it has no control page any more that could be opened: they have seen to that. Raises OSError for errors
        that say nothing of the spool.
        """
        try:
            with SharedDirectory.open(directory) as shared:
                status = shared.status(_CONTROL)
        except OSError as error:
            if error.errno in _NOT_ITS_FAULT:
                raise
            return None
        return status.st_mtime_ns if stat.S_ISREG(status.st_mode) and status.st_size == _PAGE else None

    @staticmethod
    def is_busy(directory: Path) -> bool:
        """Whether a sidecar works on it just now."""
        try:
            with SharedDirectory.open(directory) as shared:
                file = shared.open_file(_LOCK, write=False)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def close(self) -> None:
        """Let go of everything; the files stay."""
        for segment in self.segments.values():
            segment.close()
        self.segments.clear()
        self.shared.close()
        _close(self._control, self._lock)
        self._control = self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What the processes write.

    def _word(self, offset: int) -> int:
        raw = os.pread(self._control, 8, offset)
        return int(_U64.unpack(raw)[0]) if len(raw) == 8 else 0

    def claimed(self) -> int:
        """Journals below this number are claimed; never more than the quota allows, whatever stands there."""
        return min(self._word(CONTROL.offsets["next_journal"]), self._most_claimed())

    def claims_nonsense(self) -> bool:
        """Whether more are claimed than processes claim, who stop at the quota."""
        return self._word(CONTROL.offsets["next_journal"]) > self._most_claimed()

    def _most_claimed(self) -> int:
        return (self._made + 1) * self.settings.journals_per_segment + self.settings.quota

    def lost_processes(self) -> list[int]:
        """Processes that got no journal, by Gap.Cause."""
        return [self._word(CONTROL.offsets["lost_processes"] + 8 * cause) for cause in range(8)]

    def unstarted(self) -> tuple[int, int]:
        """Processes that the library let go at their start: refused a call, or without memory."""
        start = CONTROL.offsets["unstarted"]
        return self._word(start), self._word(start + 8)

    def unstarted_marks(self) -> list[UnstartedMark]:
        """What is known of the last of them. Anything may stand there."""
        raw = os.pread(self._control, UNSTARTED_KEPT * UNSTARTED.size, UNSTARTED_OFFSET)
        whole = range(0, len(raw) - UNSTARTED.size + 1, UNSTARTED.size)
        return [UnstartedMark(*UNSTARTED.struct.unpack_from(raw, at)) for at in whole]

    # What the sidecar writes.

    def beat(self) -> None:
        """Tell the processes that somebody looks."""
        with contextlib.suppress(OSError):
            os.pwrite(self._control, _U64.pack(boot_time()), CONTROL.offsets["heartbeat"])

    def refresh(self) -> None:
        """Open segments that have appeared, refuse what is not one, keep enough of them ahead.

        Raises SpoolError when there is no room for another; what is there stays usable.
        """
        try:
            self._find_segments()
        except OSError as error:
            raise SpoolError(f"cannot look into the spool {self.directory}: {error.strerror}") from error
        self._made = max([self._made, *(index + 1 for index in self.segments)])
        per = self.settings.journals_per_segment
        wanted = min(self.claimed() // per + _AHEAD, self._made + _MOST_AT_ONCE)
        while self._made < wanted and len(self.segments) * per < self.settings.quota:
            try:
                _make_segment(self.shared, self._made, self.settings)
                self._open_segment(f"segment-{self._made:08x}", self._made)
            except OSError as error:
                raise SpoolError(f"no room for journals in {self.directory}: {error.strerror}; free space") from error
            self._made += 1

    def _next_segment(self) -> int:
        """The index of the segment that the next claim falls into."""
        return min(self._word(CONTROL.offsets["next_journal"]) // self.settings.journals_per_segment, 0xFFFF0000)

    def _most_segments(self) -> int:
        """How many segments may be there at once: what the quota allows, and what stands ahead."""
        return -(-self.settings.quota // self.settings.journals_per_segment) + 1 + _AHEAD

    def _last_segment(self) -> int:
        """The largest index that a segment can have: processes claim no further than the quota goes from `released`."""
        by_quota = (self._gone + self.settings.quota) // self.settings.journals_per_segment + 1
        return min(self._next_segment(), by_quota) + _AHEAD

    def _find_segments(self) -> None:
        most, last = self._most_segments(), self._last_segment()
        limit = _MOST_LISTED + 2 * most
        names = self.shared.names(limit)
        matches = filter(None, map(_SEGMENT_NAME.match, names))
        for index in sorted({int(match[1], 16) for match in matches} - set(self.segments)):
            if index <= last and self._has_room(index):
                self._open_segment(f"segment-{index:08x}", index)
            else:
                self._refuse(f"segment-{index:08x}")
        if len(names) == limit:
            # Somebody has filled the directory: what must be there may stand behind that.
            for index in range(max(last - min(most, _MOST_LISTED), 0), last + 1):
                if index not in self.segments and self._has_room(index):
                    self._open_segment(f"segment-{index:08x}", index)

    def _has_room(self, index: int) -> bool:
        """Whether one more segment may be open; those of restored processes are counted by themselves."""
        first = self.settings.first // self.settings.journals_per_segment
        return sum((other < first) == (index < first) for other in self.segments) < self._most_segments()

    def _open_segment(self, name: str, index: int) -> None:
        try:
            self.segments[index] = Segment(
                index, _open_of_size(self.shared, name, self.settings.segment_size), self.settings
            )
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno in _OURS:
                raise
            self._refuse(name)

    def _refuse(self, name: str) -> None:
        if len(self.refused) < _MOST_REFUSED:
            self.refused.add(name)

    def remove(self, segment: Segment) -> None:
        """Remove a segment of which every journal is done, and tell the processes that there is room again.

        `released` counts the journals that are gone; a process compares it with the number of journals claimed.
        """
        with contextlib.suppress(OSError):
            self.shared.remove_file(f"segment-{segment.index:08x}")
        self.segments.pop(segment.index).close()
        self.release()

    def quarantine(self, journal: Journal) -> None:
        """Keep the bytes of a journal that makes no sense, for whoever wants to know why; those of a few."""
        name = f"corrupt-{journal.number:08x}"
        with contextlib.suppress(OSError):
            limit = _MOST_LISTED + 2 * self._most_segments()
            names = self.shared.names(limit)
            if len(names) == limit or sum(map(_is_quarantined, names)) >= _MOST_QUARANTINED:
                return
            file = self.shared.make_file(name, 0o600)
            try:
                os.write(file, journal.read(0, self.settings.journal_size))
            finally:
                os.close(file)

    def is_told(self, number: int, position: int) -> bool:
        """Whether the record at `position` of a journal is an event.

        Where the journal is gone it was one: while a record is begun its journal stays mapped, and thereafter the
        segment stays until the home journal of its process is read.
        """
        segment = self.segments.get(number // self.settings.journals_per_segment)
        if segment is None:
            return True
        journal = Journal(segment, number % self.settings.journals_per_segment)
        header = journal.header()
        return header is not None and journal.read(header.events_offset + position, 1) == bytes([EVENT])

    def release(self) -> None:
        """Write `released`."""
        per = self.settings.journals_per_segment
        full = min(self.claimed() // per, self._made)
        first = self.settings.first // per
        gone = (full - sum(first <= index < full for index in self.segments)) * per
        self._gone = max(gone, 0)
        with contextlib.suppress(OSError):
            os.pwrite(self._control, _U64.pack(self._gone), CONTROL.offsets["released"])

    @property
    def id(self) -> str:
        """The spool's id in hex."""
        return self.settings.id.hex()


def _is_quarantined(name: str) -> bool:
    return name.startswith("corrupt-")


def _record_of(name: int) -> tuple[int, int]:
    """The journal and the position that IP_RECORD_NAME made a name of."""
    return (name >> RECORD_POSITION_BITS) - 1, name & ((1 << RECORD_POSITION_BITS) - 1)


def _close(*files: int) -> None:
    for file in files:
        if file >= 0:
            os.close(file)


def _refuse_existing(shared: SharedDirectory, directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shared.status(_CONTROL)
        raise SpoolError(f"{directory} is a spool already: open it, or choose another directory")


def _open_of_size(shared: SharedDirectory, name: str, size: int) -> int:
    """Open a file of exactly this size; OSError for anything else."""
    file = shared.open_file(name)
    if os.fstat(file).st_size == size:
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "not a file of the right size", name)


def _take_lock(shared: SharedDirectory, directory: Path) -> int:
    file = _open_lock(shared)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise SpoolBusyError(f"another sidecar works on {directory}: stop it first") from error
    return file


def _open_lock(shared: SharedDirectory) -> int:
    """Nobody but a container puts something there that is no file: it makes way."""
    with contextlib.suppress(OSError):
        return shared.open_file(_LOCK)
    shared.clear(_LOCK)
    return shared.make_file(_LOCK, 0o600)


def _sensible(journal_size: int, journals_per_segment: int) -> bool:
    return journal_size % 65536 == 0 and 0 < journal_size * journals_per_segment <= SEGMENT_MAX


def _read_settings(raw: bytes, directory: Path) -> Settings:
    if len(raw) < CONTROL.size:
        raise SpoolError(f"{directory} is not a spool: control is too short")
    magic, version, level, journal_size, per, quota, id_, redaction = CONTROL.struct.unpack(raw)[:8]
    if magic != CONTROL_MAGIC or level not in iter(Level) or redaction not in iter(Redaction):
        raise SpoolError(f"{directory} is not a spool: control does not begin as one")
    if version != VERSION:
        raise SpoolError(f"{directory} is a spool of version {version}, not {VERSION}: use the release that made it")
    if not _sensible(journal_size, per):
        raise SpoolError(f"{directory} is not a spool: control's sizes make no sense")
    return Settings(Level(level), journal_size, per, quota, id_, Redaction(redaction))


def _make_control(shared: SharedDirectory, settings: Settings) -> None:
    values = {
        "magic": CONTROL_MAGIC,
        "version": VERSION,
        "level": settings.level,
        "journal_size": settings.journal_size,
        "journals_per_segment": settings.journals_per_segment,
        "quota": settings.quota,
        "redaction": settings.redaction,
        "next_journal": settings.first,
        "released": settings.first,
        "heartbeat": boot_time(),
    }
    page = bytearray(_PAGE)
    for name, value in values.items():
        width = 4 if name in ("version", "level", "journal_size", "journals_per_segment") else 8
        page[CONTROL.offsets[name] : CONTROL.offsets[name] + width] = value.to_bytes(width, "little")
    page[CONTROL.offsets["id"] : CONTROL.offsets["id"] + 16] = settings.id
    _publish(shared, _CONTROL, bytes(page), _PAGE)


def _make_segment(shared: SharedDirectory, index: int, settings: Settings) -> None:
    _publish(shared, f"segment-{index:08x}", b"", settings.segment_size)


def _publish(shared: SharedDirectory, name: str, content: bytes, size: int) -> None:
    """Make a file of `size` allocated bytes and give it its name when it is whole; an existing one is left as it is."""
    temporary = f".{name}.{os.getpid()}.{os.urandom(4).hex()}"
    file = shared.make_file(temporary, 0o666)
    try:
        os.fchmod(file, 0o666)  # whatever the umask: processes that change their user write too
        _allocate(file, size)
        os.pwrite(file, content, 0)
        with contextlib.suppress(FileExistsError):
            shared.publish(file, name)
    finally:
        os.close(file)
        with contextlib.suppress(OSError):
            shared.remove_file(temporary)


def _allocate(file: int, size: int) -> None:
    """Reserve every block, so that a store into a mapping of the file never meets a full disk (SIGBUS)."""
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        zeros = bytes(1 << 20)  # musl does not emulate it
        for start in range(0, size, len(zeros)):
            os.pwrite(file, zeros[: size - start], start)


def _remove_leftovers(shared: SharedDirectory) -> None:
    """Remove temporary files of makers that died; those of live ones are young."""
    for name in shared.names(_MOST_LISTED):
        if name.startswith((".segment-", ".control.", ".draft-")):
            with contextlib.suppress(OSError):
                if time.time() - shared.status(name).st_mtime > 60:
                    shared.remove_file(name)
