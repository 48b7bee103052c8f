"""All that takes part in a round: a database, a sidecar, programs that keep an account, and chance."""

import contextlib
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chaos.account import Account
from chaos.damage import Damage
from chaos.programs import Program
from chaos.services import Service
from chaos.stored import Stored, read_stored
from chaos.stores import Store
from chaos.tally import Tally
from chaos.witnessed import command, programs, read_witnessed, stored_facts
from interpose.sidecar.spool import Level, Spool

__all__ = ["MIXED", "SIMPLE", "Scene"]

MIXED: Final = "ooooowwwwwwwwwrrrnmmcldspkkkFSVX"
"""Actions of accountant.c: files, pipes, signals, children of all kinds."""
SIMPLE: Final = "olsd"
"""Those that leave one event each, and of which no two are alike."""


@dataclass
class Scene:
    """One round."""

    folder: Path
    rng: random.Random
    tools: Path
    """Where the C files of this folder are, compiled."""
    store: Store
    level: Level
    damage: Damage = field(default_factory=Damage)
    """What was done to journals."""
    notes: Counter[str] = field(default_factory=Counter)
    """What happened, to be counted over all rounds."""

    def __post_init__(self) -> None:
        self.work = self.folder / "work"
        self.work.mkdir()
        self.capture = self.folder / "capture"
        self.programs: list[Program] = []
        self.witness: Path | None = None
        """strace's log, if that is the account."""
        self.account = Account(self.folder / "account")
        self._undo = ExitStack()
        self.service = self._sidecar(self.store.url)

    def _sidecar(self, url: str, *options: str) -> Service:
        settings = ["--capture", str(self.capture), "--db", url, "--level", self.level.name.lower()]
        return self._service(["sidecar", *settings, *options], "LD_PRELOAD=")

    def _service(self, arguments: list[str], ready: str) -> Service:
        service = Service(self.folder, arguments, ready, {"HOME": str(self.folder)})
        self._undo.callback(service.close)
        return service

    def forward(self) -> Service:
        """Give the sidecar a database of its own, and the round's to a collector, which is returned, to forward to."""
        where = f"unix:{self.folder}/collector.sock"
        retain = self.rng.choice(["0", "forever"])
        self.service = self._sidecar(f"sqlite:///{self.folder}/own.db", "--forward-to", where, "--retain", retain)
        return self._service(["collector", "--listen", where, "--db", self.store.url], "collecting on")

    def make_spool(self, *, quota: int, journals_per_segment: int) -> None:
        """The spool, where it is not to be as the sidecar would make it."""
        self.capture.mkdir(exist_ok=True)
        self.capture.chmod(0o711)
        Spool.create(
            self.capture / "spool", level=self.level, quota=quota, journals_per_segment=journals_per_segment
        ).close()

    def is_forwarded(self) -> bool:
        """Whether the collector has everything that the sidecar's own database has."""
        with contextlib.closing(sqlite3.connect(self.folder / "own.db")) as own:
            (waiting,) = own.execute("SELECT count(*) FROM journals WHERE NOT delivered").fetchone()
        return not waiting

    def start_program(self, actions: str, calls: int, threads: int, pause: int) -> Program:
        """Start an accountant under the library; `pause` in microseconds."""
        seed = str(self.rng.randrange(1 << 31))
        arguments = [self.tools / "accountant", self.account.path, seed, actions, calls, threads, pause]
        return self._start([str(word) for word in arguments])

    def start_witnessed(self) -> Program:
        """Start a real program under the library and strace, which keeps the account."""
        chosen = self.rng.choice(programs())
        chosen.prepare(self.work)
        self.witness = self.folder / "strace"
        return self._start(command(self.witness, self.library, chosen.script), variables={"TZ": "UTC"})

    @property
    def library(self) -> Path:
        """What programs load."""
        return self.capture / "libinterpose.so"

    def _start(self, arguments: list[str], variables: Mapping[str, str] | None = None) -> Program:
        program = Program(arguments, self.work, variables or {"LD_PRELOAD": str(self.library)})
        self.programs.append(program)
        self._undo.callback(program.close)
        return program

    def start_programs(self, seconds: float) -> None:
        """One to three that make all kinds of calls for about so long."""
        for _ in range(self.rng.randint(1, 3)):
            threads = self.rng.choice([1, 1, 2, 4])
            pause = self.rng.choice([0, 200, 1000, 5000])
            calls = min(int(seconds * 1e6 / max(pause, 60)), 6000 // threads)
            self.start_program(MIXED, calls, threads, pause)

    def running(self) -> list[Program]:
        """Programs whose command has not ended."""
        return [program for program in self.programs if program.is_running()]

    def sleep(self, least: float, most: float) -> None:
        """Let some time pass, in seconds."""
        time.sleep(self.rng.uniform(least, most))

    def finish_programs(self) -> None:
        """Wait until nothing of them runs."""
        for program in self.programs:
            program.finish()

    def tally(self, *, excused: bool = True) -> Tally:
        """What the programs say they did; `excused` leaves out what damaged records told of."""
        exited = {pid for program in self.programs for pid in program.exited}
        if self.witness is not None:
            log = self.witness.read_text(encoding="utf-8", errors="surrogateescape")
            return read_witnessed(log, self.folder, self.work)
        tally = self.account.tally([program.group for program in self.programs], exited)
        if not excused:
            return tally
        tally.excuse(self.damage.calls)
        for key in list(tally.certain):
            if key.what in ("read", "write") and key.number in self.damage.files:
                del tally.certain[key]
        return tally

    def stored(self) -> Stored:
        """What the database says they did."""
        stored = read_stored(self.store.url)
        if self.witness is not None:
            stored.calls = stored_facts(self.store.url, stored.run, self.folder)
            stored.times = []
        return stored

    def close(self) -> None:
        """Let nothing run on, nor stay mounted."""
        self._undo.close()
        self.account.close()
