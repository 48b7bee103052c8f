"""`make demo`: capture a real program, show how what it made was made, and where the metrics are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "build/demo"
INTERPOSE = str(Path(sys.executable).with_name("interpose"))
MAKEFILE = """\
report.txt: words.txt
\thead -n 10 words.txt > report.txt

words.txt: ../../README.md ../../ARCHITECTURE.md
\tcat $^ | tr -cs '[:alpha:]' '\\n' | sort | uniq -c | sort -rn > words.txt
"""


def show(*command: str) -> None:
    """Run a command as a reader would, and say so."""
    print(f"\n$ {' '.join(command)}", flush=True)
    status = subprocess.run([INTERPOSE, *command[1:]], cwd=DEMO, env=environment(), check=False).returncode
    if status:
        raise SystemExit(f"demo: `{' '.join(command)}` ended with status {status}")


def environment() -> dict[str, str]:
    """The demo has a database of its own."""
    return {**os.environ, "INTERPOSE_DB": f"sqlite:///{DEMO / 'interpose.db'}"}


def main() -> None:
    """The whole demonstration; a failure is one line and status 1."""
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir(parents=True)
    (DEMO / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    show("interpose", "run", "--metrics-file", "metrics.prom", "--", "make", "--no-print-directory")
    show("interpose", "ps", "last")
    show("interpose", "lineage", "report.txt")
    print(
        "\nThe metrics of the run are in build/demo/metrics.prom, as Prometheus reads them. --metrics-listen HOST:PORT"
    )
    print("serves them at http://HOST:PORT/metrics while a run or a sidecar lasts. Some of them:")
    for line in (DEMO / "metrics.prom").read_text(encoding="utf-8").splitlines():
        if line.startswith(("interpose_events_total", "interpose_processes_total")):
            print(f"    {line}")


if __name__ == "__main__":
    main()
