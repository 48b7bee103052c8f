"""Expected events: what a snippet's first comment says, and whether captured events are that.

    needs: exec glibc>=2.34             targets that run it; all without this line
    events:                             of the process that runs the topic
      open creat path=new fd=@a write   effect, function, fields; @a stands for one value throughout,
                                        of inodes for one inode
      signal - signal=10                `none`: the event came by itself, `-`: any function
      [musl] ...                        only there, or only in that mode (also of a process)
      sum io bytes_read=3               over all events of that effect
    process fork:                       of the next process, a forked one
    process image ...:                  of the next, one that executed something; `...` for any events

A field that is named alone is true, and a boolean field that is not named is false. `*` is any value but zero.
`path` and `base` are the name's; WORK in a value is the folder that the topic ran in.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from interpose.v1.event_pb2 import Event, Origin
from support.roots import Target

__all__ = ["MODES", "Expected", "Snippet", "canonical", "difference", "effect_of", "read_snippet", "show"]

MODES = ("main", "constructor", "thread", "fork", "preinit")
"""How the harness runs a topic; conditions may name them."""
_SHORT = {"path": "name.path", "base": "name.base", "inode": "file.inode"}
_OLD = {"__xstat": "stat", "__fxstat": "fstat", "__lxstat": "lstat", "__fxstatat": "fstatat"}
_OLD |= {"__xmknod": "mknod", "__xmknodat": "mknodat", "_IO_popen": "popen"}


@dataclass(frozen=True)
class Expected:
    """One line."""

    effect: str
    functions: tuple[str, ...]
    fields: tuple[tuple[str, str | bool], ...]
    text: str


@dataclass
class Section:
    """The events of one process."""

    kind: str
    events: list[tuple[str, Expected]] = field(default_factory=list)
    any: bool = False
    when: str = ""


@dataclass(frozen=True)
class Snippet:
    """A topic's first comment."""

    name: str
    needs: tuple[str, ...]
    sections: tuple[Section, ...]

    def runs_on(self, target: Target) -> bool:
        """Whether the target has what it needs."""
        return all(map(target.satisfies, self.needs))

    def expected(self, target: Target, mode: str) -> list[tuple[str, list[Expected] | None]]:
        """For each process its kind and its events, None for any."""
        return [
            (
                section.kind,
                None if section.any else [event for when, event in section.events if _holds(target, mode, when)],
            )
            for section in self.sections
            if _holds(target, mode, section.when)
        ]


def _holds(target: Target, mode: str, when: str) -> bool:
    return all(
        (mode == word.removeprefix("!")) != word.startswith("!")
        if word.removeprefix("!") in MODES
        else target.satisfies(word)
        for word in when.split()
    )


def read_snippet(path: Path) -> Snippet:
    """Read the first comment of a topic."""
    comment = re.match(r"/\*(.*?)\*/", path.read_text(encoding="utf-8"), re.DOTALL)
    assert comment, f"{path.name} begins with no comment"
    needs: tuple[str, ...] = ()
    sections: list[Section] = []
    for raw in comment[1].splitlines():
        line = raw.strip().removeprefix("*").strip()
        if line.startswith("needs:"):
            needs = tuple(line.removeprefix("needs:").split())
        elif line == "events:":
            sections.append(Section("main"))
        elif started := re.fullmatch(r"(?:\[([^\]]*)\] )?process (fork|image)( \.\.\.)?:", line):
            sections.append(Section(started[2], any=bool(started[3]), when=started[1] or ""))
        elif sections and line:
            when, text = re.fullmatch(r"(?:\[([^\]]*)\])?\s*(.*)", line).groups()  # type: ignore[union-attr]
            sections[-1].events.append((when or "", _expected(text)))
    assert sections, f"{path.name} says nothing of events"
    return Snippet(path.stem, needs, tuple(sections))


def _expected(text: str) -> Expected:
    effect, functions, *words = text.split()
    fields: list[tuple[str, str | bool]] = []
    for word in words:
        name, given, value = word.partition("=")
        fields.append((_SHORT.get(name, name), value if given else True))
    names = () if functions == "none" else functions.split("|")
    return Expected(effect, tuple(map(canonical, names)) or ("",), tuple(fields), text)


