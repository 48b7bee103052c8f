"""One round: the program's own account, what was captured, and the difference."""

import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from support.capture import Capture, Process
from support.events import effect_of, reason
from support.roots import ENVIRONMENT

__all__ = ["ENTRIES", "Round", "captured", "run_round"]

ENTRIES = (
    "failed", "leaked",
    "calls of handlers", "calls of threads", "calls of children", "calls of borrowers", "calls of images",
    "signals of timer", "signals of threads", "signals sent",
    "forks", "vforks", "spawns", "images", "exits", "waits", "waits of killed",
    "threads started", "threads returned", "threads unwound",
    "files opened", "bytes written", "bytes read", "pipes",
)  # fmt: skip
"""What the program counts, in the order of `enum entry` in stress.c."""

_WRONG = ("failed", "leaked")
_CALLERS = {
    "handler": "calls of handlers",
    "thread": "calls of threads",
    "child": "calls of children",
    "borrower": "calls of borrowers",
    "image": "calls of images",
}
_SIGNALS = {14: "signals of timer", 10: "signals of threads"}


@dataclass(frozen=True)
class Round:
    """What came of a round."""

    seed: int
    hung: bool = False
    crash: str = ""
    """How the program ended, or what it found wrong, if it should not have."""
    lost: dict[str, int] = field(default_factory=dict)
    """By entry: how many events are missing, below zero if there are too many."""
    events: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing is to be said of it."""
        return not (self.hung or self.crash or any(self.lost.values()))


def captured(processes: Iterable[Process]) -> Counter[str]:
    """What the events say, in the words of the program's account."""
    found: Counter[str] = Counter()
    for process in processes:
        found["events"] += len(process.events)
        found["gaps"] += process.gaps + process.lost
        found["images"] += reason(process.events[0]) == "image"
        for event in process.events:
            match effect_of(event):
                case "chmod":
                    found[_CALLERS[event.chmod.name.path.decode()]] += 1
                case "signal":
                    found[_SIGNALS[event.signal.signal]] += 1
                case "kill":
                    found["signals sent"] += 1
                case "fork":
                    found["vforks" if event.fork.vfork else "forks"] += 1
                case "spawn":
                    found["spawns"] += 1
                case "exit":
                    found["exits"] += 1
                case "wait":
                    found["waits of killed" if event.wait.signal else "waits"] += 1
                case "thread_start":
                    found["threads started"] += 1
                case "thread_exit":
                    found["threads unwound" if event.thread_exit.unwound else "threads returned"] += 1
                case "open":
                    found["files opened"] += 1
                case "pipe":
                    found["pipes"] += 1
                case "io":
                    found["bytes written"] += event.io.bytes_written
                    found["bytes read"] += event.io.bytes_read
    found["images"] -= 1  # the program itself
    return found


def _account(path: Path) -> Counter[str]:
    if not path.exists():
        return Counter(failed=1)
    content = path.read_bytes()
    numbers = (int.from_bytes(content[8 * i : 8 * i + 8], "little") for i in range(len(ENTRIES)))
    return Counter(dict(zip(ENTRIES, numbers, strict=True)))


def run_round(
    program: Path, folder: Path, seed: int, *, operations: int, threads: int, timeout: float, quota: int = 65536
) -> Round:
    """Run the program under capture in `folder`, which must be empty, and hold its account against the events.

    `timeout` is in seconds; `quota` counts journals.
    """
    work = folder / "work"
    work.mkdir()
    for name in _CALLERS:
        (work / name).touch()
    command = [str(program), str(seed), str(operations), str(threads)]
    # Small segments: handlers interrupt their making too.
    with Capture(folder / "capture", quota=quota, journals_per_segment=4) as capture:
        environment = {**ENVIRONMENT, **capture.variables}
        try:
            ended = subprocess.run(
                command, cwd=work, env=environment, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            return Round(seed, hung=True)
        found = captured(capture.processes())
    account = _account(work / "account")
    wrong = [f"{account[name]} {name}" for name in _WRONG if account[name]]
    if ended.returncode or ended.stdout or ended.stderr:
        wrong.append(f"status {ended.returncode}, {(ended.stdout + ended.stderr)[-200:]!r}")
    lost = {name: account[name] - found[name] for name in ENTRIES if name not in _WRONG}
    lost["gaps"] = found["gaps"]
    return Round(seed, False, ", ".join(wrong), {name: n for name, n in lost.items() if n}, found["events"])
