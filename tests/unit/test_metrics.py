"""What is told Prometheus: every series is there before anything happens, so that its first rise is seen."""

import ast
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from interpose.sidecar.host_metrics import HostMetrics
from interpose.sidecar.hostdir import HostDirectory, Identity
from interpose.sidecar.metrics import EFFECTS, Metrics
from interpose.v1.event_pb2 import Gap

SIDECAR = Path(__file__).parents[2] / "sidecar/interpose/sidecar"


def series(registry):
    """Names and labels of everything that is told, and whose families."""
    return {
        (family.name, sample.name, tuple(sorted(sample.labels.items())))
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def uses(counter):
    """The labels that the sidecar's source gives a counter of one label, wherever it counts."""
    for file in SIDECAR.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "labels"
                and isinstance(node.func.value, ast.Attribute)
                and node.func.value.attr == counter
            ):
                yield from (each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant))


@pytest.fixture
def registry():
    return CollectorRegistry()


def test_nothing_that_is_counted_makes_a_new_series(registry):
    metrics = Metrics(registry)
    metrics.at_zero()
    before = series(registry)

    for effect in (*EFFECTS, "unknown"):
        metrics.count({effect: 1}, {}, 1)
    for cause in (*Gap.Cause.values(), 4711):
        metrics.count({}, {cause: 1}, 0)
    metrics.commit_seconds.observe(1)

    assert before == series(registry)


@pytest.mark.parametrize("counter", ["refused", "poisoned"])
def test_every_label_of_the_source_is_there_from_the_start(registry, counter):
    metrics = Metrics(registry)
    metrics.at_zero()
    known = {
        dict(labels)["reason" if counter == "refused" else "where"]
        for name, _, labels in series(registry)
        if name == getattr(metrics, counter)._name
    }

    assert known == set(uses(counter))


def test_a_host_tells_the_same_families_and_sums_whether_or_not_a_container_runs(registry, tmp_path):
    metrics = HostMetrics(registry, HostDirectory(tmp_path))
    before = series(registry)
    own = CollectorRegistry()
    channel = Metrics(own)
    metrics.add("c1", Identity("1", "web", "app:1"), own)
    channel.count({"open": 1}, {Gap.CAUSE_QUOTA: 1}, 1)
    channel.refused.labels("ahead").inc()
    during = series(registry)
    metrics.remove("c1")
    after = series(registry)

    mine = {each for each in during if ("container", "web") in each[2]}
    assert before == during - mine
    assert before == {each for each in after if ("container", "web") not in each[2]}
    assert {"interpose_containers", "interpose_build", "interpose_commit_seconds"} <= {name for name, *_ in before}
    assert 1 == registry.get_sample_value("interpose_events_total", {"effect": "open"})
    assert 0 == registry.get_sample_value("interpose_events_total", {"effect": "close"})
    assert mine
