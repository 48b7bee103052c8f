"""`make chaos`: rounds of faults over programs that keep an account, and the database held against it."""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from chaos.faults import FAULTS
from chaos.mounts import enter_namespace
from chaos.programs import adopt_orphans
from chaos.rounds import Outcome, Plan, perform
from chaos.stores import make_template
from support.roots import REPOSITORY

SOURCES: Final = Path(__file__).parent
RESULT: Final = REPOSITORY / "build/bench/chaos.json"


def plan(rounds: int, seed: int, names: Sequence[str]) -> list[Plan]:
    """The rounds: every fault in proportion to its weight, over its databases in turn, in an order of chance.

    With no number of rounds, one for each fault and database.
    """
    kinds = [
        (name, store)
        for name in names
        for store in FAULTS[name].stores
        for _ in range(FAULTS[name].weight * (3 - len(FAULTS[name].stores)) if rounds else 1)
    ]
    rounds = rounds or len(kinds)
    rng = random.Random(seed)
    rng.shuffle(kinds)
    return [Plan(number + 1, rng.randrange(1 << 32), *kinds[number % len(kinds)]) for number in range(rounds)]


def _lacking() -> str | None:
    """What this machine lacks for it."""
    if os.geteuid():
        return "right to mount file systems: run it as root"
    return next((f"{name}: run tests/install-packages" for name in ("gcc", "strace") if not shutil.which(name)), None)


def _compile(folder: Path) -> None:
    """The C files of this folder: a program, and a library for the sidecar."""
    gcc = ["gcc", "-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run([*gcc, "-pthread", "-o", folder / "accountant", SOURCES / "accountant.c"], check=True)
    subprocess.run([*gcc, "-shared", "-fPIC", "-o", folder / "clock.so", SOURCES / "clock.c"], check=True)


def _tell(outcome: Outcome, seed: int, base: Path, console: Console) -> None:
    """A round that failed: how to see it, and how to have it again."""
    if outcome.failed:
        plan = outcome.plan
        console.print(f"round {plan.number} ({plan.fault}, {plan.store}) failed: see {base}/{plan.number}")
        console.print(f"  again: make chaos SEED={seed} ONLY={plan.number}; the round's own seed is {plan.seed}")
        for problem in outcome.problems:
            console.print(f"  {problem}", markup=False, highlight=False)


def _report(outcomes: list[Outcome], target: Path, console: Console) -> None:
    table = Table(title="calls that had returned, and what the database knows of them", title_justify="left")
    for column in ("fault", "rounds", "calls", "lost", "duplicated", "dropped and counted", "failed", "seconds"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    by_fault = []
    for name in FAULTS:
        of_fault = [outcome for outcome in outcomes if outcome.plan.fault == name]
        if of_fault:
            row = {
                "fault": name,
                "rounds": len(of_fault),
                "calls": sum(outcome.calls for outcome in of_fault),
                "lost": sum(outcome.lost for outcome in of_fault),
                "duplicated": sum(outcome.duplicated for outcome in of_fault),
                "dropped": sum(outcome.dropped for outcome in of_fault),
                "failed": sum(outcome.failed for outcome in of_fault),
                "seconds": round(sum(outcome.seconds for outcome in of_fault)),
            }
            by_fault.append(row)
            table.add_row(*map(str, row.values()))
    console.print(table)
    notes = sum((outcome.notes for outcome in outcomes), Counter())
    console.print(", ".join(f"{what}: {number}" for what, number in sorted(notes.items())))
    totals = {key: sum(row[key] for row in by_fault) for key in ("lost", "duplicated")}
    target.parent.mkdir(parents=True, exist_ok=True)
    result = {"rounds": len(outcomes), **totals, "by_fault": by_fault}
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console.print(f"{result['rounds']} rounds, lost {totals['lost']}, duplicated {totals['duplicated']}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="0: one for each fault and database")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument(
        "--jobs", type=int, default=2 * (os.cpu_count() or 1), help="rounds at a time: they mostly wait"
    )
    parser.add_argument("--only", type=int, action="append", help="the round of this number; may be repeated")
    parser.add_argument("--result", type=Path, default=RESULT, help="the file that gets the figures")
    parser.add_argument("faults", nargs="*", help=f"all if none is given: {', '.join(FAULTS)}")
    return parser.parse_args()


def main() -> int:
    """Perform the rounds; 1 if one of them failed."""
    given, console = _arguments(), Console(width=130, soft_wrap=True)
    if lacking := _lacking():
        console.print(f"chaos: there is no {lacking}")
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    enter_namespace()
    base = Path(tempfile.mkdtemp(prefix="chaos-"))
    base.chmod(0o755)
    tools = base / "tools"
    tools.mkdir()
    _compile(tools)
    make_template(tools / "template")
    plans = plan(given.rounds, given.seed, given.faults or list(FAULTS))
    plans = [each for each in plans if not given.only or each.number in given.only]
    outcomes = []
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn"), initializer=adopt_orphans) as pool:
        try:
            for future in as_completed([pool.submit(perform, each, base, tools) for each in plans]):
                outcomes.append(future.result())
                _tell(outcomes[-1], given.seed, base, console)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            console.print("interrupted; of what was done:")
    _report(outcomes, given.result, console)
    if any(outcome.failed for outcome in outcomes):
        return 1
    shutil.rmtree(base)
    return 0


if __name__ == "__main__":
    sys.exit(main())
