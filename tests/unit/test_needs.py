"""What make's targets need and do not find is told before anything is done, in lines and not by a traceback."""

import os
import subprocess
import sys

import pytest

from support.roots import REPOSITORY


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (["tests/bench/containers.py"], "the root of Debian bookworm is missing: run tests/install-packages"),
        (["-m", "equivalence", "perl/core"], "no such suite; there are "),
        (["-m", "equivalence", "perl/op"], "perl/op needs "),
        (["-m", "completeness", "git"], "strace is missing: run tests/install-packages"),
        (["-m", "completeness", "gut"], "no such program: gut; there are gcc build, "),
        (["tests/bench/ingest.py"], "gcc is missing: run tests/install-packages"),
    ],
)
def test_what_is_missing_is_named(tmp_path, program, line):
    paths = [REPOSITORY / part for part in ("tests", "sidecar", "injector", "generator", "build/python")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "INTERPOSE_ROOTS": str(tmp_path),
        "PATH": str(tmp_path),
        "INTERPOSE_SOURCES": str(tmp_path),
    }
    command = [sys.executable, *program]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(line), done.stderr
    assert "Traceback" not in done.stderr
