"""What fuzzing once found interesting still breaks no reader. Neither clang nor atheris is needed."""

import subprocess

import pytest

from fuzz import readers
from fuzz.corpus import CORPUS, SOURCE
from interpose.sidecar.journal import HEAD, Records, Stop
from support.cli import need
from support.roots import REPOSITORY

CHANGED = "20"
"""Times that each input of the C reader is changed at random, and read again."""


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


def test_no_kept_input_breaks_the_librarys_client(tmp_path):
    need("gcc")
    reader = tmp_path / "reader"
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
    headers = ["-iquote", REPOSITORY / "libinterpose/include"]
    subprocess.run(["gcc", "-O1", "-DREPLAY", *sanitize, *headers, SOURCE, "-o", reader], check=True)
    replayed = subprocess.run([reader, CORPUS / "grpc", CHANGED], check=True, capture_output=True, text=True).stdout

    assert int(replayed) == len(list((CORPUS / "grpc").iterdir())) > 20
