"""`make completeness`: run each program bare under strace and captured, and list where the accounts differ."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.orm import Session

from completeness import captured, witness
from completeness.compare import Comparison, compare
from completeness.facts import Observation
from completeness.programs import PROGRAMS, ROOT, Program
from interpose.sidecar.models import Run
from support.roots import missing

_BARE_RUNS, _BARE_RUNS_AT_MOST = 2, 6
"""Where the captured run differs, more bare runs tell whether they differ among themselves."""
_DATES = {f"GIT_{who}_DATE": "2020-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")}
"""So that git makes the same objects in every run."""


def _fresh(folder: Path, program: Program) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    program.prepare(folder)


def _run(command: list[str], folder: Path) -> str:
    """What the command says on stderr."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", **_DATES}
    environment.pop("LD_PRELOAD", None)
    result = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True)
    if result.returncode:
        raise SystemExit(f"{command[-1]} ended with status {result.returncode}: {result.stderr.decode()[-500:]}")
    return result.stderr.decode(errors="replace")


def _observe_bare(program: Program, base: Path, script: list[str]) -> Observation:
    folder = base / "work"
    _fresh(folder, program)
    log = base / "strace.log"
    _run(witness.command(str(log), *script), folder)
    return witness.observe(
        log.read_text(encoding="utf-8", errors="surrogateescape"), str(folder), "", temporary=str(base)
    )


def _observe_captured(program: Program, base: Path, script: list[str]) -> Observation:
    folder, database = base / "work", f"sqlite:///{base / 'interpose.db'}"
    _fresh(folder, program)
    said = _run([sys.executable, "-m", "interpose.cli", "run", "-q", "--db", database, "--", *script], folder)
    engine = create_engine(database)
    if not inspect(engine).has_table(Run.__tablename__):
        raise SystemExit(f"{program.name} ran uncaptured: {said}")
    with Session(engine) as session:
        run = session.scalars(select(Run.id)).one()
    return captured.observe(engine, run, temporary=str(base))


def examine(program: Program) -> Comparison:
    """Run a program bare and captured, and hold the accounts against each other."""
    with tempfile.TemporaryDirectory(prefix="completeness-") as name:
        base = Path(name).resolve()
        base.chmod(0o755)
        script = ["/bin/sh", "-c", f"TMPDIR=$PWD; export TMPDIR; {program.script}"]
        bare = [_observe_bare(program, base, script) for _ in range(_BARE_RUNS)]
        told = _observe_captured(program, base, script)
        while (found := compare(bare, told)).unexplained and len(bare) < _BARE_RUNS_AT_MOST:
            bare.append(_observe_bare(program, base, script))
        return found


def _print(name: str, comparison: Comparison, console: Console) -> None:
    for title, items in (("missed", comparison.missed), ("invented", comparison.invented)):
        for item in items:
            console.print(f"  {name}: {title}: {item}", markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    """Examine the programs that were asked for, or all."""
    parser = argparse.ArgumentParser(prog="completeness", description=__doc__)
    parser.add_argument("names", nargs="*", help="programs to examine; all if none is given")
    names = parser.parse_args().names
    if unknown := sorted(set(names) - {program.name for program in PROGRAMS}):
        raise SystemExit(f"no such program: {unknown[0]}; there are {', '.join(program.name for program in PROGRAMS)}")
    if shutil.which("strace") is None:
        missing("strace")
    console = Console(width=120)
    table = Table(title="seen by strace, and captured", title_justify="left")
    for column in ("program", "seen", "captured", "missed", "invented"):
        table.add_column(column, justify="left" if column == "program" else "right")
    results = []
    for program in PROGRAMS:
        absent = [need for need in program.needs if shutil.which(need) is None]
        if names and program.name not in names:
            continue
        if absent:
            console.print(f"{program.name}: left out, there is no {absent[0]} (tests/install-packages installs it)")
            continue
        comparison = examine(program)
        _print(program.name, comparison, console)
        counts = [comparison.seen, comparison.captured, len(comparison.missed), len(comparison.invented)]
        table.add_row(program.name, *map(str, counts))
        results.append({"name": program.name, **asdict(comparison)})
    console.print(table)
    totals = {key: sum(len(result[key]) for result in results) for key in ("missed", "invented")}
    target = ROOT / "build/bench/completeness.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"programs": results, **totals}, indent=2) + "\n", encoding="utf-8")
    console.print(f"missed {totals['missed']}, invented {totals['invented']}; written to {target.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
