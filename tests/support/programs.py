"""Compiling test programs for a target."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.roots import REPOSITORY, Target

__all__ = ["PROGRAMS", "SNIPPETS", "Programs"]

SNIPPETS = REPOSITORY / "tests/preload/snippets"
PROGRAMS = REPOSITORY / "tests/preload/programs"
FLAGS = ("-std=gnu11", "-O2", "-w", "-pthread")
LIBRARIES = ("-lrt", "-lutil")


class Programs:
    """A folder of programs, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def harness(self, target: Target) -> Path:
        """The program that runs topics: a shared library with all of them, and a main that calls it."""
        folder = self._folder(target)
        program = folder / "harness"
        if not program.exists():
            topics = sorted(str(path) for path in SNIPPETS.glob("*.c") if path.name != "main.c")
            _run(
                [*target.compiler, *FLAGS, "-shared", "-fPIC", "-o", str(folder / "libtopics.so"), *topics, *LIBRARIES]
            )
            main = [str(SNIPPETS / "main.c"), f"-L{folder}", "-ltopics", "-Wl,-rpath,$ORIGIN"]
            _run([*target.compiler, *FLAGS, "-fPIE", "-pie", "-o", str(program), *main])
        return program

    def program(self, target: Target, name: str, options: Sequence[str] = ()) -> Path:
        """One program of tests/preload/programs."""
        path = self._folder(target) / "".join([name.removesuffix(".c"), *options])
        if not path.exists():
            _run([*target.compiler, *FLAGS, "-o", str(path), str(PROGRAMS / name), *options])
        return path

    def _folder(self, target: Target) -> Path:
        folder = self.folder / target.name
        folder.mkdir(exist_ok=True)
        return folder


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{shlex.join(command)}\n{result.stderr}"
