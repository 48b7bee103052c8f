"""Whose child each process is: decided when somebody asks, because journals arrive in any order."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Fork", "ProcessKey", "match_forks", "parents_of"]


@dataclass(frozen=True, slots=True)
class ProcessKey:
    """What decides whose child a process is. Times are of the kernel's boot clock."""

    id: int
    run: str
    pid_namespace: int
    pid: int
    start_time: int
    parent_pid: int | None
    parent_start_time: int | None


@dataclass(frozen=True, slots=True)
class Fork:
    """A child as its parent saw it begin (`boot_time`: when the call had returned)."""

    run: str
    pid_namespace: int
    parent: int
    parent_pid: int
    child_pid: int
    boot_time: int
    time: int


def match_forks(processes: Iterable[ProcessKey], forks: Iterable[Fork]) -> dict[Fork, int]:
    """Which process each fork made. A pid is used again: a fork's child began after the pid's fork before."""
    starts: dict[tuple[str, int, int], list[tuple[int, int]]] = defaultdict(list)
    for process in processes:
        starts[process.run, process.pid_namespace, process.pid].append((process.start_time, process.id))
    for begun in starts.values():
        begun.sort()
    by_pid: dict[tuple[str, int, int], list[Fork]] = defaultdict(list)
    for fork in forks:
        by_pid[fork.run, fork.pid_namespace, fork.child_pid].append(fork)
    matches = {}
    for key, same in by_pid.items():
        begun, after = starts.get(key, []), 0
        same.sort(key=lambda fork: fork.boot_time)
        for fork in same:
            place = bisect_right(begun, (fork.boot_time, _NO_ID)) - 1
            if place >= 0 and begun[place][0] > after:
                matches[fork] = begun[place][1]
            after = fork.boot_time
        left = [fork for fork in same if fork not in matches]
        if left and begun and begun[0][0] == 0:  # known from its parent alone, without a start
            matches[left[-1]] = begun[0][1]
    return matches


_NO_ID = 1 << 63
"""Larger than any row's id."""
_NO_NAMESPACE = 0


def parents_of(processes: Iterable[ProcessKey], forks: Iterable[Fork]) -> dict[int, int]:
    """Each process's parent, where it is known.

    A child names its parent, but names whoever adopted it (pid 1, above all) when its parent had gone before it could
    say; then the parent's own word counts.
    """
    everyone = list(processes)
    starts: dict[tuple[str, int, int], list[tuple[int, int]]] = defaultdict(list)
    for process in everyone:
        starts[process.run, process.pid_namespace, process.pid].append((process.start_time, process.id))
    for begun in starts.values():
        begun.sort()
    made_by = {child: fork.parent for fork, child in match_forks(everyone, forks).items()}
    parents = {}
    for process in everyone:
        claimed = _claimed(process, starts)
        parent = made_by.get(process.id, claimed) if claimed is None or process.parent_pid == 1 else claimed
        if parent is not None and parent != process.id:
            parents[process.id] = parent
    return parents


def _claimed(process: ProcessKey, starts: Mapping[tuple[str, int, int], list[tuple[int, int]]]) -> int | None:
    if process.parent_pid is None:
        return None
    begun = starts.get((process.run, process.pid_namespace, process.parent_pid), [])
    if (
        not begun and process.parent_pid == 1
    ):  # a container's first program that runs unseen: nobody knows its namespace
        begun = starts.get((process.run, _NO_NAMESPACE, 1), [])
    if process.parent_start_time is not None:
        place = bisect_left(begun, (process.parent_start_time, 0))
        exact = place < len(begun) and begun[place][0] == process.parent_start_time
        return begun[place][1] if exact else None
    place = bisect_right(begun, (process.start_time, _NO_ID)) - 1
    return begun[place][1] if place >= 0 else None
