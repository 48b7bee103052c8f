"""`make test` says each thing once, and says before what it will leave out; `make test-all` leaves out nothing."""

import subprocess
from pathlib import Path

import pytest

from support.roots import REPOSITORY, TARGETS
from support.tiers import LEFT_OUT, announcement, asked_for, is_matrix

UNIT = REPOSITORY / "tests/unit"


@pytest.mark.parametrize(
    ("path", "parameters", "expected"),
    [
        (UNIT / "test_ingest.py", {"databases": "sqlite"}, False),
        (UNIT / "test_ingest.py", {"databases": "postgresql"}, True),
        (UNIT / "test_store.py", {"databases": "postgresql"}, False),
        (REPOSITORY / "tests/preload/test_loading.py", {"target": TARGETS["host"]}, False),
        (REPOSITORY / "tests/preload/test_loading.py", {"target": TARGETS["musl"]}, True),
        (REPOSITORY / "tests/containers/test_run.py", {}, True),
        (UNIT / "test_plan.py", {"target": "a name"}, False),
    ],
)
def test_what_is_the_same_elsewhere_is_the_matrix(path, parameters, expected):
    assert expected == is_matrix(path, parameters)


def test_programs_that_tests_ask_for_are_found(tmp_path):
    (tmp_path / "a.py").write_text('need("gcc", "strace")\nneed(\n    "/usr/bin/fakeroot",\n)\nneeded("x")\n')
    assert {"gcc", "strace", "/usr/bin/fakeroot"} == asked_for([tmp_path / "a.py"])


def test_what_is_missing_is_told_before_anything_is_run(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    first, programs, rights = announcement("test")
    assert first.startswith("make test: about ")
    assert " gcc," in programs
    assert "podman" not in programs
    assert programs.endswith("run tests/install-packages")
    assert rights.endswith("run as root")
    assert any("podman" in line for line in announcement("test-all"))


def test_a_machine_with_everything_is_told_how_long_it_takes_and_no_more(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert 1 == len(announcement("test-all"))


@pytest.mark.parametrize("tier", ["test", "test-all"])
def test_make_announces_first_and_leaves_out_only_what_it_says(tier):
    steps = subprocess.run(
        ["make", "--dry-run", tier], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert steps[0].endswith(f"tests/support/tiers.py {tier}")
    assert (tier == "test") == (LEFT_OUT in steps[-1])
    assert "-m pytest" in steps[-1]


def test_ci_skips_nothing_and_runs_a_part_as_a_newcomer():
    script = (REPOSITORY / ".ci/run").read_text()
    assert "INTERPOSE_TEST_ALL=1 make test-all\n" in script
    assert "tests/as-newcomer make test" in script
    assert Path(REPOSITORY / "tests/as-newcomer").stat().st_mode & 0o111
