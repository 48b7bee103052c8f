"""The two sides of the comparison: the same step in the same surroundings, bare and captured."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.orm import Session

from equivalence.suites import Step, Suite
from equivalence.verdicts import Outcome, ending
from interpose.sidecar.models import Image, Run

__all__ = ["APART", "Recorded", "Side", "bare", "captured"]

APART = os.geteuid() == 0
"""Whether each side has network and IPC namespaces of its own, so that both can run at once: fixed ports, keys."""
_ENTER = ("unshare", "--net", "--ipc", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
_NOBODY = "nobody"
_DROP = ("setpriv", f"--reuid={_NOBODY}", "--regid=nogroup", "--clear-groups")
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
}
_LEAVE = 300
"""Seconds that the sidecar may take to store what is left."""


@dataclass(frozen=True)
class Side:
    """Where and with what the steps of a suite run."""

    suite: Suite
    folder: Path
    variables: Mapping[str, str]
    running: set[int] = field(default_factory=set)
    """The step's session, while it runs."""

    def prepare(self) -> None:
        """Fill the folder."""
        (self.folder / "tmp").mkdir(parents=True)
        self.suite.prepare(self.folder)
        if self._drops:
            subprocess.run(["chown", "-R", "-h", f"{_NOBODY}:nogroup", str(self.folder)], check=True)

    def run(self, step: Step) -> Outcome:
        """Run a step to its end, and end what it left behind."""
        folder = self.folder / step.folder
        report = folder / step.report if step.report else None
        if report:
            report.unlink(missing_ok=True)
        environment = {**_ENVIRONMENT, "HOME": str(self.folder), "TMPDIR": str(self.folder / "tmp")}
        environment |= {**step.variables, **self.variables}
        with self.folder.with_suffix(".output").open("wb") as output:
            program = subprocess.Popen(
                [*self._around(), *step.command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.running.add(program.pid)
            ended = _has_ended(program.pid, step.seconds)
            _end_session(program.pid)
            self.running.discard(program.pid)
            status = program.wait()
        return Outcome(ending(status if ended else None), step.read(_text(report or Path(output.name))))

    def stop(self) -> None:
        """End the step that runs, if one does."""
        for leader in self.running.copy():
            _end_session(leader)

    @property
    def _drops(self) -> bool:
        return APART and self.suite.unprivileged

    def _around(self) -> Sequence[str]:
        """What leads to the step's command, each executing the next."""
        return (*(_ENTER if APART else ()), *(_DROP if self._drops else ()))


def _has_ended(child: int, seconds: float) -> bool:
    """Wait for a child and leave its status to be asked for: until then nobody else gets its number."""
    descriptor = os.pidfd_open(child)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def _text(file: Path) -> str:
    """What a step wrote; nothing if it did not come to that."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _end_session(leader: int) -> None:
    """Kill what is left of a step: it must not disturb the next one, on whichever side."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == leader:
                    os.kill(int(entry.name), signal.SIGKILL)


def bare(suite: Suite, base: Path) -> Side:
    """The side that nothing is done to."""
    return Side(suite, base / "bare" / "side", {})


@dataclass
class Recorded:
    """What the sidecar stored of the captured side."""

    programs: Mapping[str, int]
    """How often each executable was executed."""
    lost: int

    def times(self, program: Path) -> int:
        """How often a program was captured: if less than once a step, the sides agree and nothing is shown."""
        return self.programs.get(os.path.realpath(program), 0)


@contextlib.contextmanager
def captured(suite: Suite, base: Path, recorded: list[Recorded]) -> Iterator[Side]:
    """The side whose programs load the library, served by a sidecar; what that stored is added to `recorded`."""
    capture, database = base / "capture", f"sqlite:///{base / 'interpose.db'}"
    command = [sys.executable, "-m", "interpose.cli", "sidecar", "--capture", str(capture), "--db", database]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as sidecar:
        assert sidecar.stderr is not None
        told = sidecar.stderr.readline()  # it serves from then on
        if "LD_PRELOAD=" not in told:
            sidecar.terminate()
            raise RuntimeError(f"no sidecar: {told}")
        try:
            yield Side(suite, base / "held" / "side", {"LD_PRELOAD": str(capture / "libinterpose.so")})
        finally:
            sidecar.send_signal(signal.SIGTERM)
            _, complaint = sidecar.communicate(timeout=_LEAVE)
    if sidecar.returncode:
        raise RuntimeError(f"the sidecar ended with status {sidecar.returncode}: {complaint}")
    recorded.append(_stored(database))


def _stored(database: str) -> Recorded:
    engine = sql.create_engine(database)
    with Session(engine) as session:
        executed = (
            sql.select(Image.executable, sql.func.count()).where(Image.reason == "exec").group_by(Image.executable)
        )
        counts = session.execute(executed)
        programs = {os.fsdecode(executable): count for executable, count in counts if executable}
        lost = session.scalar(sql.select(sql.func.sum(Run.lost))) or 0
    engine.dispose()
    return Recorded(programs, lost)
