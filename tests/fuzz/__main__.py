"""`make fuzz`: every reader in turn, for so many seconds each, from the inputs that are kept; up to the first finding.

What is new goes to build/fuzz. `--keep` takes the fewest inputs that reach everything into tests/fuzz/corpus.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fuzz.corpus import CORPUS, SOURCE
from fuzz.readers import READERS
from support.roots import REPOSITORY

NEW: Final = REPOSITORY / "build/fuzz"
SANITIZERS: Final = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
LONGEST: Final = 4096
"""Bytes of an input."""


def _commands() -> dict[str, Sequence[str | Path]]:
    """How to run each fuzzer: the library's client by libFuzzer, the sidecar's readers by atheris."""
    reader = NEW / "grpc_reader"
    headers = ["-iquote", REPOSITORY / "libinterpose/include"]
    subprocess.run(["clang", "-g", "-O1", *SANITIZERS, *headers, SOURCE, "-o", reader], check=True)
    return {"grpc": [reader], **{name: [sys.executable, "-m", "fuzz.drive", name] for name in READERS}}


def main() -> int:
    """Fuzz what was asked for; 1 at a finding, which is kept in build/fuzz."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=1200, help="for each reader")
    parser.add_argument("--keep", action="store_true", help="only take what was found into tests/fuzz/corpus")
    parser.add_argument("readers", nargs="*")
    given = parser.parse_args()
    NEW.mkdir(parents=True, exist_ok=True)
    for name, command in _commands().items():
        if given.readers and name not in given.readers:
            continue
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
