"""A round of every fault over every database: nothing is lost, nothing is there twice. `make chaos` has many more."""

import json
import os
import subprocess
import sys

import pytest

from chaos.faults import FAULTS
from support.cli import need
from support.roots import REPOSITORY, library, missing

SEED = "20261126"


@pytest.mark.slow
def test_no_fault_loses_or_duplicates_anything(tmp_path):
    library()
    need("gcc", "strace")
    if os.geteuid() != 0:
        missing("root's permission to mount", "run as root")
    result = tmp_path / "chaos.json"
    command = [sys.executable, "-m", "chaos", "--rounds", "0", "--seed", SEED, "--result", str(result)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "tests")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr
    told = json.loads(result.read_text())

    assert ["rounds", "lost", "duplicated", "by_fault"] == list(told)
    assert (0, 0) == (told["lost"], told["duplicated"])
    assert {name: len(each.stores) for name, each in FAULTS.items()} == {
        row["fault"]: row["rounds"] for row in told["by_fault"]
    }
    assert all(row["calls"] for row in told["by_fault"])
