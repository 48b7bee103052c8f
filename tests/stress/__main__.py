"""`make stress`: rounds of threads, signal handlers and children of every kind at once, under capture.

Each round's program keeps its own account, which the captured events must match exactly.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stress.rounds import Round, run_round
from support.programs import Programs
from support.roots import REPOSITORY, TARGETS


def _run(program: Path, base: Path, seed: int, options: argparse.Namespace) -> Round:
    folder = base / "round"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return run_round(
        program, folder, seed, operations=options.operations, threads=options.threads, timeout=options.timeout
    )


def _say(done: Round, console: Console) -> None:
    what = "hung" if done.hung else done.crash
    lost = ", ".join(f"{name} {count:+}" for name, count in done.lost.items())
    console.print(f"seed {done.seed}: {what} {lost and f'missing: {lost}'}", markup=False, highlight=False)


def main() -> int:
    """Run the rounds; the status says whether all were good."""
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the first round, and counted up (default: 1)")
    parser.add_argument("--operations", type=int, default=60, help="of each thread (default: 60)")
    parser.add_argument("--threads", type=int, default=4, help="of the program (default: 4)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds after which a round hangs (default: 120)")
    options = parser.parse_args()
    console = Console(width=120)
    rounds: list[Round] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stress-") as name:
        base = Path(name).resolve()
        program = Programs(base).program(TARGETS["host"], "stress.c")
        for seed in range(options.seed, options.seed + options.rounds):
            rounds.append(_run(program, base, seed, options))
            if not rounds[-1].good:
                _say(rounds[-1], console)
    figures = {
        "rounds": len(rounds),
        "hangs": sum(done.hung for done in rounds),
        "crashes": sum(bool(done.crash) for done in rounds),
        "lost": sum(abs(count) for done in rounds for count in done.lost.values()),
    }
    events, seconds = sum(done.events for done in rounds), time.monotonic() - began
    table = Table(title=f"{options.threads} threads on {os.cpu_count()} processors", title_justify="left")
    for column in (*figures, "events", "seconds"):
        table.add_column(column, justify="right")
    table.add_row(*map(str, figures.values()), str(events), f"{seconds:.0f}")
    console.print(table)
    target = REPOSITORY / "build/bench/stress.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    console.print(f"written to {target.relative_to(REPOSITORY)}")
    return int(not all(done.good for done in rounds))


if __name__ == "__main__":
    sys.exit(main())
