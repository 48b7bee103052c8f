"""`make fuzz`: every reader in turn, for so many seconds each, from the inputs that are kept; up to the first finding.

What is new goes to build/fuzz. `--keep` takes the fewest inputs that reach everything into tests/fuzz/corpus.
"""

import argparse
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fuzz.corpus import CORPUS, INCLUDE, SOURCES
from fuzz.readers import READERS
from support.roots import REPOSITORY

ALL: Final = (*SOURCES, *READERS)
NEW: Final = REPOSITORY / "build/fuzz"
SANITIZERS: Final = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
LONGEST: Final = 4096
"""Bytes of an input."""


def _missing(names: Sequence[str]) -> str | None:
    """What these fuzzers need and is not there, and how to get it."""
    if set(names) & set(SOURCES) and shutil.which("clang") is None:
        return f"{' and '.join(SOURCES)} need clang with libFuzzer: install it (tests/install-packages), or name others"
    if set(names) & set(READERS) and importlib.util.find_spec("atheris") is None:
        return "the sidecar's readers need atheris: install it (make .venv/.fuzz)"
    return None


def _command(name: str) -> Sequence[str | Path]:
    """How to run a fuzzer: what is in C by libFuzzer, the others by atheris."""
    if name not in SOURCES:
        return [sys.executable, "-m", "fuzz.drive", name]
    reader = NEW / f"{name}_reader"
    subprocess.run(["clang", "-g", "-O1", *SANITIZERS, *INCLUDE, SOURCES[name], "-o", reader], check=True)
    return [reader]


def main() -> int:
    """Fuzz what was asked for; 1 at a finding, which is kept in build/fuzz, 2 for what cannot be fuzzed here."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=1200, help="for each reader")
    parser.add_argument("--keep", action="store_true", help="only take what was found into tests/fuzz/corpus")
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(ALL)}; default: all")
    given = parser.parse_args()
    names = given.readers or ALL
    if unknown := set(names) - set(ALL):
        parser.error(f"no reader is called {', '.join(sorted(unknown))}: choose from {', '.join(ALL)}")
    if (missing := _missing(names)) is not None:
        print(f"fuzz: {missing}", file=sys.stderr)
        return 2
    NEW.mkdir(parents=True, exist_ok=True)
    for name in names:
        command = _command(name)
        found, kept = NEW / name, CORPUS / name
        found.mkdir(exist_ok=True)
        if given.keep:
            _keep(command, found, kept)
            continue
        options = [f"-max_total_time={given.seconds}", f"-max_len={LONGEST}", "-timeout=20", "-print_final_stats=1"]
        status = subprocess.run([*command, *options, f"-artifact_prefix={NEW}/{name}-", found, kept]).returncode
        if status:
            print(f"{name}: a finding, see {NEW}/{name}-*")
            return 1
    return 0


def _keep(command: Sequence[str | Path], found: Path, kept: Path) -> None:
    fewest = found.with_name(f"{found.name}-fewest")
    shutil.rmtree(fewest, ignore_errors=True)
    fewest.mkdir()
    subprocess.run([*command, "-set_cover_merge=1", f"-max_len={LONGEST}", fewest, kept, found], check=True)
    shutil.rmtree(kept)
    fewest.rename(kept)


if __name__ == "__main__":
    sys.exit(main())
