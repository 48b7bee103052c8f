"""What capturing costs: the same workloads bare and captured, in turns, in one run.

Each workload gives two rows. The first is the time that passes for the program itself. "cpu" is user and system time
of the program and its children, and in the captured column of the sidecar too: nothing that capture makes anybody do
is left out. What costs a few nanoseconds a character drowns in the noise of a shared machine: of that the instructions
are counted too, under valgrind, which gives the same figure in every run.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
PER_CHARACTER = ("fgetc", "getc+putc")
COUNTED = 2_000_000
"""How many operations instructions are counted of."""
ROUNDS = int(os.environ.get("INTERPOSE_BENCH_ROUNDS", "7"))


@dataclass(frozen=True)
class Sample:
    """One round of a workload, nanoseconds for one operation."""

    elapsed: float
    cpu: float


@dataclass(frozen=True)
class Workload:
    """How a round is run: with these environment variables and, if captured, this sidecar."""

    name: str
    unit: str
    operations: int
    command: list[str]
    prints_elapsed: bool
    before: Callable[[], None] = lambda: None


class Sidecar:
    """A sidecar in a process of its own, whose CPU time can be read."""

    def __init__(self, directory: Path) -> None:
        self.capture = directory / "capture"
        database = f"sqlite:///{directory / 'interpose.db'}"
        command = [sys.executable, "-m", "interpose.cli", "sidecar", "--capture", str(self.capture), "--db", database]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not (self.capture / "spool/capture.sock").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the sidecar did not start: run `interpose sidecar` by hand to see why")
            time.sleep(0.02)

    def cpu(self) -> float:
        """User and system time in nanoseconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1e9 / os.sysconf("SC_CLK_TCK")

    def settled_cpu(self) -> float:
        """The same, once it has stored what there is: it has been idle for three tenths of a second."""
        before, since = self.cpu(), time.monotonic()
        while time.monotonic() - since < 0.3:
            time.sleep(0.05)
            now = self.cpu()
            if now != before:
                before, since = now, time.monotonic()
        return before

    def stop(self) -> None:
        """End it in its own way."""
        self.process.terminate()
        self.process.wait(timeout=60)


@contextmanager
def running_sidecar(directory: Path) -> Iterator[Sidecar]:
    """A sidecar for the time of the benchmark."""
    sidecar = Sidecar(directory)
    try:
        yield sidecar
    finally:
        sidecar.stop()


def run_round(workload: Workload, sidecar: Sidecar | None) -> Sample:
    """Run a workload once."""
    workload.before()
    environment = dict(os.environ)
    environment.pop("LD_PRELOAD", None)
    if sidecar:
        environment["LD_PRELOAD"] = str(sidecar.capture / "libinterpose.so")
    sidecar_before = sidecar.settled_cpu() if sidecar else 0.0
    start = time.monotonic_ns()
    with subprocess.Popen(workload.command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    elapsed = time.monotonic_ns() - start
    if process.returncode:
        raise SystemExit(f"{workload.name} failed with status {process.returncode}")
    if workload.prints_elapsed:
        elapsed = int(output)
    cpu = (usage.ru_utime + usage.ru_stime) * 1e9
    if sidecar:
        cpu += sidecar.settled_cpu() - sidecar_before
    return Sample(elapsed / workload.operations, cpu / workload.operations)


def compile_workload(directory: Path) -> Path:
    """The C program, built with the compiler that every machine has after `make install`."""
    program = directory / "workload"
    source = Path(__file__).with_name("workload.c")
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-O2", "-o", str(program), str(source)], check=True)
    return program


def workloads(directory: Path) -> Iterator[Workload]:
    """What is measured."""
    program = compile_workload(directory)
    file = directory / "file"
    file.write_bytes(b"x")
    for name, count in (
        ("open+close", 50_000),
        ("read", 1_000_000),
        ("write", 1_000_000),
        ("fgetc", 20_000_000),
        ("getc+putc", 20_000_000),
    ):
        yield Workload(name, "ns", count, [str(program), name, str(count), str(file)], prints_elapsed=True)
    name, count = "fork+exec+exit", 300
    yield Workload(name, "ns", count, [str(program), name, str(count), str(program)], prints_elapsed=True)
    compiler = shutil.which("gcc")
    if compiler is None:
        print("no gcc: the build of a C project is left out (tests/install-packages installs it)", file=sys.stderr)
        return
    build, make = directory / "build", c_build(directory / "build")
    yield Workload(
        "C build", "ns", 1, make, prints_elapsed=False, before=lambda: shutil.rmtree(build, ignore_errors=True)
    )


def c_build(folder: Path) -> list[str]:
    """Compiling and linking our own library by gcc into a folder, of what has been generated (generator/library.mk)."""
    places = {
        "CC": "gcc",
        "MACHINE": os.uname().machine,
        "GENERATED": ROOT / "build/generated",
        "OBJECTS": folder / "objects",
        "TARGET": folder / "libinterpose.so",
    }
    return ["make", "-s", "-C", str(ROOT / "libinterpose"), *(f"{name}={value}" for name, value in places.items())]


def count_instructions(workload: Workload, operations: int, sidecar: Sidecar | None) -> float:
    """Instructions of the program itself for one operation, its start and end shared out among them."""
    program, name, _, file = workload.command
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, name, str(operations), file]
    environment = {**os.environ, "LD_PRELOAD": str(sidecar.capture / "libinterpose.so") if sidecar else ""}
    said = subprocess.run(tool, env=environment, capture_output=True, text=True, check=True).stderr
    found = re.search(r"Collected : (\d+)", said)
    if found is None:
        raise SystemExit(f"valgrind counted nothing: {said[-500:]}")
    return int(found[1]) / operations


