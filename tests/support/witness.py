"""An independent account of how a file was made: what strace saw, followed forward.

Content moves by exec, by reads and mappings that succeeded, by writes, and from a process to its child. Not by looking
at names and attributes (stat, access, readlink), by listing directories, nor by opening what is then not read. What is
not known to be modelled is refused rather than passed over.
"""

import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Differences", "Refused", "compare", "origins", "strace"]

_TRACED = (
    "open openat openat2 creat read pread64 readv preadv preadv2 write pwrite64 writev pwritev pwritev2 mmap execve"
    " execveat fork vfork clone clone3 rename renameat renameat2 link linkat unlink unlinkat truncate ftruncate"
    " sendfile copy_file_range splice tee vmsplice process_vm_readv process_vm_writev io_uring_setup chdir fchdir"
    " chroot exit_group sendto sendmsg recvfrom recvmsg"
).split()
_READS = {"read", "pread64", "readv", "preadv", "preadv2", "recvfrom", "recvmsg"}
_WRITES = {"write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg"}
_FORKS = {"fork", "vfork", "clone", "clone3"}
_COPIES = {"sendfile": (1, 0), "copy_file_range": (0, 2), "splice": (0, 2), "tee": (0, 1)}
"""Which arguments are the source and the target."""
_IRRELEVANT = {"unlink", "unlinkat", "exit_group"}
_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)")
_BEGUN = re.compile(r"(?P<name>\w+)\((?P<arguments>.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<arguments>.*)")
_RESULT = re.compile(r"(?P<arguments>.*)\) += (?P<result>-?\d+|0x[0-9a-f]+|\?)(?P<about>.*)", re.DOTALL)
_DESCRIPTOR = re.compile(r"(?:-?\d+|AT_FDCWD)<(?P<path>[^>]*)>")
_STRING = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"')


class Refused(Exception):
    """The log holds something of which this witness does not know what it does to content."""


def strace(log: Path, *command: str) -> list[str]:
    """The argument vector that runs a command and leaves a log that `origins` reads."""
    trace = f"trace={','.join(_TRACED)}"
    return ["strace", "-f", "-y", "-qq", "-s", "0", "--seccomp-bpf", "-e", trace, "-o", str(log), *command]


@dataclass(frozen=True)
class Differences:
    """How another account differs from that of the witness."""

    missing: list[str]
    invented: list[str]


def compare(seen: Iterable[str], told: Iterable[str]) -> Differences:
    """What the witness saw and the other did not tell of, and the reverse."""
    seen, told = set(seen), set(told)
    return Differences(sorted(seen - told), sorted(told - seen))


def origins(log: str, target: str, directory: str) -> set[str]:
    """The paths (links followed) of the files that `target` was made from, directly or not.

    By the log of a command that was started in `directory`. Pipes are among them, under the kernel's names.
    """
    world = _World(directory)
    for call, ends in _moments(list(_calls(log))):
        world.take(call, ends=ends)
    return set(world.content.get(os.path.realpath(target), set()))


@dataclass
class _Call:
    pid: int
    name: str
    begin: int
    arguments: str = ""
    result: int = -1
    about: str = ""
    end: int = -1

    def descriptor(self, place: int) -> str:
        """The path of the descriptor that is an argument."""
        found = _DESCRIPTOR.match(self.split[place])
        return _unescaped(found["path"]) if found else ""

    @property
    def split(self) -> list[str]:
        """The arguments; what stands in brackets or quotes is one."""
        parts, depth, quoted, current = [], 0, False, ""
        for place, char in enumerate(self.arguments):
            if char == '"' and self.arguments[place - 1] != "\\":
                quoted = not quoted
            depth += 0 if quoted else (char in "[{<(") - (char in "]}>)")
            if char == "," and not quoted and depth == 0:
                parts.append(current.strip())
                current = ""
            else:
                current += char
        return [*parts, current.strip()]

    def strings(self) -> list[str]:
        return [_unescaped(found["text"]) for found in _STRING.finditer(self.arguments)]


def _unescaped(text: str) -> str:
    return text.encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "surrogateescape")


def _calls(log: str) -> Iterator[_Call]:
    """The calls of a log that returned, or that none returns from, with the lines at which they began and ended."""
    begun: dict[int, _Call] = {}
    for number, line in enumerate(log.splitlines()):
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise Refused(f"line {number + 1}: {line}")
        pid, rest = int(parts["pid"]), parts["rest"]
        if rest.startswith(("---", "+++")):
            continue
        if unfinished := _BEGUN.fullmatch(rest):
            begun[pid] = _Call(pid, unfinished["name"], number, unfinished["arguments"])
            continue
        if resumed := _RESUMED.fullmatch(rest):
            # A thread that executes takes over the pid of its process.
            call = begun.pop(pid, None) or _Call(pid, resumed["name"], number)
            text = call.arguments + resumed["arguments"]
        else:
            name, _, text = rest.partition("(")
            call = _Call(pid, name, number)
        whole = _RESULT.fullmatch(text)
        if whole is None:
            raise Refused(f"line {number + 1}: {line}")
        call.arguments, call.about, call.end = whole["arguments"], whole["about"], number
        call.result = -1 if whole["result"] == "?" else int(whole["result"], 0)
        if call.result >= 0 or call.name == "exit_group":
            yield call


