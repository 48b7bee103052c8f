"""What starting a container costs: without us, with the runtime installed and no label, and captured. In turns."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from interpose.injector.engine import Engine as EngineApi
from interpose.injector.installation import Request, install
from support.engine import Engine, HostService, running
from support.roots import ROOTS, missing

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("INTERPOSE_BENCH_ROUNDS", "21"))
IMAGE = "interpose-test/bookworm"
LABEL = ("--label", "interpose.dev/capture=true")


def timed(what: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    what()
    return (time.perf_counter() - begun) * 1000


def start(engine: Engine, *options: str) -> float:
    """From `docker start` of a container that is there to its end."""
    container = engine.text("create", "--network", "none", *options, IMAGE, "/bin/true")
    try:
        return timed(lambda: engine.docker("start", "--attach", container))
    finally:
        engine.docker("rm", container)


def main() -> None:
    """Measure, print a table, and write build/bench/docker.json."""
    if not (ROOTS / "bookworm.ok").exists():
        missing("the root of Debian bookworm")
    with running(Engine()) as engine:
        engine.import_release("bookworm")
        host = engine.folder / "host"
        with EngineApi(engine.url) as api:
            install(Request(host, engine.config), api)
        service = HostService(host, engine.folder / "interpose.db")
        service.start()
        cases: dict[str, Callable[[], float]] = {
            "bare": lambda: start(engine),
            "installed, not labelled": lambda: start(engine, "--runtime", "interpose"),
            "labelled": lambda: start(engine, "--runtime", "interpose", *LABEL),
        }
        times: dict[str, list[float]] = {case: [] for case in cases}
        try:
            for _ in range(ROUNDS):
                for case, measure in cases.items():
                    times[case].append(measure())
        finally:
            service.stop()
    report(times)


def report(times: dict[str, list[float]]) -> None:
    """Print and write."""
    starts = [
        {"case": case, "ms_median": round(statistics.median(values), 2), "n": len(values)}
        for case, values in times.items()
    ]
    folder = ROOT / "build/bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "docker.json").write_text(json.dumps({"starts": starts}, indent=2) + "\n", encoding="utf-8")
    bare = statistics.median(times["bare"])
    table = Table("start and end of a container", "median ms", "added ms", "n", box=None)
    for row in starts:
        table.add_row(row["case"], str(row["ms_median"]), f"{float(str(row['ms_median'])) - bare:+.1f}", str(row["n"]))
    Console(file=sys.stdout).print(table)


if __name__ == "__main__":
    main()
