"""The example of the README: lineage crosses a pipe."""

from pathlib import Path

import pytest

from support.cli import Interpose, summary
from support.roots import library


@pytest.fixture
def pipeline(tmp_path, database):
    library()
    interpose = Interpose(tmp_path, url=database)
    result = interpose.run("sh", "-c", "sort /etc/passwd | uniq -c > out.txt")
    assert (0, b"") == (result.returncode, result.stdout)
    return interpose, result


def test_the_lineage_of_a_pipelines_output_reaches_its_input(pipeline):
    interpose, _ = pipeline
    lineage = interpose.lineage("out.txt")
    (uniq,) = lineage.into(lineage.asked["id"], "wrote")
    (pipe,) = [file for file in lineage.into(uniq["id"], "read") if file["kind"] == "pipe"]
    (sort,) = lineage.into(pipe["id"], "wrote")
    assert (["uniq", "-c"], ["sort", "/etc/passwd"]) == (uniq["arguments"], sort["arguments"])
    assert "/etc/passwd" in [file["path"] for file in lineage.into(sort["id"], "read")]
    assert {"/usr/bin/uniq"} == {file["path"] for file in lineage.into(uniq["id"], "executed")}


def test_the_lineage_holds_the_bytes_that_were_moved(pipeline):
    interpose, _ = pipeline
    size = Path("/etc/passwd").stat().st_size
    lineage = interpose.lineage("out.txt")
    moved = {
        (lineage.nodes[edge["source"]].get("path"), edge["kind"]): edge["bytes"]
        for edge in lineage.edges
        if edge["kind"] in ("read", "wrote")
    }
    written = (interpose.folder / "out.txt").stat().st_size
    assert size == moved["/etc/passwd", "read"]
    assert [written] == [
        edge["bytes"] for edge in lineage.edges if (edge["kind"], edge["target"]) == ("wrote", lineage.asked["id"])
    ]


def test_people_see_the_same_as_a_tree(pipeline):
    interpose, _ = pipeline
    lines = interpose("lineage", "out.txt").stdout.decode().splitlines()
    assert str(interpose.folder / "out.txt") == lines[0]
    assert lines[1].startswith("└── uniq -c [pid ")
    depth = {line.lstrip("│├└─ ").split(" [")[0]: len(line) - len(line.lstrip("│├└─ ")) for line in reversed(lines)}
    assert depth["uniq -c"] < depth["sort /etc/passwd"] < depth["/etc/passwd"]


def test_the_summary_counts_what_the_listings_show(pipeline):
    interpose, result = pipeline
    counts = summary(result.stderr)
    listed = {what: len(interpose.ask(what, counts.run)) for what in ("ps", "files", "events")}
    assert {"ps": counts.processes, "files": counts.files, "events": counts.events} == listed
    assert (3, 0, 0) == (counts.processes, counts.lost, counts.blind_spots)


def test_a_run_leaves_no_capture_directory(pipeline):
    interpose, _ = pipeline
    assert [] == list(interpose.temporary.iterdir())
