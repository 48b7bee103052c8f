"""What holds streams back."""

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from interpose.sidecar.streams import Budget, Pace


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
