"""Questions by container."""

import json

import pytest
from click.testing import CliRunner

from interpose.cli.command import interpose
from interpose.sidecar import models
from interpose.sidecar.hostdir import Identity
from interpose.sidecar.parcels import parcel_of_run
from interpose.sidecar.relay import _described as described
from interpose.sidecar.store import Store
from interpose.v1.capture_pb2 import Batch
from support.databases import sqlite_url
from support.history import History

WEB, OTHER = "ab" * 32, "ac" * 32


@pytest.fixture
def history(tmp_path):
    made = History(sqlite_url(tmp_path / "history.db"))
    lives = (("first", WEB, "web", 0), ("second", WEB, "web", 5), ("else", OTHER, "db", 9))
    for run, container, name, started in lives:
        made.run(run, command=None, started=started)
        labels = json.dumps({"a": "b"})
        made._add(
            models.Container(
                run_id=run, container=container, name=name, image="app:1", digest="sha256:1", labels=labels,
                project="shop", service=name,
            )
        )  # fmt: skip
        image = made.program(1, None, name, run=run, started=started)
        made.access(image, "write", f"/out.{run}", started + 1, run=run, seen=started + 1)
    made.name("/out.first", "/out", run="first", seen=1)
    made.name("/out.else", "/out", run="else", seen=10)
    return made


def ask(history, *arguments):
    return CliRunner().invoke(interpose, [*arguments, "--db", history.url])


def rows(history, *arguments):
    answer = ask(history, *arguments, "--json")
    assert (0, "") == (answer.exit_code, answer.stderr)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_runs_carry_their_container(history):
    (first, *_) = rows(history, "runs")

    assert first["container"] == {
        "id": WEB, "name": "web", "image": "app:1", "digest": "sha256:1", "labels": {"a": "b"},
        "project": "shop", "service": "web",
    }  # fmt: skip
    assert "(container web of app:1)" in ask(history, "runs").stdout


def test_a_containers_status_is_that_of_its_first_process(tmp_path):
    made = History(sqlite_url(tmp_path / "statuses.db"))

    def life(run, *processes, over=True, command=None):
        made.run(run, command=command, started=0, ended=9 if over else None)
        if command is None:
            made._add(models.Container(run_id=run, container=run * 8, name=run, image="a", digest=None, labels="{}"))
        for pid, started, status in processes:
            made.process(pid, run=run, started=started, status=status, pid_namespace=4026531836 + started)

    life("ends", (1, 1, 3), (7, 2, 0))
    life("killed", (1, 1, None), (7, 2, 0))
    life("hosts", (700, 1, 5), (1, 2, 4))
    life("nested", (1, 1, 6), (1, 2, 4))
    life("runs", (1, 1, 7), over=False)
    life("nothing")
    life("command", (1, 1, 8), command=["x"])

    told = {row["id"]: row["status"] for row in rows(made, "runs")}
    expected = {"ends": 3, "killed": None, "hosts": None, "nested": 6, "runs": None, "nothing": None, "command": None}
    assert expected == told


def test_a_container_is_named_or_its_id_begun(history):
    assert ["second"] == [row["run"] for row in rows(history, "ps", "--container", "web")]
    assert ["second"] == [row["run"] for row in rows(history, "ps", "--container", "abab")]
    assert ["first"] == [row["run"] for row in rows(history, "ps", "first", "--container", "web")]


def test_files_and_events_take_a_container_too(history):
    assert {"/out.else", "/out"} == set(rows(history, "files", "--container", "db")[0]["paths"])
    assert [] == rows(history, "events", "--container", "db")


def test_a_path_means_what_the_container_called_so(history):
    def writers(container):
        return [row["arguments"] for row in rows(history, "lineage", "out", "--container", container) if "pid" in row]

    assert [["web"]] == writers("web")  # its newest life never saw it, the one before did
    assert [["db"]] == writers("db")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["ps", "--container", "none"], "no container 'none' was captured: see interpose runs"),
        (["ps", "--container", "a"], "'a' begins the ids of several containers: see interpose runs --json"),
        (["ps", "else", "--container", "web"], "run else is no life of the container web: see interpose runs"),
        (["lineage", "/none", "--container", "web"], "never seen in run first: /none"),
    ],
)
def test_what_has_no_answer_is_told_in_a_line(history, arguments, error):
    answer = ask(history, *arguments)

    assert 1 == answer.exit_code
    assert error in str(answer.exception) + answer.stderr


def test_a_collector_is_told_whose_life_a_run_is(tmp_path):
    container = Identity(WEB, "web", "app:1", None, {"a": "b"}, "shop", None)
    there, here = (Store.open(sqlite_url(tmp_path / name)) for name in ("sidecar.db", "collector.db"))
    there.open_run("run", "5" * 32, None, 7, container)
    told = there.run("run")
    said = Batch.FromString(parcel_of_run(told).message).forwarded.run
    for _ in range(2):
        here.admit_run("5" * 32, "peer", described(bytes.fromhex("5" * 32), said))
    arrived = here.run("run")
    there.close()
    here.close()

    assert container == told.container
    assert told == arrived
