"""What counts as a step, and what traded between two of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from mmd.market.book import OrderBook
from mmd.market.feature_settings import FeatureSettings
from mmd.market.feature_stream import FeatureStream
from mmd.market.steps import StepBuilder
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, Side, TouchUpdate

MS = 1_000_000


@dataclass
class ShownTouch:
    bid_ticks: int = 100
    bid_lots: int = 5
    ask_ticks: int = 101
    ask_lots: int = 5
    valid: bool = True


def trade(receive_ns: int, lots: int = 1, side: Side = Side.BUY, price: int = 101) -> MarketTrade:
    return MarketTrade("BTCUSDT", receive_ns, receive_ns, receive_ns, price, lots, side)


def totals(steps: StepBuilder) -> tuple[int, int, int, int]:
    return steps.buy_lots, steps.sell_lots, steps.trade_count, steps.traded_ticks_lots


def test_a_change_of_price_or_size_at_the_touch_is_a_step_and_no_change_is_none() -> None:
    steps, touch = StepBuilder(), ShownTouch()
    assert steps.on_touch(touch, 1)
    assert not steps.on_touch(touch, 2)
    for name in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots"):
        changed = dataclasses.replace(touch, **{name: getattr(touch, name) + 1})
        assert steps.on_touch(changed, 3)
        assert not steps.on_touch(changed, 4)
        assert steps.on_touch(touch, 5)
    assert steps.steps == 9


def test_each_trade_is_a_step_and_takes_its_volume_along() -> None:
    steps = StepBuilder()
    steps.on_touch(ShownTouch(), 1)
    assert steps.on_trade(trade(2, 3))
    assert totals(steps) == (3, 0, 1, 303)
    assert steps.on_trade(trade(2, 4, Side.SELL, 100))
    assert totals(steps) == (0, 4, 1, 400)
    assert not steps.on_touch(ShownTouch(), 3)
    assert steps.on_touch(ShownTouch(bid_lots=6), 3)
    assert totals(steps) == (0, 0, 0, 0)


def test_within_the_interval_everything_accumulates_and_the_first_change_after_it_is_the_step() -> None:
    steps = StepBuilder(FeatureSettings(step_min_interval_ns=10 * MS))
    assert steps.on_touch(ShownTouch(), 0)
    assert not steps.on_trade(trade(1 * MS, 2))
    assert not steps.on_touch(ShownTouch(bid_lots=9), 5 * MS)
    assert not steps.on_trade(trade(10 * MS - 1, 3, Side.SELL, 100))
    assert not steps.on_touch(ShownTouch(bid_lots=9), 30 * MS), "time alone makes no step"
    assert steps.on_trade(trade(31 * MS, 1))
    assert totals(steps) == (3, 3, 3, 2 * 101 + 3 * 100 + 101)
    assert not steps.on_touch(ShownTouch(bid_lots=8), 41 * MS - 1)
    assert steps.on_touch(ShownTouch(bid_lots=7), 41 * MS)
    assert totals(steps) == (0, 0, 0, 0)


def test_an_invalid_book_makes_no_step_and_trades_wait_for_the_next_valid_one() -> None:
    steps = StepBuilder()
    assert not steps.on_trade(trade(1, 2))
    assert not steps.on_touch(ShownTouch(valid=False), 2)
    assert steps.on_touch(ShownTouch(), 3)
    assert totals(steps) == (2, 0, 1, 202)
    assert not steps.on_touch(ShownTouch(valid=False), 4)
    assert not steps.on_trade(trade(5))
    assert steps.on_touch(ShownTouch(), 6), "valid again counts as changed"
    assert totals(steps) == (1, 0, 1, 101)


def test_reset_forgets_touch_totals_and_interval() -> None:
    steps = StepBuilder(FeatureSettings(step_min_interval_ns=1_000 * MS))
    steps.on_touch(ShownTouch(), 0)
    steps.on_trade(trade(1, 5))
    steps.reset()
    assert (steps.steps, totals(steps)) == (0, (0, 0, 0, 0))
    assert steps.on_touch(ShownTouch(), 2)


def book_of_six_levels() -> OrderBook:
    book = OrderBook("BTCUSDT")
    book.on_depth_update(DepthUpdate("BTCUSDT", 1, 1, 1, 1, -1, (), ()))
    bids = tuple((100 - level, 10 * (level + 1)) for level in range(6))
    asks = tuple((101 + level, 1 + level) for level in range(6))
    book.on_depth_snapshot(DepthSnapshot("BTCUSDT", 2, 1, bids, asks))
    assert book.valid
    return book


def test_the_stream_makes_a_row_of_the_book_for_each_step_and_none_for_depth_behind_the_touch() -> None:
    book, stream = book_of_six_levels(), FeatureStream()
    assert stream.on_book(book, 2)
    names = stream.features.NAMES
    row = dict(zip(names, stream.features.values, strict=True))
    assert row["touch_imbalance"] == (10 - 1) / 11
    assert row["depth_imbalance_5"] == (150 - 15) / 165

    book.on_depth_update(DepthUpdate("BTCUSDT", 3, 3, 2, 2, -1, ((98, 500),), ()))
    assert not stream.on_book(book, 3)
    book.on_touch_update(TouchUpdate("BTCUSDT", 4, 0, 3, 100, 10, 101, 2))
    assert stream.on_book(book, 4)
    assert stream.on_trade(trade(5, 2), book)
    assert stream.features.steps == stream.builder.steps == stream.ring.pushed == 3
    row = dict(zip(names, stream.features.values, strict=True))
    assert row["depth_imbalance_5"] == (620 - 16) / 636
    assert row["trade_imbalance"] == 1.0
    assert stream.ring.window()[-1].tolist() == [float32(value) for value in stream.features.values]

    stream.reset()
    assert stream.features.steps == stream.builder.steps == stream.ring.pushed == 0
    assert stream.on_book(book, 6)


def float32(value: float) -> float:
    """The value as a float32 has it."""
    return float(np.float32(value))
