"""How fast a sidecar stores: events a second and CPU for each, by either way in, into either database.

Recorded programs (recording.py) are played to a sidecar in a process of its own: as processes that fill journals and
end, or as processes that stream them over gRPC. CPU is the sidecar's user and system time; PostgreSQL's own stands
beside it. Bytes are those of the database once everything is stored.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import grpc
from recording import Played, Recording, record
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, text

from interpose.sidecar.journal import measure
from interpose.v1.capture_pb2 import Acknowledgement, Batch
from support.journals import Writer
from support.postgresql import Server, server
from support.roots import missing

ROOT: Final = Path(__file__).parents[2]
SIZES: Final = (100_000, 1_000_000, 10_000_000)
C_BUILD: Final = (
    'for n in 1 2 3 4 5 6; do printf "#include <stdio.h>\\n#include <stdlib.h>\\nint f$n;\\n" > f$n.c;'
    " gcc -O1 -c f$n.c; done; ar rc libf.a *.o; echo 'int main(void) { return 0; }' > m.c; gcc m.c libf.a -o m; ./m"
)
SCRIPT: Final = (
    "for n in 1 2 3 4 5 6 7 8; do ls /etc | sort | uniq -c > out$n; grep -r root /etc/passwd /etc/group | sed s/a/b/"
    " > x$n; cat out$n x$n | wc > y$n; done; date; head -3 y1"
)
REWRITER: Final = f"""{sys.executable} -S -c '
for n in range(1000):
    open(str(n % 40), "a").write("x")
    open(str(n % 40)).read()'"""
SHORT: Final = "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do /bin/true; done"
_BATCH: Final = 16384
"""Bytes that the library sends at once."""
_STREAMS: Final = 16
_WINDOW: Final = 16
"""Batches of one stream on their way at a time."""
_ASK_SECONDS: Final = 0.1
"""Between two questions how far the sidecar is: what it costs to answer counts as its own."""
_SHORT_PROCESSES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Result:
    """A line of the table."""

    store: str
    path: str
    events: int
    events_per_s: float
    cpu_us_per_event: float
    database_cpu_us_per_event: float
    peak_rss_mib: float
    bytes_per_event: float
    processes_per_s: float


class Sidecar:
    """A sidecar in a process of its own."""

    def __init__(self, directory: Path, url: str) -> None:
        self.capture = directory / "capture"
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self._port = free.getsockname()[1]
        command = [sys.executable, "-m", "interpose.cli", "sidecar", "--capture", str(self.capture), "--db", url]
        self.process = subprocess.Popen(
            [*command, "--metrics-listen", f"127.0.0.1:{self._port}"], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while not (self.spool / "capture.sock").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the sidecar did not start: run `interpose sidecar` by hand to see why")
            time.sleep(0.02)

    @property
    def spool(self) -> Path:
        """Where its journals are."""
        return self.capture / "spool"

    def events(self) -> int:
        """How many it has stored."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=60) as answer:
            told = answer.read().decode()
        counts = re.findall(r"^interpose_events_total\{.*\} (\S+)$", told, re.MULTILINE)
        return sum(int(float(count)) for count in counts)

    def cpu(self) -> float:
        """User and system time, seconds."""
        return _cpu(self.process.pid)

    def peak_rss(self) -> float:
        """MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) / 1024

    def stop(self) -> None:
        """End it in its own way."""
        self.process.terminate()
        self.process.wait(timeout=600)


