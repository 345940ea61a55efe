"""Conversion to the matcher's events: its book is ours, its clock is mended, trades come before what they left."""

from __future__ import annotations

import numpy as np
import pytest
from hftbacktest import BUY_EVENT, TRADE_EVENT

from mmd.backtest.conversion import LevelTracker, convert
from mmd.backtest.errors import BacktestError
from mmd.learning.sources import simulated_events
from mmd.market.book import OrderBook
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, Side, TouchUpdate
from tests.unit.backtest.synthetic import MS, START, HandMadeMarket


def test_the_levels_that_it_hands_on_are_those_of_our_book_after_every_event() -> None:
    tracker, book = LevelTracker("BTCUSDT"), OrderBook("BTCUSDT")
    mirrored: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    touches = checked = 0
    for event in simulated_events(3, 20.0, "BTCUSDT"):
        if isinstance(event, MarketTrade):
            continue
        for side, price, lots in tracker.on_event(event):
            if lots:
                mirrored[side][price] = lots
            else:
                del mirrored[side][price]
        if isinstance(event, TouchUpdate):
            touches += 1
            book.on_touch_update(event)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        else:
            book.on_depth_snapshot(event)
        for side, best in ((Side.BUY, max), (Side.SELL, min)):
            visible = dict(book.levels(side, 1 << 20))
            assert mirrored[side] == visible
            assert best(mirrored[side]) == next(iter(visible))
        checked += 1
    assert touches > 100
    assert checked > touches


def test_a_level_that_left_the_window_keeps_what_was_seen_of_it() -> None:
    tracker = LevelTracker("COINUSD", window=2)
    tracker.on_event(DepthSnapshot("COINUSD", 1, 1, ((99, 5), (98, 6)), ((101, 5), (102, 6))))
    moved = DepthUpdate("COINUSD", 2, 2, 2, 2, -1, ((98, 0), (100, 7)), ())
    assert tracker.on_event(moved) == [(Side.BUY, 100, 7)]
    gone = DepthUpdate("COINUSD", 3, 3, 3, 3, -1, ((100, 0), (98, 6)), ())
    assert tracker.on_event(gone) == [(Side.BUY, 100, 0)]


def test_a_recorder_whose_clock_is_behind_gets_the_least_latency_and_the_offset_is_told() -> None:
    market = HandMadeMarket(feed_ns=-1_500 * MS).snapshot(0, [(99, 5)], [(101, 5)])
    market.levels(100, bids=[(99, 6)])
    market._feed_ns = -1_497 * MS
    market.levels(200, bids=[(99, 7)])
    found = convert(market.events, "COINUSD", constant_latency_ns=None, floor_ns=2 * MS)
    assert found.times.clock_offset_ns == -1_502 * MS
    assert (found.times.least_ns, found.times.median_ns) == (2 * MS, round(3.5 * MS))
    lag = found.events["local_ts"][:-1] - found.events["exch_ts"][:-1]
    assert lag.min() >= 2 * MS
    assert lag[-1] == 5 * MS
    assert found.order_latency is not None
    ways = found.order_latency
    assert (ways["exch_ts"] - ways["req_ts"]).tolist() == (ways["resp_ts"] - ways["exch_ts"]).tolist() == [2 * MS, 5 * MS]


def test_a_trade_comes_before_the_book_of_the_same_stamp_that_was_received_first() -> None:
    market = HandMadeMarket().snapshot(0, [(99, 5)], [(101, 5)])
    market.levels(100, bids=[(99, 6)]).levels(200, bids=[(99, 2)]).trade(200, Side.SELL, 99, 4)
    for latency in (None, 10 * MS):
        rows = convert(market.events, "COINUSD", constant_latency_ns=latency, floor_ns=MS).events
        kinds = (rows["ev"] & 0xFF).tolist()
        assert kinds.index(TRADE_EVENT) == len(kinds) - 3
        assert rows["qty"][-2] == 2
        assert np.all(np.diff(rows["exch_ts"]) >= 0)


def test_a_constant_latency_lets_nothing_happen_later_than_so_long_before_its_receipt() -> None:
    market = HandMadeMarket().snapshot(0, [(99, 5)], [(101, 5)])
    for at in range(10, 200, 10):
        market.levels(at, bids=[(99, at)])
    rows = convert(market.events, "COINUSD", constant_latency_ns=7 * MS, floor_ns=MS).events
    assert set((rows["local_ts"] - rows["exch_ts"])[:-1].tolist()) == {7 * MS}
    assert rows["ev"][2] & BUY_EVENT


def test_data_without_stamps_has_no_recorded_latency() -> None:
    market = HandMadeMarket().snapshot(0, [(99, 5)], [(101, 5)]).levels(10, bids=[(99, 6)])
    with pytest.raises(BacktestError, match=r"no exchange stamps.*--latency"):
        convert(market.events, "COINUSD", stamped=False, constant_latency_ns=None, floor_ns=MS)
    found = convert(market.events, "COINUSD", stamped=False, constant_latency_ns=MS, floor_ns=MS)
    assert not found.times.stamped
    assert found.begin_ns == START + 2 * MS


def test_no_events_and_no_book_are_errors() -> None:
    with pytest.raises(BacktestError, match="no event in the period"):
        convert([], "COINUSD", constant_latency_ns=MS, floor_ns=MS)
    market = HandMadeMarket().levels(10, bids=[(99, 6)])
    with pytest.raises(BacktestError, match="no valid book"):
        convert(market.events, "COINUSD", constant_latency_ns=MS, floor_ns=MS)
