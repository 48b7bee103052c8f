"""The sidecar of a host: channels are served from their appearance to their end, and counted by container."""

import os
import shutil
import subprocess
import time

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from interpose.sidecar import host as host_module
from interpose.sidecar import host_metrics
from interpose.sidecar.central import Central
from interpose.sidecar.endpoint import Unix
from interpose.sidecar.errors import SpoolBusyError, StoreError
from interpose.sidecar.forward import Forwarding
from interpose.sidecar.host import Host
from interpose.sidecar.host_metrics import MOST_CONTAINERS, HostMetrics
from interpose.sidecar.hostdir import Channel, Decision, HostDirectory, Identity
from interpose.sidecar.query import all_runs, processes_of
from interpose.sidecar.service import Sidecar
from interpose.sidecar.store import Store
from interpose.sidecar.unseen import Unseen
from support.databases import engine_of, sqlite_url
from support.roots import library
from support.rows import rows
from support.waiting import until


@pytest.fixture
def directory(tmp_path):
    made = HostDirectory(tmp_path / "host")
    made.prepare()
    return made


@pytest.fixture
def url(tmp_path):
    return sqlite_url(tmp_path / "interpose.db")


def channel(directory, number, name="web", image="app:1"):
    """A channel with the library beside its spool, as it is in a container."""
    identity = Identity(f"{number:064x}", name, image)
    made = directory.add(f"c{number}", identity, level="summary", quota=256)
    shutil.copy(library(), made.directory / "libinterpose.so")
    return made


def work(made, *command):
    environment = {**os.environ, "LD_PRELOAD": str(made.directory / "libinterpose.so")}
    subprocess.run(command or ["cat", "/etc/passwd"], env=environment, stdout=subprocess.DEVNULL, check=True)


def sample(registry, name, **labels):
    return registry.get_sample_value(name, labels)


def test_a_channel_is_served_until_its_container_has_ended_and_is_removed(directory, url):
    registry = CollectorRegistry()
    host = Host.start(directory.path, url, registry=registry)
    try:
        made = channel(directory, 1)
        until(60, (made.spool / "capture.sock").exists, "it is served")
        work(made)
        labels = {"container": "web", "image": "app:1"}
        until(60, lambda: sample(registry, "interpose_container_events_total", **labels), "it is counted")
        directory.forget(made.identity.id, 1 << 60)
        until(60, lambda: not made.directory.exists(), "it is stored and removed")
        counted = sample(registry, "interpose_container_events_total", **labels)
        summed = sum(
            row.value for family in registry.collect() for row in family.samples if row.name == "interpose_events_total"
        )
    finally:
        host.stop()

    (run,) = rows(url)["runs"]
    assert (made.run, 1 << 60) == (run[0], run[2])
    assert counted == summed > 0


def test_a_first_program_that_runs_unseen_is_told_once(directory, url):
    unseen = Unseen("static", "/init", ("/init", "-x"), "/", 7, 8, 1, 2, 3, 0o100755, pid=1)
    identity = Identity("f" * 64, "web", "app:1")
    made = directory.add("c1", identity, level="summary", quota=256, unseen=unseen)
    for blind in (1, 0):
        registry = CollectorRegistry()
        host = Host.start(directory.path, url, registry=registry)
        host.stop()
        assert blind == sample(registry, "interpose_container_blind_spots_total", container="web", image="app:1")
    with engine_of(url) as engine, engine.connect() as connection:
        (process,) = processes_of(connection, made.run)
        (listed,) = all_runs(connection)
    (program,) = process.programs
    assert (1, 7, 8, False) == (process.pid, process.user, process.group, process.captured)
    assert ("static", "/init", ["/init", "-x"]) == (program.blind_spot, program.executable, program.arguments)
    assert 1 == listed.blind_spots
    assert abs(made.created - program.started) < 10**9


def test_what_ended_before_the_start_is_stored_at_the_start(directory, url):
    first, second = channel(directory, 1, "one"), channel(directory, 2, "two")
    for made in (first, second):
        work(made)
        directory.forget(made.identity.id, 5)

    Host.start(directory.path, url).stop()
    if any(made.directory.exists() for made in (first, second)):
        Host.start(directory.path, url).stop()

    assert [] == list(directory.containers.iterdir())
    assert {first.run, second.run} == {run[0] for run in rows(url)["runs"]}
    assert all(run[2] == 5 for run in rows(url)["runs"])


