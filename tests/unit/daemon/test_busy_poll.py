"""A loop that polls turns on its own, lets everything else run, and sleeps again once told to."""

from __future__ import annotations

import asyncio

from mmd.daemon.busy_poll import BusyPoll


async def turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_loop_turns_though_nothing_happens_until_it_is_stopped() -> None:
    poll = BusyPoll()
    poll.start()
    poll.start()
    await asyncio.sleep(0.02)
    turned = poll.turns
    # A loop that slept would have turned once or twice.
    assert turned > 20
    await turn(5)
    # Started twice, it is still one poll: one turn for each of the loop's.
    assert turned < poll.turns <= turned + 7
    poll.stop()
    turned = poll.turns
    await asyncio.sleep(0.02)
    assert poll.turns == turned
    poll.stop()