def instruction_rows(workload: Workload, sidecar: Sidecar) -> Iterator[dict[str, object]]:
    """One row for what moves single characters, where there is valgrind."""
    if workload.name not in PER_CHARACTER:
        return
    if shutil.which("valgrind") is None:
        print("no valgrind: instructions are not counted (tests/install-packages installs it)", file=sys.stderr)
        return
    bare, captured = (count_instructions(workload, COUNTED, who) for who in (None, sidecar))
    yield {
        "name": f"{workload.name} (instructions)",
        "bare": round(bare, 1),
        "captured": round(captured, 1),
        "ratio": round(captured / bare, 3),
        "unit": "instructions",
    }


def measure(workload: Workload, sidecar: Sidecar) -> tuple[list[Sample], list[Sample]]:
    """Bare and captured in turns, so that whatever else the machine does meets both alike."""
    rounds = ROUNDS if workload.operations > 1 else min(ROUNDS, 3)
    bare, captured = [], []
    for _ in range(rounds):
        bare.append(run_round(workload, None))
        captured.append(run_round(workload, sidecar))
    return bare, captured


def rows(workload: Workload, bare: list[Sample], captured: list[Sample]) -> Iterator[dict[str, object]]:
    """The workload's two rows: medians."""
    for what in ("elapsed", "cpu"):
        without = statistics.median(getattr(sample, what) for sample in bare)
        with_ = statistics.median(getattr(sample, what) for sample in captured)
        ratio = round(with_ / without, 3) if without else None
        name = workload.name if what == "elapsed" else f"{workload.name} (cpu, sidecar included)"
        yield {
            "name": name,
            "bare": round(without, 1),
            "captured": round(with_, 1),
            "ratio": ratio,
            "unit": workload.unit,
        }


def print_table(results: list[dict[str, object]]) -> None:
    """For a reader."""
    table = Table(title=f"bare against captured, medians of {ROUNDS} interleaved rounds", title_justify="left")
    for column in ("workload", "bare", "captured", "ratio", "unit"):
        table.add_column(column, justify="left" if column in ("workload", "unit") else "right", no_wrap=True)
    for result in results:
        table.add_row(
            str(result["name"]),
            f"{result['bare']:,}",
            f"{result['captured']:,}",
            str(result["ratio"]),
            str(result["unit"]),
        )
    Console(width=120).print(table)


def main() -> None:
    """Measure, print, and write build/bench/overhead.json."""
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="interpose-bench-") as name:
        directory = Path(name)
        with running_sidecar(directory) as sidecar:
            for workload in workloads(directory):
                results += rows(workload, *measure(workload, sidecar))
                results += instruction_rows(workload, sidecar)
    print_table(results)
    target = ROOT / "build/bench/overhead.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"workloads": results}, indent=2) + "\n", encoding="utf-8")
    print(f"written to {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