def test_a_collector_gets_everything_and_whose_it_is(directory, url, tmp_path):
    central = sqlite_url(tmp_path / "central.db")
    endpoint = Unix(tmp_path / "collector.sock")
    collector = Central.start([endpoint], central)
    host = Host.start(directory.path, url, forward=Forwarding(endpoint, None))
    try:
        made = channel(directory, 1)
        work(made)
        directory.forget(made.identity.id, 5)
        until(60, lambda: [run for run in rows(central)["runs"] if run[2] == 5], "the collector has it")
    finally:
        host.stop()
        collector.stop()

    assert rows(url)["events"] == rows(central)["events"] != []
    store = Store.open(central)
    assert made.identity == store.run(made.run).container
    store.close()


def test_a_stop_leaves_channels_of_containers_that_run_to_the_next_start(directory, url):
    made = channel(directory, 1)
    work(made)
    report = Host.start(directory.path, url).stop()
    work(made, "sort", "/etc/hostname")
    directory.forget(made.identity.id, 5)
    host = Host.start(directory.path, url)
    until(60, lambda: not made.directory.exists(), "it is stored and removed")
    host.stop()

    assert (1, ()) == (report.open, report.problems)
    (run,) = rows(url)["runs"]
    assert made.run == run[0]
    assert 2 == len(rows(url)["processes"])


def test_one_host_directory_has_one_sidecar(directory, url):
    host = Host.start(directory.path, url)
    with pytest.raises(SpoolBusyError, match="another sidecar serves"):
        Host.start(directory.path, url)
    assert directory.is_served()
    host.stop()
    assert not directory.is_served()


def test_a_database_that_cannot_be_used_is_told_at_once(directory):
    with pytest.raises(StoreError):
        Host.start(directory.path, "sqlite:////nonexistent/interpose.db")
    assert not directory.is_served()


def test_a_channel_that_its_container_has_spoilt_goes_with_it(directory, url):
    made = channel(directory, 1)
    (made.spool / "control").unlink()
    registry = CollectorRegistry()
    host = Host.start(directory.path, url, registry=registry)
    try:
        until(60, lambda: sample(registry, "interpose_containers", state="refused") == 1, "it is refused")
        directory.forget(made.identity.id, 5)
        until(60, lambda: not made.directory.exists(), "it is stored and removed")
    finally:
        host.stop()

    assert 1 == sample(registry, "interpose_channels_spoilt_total")


@pytest.mark.parametrize("failure", [OSError(24, "Too many open files"), MemoryError(), RuntimeError("no thread")])
def test_a_channel_that_cannot_be_opened_stops_neither_the_start_nor_the_others(
    directory, url, monkeypatch, failure, caplog
):
    bad, good = channel(directory, 1, "bad"), channel(directory, 2, "good")
    start, attempts = Sidecar.start, []

    def fail(spool, *rest, **more):
        if spool == bad.spool and len(attempts) < 2:
            attempts.append(None)
            raise failure
        return start(spool, *rest, **more)

    monkeypatch.setattr(Sidecar, "start", fail)
    monkeypatch.setattr(host_module, "_RETRY_SECONDS", 0.1)
    host = Host.start(directory.path, url)
    try:
        until(60, (good.spool / "capture.sock").exists, "the other is served")
        until(60, (bad.spool / "capture.sock").exists, "it is served when that is over")
    finally:
        report = host.stop()

    assert (2, ()) == (report.open, report.problems)
    assert 1 == sum("container bad is not served" in line.getMessage() for line in caplog.records)


def test_what_is_tried_again_is_tried_less_and_less_often(monkeypatch):
    refusal, waits = None, []
    for _ in range(9):
        refusal = host_module._Refusal.after(refusal, ended=False)
        waits.append(refusal.wait)

    assert [5, 10, 20, 40, 80, 160, 300, 300, 300] == waits


def test_what_could_not_be_opened_is_tried_once_more_as_soon_as_its_container_has_ended(directory, url, monkeypatch):
    made, start, attempts = channel(directory, 1), Sidecar.start, []

    def fail_once(spool, *rest, **more):
        attempts.append(None)
        if len(attempts) == 1:
            raise OSError(40, "Too many levels of symbolic links")
        return start(spool, *rest, **more)

    monkeypatch.setattr(Sidecar, "start", fail_once)
    monkeypatch.setattr(host_module, "_RETRY_SECONDS", 1 << 30)
    host = Host.start(directory.path, url)
    try:
        directory.forget(made.identity.id, 5)
        until(60, lambda: not made.directory.exists(), "it is stored and removed")
    finally:
        host.stop()

    assert 2 == len(attempts)


