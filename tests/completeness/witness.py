"""The witness: a log of strace, read into facts. It knows nothing of how the library works."""

import os
import re
import struct
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from completeness.facts import Observation, normal_path

__all__ = ["command", "observe"]

_METADATA = [
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "truncate",
    "ftruncate",
]
_NAMES = [
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
]
_OPENS = ["open", "openat", "openat2", "creat", "memfd_create"]
_PROCESSES = ["execve", "execveat", "fork", "vfork", "clone", "clone3", "chdir", "fchdir"]
_FORKS = ["fork", "vfork", "clone", "clone3"]
_FORKING = "a fork begins"
_SOCKETS = ["connect", "accept", "accept4"]
_READS = ["read", "pread64", "readv", "preadv", "preadv2", "recvfrom", "recvmsg", "recvmmsg"]
_WRITES = ["write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg", "vmsplice"]
_COPIES = {"sendfile": (1, 0), "copy_file_range": (0, 2), "splice": (0, 2), "tee": (0, 1)}
_TRACED = [*_METADATA, *_NAMES, *_OPENS, *_PROCESSES, *_SOCKETS, *_READS, *_WRITES, *_COPIES, "mmap", "exit_group"]

_LOADED = re.compile(r"/.*\.so(\.[\d.]+)?$")
_HEADS = (832, 960)
"""What the loaders of glibc and musl read of an object before they map it; that is part of loading it."""
_CONSULTED = re.compile(r"/locale/|/(?:gconv-modules|ld\.so)\.cache$")
"""Data of libc and of the loader that is mapped: that it was opened is told, not that it was mapped."""
_BEGUN = re.compile(r"(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_RESULT = re.compile(r"(.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)(.*)", re.DOTALL)
_DESCRIPTOR = re.compile(r"(-?\d+|AT_FDCWD)<(.*)>(?:\(deleted\))?")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def command(log: str, *argv: str) -> list[str]:
    """The argument vector that runs `argv` under strace."""
    return [
        "strace",
        "-f",
        "-yy",
        "-qq",
        "-s",
        "65536",
        "--seccomp-bpf",
        "-e",
        f"trace=?{',?'.join(_TRACED)}",
        "-o",
        log,
        *argv,
    ]


@dataclass
class _Process:
    program: str
    directory: str
    opened: dict[int, str] = field(default_factory=dict)
    """What descriptors were opened for, to know what is meant by /proc/self/fd."""
    loading: set[int] = field(default_factory=set)
    """Descriptors of objects whose head the loader has read."""


@dataclass
class _Call:
    pid: int
    name: str
    arguments: list[str]
    result: int
    about: str

    def descriptor(self, place: int) -> str:
        found = _DESCRIPTOR.fullmatch(self.arguments[place]) if place < len(self.arguments) else None
        return _text(found[2]) if found else ""

    def moved(self, place: int) -> str:
        """What bytes went to or came from: what has no name of its own is told apart by its descriptor."""
        object_ = _object(self.descriptor(place))
        return object_ if object_.startswith("/") else f"{object_} {self.arguments[place].partition('<')[0]}"

    def path(self, place: int, process: _Process) -> str:
        """The path at a place, joined with the directory descriptor before it where there is one."""
        found = _STRING.fullmatch(self.arguments[place])
        if found is None:
            return ""
        if found[1].startswith("/proc/self/"):
            return _text(found[1])
        base = self.descriptor(place - 1) if place and self.arguments[place - 1].startswith("AT_FDCWD") is False else ""
        return normal_path(_text(found[1]), base or process.directory)


def observe(log: str, directory: str, program: str, *, temporary: str) -> Observation:
    """The facts of a log whose first process is `program`, started in `directory`."""
    observation = Observation(temporary=temporary)
    processes: dict[int, _Process] = {}
    forking: list[int] = []
    for call in _calls(log):
        process = processes.get(call.pid)
        if process is None:  # a child that is seen before its parent's fork returns: always so after a vfork
            parent = processes[forking[-1]] if forking else _Process(program, directory)
            process = processes[call.pid] = _Process(parent.program, parent.directory, dict(parent.opened))
        if call.name == _FORKING:
            forking.append(call.pid)
            continue
        if call.name in _FORKS:
            if call.pid in forking:
                forking.remove(call.pid)
            if not any("CLONE_THREAD" in argument for argument in call.arguments):
                observation.add(process.program, "fork", "")
                processes.setdefault(call.result, _Process(process.program, process.directory))
            else:
                processes[call.result] = process
        else:
            _take(observation, call, process)
    return observation


def _take(observation: Observation, call: _Call, process: _Process) -> None:
    program = process.program
    if call.name in ("execve", "execveat"):
        path = _program(call.path(0 if call.name == "execve" else 1, process))
        process.program = os.path.basename(path)
        observation.add("", "exec", path)
        if loader := _loader(path):
            for what in ("open", "map"):
                observation.add(process.program, what, os.path.realpath(loader))
    elif call.name in ("chdir", "fchdir"):
        process.directory = call.path(0, process) if call.name == "chdir" else call.descriptor(0)
    elif call.name in _OPENS:
        found = re.match(r"<(.*)>", call.about)
        path = _text(found[1]).removesuffix(" (deleted)") if found else ""
        process.opened[call.result] = path
        process.loading.discard(call.result)
        creates = call.name in ("creat", "memfd_create") or bool(re.search("O_CREAT|O_TMPFILE", str(call.arguments)))
        if "O_PATH" not in str(call.arguments):
            observation.add(program, "create" if creates else "open", _object(path))
    elif call.name in _METADATA:
        observation.add(program, _verb(call.name), _object(_subject(call, process)))
    elif call.name in _NAMES:
        paths = [
            call.path(place, process)
            for place in range(len(call.arguments))
            if _STRING.fullmatch(call.arguments[place])
        ]
        paths = paths[1:] if call.name.startswith("symlink") else paths
        observation.add(program, _verb(call.name), " -> ".join(paths))
    elif call.name in _SOCKETS:
        observation.add(program, _verb(call.name), "" if call.name != "connect" else _address(call.arguments[1]))
    elif call.name == "mmap":
        object_ = _object(call.descriptor(4))
        if object_.startswith(("/", "memory")) and not _CONSULTED.search(object_):
            shared = "MAP_SHARED" in call.arguments[3] and "PROT_WRITE" in call.arguments[2]
            observation.add(program, "map writable" if shared else "map", object_)
    elif call.name in _COPIES:
        source, target = _COPIES[call.name]
        observation.move(program, "read", call.moved(source), call.result)
        observation.move(program, "written", call.moved(target), call.result)
    elif call.name in _READS + _WRITES and _counts(call, process):
        what = "read" if call.name in _READS else "written"
        observation.move(program, what, call.moved(0), _amount(call))


def _counts(call: _Call, process: _Process) -> bool:
    return call.result > 0 and "MSG_PEEK" not in str(call.arguments) and not _is_loading(call, process)


def _is_loading(call: _Call, process: _Process) -> bool:
    """Whether it is the loader that reads: first the head of the object, then more of its headers."""
    descriptor = int(call.arguments[0].partition("<")[0])
    if call.name == "read" and call.result in _HEADS and _LOADED.match(call.descriptor(0)):
        process.loading.add(descriptor)
        return True
    return call.name == "pread64" and descriptor in process.loading


def _amount(call: _Call) -> int:
    """The bytes that a call moved; of several messages each tells its own."""
    if call.name not in ("sendmmsg", "recvmmsg"):
        return call.result
    return sum(int(length) for length in re.findall(r"msg_len=(\d+)", str(call.arguments)))


def _program(path: str) -> str:
    """What the kernel runs: of a script, its interpreter."""
    path = os.path.realpath(path)
    head = Path(path).read_bytes()[:256]
    if not head.startswith(b"#!"):
        return path
    return _program(os.fsdecode(head[2:].split(b"\n", 1)[0].split()[0]))


@cache
def _loader(path: str) -> str:
    """The loader that the kernel opens along with a program, which no trace shows; empty for a static one."""
    content = Path(path).read_bytes()
    if content[:5] != b"\x7fELF\x02":
        return ""
    (offset,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for entry in range(offset, offset + size * count, size):
        kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", content, entry)
        if kind == 3:
            return os.fsdecode(content[start : start + length].rstrip(b"\0"))
    return ""


def _verb(name: str) -> str:
    """What a system call and its siblings have in common."""
    if "truncate" in name:
        return "truncate"
    for verb in (
        "chmod",
        "chown",
        "utim",
        "setxattr",
        "removexattr",
        "rename",
        "unlink",
        "symlink",
        "link",
        "mkdir",
        "mknod",
    ):
        if verb in name:
            return {"utim": "utime", "setxattr": "xattr", "removexattr": "xattr"}.get(verb, verb)
    return {"rmdir": "unlink", "accept4": "accept"}.get(name, name)


def _subject(call: _Call, process: _Process) -> str:
    """What a call changes: a path, or what a descriptor stands for (a null path means the descriptor)."""
    for place, argument in enumerate(call.arguments[:2]):
        if _STRING.fullmatch(argument) and call.name not in ("fsetxattr", "fremovexattr"):
            path = call.path(place, process)
            if own := re.fullmatch(r"/proc/(?:self|\d+)/fd/(\d+)", path):
                return process.opened.get(int(own[1]), path)
            return path if _keeps_link(call) else os.path.realpath(path)
    return call.descriptor(0)


def _keeps_link(call: _Call) -> bool:
    return call.name.startswith("l") or any("NOFOLLOW" in argument for argument in call.arguments)


def _object(path: str) -> str:
    """A pipe or a socket has no name of its own, and its number differs from run to run; a file in memory has any."""
    if path.startswith("/memfd:"):
        return "memory"
    for kind in ("pipe:", "socket:", "TCP", "UDP", "UNIX", "NETLINK", "anon_inode:"):
        if path.startswith(kind):
            return "socket" if kind in ("socket:", "TCP", "UDP", "UNIX", "NETLINK") else kind.rstrip(":")
    return re.sub(r"^(char|block) \d+:\d+$", "device", re.sub(r"<(char|block) [\d:]+>$", "", path))


def _address(text: str) -> str:
    """As the captured side prints it."""
    if path := re.search(r'sun_path=(@?)"((?:[^"\\]|\\.)*)"', text):
        return f"unix:{path[1]}{path[2]}"
    port = re.search(r"sin6?_port=htons\((\d+)\)", text)
    host = re.search(r'inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"', text)
    return f"{host[1]}:{port[1]}" if host and port else "other"


def _calls(log: str) -> list[_Call]:
    """The calls that returned, in the order in which they ended.

    A call whose process is killed by a signal of its own making (a write into a pipe that nobody reads any more) shows
    a result in the log, but never returned to the program.
    """
    calls: list[_Call | None] = []
    begun: dict[int, tuple[str, str]] = {}
    last: dict[int, int] = {}
    for line in log.splitlines():
        pid_text, _, rest = line.partition(" ")
        pid, rest = int(pid_text), rest.strip()
        if rest.startswith("+++ killed") and pid in last:
            calls[last[pid]] = None
        elif unfinished := _BEGUN.fullmatch(rest):
            begun[pid] = unfinished[1], unfinished[2]
            if unfinished[1] in _FORKS:
                calls.append(_Call(pid, _FORKING, [], 0, ""))
        elif not rest.startswith(("---", "+++")):
            call = _ended(pid, rest, begun)
            last.pop(pid, None)
            if call is not None:
                last[pid] = len(calls)
                calls.append(call)
    return [call for call in calls if call is not None]


def _ended(pid: int, rest: str, begun: dict[int, tuple[str, str]]) -> _Call | None:
    """The call of a line that has a result; None if it failed."""
    if resumed := _RESUMED.fullmatch(rest):
        name, start = begun.pop(pid, (resumed[1], ""))
        text = start + resumed[2]
    else:
        name, _, text = rest.partition("(")
    whole = _RESULT.fullmatch(text)
    if whole is None:
        return None
    result = -1 if whole[2] == "?" else int(whole[2], 0)
    return _Call(pid, name, _split(whole[1]), result, whole[3]) if result >= 0 or "EINPROGRESS" in whole[3] else None


def _split(text: str) -> list[str]:
    parts, depth, quoted, escaped, start = [], 0, False, False, 0
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif character in "([{<":
            depth += 1
        elif character in ")]}>" and not (character == ">" and text[place - 1] == "-"):
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]


def _text(quoted: str) -> str:
    return quoted.encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "surrogateescape")
