"""What `make bench` measures can be run: its build of a C project, from sources and a makefile that change."""

import importlib.util
import re
import subprocess

from support.roots import REPOSITORY, library


def overhead():
    """The benchmark, which is a program and in no package."""
    spec = importlib.util.spec_from_file_location("overhead", REPOSITORY / "tests/bench/overhead.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_build_of_a_c_project_writes_what_it_makes_below_its_folder(tmp_path):
    library()
    command = [*overhead().c_build(tmp_path / "build"), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr)
    made = re.findall(r" -o (\S+)", done.stdout)
    assert f"{tmp_path}/build/libinterpose.so.draft" in made
    assert 20 < len(made) == sum(path.startswith(f"{tmp_path}/build/") for path in made)
