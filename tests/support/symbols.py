"""What a shared object exports, as `nm -D --defined-only --with-symbol-versions` would list it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Symbol", "exported"]

_SHT_DYNSYM, _SHT_VERDEF, _SHT_VERSYM = 11, 0x6FFFFFFD, 0x6FFFFFFF
_FUNCTION_TYPES = {2, 10}  # STT_FUNC, STT_GNU_IFUNC


@dataclass(frozen=True)
class Symbol:
    """A function that other objects can be linked to; `version` is empty where the object has none."""

    name: str
    version: str
    default: bool
    """Whether new programs are linked to this version of it."""


@dataclass(frozen=True)
class _Section:
    kind: int
    offset: int
    size: int
    link: int
    info: int


def exported(path: Path) -> list[Symbol]:
    """The functions that a 64-bit little-endian ELF object exports."""
    content = path.read_bytes()
    if content[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{path} is no 64-bit little-endian ELF object")
    sections = list(_sections(content))
    table = next(section for section in sections if section.kind == _SHT_DYNSYM)
    versions = _versions(content, sections)
    numbers = next((section for section in sections if section.kind == _SHT_VERSYM), None)
    names = sections[table.link]
    found = []
    for index in range(table.size // 24):
        name, info, other, section = struct.unpack_from("<IBBH", content, table.offset + index * 24)
        if info >> 4 not in (1, 2) or info & 15 not in _FUNCTION_TYPES or other & 3 or not section:
            continue
        number = struct.unpack_from("<H", content, numbers.offset + index * 2)[0] if numbers else 1
        text = _text(content, names, name)
        found.append(Symbol(text, versions.get(number & 0x7FFF, ""), default=not number & 0x8000))
    return found


def _sections(content: bytes) -> Iterator[_Section]:
    (start,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    for index in range(count):
        _, kind, _, _, offset, length, link, info = struct.unpack_from("<IIQQQQII", content, start + index * size)
        yield _Section(kind, offset, length, link, info)


def _versions(content: bytes, sections: list[_Section]) -> dict[int, str]:
    definitions = next((section for section in sections if section.kind == _SHT_VERDEF), None)
    if definitions is None:
        return {}
    names, found, at = sections[definitions.link], {}, definitions.offset
    for _ in range(definitions.info):
        _, flags, number, _, _, first, following = struct.unpack_from("<HHHHIII", content, at)
        (name,) = struct.unpack_from("<I", content, at + first)
        if not flags & 1:  # the first definition is the object's own name
            found[number] = _text(content, names, name)
        at += following
    return found


def _text(content: bytes, names: _Section, at: int) -> str:
    start = names.offset + at
    return content[start : content.index(b"\0", start)].decode()
