"""stress-ng's stressors, each with a fixed number of operations and checking what it does."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from equivalence.suites import Step, Suite

__all__ = ["SUITES", "read_stress"]

_STRESS = Path("/usr/bin/stress-ng")
_OPERATIONS = {
    "access": 200, "aio": 50, "alarm": 20, "bad-altstack": 200, "cap": 50, "chdir": 20, "chmod": 200, "chown": 200,
    "chroot": 50, "clone": 100, "close": 500, "copy-file": 50, "daemon": 200, "dentry": 500, "dir": 200, "dirdeep": 50,
    "dirmany": 200, "dnotify": 50, "dup": 500, "dynlib": 50, "env": 5, "epoll": 200, "eventfd": 2000, "exec": 200,
    "exit-group": 50, "fallocate": 5, "fcntl": 2000, "fiemap": 100, "fifo": 2000, "file-ioctl": 200, "filename": 200,
    "flock": 2000, "fork": 500, "forkheavy": 50, "fsize": 50, "fstat": 500, "full": 200, "futex": 2000, "get": 100,
    "getdent": 200, "handle": 100, "hdd": 50, "inotify": 5, "io-uring": 50, "iomix": 500, "itimer": 500, "kcmp": 100,
    "kill": 500, "landlock": 20, "lease": 200, "link": 20, "locka": 500, "lockf": 500, "lockofd": 500, "longjmp": 2000,
    "loop": 5, "memfd": 5, "mknod": 200, "mmap": 2, "mmapaddr": 50, "mmapfork": 1, "mq": 2000, "mremap": 20,
    "msg": 2000, "msync": 20, "munmap": 50, "mutex": 1000, "null": 500, "open": 500, "personality": 50, "pidfd": 100,
    "pipe": 2000, "pipeherd": 20, "pkey": 50, "poll": 500, "prctl": 100, "procfs": 5, "pthread": 500, "ptrace": 50,
    "pty": 3, "readahead": 200, "remap": 5, "rename": 500, "resources": 5, "revio": 500, "ring-pipe": 500, "rlimit": 50,
    "rseq": 50, "seccomp": 50, "seek": 500, "sem": 100, "sem-sysv": 1000, "sendfile": 50, "session": 100, "set": 200,
    "shm": 10, "shm-sysv": 5, "sigabrt": 100, "sigchld": 200, "sigfd": 500, "sigfpe": 200, "sigio": 500, "signal": 2000,
    "signest": 100, "sigpending": 500, "sigpipe": 500, "sigq": 500, "sigrt": 500, "sigsegv": 500, "sigsuspend": 500,
    "sigtrap": 500, "sleep": 50, "sock": 200, "sockabuse": 50, "sockfd": 500, "sockmany": 20, "sockpair": 500,
    "spawn": 200, "splice": 500, "stack": 2, "stackmmap": 20, "switch": 2000, "symlink": 20, "sync-file": 20,
    "sysbadaddr": 50, "tee": 500, "timer": 200, "timerfd": 200, "touch": 500, "tun": 5, "udp": 500, "unshare": 10,
    "userfaultfd": 50, "usersyscall": 50, "utime": 500, "vdso": 50, "vfork": 500, "vforkmany": 20, "vm-segv": 50,
    "vm-splice": 500, "wait": 100, "x86syscall": 50, "xattr": 50, "zombie": 200,
}  # fmt: skip
_LINE = re.compile(r"^stress-ng: (?P<kind>info|fail|error|warn): +\[\d+\] (?P<text>.*)", re.MULTILINE)


def read_stress(name: str, output: str) -> Mapping[str, str]:
    """Whether a stressor ran to its end, was skipped, or told of failures."""
    lines = [(line["kind"], line["text"]) for line in _LINE.finditer(output)]
    if any(kind in ("fail", "error") for kind, _ in lines):
        return {name: "failed"}
    if any("skipped" in text for _, text in lines):
        return {name: "skipped"}
    return {name: "passed"} if any(text.startswith("successful run completed") for _, text in lines) else {}


def _steps() -> Sequence[Step]:
    fixed = (str(_STRESS), "--verify", "--no-rand-seed", "--temp-path", ".", "--timeout", "30")
    return [
        Step(name, (*fixed, f"--{name}", "2", f"--{name}-ops", str(count)), partial(read_stress, name))
        for name, count in _OPERATIONS.items()
    ]


SUITES = (Suite("stress-ng", _STRESS, (), _steps),)
