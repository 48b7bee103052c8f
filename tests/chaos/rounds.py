"""One round: what takes part is set up, a fault has its course, and the database is held against the account."""

import random
import shutil
import time
import traceback
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chaos.account import What
from chaos.faults import FAULTS, Fault
from chaos.mounts import mounted
from chaos.scene import Scene
from chaos.services import RoundError
from chaos.stored import Stored
from chaos.stores import PostgreSQL, SQLite, Store
from chaos.tally import Key, Tally, Verdict, compare
from interpose.sidecar.spool import Level

__all__ = ["Outcome", "Plan", "perform"]

_SMALL: Final = {"spool": 48 << 20, "sqlite": 32 << 20, "postgresql": 96 << 20}
"""Bytes of the small file systems."""
_CLOCK_ERROR: Final = 50_000_000
"""Nanoseconds by which the two clocks that an event's time is made from may drift apart in a round."""
_SHOWN: Final = 5


@dataclass(frozen=True)
class Plan:
    """What a round is to be; everything else follows from the seed."""

    number: int
    seed: int
    fault: str
    store: str


@dataclass
class Outcome:
    """How a round ended."""

    plan: Plan
    calls: int = 0
    lost: int = 0
    duplicated: int = 0
    dropped: int = 0
    """Events that gaps count, where the fault was to cause some."""
    problems: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether somebody must look at it."""
        return bool(self.lost or self.duplicated or self.problems)


def perform(plan: Plan, base: Path, tools: Path) -> Outcome:
    """A round, in a folder that stays if it failed."""
    folder = base / f"{plan.number}"
    folder.mkdir()
    folder.chmod(0o755)
    outcome, started = Outcome(plan), time.monotonic()
    try:
        _perform(plan, folder, tools, outcome)
    except Exception:
        outcome.problems.append(traceback.format_exc())
    outcome.seconds = time.monotonic() - started
    if not outcome.failed:
        shutil.rmtree(folder)
    return outcome


def _perform(plan: Plan, folder: Path, tools: Path, outcome: Outcome) -> None:
    rng, fault = random.Random(plan.seed), FAULTS[plan.fault]
    with ExitStack() as undo:
        if fault.small == "spool":
            undo.enter_context(mounted(folder / "capture", _SMALL["spool"]))
        database = folder / "db"
        if fault.small == "database":
            undo.enter_context(mounted(database, _SMALL[plan.store]))
        else:
            database.mkdir()
        store: Store = SQLite(database) if plan.store == "sqlite" else PostgreSQL(database, tools / "template")
        store.start()
        undo.callback(store.stop)
        level = rng.choice([Level.SUMMARY, Level.SUMMARY, Level.CALLS]) if not fault.gaps else Level.SUMMARY
        scene = Scene(folder, rng, tools, store, level)
        undo.callback(scene.close)
        fault.course(scene)
        if scene.account.is_full():
            raise RoundError("the account is full: make fewer calls")
        outcome.notes = scene.notes
        _judge(scene, fault, scene.tally(), scene.stored(), outcome)


def _judge(scene: Scene, fault: Fault, tally: Tally, stored: Stored, outcome: Outcome) -> None:
    verdict = compare(tally, stored.calls)
    gaps = stored.gaps.total()
    outcome.calls = verdict.calls if scene.witness is None else len(tally.certain)
    if not verdict.calls:
        outcome.problems.append("the programs did nothing")
    outcome.duplicated = verdict.duplicated.total()
    if stored.lost != gaps:
        outcome.problems.append(f"the run says that {stored.lost} events are lost, its gaps {gaps}")
    if unexpected := {cause: number for cause, number in stored.gaps.items() if cause not in fault.gaps}:
        outcome.problems.append(f"gaps without a reason: {unexpected}")
    if fault.gaps and "corrupt" not in fault.gaps:
        outcome.dropped = gaps
        missing = _dropped(scene, verdict, stored)
        outcome.lost = max(missing - gaps, 0)
        if gaps > missing:
            outcome.problems.append(f"gaps count {gaps} events, {missing} are missing")
    else:
        outcome.dropped = gaps
        outcome.lost = verdict.lost.total()
        if silent := _silently_lost(scene, stored):
            outcome.problems.append(_show("lost by damage that no gap tells of", silent))
    if outcome.lost:
        outcome.problems.append(_show("lost", verdict.lost))
    if outcome.duplicated:
        outcome.problems.append(_show("never made, or made less often", verdict.duplicated))
    if not scene.damage.records and (untimely := _untimely(scene, stored)):
        outcome.problems.append(f"told of at another time: {untimely[:_SHOWN]}")


def _dropped(scene: Scene, verdict: Verdict, stored: Stored) -> int:
    """What gaps must count: calls, but of a process that had no journal only the process itself."""
    first = {}
    for key, moment in stored.times:
        first[key.pid] = min(moment, first.get(key.pid, moment))
    without = {
        entry.pid
        for entry in scene.account.entries()
        if entry.key in verdict.lost and 0 < entry.ended < first.get(entry.pid, 1 << 63)
    }
    return len(without) + sum(number for key, number in verdict.lost.items() if key.pid not in without)


def _silently_lost(scene: Scene, stored: Stored) -> Counter[Key]:
    """Calls whose records' heads were damaged, and which are lost without any gap."""
    heads = scene.damage.heads
    missing = compare(scene.tally(excused=False), stored.calls).lost
    return Counter() if stored.gaps else heads & missing


def _untimely(scene: Scene, stored: Stored) -> list[str]:
    """Calls that are said to have happened before they began, or after they had returned."""
    spans = {
        entry.key: (entry.began, entry.ended)
        for entry in scene.account.entries()
        if entry.ended and entry.what != What.IMAGE  # entered by the image itself, after it has begun
    }
    twice = {key for key, number in stored.calls.items() if number > 1}
    return [
        f"{key}: {moment} not in {spans[key]}"
        for key, moment in stored.times
        if key in spans
        and key not in twice
        and not spans[key][0] - _CLOCK_ERROR <= moment <= spans[key][1] + _CLOCK_ERROR
    ]


def _show(title: str, keys: Counter[Key]) -> str:
    some = ", ".join(f"{key} ({number})" for key, number in sorted(keys.items())[:_SHOWN])
    return f"{title}: {keys.total()} calls, of {len({key.pid for key in keys})} processes: {some}"
