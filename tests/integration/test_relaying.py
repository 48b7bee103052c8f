"""A collector that forwards to another collector."""

import random
import threading
import time

import pytest

from interpose.sidecar import forward, retention
from interpose.sidecar.central import Central
from interpose.sidecar.endpoint import Unix
from interpose.sidecar.errors import EndpointError
from interpose.sidecar.forward import Forwarding
from support.databases import sqlite_url
from support.forwarding import CLOSES, Collector, Place
from support.waiting import soon


@pytest.fixture
def top(tmp_path, database):
    made = Collector(tmp_path / "top", database)
    yield made
    assert made.stop() is None


@pytest.fixture
def middle(tmp_path, top):
    made = Collector(tmp_path / "middle", sqlite_url(tmp_path / "middle.db"), top)
    yield made
    made.stop()


def test_what_comes_to_a_collector_goes_on_to_the_next(tmp_path, middle, top):
    places = [Place(tmp_path, middle, name) for name in ("one", "two")]
    for pid in range(10, 30):
        for place in places:
            place.process(pid).die()
    living = places[0].process(9)
    assert soon(lambda: len(top.rows()["events"]) == 41 * 51)
    living.die()
    for place in places:
        assert place.stop(ended=7, status=3).problem is None
    assert middle.stop() is None

    assert middle.rows() == top.rows()
    assert 41 * 51 == len(top.rows()["events"])


def test_a_run_that_is_opened_again_is_so_at_every_collector(tmp_path, middle, top):
    place = Place(tmp_path, middle)
    writer = place.process(10, CLOSES[:10])
    for n in range(10, 50, 10):
        place.stop(ended=n)
        assert soon(lambda n=n: [run[2] for run in top.rows()["runs"]] == [n])
        place.start()
        writer.append(CLOSES[n : n + 10])
        assert soon(lambda n=n: len(top.rows()["events"]) == 11 + n)
    writer.die()
    place.stop(ended=40)  # as before
    assert middle.stop() is None

    assert place.rows() == top.rows()


def test_streams_that_break_anywhere_lose_and_double_nothing(tmp_path, middle, top, monkeypatch):
    monkeypatch.setattr(forward, "_PAUSES", (0.01,))
    moments, done = random.Random(11), threading.Event()
    place = Place(tmp_path, middle)

    def disturb():
        while not done.is_set():
            time.sleep(moments.random() / 5)
            victim = moments.choice([middle, top])
            victim.stop()
            victim.start()

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    for pid in range(10, 60):
        place.process(pid).die()
        time.sleep(moments.random() / 20)
    done.set()
    disturbing.join()

    assert place.stop(ended=77, status=0).problem is None
    assert middle.stop() is None
    assert place.rows() == middle.rows() == top.rows()
    assert 50 * 51 == len(top.rows()["events"])


def test_a_collector_keeps_what_the_next_one_has_not_and_says_so(tmp_path, middle, top, monkeypatch):
    monkeypatch.setattr(retention, "_LOOK_SECONDS", (0.05, 0.05))
    middle.stop()
    middle.retain = 0
    top.stop()
    middle.start()
    place = Place(tmp_path, middle)
    for pid in range(10, 20):
        place.process(pid).die()
    assert place.stop(ended=7).problem is None
    central, problem = middle.central, middle.stop()

    assert problem.startswith(f"cannot forward to {top.endpoint}: ")
    assert (10, 1) == (central.remainder.unsent.journals, central.remainder.unsent.runs)
    assert 510 == len(middle.rows()["events"])
    top.start()
    middle.start()
    assert soon(lambda: middle.rows()["runs"] == [])
    central, problem = middle.central, middle.stop()
    assert (None, False) == (problem, bool(central.remainder))
    assert place.rows() == top.rows()


def test_a_collector_does_not_forward_to_itself(tmp_path):
    here = Unix(tmp_path / "collector.sock")
    with pytest.raises(EndpointError, match=r"^unix:.* is this collector itself: [^\n]*$"):
        Central.start([here], sqlite_url(tmp_path / "db"), forward=Forwarding(here, None))
