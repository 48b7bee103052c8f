"""What the tests of the whole path share: the command with a database of its own, and test programs."""

import subprocess
from pathlib import Path

import pytest

from support.cli import Interpose, need
from support.roots import TARGETS, library


@pytest.fixture
def interpose(tmp_path):
    library()
    return Interpose(tmp_path)


@pytest.fixture
def central(tmp_path):
    """Where a collector stores."""
    (tmp_path / "central").mkdir()
    return Interpose(tmp_path / "central")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Compiles a C file of this folder, once: compiled("threads") is the program's path."""
    folder = tmp_path_factory.mktemp("programs")

    def compile_(name, *options, compiler=TARGETS["host"].compiler):
        program = folder / "-".join([name, *compiler]).replace("/", "_")
        if not program.exists():
            need(compiler[0])
            source = Path(__file__).with_name(f"{name}.c")
            command = [*compiler, "-Wall", "-Werror", "-O1", "-o", program, source, "-pthread", *options]
            subprocess.run(command, check=True)
        return str(program)

    return compile_