def canonical(function: str) -> str:
    """One name for a function's many: __open64_2 is open."""
    if function in _OLD or function.removesuffix("64") in _OLD:
        return _OLD[function.removesuffix("64")] if function.removesuffix("64") in _OLD else _OLD[function]
    if function.startswith("__"):
        function = re.sub(r"_(2|chk)$", "", function.removeprefix("__"))
    return function.removesuffix("64")


def effect_of(event: Event) -> str:
    """The name of its effect."""
    return event.WhichOneof("effect") or "none"


def difference(expected: Sequence[Expected], events: Sequence[Event], known: dict[str, Any], work: Path) -> str | None:
    """The first difference in words, None if there is none. `known` collects what @names stand for."""
    sums = [line for line in expected if line.effect == "sum"]
    expected = [line for line in expected if line.effect != "sum"]
    for position in range(max(len(expected), len(events))):
        wanted = expected[position] if position < len(expected) else None
        event = events[position] if position < len(events) else None
        problem = _compare(wanted, event, known, work)
        if problem:
            lines = [f"{problem} in event {position + 1}:", *(f"  {show(each)}" for each in events)]
            return "\n".join([*lines, "expected:", *(f"  {each.text}" for each in expected)])
    for line in sums:
        for name, value in line.fields:
            found = sum(getattr(event.io, name) for event in events if effect_of(event) == line.functions[0])
            if found != int(value):
                return f"sum of {name} is {found}, not {value}"
    return None


def _compare(wanted: Expected | None, event: Event | None, known: dict[str, Any], work: Path) -> str | None:
    if wanted is None or event is None:
        return "one too many" if wanted is None else "one too few"
    effect = effect_of(event)
    if wanted.effect != effect:
        return f"{wanted.effect} expected"
    if wanted.functions != ("-",) and canonical(event.function) not in wanted.functions:
        return f"function {'|'.join(wanted.functions)} expected"
    message = getattr(event, effect)
    named = {name for name, _ in wanted.fields}
    for name, value in wanted.fields:
        found = _field(event, message, name)
        if not _is(found, value, known if not name.endswith("inode") else known.setdefault("inodes", {}), work):
            return f"{name}={value} expected, not {found!r}"
    for member, set_ in message.ListFields():
        if member.type == FieldDescriptor.TYPE_BOOL and set_ and member.name not in named:
            return f"no {member.name} expected"
    if event.error and "error" not in named:
        return "no error expected"
    return None


def _field(event: Event, message: Message, path: str) -> Any:
    value: Any = event if path in ("error", "thread", "process.pid") else message
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _is(found: Any, value: str | bool, known: dict[str, Any], work: Path) -> bool:
    if isinstance(value, bool):
        return found is value
    if value == "*":
        return bool(found)
    if value.startswith("@"):
        return bool(known.setdefault(value, found) == found)
    if isinstance(found, bytes):
        return bool(re.fullmatch(re.escape(value).replace(r"\*", ".*"), found.decode().replace(str(work), "WORK")))
    if isinstance(found, str):
        return found == value
    if isinstance(found, Message):
        return f"{found}" == value
    if not isinstance(found, int):
        return value == ",".join(item.decode() for item in found).replace(str(work), "WORK")
    return bool(found == int(value, 0))


def show(event: Event) -> str:
    """One line."""
    effect = effect_of(event)
    where = f" process={event.process.pid}" if event.HasField("process") else ""
    error = f" error={event.error}" if event.error else ""
    return f"{effect} {event.function or '-'}{where}{error} {' '.join(_fields(getattr(event, effect), ''))}"


def _fields(message: Message, prefix: str) -> Iterable[str]:
    for member, value in message.ListFields():
        if isinstance(value, Message):
            if member.name == "file":
                yield f"{prefix}inode={value.inode}"  # type: ignore[attr-defined]
            else:
                yield from _fields(value, f"{prefix}{member.name}.")
        elif isinstance(value, bytes):
            yield f"{prefix}{member.name}={value.decode(errors='replace')}"
        elif value is True:
            yield f"{prefix}{member.name}"
        else:
            yield f"{prefix}{member.name}={value}"


def reason(event: Event) -> str:
    """`fork` or `image`, of a journal's first event."""
    return {Origin.REASON_FORK: "fork", Origin.REASON_IMAGE: "image"}.get(event.origin.reason, "continued")
