"""What is recorded at each level."""

import errno
import sys

import pytest


def of_file(interpose, path, effect):
    """The events of one effect that name a file, or are about the descriptor's file."""
    (file,) = [file for file in interpose.ask("files", "last", "--all") if path in file["paths"]]
    identity = {"device": file["device"], "inode": file["inode"]}
    events = [event for event in interpose.ask("events", "last") if event["effect"] == effect]
    return [event for event in events if identity.items() <= event["fields"].get("file", {}).items()]


@pytest.fixture
def source(interpose):
    path = interpose.folder / "source"
    path.write_bytes(b"0123456789" * 10)
    return str(path)


def test_level_calls_has_an_event_for_each_read(interpose, source):
    options = ("--level", "calls")
    assert (
        0
        == interpose.run("dd", f"if={source}", "of=copy", "bs=10", "count=7", "status=none", options=options).returncode
    )
    reads = [event["fields"]["bytes_read"] for event in of_file(interpose, source, "io") if event["fields"]["reads"]]
    writes = [
        event["fields"]["bytes_written"]
        for event in of_file(interpose, f"{interpose.folder}/copy", "io")
        if event["fields"]["writes"]
    ]
    assert ([10] * 7, [10] * 7) == (reads, writes)


def test_level_summary_has_fewer_events_and_the_same_bytes(interpose, source):
    assert 0 == interpose.run("dd", f"if={source}", "of=copy", "bs=10", "count=7", "status=none").returncode
    events = of_file(interpose, source, "io")
    assert (70, 7) == tuple(sum(event["fields"][name] for event in events) for name in ("bytes_read", "reads"))
    assert len(events) < 7


@pytest.mark.parametrize(("level", "expected"), [("calls", [errno.ENOENT]), ("summary", [])])
def test_failed_calls_are_recorded_at_level_calls_alone(interpose, level, expected):
    assert 1 == interpose.run("cat", "absent", options=("--level", level)).returncode
    opens = [event for event in interpose.ask("events", "last") if event["effect"] == "open"]
    about = [event for event in opens if event["fields"]["name"]["path"].endswith("absent")]
    assert expected == [event["error"] for event in about]


@pytest.mark.parametrize(("redact", "values"), [("secrets", ["given", ""]), ("all", ["", ""])])
def test_variables_are_recorded_without_the_values_that_are_to_be_left_out(interpose, redact, values):
    code = "import ctypes; get = ctypes.CDLL(None).getenv; get(b'PLAIN'), get(b'MY_TOKEN')"
    command = ("env", "PLAIN=given", "MY_TOKEN=secret", sys.executable, "-c", code)
    assert 0 == interpose.run(*command, options=("--redact", redact)).returncode
    asked = {event["fields"]["name"]: event["fields"] for event in interpose.ask("events", "last", "--effect", "env")}
    assert values == [asked[name].get("value", "") for name in ("PLAIN", "MY_TOKEN")]
    assert asked["MY_TOKEN"]["redacted"]


def test_the_lineage_is_the_same_at_both_levels(interpose, source):
    paths = []
    for level in ("summary", "calls"):
        options = ("--level", level)
        assert 0 == interpose.run("sh", "-c", f"sort {source} | head -3 > out; rm -f x", options=options).returncode
        paths.append(interpose.lineage("out").paths)
    assert paths[0] == paths[1]