def _moments(calls: list[_Call]) -> Iterator[tuple[_Call, bool]]:
    """Each call twice, when it begins and when it ends, in order of time."""
    moments = [(call.begin, False, call) for call in calls] + [(call.end, True, call) for call in calls]
    for _, ends, call in sorted(moments, key=lambda moment: (moment[0], moment[1])):
        yield call, ends


@dataclass
class _Process:
    directory: str
    knows: set[str] = field(default_factory=set)
    mapped: set[str] = field(default_factory=set)
    """Files that it writes to through memory."""


class _World:
    """Who knows what, at one moment: a file's content and a process are the sets of files they come from."""

    def __init__(self, directory: str) -> None:
        self.first = _Process(directory)
        self.processes: dict[int, _Process] = {}
        self.content: dict[str, set[str]] = {}

    def take(self, call: _Call, *, ends: bool) -> None:
        process = self.processes.setdefault(call.pid, self.first)
        if call.name in _IRRELEVANT or call.name in _FORKS | _WRITES or call.name.startswith(("rename", "link")):
            if not ends:
                self.give(call, process)
        elif ends:
            self.get(call, process)

    def give(self, call: _Call, process: _Process) -> None:
        """What takes effect no sooner than it begins."""
        if call.name in _FORKS:
            shared = "CLONE_THREAD" in call.arguments
            child = process if shared else _Process(process.directory, set(process.knows), set(process.mapped))
            self.processes[call.result] = child
        elif call.name in _WRITES:
            self.write(process, call.descriptor(0))
        elif call.name.startswith(("rename", "link")):
            source, target = (self.absolute(process, call, name) for name in call.strings())
            content = self.content.get(source, set())
            if call.name.startswith("rename"):
                self.content.pop(source, None)
            self.content[target] = content
        elif call.name == "exit_group":
            for path in process.mapped:
                self.write(process, path)

    def get(self, call: _Call, process: _Process) -> None:
        """What has taken effect when it returns."""
        if call.name in _READS:
            path = call.descriptor(0)
            if call.result or not path.startswith(("pipe:", "socket:")):
                self.read(process, path)
        elif call.name == "mmap":
            self.map(call, process)
        elif call.name.startswith("open") or call.name == "creat":
            if "O_TRUNC" in call.arguments or call.name == "creat":
                found = _DESCRIPTOR.search(f"0{call.about}")
                self.content[_unescaped(found["path"]) if found else ""] = set()
        elif call.name == "execve":
            self.execute(process, self.absolute(process, call, call.strings()[0]))
        elif call.name == "chdir":
            process.directory = self.absolute(process, call, call.strings()[0])
        elif call.name == "fchdir":
            process.directory = call.descriptor(0)
        elif call.name in _COPIES:
            source, target = _COPIES[call.name]
            self.read(process, call.descriptor(source))
            self.write(process, call.descriptor(target))
        elif call.name == "ftruncate":
            self.write(process, call.descriptor(0))
        else:
            raise Refused(f"line {call.begin + 1}: {call.name}({call.arguments})")

    def read(self, process: _Process, path: str) -> None:
        process.knows |= {path} | self.content.get(path, set())

    def write(self, process: _Process, path: str) -> None:
        if not path.startswith("/dev/"):
            self.content.setdefault(path, set()).update(process.knows)

    def map(self, call: _Call, process: _Process) -> None:
        path = call.descriptor(4)
        if not path:
            return
        self.read(process, path)
        if "MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments:
            process.mapped.add(path)

    def execute(self, process: _Process, path: str) -> None:
        """The kernel reads the program itself, and the interpreters that it names."""
        while path:
            path = os.path.realpath(path)
            self.read(process, path)
            path = _interpreter(Path(path))

    def absolute(self, process: _Process, call: _Call, path: str) -> str:
        directories = [found["path"] for part in call.split if (found := _DESCRIPTOR.fullmatch(part))]
        if directories and not path.startswith("/") and set(directories) != {process.directory}:
            raise Refused(f"line {call.begin + 1}: {call.name}({call.arguments})")
        joined = os.path.normpath(os.path.join(process.directory, path))
        return os.path.join(os.path.realpath(os.path.dirname(joined)), os.path.basename(joined))


def _interpreter(path: Path) -> str:
    """What the kernel loads along with a program: the loader, or what runs a script."""
    content = path.read_bytes()
    if content.startswith(b"#!"):
        return os.fsdecode(content[2:].split(b"\n", 1)[0].split()[0])
    if content[:5] != b"\x7fELF\x02":
        raise Refused(f"{path} is neither a script nor a 64-bit ELF file")
    (offset,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for entry in range(offset, offset + size * count, size):
        kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", content, entry)
        if kind == 3:
            return os.fsdecode(content[start : start + length].rstrip(b"\0"))
    return ""