def _cpu(pid: int, *, children: bool = False) -> float:
    """User and system time of a process, seconds; with those of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return sum(int(ticks) for ticks in fields[11 : 15 if children else 13]) / os.sysconf("SC_CLK_TCK")


def _database_cpu(running: Server | None) -> float:
    """Of a PostgreSQL server and all its processes, seconds."""
    if running is None:
        return 0.0
    total = _cpu(running.pid, children=True)
    for child in running.children():
        with suppress(OSError):  # it has ended
            total += _cpu(child)
    return total


def rounds(recordings: list[Recording], events: int) -> Iterator[Played]:
    """The journals of all recordings in turn, until there are enough events."""
    number = turn = 0
    while events > 0:
        for recording in recordings:
            yield from recording.play(turn, number)
            number += recording.journals
            events -= recording.events
        turn += 1


def collect(sidecar: Sidecar, journals: Iterable[Played]) -> None:
    """Play processes that fill journals and end."""
    for journal in journals:
        writer = Writer(sidecar.spool, journal.pid, journal.start_time, home=journal.home)
        writer.raw(journal.data)
        writer.die()


def stream(sidecar: Sidecar, journals: Iterable[Played]) -> None:
    """Play processes that stream what they record, some at a time, and end once it is acknowledged."""
    with grpc.insecure_channel(f"unix:{sidecar.spool}/capture.sock") as channel:
        call = channel.stream_stream("/interpose.v1.Capture/Stream", None, Acknowledgement.FromString)
        streams = [_Stream(call) for _ in range(_STREAMS)]
        for journal in journals:
            writer = Writer(sidecar.spool, journal.pid, journal.start_time, home=journal.home)
            writer.raw(journal.data)
            streams[writer.number % _STREAMS].send(writer, journal.data)
        for one in streams:
            one.end()


class _Stream:
    """What one process after the other sends over."""

    def __init__(self, call: "grpc.StreamStreamMultiCallable[bytes, Acknowledgement]") -> None:
        self._batches: SimpleQueue[bytes | None] = SimpleQueue()
        self._acknowledgements = call(iter(self._batches.get, None))
        self._waiting: deque[tuple[Writer, int]] = deque()

    def send(self, writer: Writer, data: bytes) -> None:
        """Everything that stands in a journal."""
        for batch in _batches(writer.number, data):
            self._batches.put(batch)
            self._waiting.append((writer, writer.tail))
            if len(self._waiting) >= _WINDOW:
                self._acknowledged()

    def end(self) -> None:
        """Wait until all is acknowledged."""
        while self._waiting:
            self._acknowledged()
        self._batches.put(None)

    def _acknowledged(self) -> None:
        told, (writer, size) = next(self._acknowledgements), self._waiting.popleft()
        assert told.journal == writer.number
        if told.offset == size:
            writer.die()


def _batches(number: int, data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        piece = data[start : start + _BATCH]
        piece = piece[: measure(piece).size] or data[start : start + measure(data[start:]).size]
        yield Batch(journal=number, offset=start).SerializeToString() + piece
        start += len(piece)


def run(store: str, path: str, journals: Sequence[Played]) -> Result:
    """One line of the table. The journals are made beforehand, or the clock would tell how fast that is."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interpose-bench-")))
        running = stack.enter_context(server(fsync="on", autovacuum="on")) if store == "postgresql" else None
        url = f"sqlite:///{directory}/interpose.db" if running is None else running.database()
        told = sum(journal.events for journal in journals)
        sidecar = Sidecar(directory, url)
        stack.callback(sidecar.stop)
        time.sleep(0.5)
        cpu, database_cpu, started = sidecar.cpu(), _database_cpu(running), time.monotonic()
        (stream if path == "stream" else collect)(sidecar, journals)
        while (stored := sidecar.events()) < told:
            time.sleep(_ASK_SECONDS)
        elapsed = time.monotonic() - started
        cpu, database_cpu = sidecar.cpu() - cpu, _database_cpu(running) - database_cpu
        if stored != told:
            raise SystemExit(f"{told} events were told, {stored} stored")
        peak = sidecar.peak_rss()
        sidecar.stop()
        size, processes = _size_of(url)
    return Result(
        store,
        path,
        told,
        round(told / elapsed),
        round(cpu / told * 1e6, 2),
        round(database_cpu / told * 1e6, 2),
        round(peak, 1),
        round(size / told, 1),
        round(processes / elapsed),
    )


def _size_of(url: str) -> tuple[int, int]:
    """Bytes of a database, and how many processes it knows."""
    engine = create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            size = connection.execute(text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
        else:
            size = connection.execute(text("SELECT pg_database_size(current_database())"))
        found = int(size.scalar_one()), int(connection.execute(text("SELECT count(*) FROM processes")).scalar_one())
    engine.dispose()
    return found


def recorded(program: str) -> Recording:
    """What a program records."""
    with tempfile.TemporaryDirectory(prefix="interpose-bench-") as directory:
        return record(program, Path(directory))


def print_table(title: str, results: list[Result]) -> None:
    """For a reader."""
    table = Table(title=title, title_justify="left")
    for column in (
        "store", "path", "events", "events/s", "CPU us/event", "database's", "peak RSS MiB", "bytes/event",
        "processes/s",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column in ("store", "path") else "right", no_wrap=True)
    for result in results:
        row = asdict(result).values()
        table.add_row(*(value if isinstance(value, str) else f"{value:,}" for value in row))
    Console(width=120).print(table)


def main() -> None:
    """Measure, print, and write build/bench/ingest.json."""
    if shutil.which("gcc") is None:
        missing("gcc")
    sizes = [int(size) for size in os.environ.get("INTERPOSE_BENCH_EVENTS", "").split()] or SIZES
    mixed, short = [recorded(program) for program in (C_BUILD, SCRIPT, REWRITER)], [recorded(SHORT)]
    ways = [(store, path) for store in ("sqlite", "postgresql") for path in ("collected", "stream")]
    results = []
    for size in sizes:
        journals = list(rounds(mixed, size))
        for store, path in ways:
            results.append(run(store, path, journals))
            print(results[-1], file=sys.stderr)
    per_process = short[0].events / short[0].processes
    journals = list(rounds(short, round(_SHORT_PROCESSES * per_process)))
    shorts = [run(store, "collected", journals) for store in ("sqlite", "postgresql")]
    print_table("a mix of a C build, shell scripts and a Python program", results)
    print_table(f"processes of {per_process:.0f} events", shorts)
    target = ROOT / "build/bench/ingest.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    told = {"runs": [asdict(result) for result in results], "short_processes": [asdict(result) for result in shorts]}
    target.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(f"written to {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
