"""What holds streams back."""

import asyncio
import sys
import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interpose.sidecar.errors import StoreError
from interpose.sidecar.ingest import Result
from interpose.sidecar.streams import Budget, Pace, _Answers

STORED = Result(8, closed=False, accepted=True)


@given(st.integers(1, 100), st.lists(st.integers(1, 200), min_size=1, max_size=30))
def test_no_more_than_the_budget_is_held_and_everybody_has_a_turn(size, wishes):
    held, most, order = [0], [0], []

    async def hold(budget, number, wish):
        took = await budget.take(wish)
        held[0] += took
        most[0] = max(most[0], held[0])
        order.append(number)
        await asyncio.sleep(0)
        held[0] -= took
        budget.give(took)

    async def run():
        budget = Budget(size)
        await asyncio.gather(*(hold(budget, number, wish) for number, wish in enumerate(wishes)))

    asyncio.run(run())
    assert most[0] <= size
    assert list(range(len(wishes))) == order


def test_who_is_cancelled_while_it_waits_takes_nothing():
    async def run():
        budget = Budget(10)
        assert 10 == await budget.take(10)
        waiting = [asyncio.create_task(budget.take(6)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        budget.give(10)
        waiting[1].cancel()  # it has its turn, and does not know yet
        await asyncio.sleep(0)
        assert 6 == await asyncio.wait_for(waiting[2], 1)
        budget.give(6)
        assert 10 == await asyncio.wait_for(budget.take(10), 1)

    asyncio.run(run())


def test_turns_beyond_the_first_come_at_their_pace():
    async def run():
        pace = Pace(200, 20)
        times = []
        for _ in range(60):
            await pace.turn()
            times.append(time.monotonic())
        return times

    times = asyncio.run(run())
    assert times[19] - times[0] < 0.1
    assert times[59] - times[0] >= 40 / 200 - 0.01


@pytest.fixture
def _busy():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_busy")
def test_every_answer_arrives_whichever_thread_is_first():
    queue = SimpleQueue()

    def store():
        while (future := queue.get()) is not None:
            future.set_result(STORED)

    async def run():
        answers, waiting = _Answers(), []
        for n in range(20_000):
            future = Future()
            queue.put(future)
            waiting.append(answers.of(future))
            if n % 50 == 0:
                await asyncio.sleep(0)
        return await asyncio.wait_for(asyncio.gather(*waiting), 60)

    writer = threading.Thread(target=store)
    writer.start()
    try:
        assert [STORED] * 20_000 == asyncio.run(run())
    finally:
        queue.put(None)
        writer.join()


def test_the_answers_of_a_transaction_wake_the_loop_once(monkeypatch):
    async def run():
        loop, wakes = asyncio.get_running_loop(), []
        call = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda what: wakes.append(what) or call(what))
        answers, futures = _Answers(), [Future() for _ in range(100)]
        waiting = [answers.of(future) for future in futures]
        waiting[7].cancel()
        for n, future in enumerate(futures):
            future.set_exception(StoreError("full")) if n == 8 else future.set_result(STORED)
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert 1 == len(wakes)
        return told

    told = asyncio.run(run())
    assert isinstance(told[7], asyncio.CancelledError)
    assert isinstance(told[8], StoreError)
    assert [STORED] * 98 == told[:7] + told[9:]
