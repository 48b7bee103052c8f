"""What events say of files, by protobuf's own reader: what interpose.sidecar.accesses must say of the same bytes."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from stat import S_IFMT
from typing import Any

from google.protobuf.message import DecodeError

from interpose.sidecar.accesses import LONGEST_NAME, Accesses, Stop
from interpose.sidecar.memory import LATEST, clipped, signed
from interpose.v1 import event_pb2 as pb

__all__ = ["WANTED", "Said", "as_protobuf_reads", "as_read"]

WANTED = ("origin", "gap", "exec", "rename")
_CREATED = {"mkdir": "create", "mknod": "create", "symlink": "create", "unlink": "remove"}
_PLAIN = dict.fromkeys(("chmod", "chown", "utime"), "metadata") | _CREATED | {"load": "load", "consult": "consult"}
_EINPROGRESS = 115
_OWNER, _BORROWER = 5, 1 << 62


@dataclass
class Said:
    """What was read."""

    accesses: list[tuple[Any, ...]] = field(default_factory=list)
    """Whether it was borrowed, device, inode, birth time, type, time, kind, amount, size, modified."""
    names: dict[tuple[Any, ...], list[int]] = field(default_factory=dict)
    """First and last time, by device, inode, birth time, type, base and path."""
    stops: list[tuple[Any, ...]] = field(default_factory=list)
    """Stop, index of the event, its effect, time and boot time."""
    effects: Counter[str] = field(default_factory=Counter)
    extent: tuple[int, int, int] = (0, 0, 0)
    own: int = LATEST
    long_names: int = 0


def as_read(reader: Accesses, records: bytes, places: Sequence[int], shift: int) -> Said:
    """By the part in C; `places` is where the events' bodies stand."""
    said, files = Said(), list[tuple[int, ...]]()

    def take() -> None:
        columns = reader.take()
        if columns is not None:
            files.extend(reader.new_files())
            for image, file, *rest in zip(*columns, strict=True):
                said.accesses.append((image == _BORROWER, *files[file], *rest))

    def take_names() -> None:
        for file, base, path, first, last in reader.names():
            seen = said.names.setdefault((*files[file], base, path), [first, last])
            seen[0], seen[1] = min(seen[0], first), max(seen[1], last)
        reader.forget()
        files.clear()

    reader.begin(records, shift, _OWNER)
    while (stop := reader.read_on()) != Stop.END:
        if stop == Stop.FULL:
            take()
            take_names()
            continue
        index = places.index(reader.place)
        said.stops.append((Stop(stop), index, reader.effect, reader.time, reader.boot_time))
        if stop == Stop.BORROWED:
            reader.read_borrowed(_BORROWER)
    take()
    take_names()
    said.effects.update(reader.take_effects())
    said.extent, said.own, said.long_names = reader.extent(), reader.own(), reader.take_long_names()
    return said


def as_protobuf_reads(bodies: Sequence[bytes], shift: int, wanted: Collection[str] = WANTED) -> Said:
    """By protobuf."""
    said, before, times = Said(), 0, list[int]()
    for index, body in enumerate(bodies):
        event, stop = pb.Event(time=before, gap=pb.Gap()), Stop.MALFORMED
        with suppress(DecodeError):
            event, stop = pb.Event.FromString(body), Stop.END
        before = event.time
        effect, borrowed = event.WhichOneof("effect"), event.HasField("process")
        if effect is None and not event.time:
            continue
        if effect == "origin" and not borrowed:
            shift = event.origin.realtime_offset
        time = clipped(event.time + shift)
        times.append(time)
        said.effects[effect or "unknown"] += 1
        said.own = said.own if borrowed else min(said.own, time)
        if stop is Stop.END and borrowed:
            stop = Stop.BORROWED
        elif stop is Stop.END and effect in wanted:
            stop = Stop.EVENT
        if stop is not Stop.MALFORMED:
            _add(said, event, time, borrowed=borrowed)
        if stop is not Stop.END:
            said.stops.append((stop, index, effect or "", time, event.time))
    if times:
        said.extent = len(times), min(times), max(times)
    return said


def _add(said: Said, event: pb.Event, time: int, *, borrowed: bool) -> None:
    effect = event.WhichOneof("effect")
    if event.error and not (effect == "connect" and event.error == _EINPROGRESS):
        return
    content = getattr(event, effect or "", None)
    uses = list(_uses(effect, content))
    if not uses or not content.file.inode:
        return
    file = content.file
    identity = (file.device, file.inode, file.birth_time, S_IFMT(file.mode))
    state = (signed(file.size), signed(file.modified)) if file.modified else (None, None)
    for kind, amount in uses:
        said.accesses.append((borrowed, *identity, time, kind, signed(amount), *state))
    name = getattr(content, "name", pb.Name())
    base = b"" if name.path.startswith(b"/") else name.base
    if len(base) + len(name.path) > LONGEST_NAME:
        said.long_names += 1
    elif base or name.path:
        seen = said.names.setdefault((*identity, base, name.path), [time, time])
        seen[0], seen[1] = min(seen[0], time), max(seen[1], time)


def _uses(effect: str | None, content: Any) -> Iterator[tuple[str, int]]:
    """Kinds and amounts of the accesses that an effect is."""
    if effect == "open":
        kinds = [kind for kind in ("create", "truncate") if getattr(content, kind)]
        yield from ((kind, 0) for kind in kinds or ["open"])
    elif effect == "io":
        if content.bytes_read or content.reads:
            yield "consult" if content.internal else "read", content.bytes_read
        if content.bytes_written or content.writes:
            yield "write", content.bytes_written
    elif effect == "map":
        if content.execute or content.read:
            yield "load" if content.execute else "read", 0
        if content.write:
            yield "write", 0
    elif effect in ("accept", "connect"):
        yield "open", 0
    elif effect == "truncate":
        yield "write" if content.length else "truncate", 0
    elif effect == "xattr":
        if content.write:
            yield "metadata", 0
    elif effect in _PLAIN:
        yield _PLAIN[effect], 0