def test_a_container_that_is_started_again_has_the_allowance_that_it_had(directory, url):
    first, again, other = channel(directory, 1), Identity(f"{1:064x}", "again"), Identity(f"{2:064x}", "other")
    host = Host.start(directory.path, url, daily_limit=1000)
    try:
        host._allowances[first.identity.id].take(500)
        assert host._allowance_of(again) is host._allowance_of(first.identity)
        assert host._allowance_of(other) is not host._allowance_of(first.identity)
    finally:
        host.stop()


def test_what_could_not_be_removed_in_time_is_removed_by_the_next(directory, url):
    left = directory.discarded / "c1-former" / "spool"
    left.mkdir(parents=True)
    (left / "some file").touch()
    Host.start(directory.path, url).stop()

    assert [] == list(directory.discarded.iterdir())


def test_a_channel_that_cannot_be_looked_after_holds_up_no_other(directory, url, monkeypatch):
    bad, good = channel(directory, 1, "bad"), channel(directory, 2, "good")
    ended = Channel.ended

    def fail(self):
        if self.directory == bad.directory:
            raise OSError(5, "Input/output error")
        return ended(self)

    host = Host.start(directory.path, url)
    try:
        monkeypatch.setattr(Channel, "ended", fail)
        work(good)
        directory.forget(good.identity.id, 5)
        until(60, lambda: not good.directory.exists(), "the other is stored and removed")
    finally:
        monkeypatch.undo()
        report = host.stop()

    assert 1 == report.open


def test_a_host_directory_that_cannot_be_listed_stops_nothing_and_is_told_of_once(directory, url, monkeypatch, caplog):
    def fail(self):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(HostDirectory, "channels", fail)
        host = Host.start(directory.path, url)
        time.sleep(1)
    try:
        made = channel(directory, 1)
        until(60, (made.spool / "capture.sock").exists, "it is served when that is over")
    finally:
        host.stop()

    assert 1 == sum("stumbled" in line.getMessage() for line in caplog.records)


def counting(amount):
    registry = CollectorRegistry()
    Counter("interpose_events", "", ["effect"], registry=registry).labels("open").inc(amount)
    return registry


def by_container(registry):
    return {
        tuple(row.labels.values()): row.value
        for family in registry.collect()
        for row in family.samples
        if row.name == "interpose_container_events_total"
    }


def test_so_many_containers_have_series_of_their_own_and_no_more(directory):
    registry = CollectorRegistry()
    metrics = HostMetrics(registry, directory)
    for number in range(MOST_CONTAINERS + 50):
        metrics.add(f"c{number}", Identity(f"{number:064x}", f"n{number}", "app:1"), counting(1))
    many = by_container(registry)

    assert MOST_CONTAINERS + 1 == len(many)
    assert 50 == many["(other)", ""]
    assert f"{1:064x}" not in generate_latest(registry).decode()


def test_counters_go_on_when_a_container_is_gone_until_they_are_forgotten(directory, monkeypatch):
    registry = CollectorRegistry()
    metrics = HostMetrics(registry, directory)
    metrics.add("first", Identity("1", "web", "app:1"), counting(2))
    metrics.remove("first")
    metrics.add("second", Identity("2", "web", "app:1"), counting(3))
    both = by_container(registry)
    metrics.remove("second")
    monkeypatch.setattr(host_metrics, "_LINGER_SECONDS", -1.0)

    assert {("web", "app:1"): 5} == both
    assert {} == by_container(registry)
    assert 5 == sample(registry, "interpose_events_total", effect="open")


def test_decisions_are_counted_over_the_logs_turns(directory):
    registry = CollectorRegistry()
    HostMetrics(registry, directory)
    directory.note(Decision(1, "captured", "x"))
    directory.note(Decision(1, "failed", "x"))
    first = sample(registry, "interpose_injections_total", outcome="captured")
    directory.decisions.rename(directory.decisions.with_suffix(".log.1"))
    directory.note(Decision(2, "captured", "x"))

    assert (1, 2) == (first, sample(registry, "interpose_injections_total", outcome="captured"))
    assert 1 == sample(registry, "interpose_injections_total", outcome="failed")
    assert 0 == sample(registry, "interpose_injections_total", outcome="skipped")
