"""What fuzzing once found interesting still breaks no reader. Neither clang nor atheris is needed."""

import os
import subprocess
import sys

import pytest

from fuzz import readers
from fuzz.corpus import CORPUS, INCLUDE, SOURCES
from interpose.sidecar.journal import HEAD, Records, Stop
from support.cli import need
from support.roots import REPOSITORY

CHANGED = "20"
"""Times that each input of a reader in C is changed at random, and read again."""


@pytest.mark.parametrize("name", readers.READERS)
def test_no_kept_input_breaks_a_reader_of_the_sidecar(name):
    inputs = sorted((CORPUS / name).iterdir())
    assert len(inputs) > 20
    for path in inputs:
        readers.READERS[name](path.read_bytes())


def test_a_reader_that_makes_something_up_is_found_out(monkeypatch):
    def made_up(data, start):
        places = [start] if len(data) >= HEAD else []
        return Records(start, data, places, list(places), Stop.END)

    monkeypatch.setattr(readers, "scan", made_up)
    with pytest.raises(AssertionError):
        for path in sorted((CORPUS / "journal").iterdir()):
            readers.read_journal(path.read_bytes())


@pytest.mark.parametrize("name", SOURCES)
def test_no_kept_input_breaks_a_reader_in_c(name, tmp_path):
    need("gcc")
    reader = tmp_path / "reader"
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
    subprocess.run(["gcc", "-O1", "-DREPLAY", *sanitize, *INCLUDE, SOURCES[name], "-o", reader], check=True)
    replayed = subprocess.run([reader, CORPUS / name, CHANGED], check=True, capture_output=True, text=True).stdout

    assert int(replayed) == len(list((CORPUS / name).iterdir())) > 20


@pytest.mark.parametrize(("reader", "what"), [("journal", "atheris"), ("grpc", "clang")])
def test_what_a_fuzzer_needs_and_is_not_installed_is_one_line_and_no_finding(tmp_path, reader, what):
    here = os.environ | {"PYTHONPATH": str(REPOSITORY / "tests"), "PATH": str(tmp_path)}
    hidden = f"import sys, runpy; sys.modules['{what}'] = None; runpy.run_module('fuzz', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", hidden, reader], env=here, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()

    assert (2, "") == (done.returncode, done.stdout)
    assert what in line and "install" in line
