"""On which sides our orders have stood, and for how long."""

from __future__ import annotations

from mmd.execution.order_index import OneSide
from mmd.execution.presence import PresenceMeter
from mmd.execution.tracked_order import TrackedOrder
from mmd.types.market import Side

MS = 1_000_000


def order(side: Side, *, acknowledged: bool = True) -> TrackedOrder:
    return TrackedOrder("mmd-1", "BTCUSDT", side, 100, 1, 0, 0, 0, 0, acknowledged=acknowledged)


def test_time_goes_to_the_sides_that_stand_at_each_look() -> None:
    sides = {Side.BUY: OneSide(), Side.SELL: OneSide()}
    meter = PresenceMeter(["BTCUSDT"], lambda symbol, side: sides[side])
    meter.on_timer(1_000 * MS)
    meter.on_timer(1_050 * MS)
    sides[Side.BUY].open["b"] = order(Side.BUY)
    meter.on_timer(1_150 * MS)
    sides[Side.SELL].open["s"] = order(Side.SELL, acknowledged=False)
    meter.on_timer(1_200 * MS)
    sides[Side.SELL].open["s"].acknowledged = True
    meter.on_timer(1_500 * MS)
    sides[Side.BUY].open.clear()
    meter.on_timer(1_600 * MS)
    assert meter.seconds("BTCUSDT") == {"none": 0.05, "buy": 0.15, "sell": 0.1, "both": 0.3}


def test_a_stand_still_is_no_presence_and_a_clock_that_goes_back_is_no_time() -> None:
    side = OneSide()
    side.open["b"] = order(Side.BUY)
    meter = PresenceMeter(["BTCUSDT"], lambda symbol, which: side)
    for now_ns in (1_000 * MS, 61_000 * MS, 60_000 * MS, 60_100 * MS):
        meter.on_timer(now_ns)
    assert meter.seconds("BTCUSDT") == {"none": 0.0, "buy": 0.0, "sell": 0.0, "both": 1.1}
