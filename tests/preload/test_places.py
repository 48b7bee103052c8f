"""Where the library maps memory: far from everything that a program's memory grows to, and no more than it uses."""

import re
from dataclasses import dataclass

from support.capture import Capture
from support.cli import need
from support.roots import TARGETS, run

HOST = TARGETS["host"]
FAR = 64 << 30
MOST = 1 << 20
"""Bytes of address space, which RLIMIT_AS counts: those of the library itself, and some journals."""
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+ *(.*)")


@dataclass(frozen=True)
class Mapping:
    """A line of /proc/PID/maps."""

    first: int
    last: int
    name: str

    @property
    def is_spools(self) -> bool:
        """Whether it is one of the spool's files."""
        return "/spool/" in self.name


def _mappings(output: bytes) -> list[Mapping]:
    lines = [_MAPPING.fullmatch(line) for line in output.decode().splitlines()]
    return [Mapping(int(found[1], 16), int(found[2], 16), found[3]) for found in lines if found]


def _between(one: Mapping, other: Mapping) -> int:
    return max(one.first - other.last, other.first - one.last)


def test_the_spools_files_are_mapped_far_from_everything_else(tmp_path):
    need("cat")
    with Capture(tmp_path / "capture") as capture:
        mappings = _mappings(capture.run(["cat", "/proc/self/maps"], tmp_path).stdout)
    ours = [mapping for mapping in mappings if mapping.is_spools]
    others = [mapping for mapping in mappings if mapping.name and not mapping.is_spools]
    assert {"control", "segment-00000000"} == {mapping.name.rpartition("/")[2] for mapping in ours}
    assert any("libc" in mapping.name for mapping in others)
    near = [(one.name, other.name) for one in ours for other in others if _between(one, other) < FAR]
    assert [] == near


def _size(output: bytes) -> int:
    found = re.search(rb"VmPeak:\s+(\d+) kB", output)
    assert found
    return int(found[1]) << 10


def test_no_more_address_space_is_taken_than_is_used(tmp_path):
    need("cat")
    command = ["cat", "/proc/self/status"]
    bare = _size(run(HOST, command, tmp_path).stdout)
    with Capture(tmp_path / "capture") as capture:
        captured = _size(capture.run(command, tmp_path).stdout)
    assert 0 < captured - bare < MOST
