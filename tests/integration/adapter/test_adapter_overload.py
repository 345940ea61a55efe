"""More market data than can be handled at once, over real sockets: the event loop turns all the same."""

from __future__ import annotations

import asyncio
import time

from mmd.exchanges.adapter import Event
from mmd.exchanges.binance.market_data import SLICE_FRAMES, SLICE_NS
from mmd.types.market import BatchEnd, FeedState, FeedStatus, MarketTrade
from tests.integration.adapter.venue_room import Room, text_frame

FLOOD = 600


class SlowClock:
    """Each look costs a good part of a slice, as if handling a frame did."""

    def __init__(self) -> None:
        self.now_ns = time.time_ns()

    def __call__(self) -> int:
        self.now_ns += SLICE_NS * 2 // 5
        return self.now_ns


def flood(first_id: int) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return b"".join(
        text_frame(
            b'{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"28165.00","q":"0.001","T":%d,"m":true,'
            b'"M":true}}' % (now_ms, trade_id, now_ms)
        )
        for trade_id in range(first_id, first_id + FLOOD)
    )


class Turns:
    """Counts turns of the event loop from the first trade to the last, and the longest run of trades within one."""

    def __init__(self) -> None:
        self.within_turn: list[int] = []
        self.ids: list[int] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, MarketTrade):
            if not self.within_turn:
                self._turn()
            self.within_turn[-1] += 1
            self.ids.append(event.trade_id)

    def _turn(self) -> None:
        if len(self.ids) < FLOOD:
            self.within_turn.append(0)
            asyncio.get_running_loop().call_soon(self._turn)


async def test_the_loop_turns_within_a_flood_and_each_frame_is_handled_once_in_order(room: Room) -> None:
    turns = Turns()
    room.recorder.reactions.append(turns)
    await room.open(clock_ns=SlowClock())
    since = room.recorder.mark()
    room.market_wire.inject(flood(1))
    await room.recorder.wait_for(MarketTrade, lambda trade: trade.trade_id == FLOOD)
    assert turns.ids == list(range(1, FLOOD + 1))
    assert max(turns.within_turn) <= SLICE_FRAMES + 2
    assert room.adapter.counters.frames_put_off > FLOOD // 2
    # Each frame counts the same whether it waited or not, and a quote is made once for a read, not for a slice.
    await room.recorder.wait_for(BatchEnd, since=room.recorder.events.index(room.recorder.of(MarketTrade)[-1]))
    ends = [event for event in room.recorder.events[since:] if isinstance(event, BatchEnd)]
    assert len(ends) < FLOOD // 20


async def test_what_waits_of_a_line_that_is_lost_is_dropped_and_the_next_one_is_heard(room: Room) -> None:
    await room.open(clock_ns=SlowClock())
    room.market_wire.inject(flood(1))
    await room.recorder.wait_for(MarketTrade)
    since = room.recorder.mark()
    room.market_wire.cut()
    down = await room.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.DISCONNECTED, since=since)
    await room.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.CONNECTED, since=since)
    after = room.recorder.events[room.recorder.events.index(down) :]
    assert not [event for event in after if isinstance(event, MarketTrade)]
    since = room.recorder.mark()
    room.market_wire.inject(flood(10_001))
    await room.recorder.wait_for(MarketTrade, lambda trade: trade.trade_id == 10_000 + FLOOD, since=since)


async def test_a_line_that_waits_for_us_is_not_taken_for_a_silent_one(room: Room) -> None:
    idle_seconds = 0.4

    def play(event: Event) -> None:
        if isinstance(event, MarketTrade):
            time.sleep(3 * idle_seconds / FLOOD)
        elif isinstance(event, FeedStatus) and event.state is FeedState.CONNECTED:
            # At once: a line on which nothing comes is rightly given up.
            asyncio.get_running_loop().call_soon(room.market_wire.inject, flood(1))

    room.recorder.reactions.append(play)
    await room.open(clock_ns=SlowClock(), market_data_idle_seconds=idle_seconds, wait=False)
    last = await room.recorder.wait_for(MarketTrade, lambda trade: trade.trade_id == FLOOD)
    events = room.recorder.events
    within = events[events.index(room.recorder.of(MarketTrade)[0]) : events.index(last)]
    assert not [event for event in within if isinstance(event, FeedStatus)]
