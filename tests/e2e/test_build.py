"""The lineage of a real build: the project's own library, made by make, gcc, the linker and Python.

Every source, header and tool that took part is told of, and nothing else: strace is the witness. What counts is content
that was read, mapped or executed, and by how many hands it then came into the library (support/witness.py). What libc
and the loader open by themselves counts too: locales, tables of character sets, the loader's cache.
"""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.cli import Interpose, Lineage, need, summary
from support.roots import REPOSITORY, library
from support.witness import Differences, compare, origins, strace


@dataclass
class Build:
    interpose: Interpose
    tree: Path
    result: Path
    seen: set[str]
    lineage: Lineage
    stderr: bytes


def build_command(tree):
    return [sys.executable, "-m", "interpose.generator", "--root", str(tree), "build", "--cc", "gcc"]


def clean(tree):
    shutil.rmtree(tree / "build", ignore_errors=True)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """The same build in the same place twice: under strace, and captured."""
    need("strace", "gcc", "make")
    library()
    interpose = Interpose(tmp_path_factory.mktemp("build"), {"PYTHONDONTWRITEBYTECODE": "1"})
    tree = interpose.folder
    for part in ("generator", "libinterpose", "protos", "sidecar/native"):
        shutil.copytree(REPOSITORY / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    interpose.variables |= {
        "PYTHONPATH": os.pathsep.join(filter(None, [f"{tree}/generator", os.environ.get("PYTHONPATH")]))
    }
    log = tree.with_name("strace.log")
    result = tree / f"build/python/interpose/lib/{os.uname().machine}/libinterpose.so"
    interpose.bare(*strace(log, *build_command(tree))).check_returncode()
    seen = origins(log.read_text(), str(result), str(tree))
    clean(tree)
    captured = interpose.run(*build_command(tree))
    assert captured.returncode == 0, captured.stderr.decode()
    return Build(interpose, tree, result, seen, interpose.lineage(result), captured.stderr)


def comparable(paths, build):
    """Without pipes and the result (linked as a draft); the random names of gcc's temporary files are made one."""
    kept = (path for path in paths if path.startswith("/") and not path.startswith(str(build.result)))
    return {re.sub(rf"{build.interpose.temporary}/cc\w{{6}}", "/tmp/cc", path) for path in kept}


def test_the_lineage_is_what_strace_saw(build):
    differences = compare(comparable(build.seen, build), comparable(build.lineage.paths, build))
    assert Differences(missing=[], invented=[]) == differences


def test_the_comparison_rejects_a_removed_and_an_invented_header(build):
    told = comparable(build.lineage.paths, build)
    header = f"{build.tree}/libinterpose/include/journal.h"
    assert Differences([header], ["/usr/include/invented.h"]) == compare(
        told, told - {header} | {"/usr/include/invented.h"}
    )


def test_sources_headers_specifications_and_tools_are_in_it(build):
    parts = build.tree / "libinterpose"
    sources = [
        *parts.glob("*.c"),
        *parts.glob("hooks/*.c"),
        *parts.glob("manual/*.c"),
        parts / "flags",
        parts / "link",
        parts / "Makefile",
        build.tree / "generator/library.mk",
    ]
    sources += build.tree.glob("generator/specs/*.yaml")
    sources += build.tree.glob("protos/interpose/v1/*.proto")
    expected = {str(path) for path in sources}
    assert expected == expected & build.lineage.paths
    programs = {os.path.basename(program["executable"] or "") for program in build.lineage.programs}
    assert {"make", "cc1", "collect2"} == {"make", "cc1", "collect2"} & programs


def test_what_took_no_part_is_not_in_it(build):
    assert [] == [
        path for path in build.lineage.paths if path.endswith(("/mkdir", "/touch", ".o.d", "libinterpose.so"))
    ]


def test_no_file_of_it_is_said_to_have_been_made_unseen(build):
    assert [] == [(row["kind"], row["path"]) for row in build.lineage.nodes.values() if row.get("unseen")]


def test_the_summary_tells_that_nothing_was_lost(build):
    counts = summary(build.stderr)
    assert (0, 0) == (counts.lost, counts.blind_spots)
    assert len(build.interpose.ask("ps", "last")) == counts.processes
