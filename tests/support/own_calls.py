"""What the library asked of the kernel, by an independent account: strace's, of where a call's instruction stands."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["own_calls", "traced"]

_LINE = re.compile(r"(\d+) +\[([0-9a-f]+)\] (\w+)\((.*)")
_LOADED = re.compile(
    r".*, (\d+), PROT_[A-Z|_]+, MAP_PRIVATE\|MAP_DENYWRITE, \d+<[^>]*libinterpose\.so>, 0\) += 0x([0-9a-f]+)"
)


def traced(log: Path, library: Path, *command: str, raw: Sequence[str] = ()) -> list[str]:
    """The argument vector that runs a command under a library and leaves a log that `own_calls` reads.

    Of the calls `raw` all arguments are numbers.
    """
    options = ["-f", "-i", "-y", "-qq", "-s", "0", "-o", str(log), "-E", f"LD_PRELOAD={library}"]
    return ["strace", *options, *(["-e", f"raw={','.join(raw)}"] if raw else []), *command]


def own_calls(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Of each system call of the library's in a log: name and arguments."""
    everywhere: set[range] = set()
    ranges: dict[str, set[range]] = defaultdict(lambda: set(everywhere))  # a child has its parent's
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        process, place, name, arguments = found.groups()
        if name == "execve":
            ranges[process] = set()
        if name == "mmap" and (loaded := _LOADED.match(arguments)):
            first = int(loaded[2], 16)
            ranges[process].add(range(first, first + int(loaded[1])))
            everywhere |= ranges[process]
        elif any(int(place, 16) in one for one in ranges[process]):
            yield name, arguments
