"""Candles and rolling windows against a plain sum over the list of trades."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmd.mock.engine import TradePrint
from mmd.mock.server.candles import INTERVALS, MAX_CANDLES
from mmd.mock.server.trade_history import MAX_TRADES, TradeHistory

_START_MS = int(datetime(2024, 2, 28, 23, 58, 30, tzinfo=UTC).timestamp() * 1000)


def _print(number: int, time_ms: int, price: int, lots: int, buyer_is_maker: bool = False) -> TradePrint:
    return TradePrint("BTCUSDT", number, price, lots, buyer_is_maker, 1, 2, time_ms * 1_000_000)


_TRADES = st.lists(
    st.tuples(st.integers(0, 90_000), st.integers(90, 110), st.integers(1, 50), st.booleans()), min_size=1, max_size=60
)


def _history(drawn: list[tuple[int, int, int, bool]]) -> tuple[TradeHistory, list[TradePrint]]:
    """A history, asked now and then in between, and the plain list."""
    history, trades, now_ms = TradeHistory(0), [], _START_MS
    for number, (wait_ms, price, lots, buyer_is_maker) in enumerate(drawn, 1):
        now_ms += wait_ms
        trades.append(_print(number, now_ms, price, lots, buyer_is_maker))
        history.add(trades[-1:])
        if number % 3 == 0:
            history.window(86_400_000, now_ms)
    return history, trades


@given(_TRADES, st.sampled_from(["1s", "1m", "3m", "15m", "1h", "1d", "1w", "1M"]))
def test_candles_are_what_traded_in_their_interval(drawn, name):
    history, trades = _history(drawn)
    now_ms = trades[-1].time_ns // 1_000_000
    interval = INTERVALS[name]
    candles = history.series(name).listed(None, now_ms, MAX_CANDLES)
    assert candles[-1].open_ms == interval.open_of(now_ms)
    for earlier, later in pairwise(candles):
        assert later.open_ms == interval.next_open(earlier.open_ms)
    for candle in candles:
        inside = [each for each in trades if interval.open_of(each.time_ns // 1_000_000) == candle.open_ms]
        assert candle.trades == len(inside)
        assert candle.lots == sum(each.lots for each in inside)
        assert candle.notional == sum(each.lots * each.price_ticks for each in inside)
        assert candle.taker_buy_lots == sum(each.lots for each in inside if not each.buyer_is_maker)
        if inside:
            prices = [each.price_ticks for each in inside]
            assert (candle.open_ticks, candle.high_ticks, candle.low_ticks, candle.close_ticks) == (
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
            )
            assert (candle.first_trade_id, candle.last_trade_id) == (inside[0].trade_id, inside[-1].trade_id)


@given(_TRADES, st.integers(1, 120), st.integers(0, 600_000))
def test_a_window_is_the_sum_of_its_trades(drawn, minutes, later_ms):
    history, trades = _history(drawn)
    now_ms = trades[-1].time_ns // 1_000_000 + later_ms
    length_ms = minutes * 60_000
    begin_ms = (now_ms - length_ms) // 60_000 * 60_000
    inside = [each for each in trades if each.time_ns // 1_000_000 >= begin_ms]
    before = [each for each in trades if each.time_ns // 1_000_000 < begin_ms]
    window = history.window(length_ms, now_ms)
    assert window is not None
    candle = window.candle
    assert (candle.trades, candle.lots) == (len(inside), sum(each.lots for each in inside))
    assert window.previous_close_ticks == (before[-1].price_ticks if before else 0)
    assert candle.close_ticks == trades[-1].price_ticks
    if inside:
        assert candle.high_ticks == max(each.price_ticks for each in inside)
        assert candle.open_ticks == inside[0].price_ticks


def test_months_and_weeks_begin_where_the_calendar_says():
    def opens(name: str) -> str:
        return datetime.fromtimestamp(INTERVALS[name].open_of(_START_MS) / 1000, UTC).isoformat()

    assert opens("1M") == "2024-02-01T00:00:00+00:00"
    assert opens("1w") == "2024-02-26T00:00:00+00:00"
    assert INTERVALS["1M"].next_open(INTERVALS["1M"].open_of(_START_MS)) == datetime(2024, 3, 1, tzinfo=UTC).timestamp() * 1000
    december = int(datetime(2024, 12, 5, tzinfo=UTC).timestamp() * 1000)
    assert INTERVALS["1M"].next_open(december) == datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000


def test_a_start_time_lists_forward_and_the_limit_holds():
    history = TradeHistory(0)
    for minute in (0, 1, 4):
        history.add([_print(minute + 1, _START_MS + minute * 60_000, 100 + minute, 1)])
    first_ms = INTERVALS["1m"].open_of(_START_MS)
    series = history.series("1m")
    assert [candle.close_ticks for candle in series.listed(None, _START_MS + 240_000, 3)] == [101, 101, 104]
    assert [candle.close_ticks for candle in series.listed(0, _START_MS + 240_000, 2)] == [100, 101]
    later = series.listed(first_ms + 1, _START_MS + 240_000, 10)
    assert [(candle.open_ms - first_ms) // 60_000 for candle in later] == [1, 2, 3, 4]
    assert [candle.trades for candle in later] == [1, 0, 0, 1]
    assert history.average_ticks(_START_MS + 250_000) == pytest.approx((100 + 101 + 104) / 3)
    assert history.average_ticks(_START_MS + 900_000) == 104


def test_trades_of_one_order_at_one_price_are_one_aggregate_and_all_is_bounded():
    history = TradeHistory(41)
    run = [_print(1, _START_MS, 100, 2), _print(2, _START_MS, 100, 3), _print(3, _START_MS, 101, 4)]
    assert [(each.aggregate_id, each.lots, each.first_trade_id, each.last_trade_id) for each in history.add(run)] == [
        (42, 5, 1, 2),
        (43, 4, 3, 3),
    ]
    for number in range(4, MAX_TRADES + 100):
        history.add([_print(number, _START_MS + number * 1_000, 100, 1)])
    assert len(history.trades) == len(history.aggregates) == MAX_TRADES
    assert len(history.series("1s").listed(None, _START_MS + number * 1_000, 10_000)) == MAX_CANDLES
