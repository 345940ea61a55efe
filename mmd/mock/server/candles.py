"""Candles: what traded in an interval of the calendar, gathered for each of Binance's kline intervals, each list bounded."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_FIRST_MONDAY_MS = 4 * _DAY_MS
MAX_CANDLES = 1_000
_MAX_MINUTES = 1_500
"""Minutes are kept for longer than a day, since the 24-hour statistics are made of them."""


class Candle(msgspec.Struct, gc=False):
    """Trades of one interval: prices in ticks, quantities in lots, `notional` in ticks times lots, times in ms."""

    open_ms: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    lots: int
    notional: int
    trades: int
    taker_buy_lots: int
    taker_buy_notional: int
    first_trade_id: int
    last_trade_id: int

    def absorb(self, later: Candle) -> None:
        """Add what traded after it."""
        if not self.trades:
            self.open_ticks, self.first_trade_id = later.open_ticks, later.first_trade_id
            self.high_ticks, self.low_ticks = later.high_ticks, later.low_ticks
        self.high_ticks = max(self.high_ticks, later.high_ticks)
        self.low_ticks = min(self.low_ticks, later.low_ticks)
        self.close_ticks = later.close_ticks
        self.lots += later.lots
        self.notional += later.notional
        self.trades += later.trades
        self.taker_buy_lots += later.taker_buy_lots
        self.taker_buy_notional += later.taker_buy_notional
        self.last_trade_id = later.last_trade_id

    def opened_at(self, open_ms: int) -> Candle:
        """A copy that opens at another time."""
        return msgspec.structs.replace(self, open_ms=open_ms)

    @classmethod
    def flat(cls, open_ms: int, price_ticks: int) -> Candle:
        """An interval without a trade: the last price, and nothing else."""
        return cls(open_ms, price_ticks, price_ticks, price_ticks, price_ticks, 0, 0, 0, 0, 0, -1, -1)


@dataclass(frozen=True, slots=True)
class Interval:
    """One kline interval. Both functions take and give ms."""

    name: str
    open_of: Callable[[int], int]
    """When the interval that holds this time opens."""
    next_open: Callable[[int], int]
    """When the interval after the one that opens then opens."""


def _fixed(name: str, length_ms: int, phase_ms: int = 0) -> Interval:
    return Interval(name, lambda time_ms: time_ms - (time_ms - phase_ms) % length_ms, lambda open_ms: open_ms + length_ms)


def _month_of(time_ms: int) -> int:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return _first_of(moment.year, moment.month)


def _month_after(open_ms: int) -> int:
    moment = datetime.fromtimestamp(open_ms / 1000, UTC)
    return _first_of(moment.year + moment.month // 12, moment.month % 12 + 1)


def _first_of(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)


INTERVALS: dict[str, Interval] = {
    interval.name: interval
    for interval in (
        _fixed("1s", 1_000),
        *(_fixed(f"{minutes}m", minutes * _MINUTE_MS) for minutes in (1, 3, 5, 15, 30)),
        *(_fixed(f"{hours}h", hours * _HOUR_MS) for hours in (1, 2, 4, 6, 8, 12)),
        _fixed("1d", _DAY_MS),
        _fixed("3d", 3 * _DAY_MS),
        _fixed("1w", 7 * _DAY_MS, _FIRST_MONDAY_MS),
        Interval("1M", _month_of, _month_after),
    )
}


class CandleSeries:
    """The candles of one interval, oldest first; those without a trade are made up when asked for."""

    def __init__(self, interval: Interval) -> None:
        self.interval = interval
        self._candles: deque[Candle] = deque(maxlen=_MAX_MINUTES if interval.name == "1m" else MAX_CANDLES)

    def absorb(self, candle: Candle) -> None:
        """Add a shorter candle, later than all before."""
        open_ms = self.interval.open_of(candle.open_ms)
        if self._candles and self._candles[-1].open_ms == open_ms:
            self._candles[-1].absorb(candle)
        else:
            self._candles.append(candle.opened_at(open_ms))

    def since(self, open_ms: int) -> list[Candle]:
        """Candles that open at this time or later, newest first."""
        chosen = []
        for candle in reversed(self._candles):
            if candle.open_ms < open_ms:
                break
            chosen.append(candle)
        return chosen

    def before(self, open_ms: int) -> Candle | None:
        """The newest candle that opened before this time."""
        return next((candle for candle in reversed(self._candles) if candle.open_ms < open_ms), None)

    def at(self, time_ms: int) -> Candle | None:
        """The candle of this time: flat where nothing traded in it, None where nothing traded before either."""
        open_ms = self.interval.open_of(time_ms)
        for candle in reversed(self._candles):
            if candle.open_ms <= open_ms:
                return candle if candle.open_ms == open_ms else Candle.flat(open_ms, candle.close_ticks)
        return None

    def listed(self, start_ms: int | None, end_ms: int, limit: int) -> list[Candle]:
        """At most `limit` candles without a gap that open between both times: the first ones from a start, else the last."""
        known = list(self._candles)
        if not known:
            return []
        opens = [candle.open_ms for candle in known]
        wanted = self._opens(opens[0], start_ms, end_ms, limit)
        chosen: list[Candle] = []
        for open_ms in wanted:
            candle = known[bisect_right(opens, open_ms) - 1]
            chosen.append(candle if candle.open_ms == open_ms else Candle.flat(open_ms, candle.close_ticks))
        return chosen

    def _opens(self, oldest_ms: int, start_ms: int | None, end_ms: int, limit: int) -> list[int]:
        open_of, next_open = self.interval.open_of, self.interval.next_open
        opens: list[int] = []
        if start_ms is not None:
            open_ms = open_of(max(start_ms, oldest_ms))
            if open_ms < start_ms:
                open_ms = next_open(open_ms)
            while open_ms <= end_ms and len(opens) < limit:
                opens.append(open_ms)
                open_ms = next_open(open_ms)
            return opens
        open_ms = open_of(end_ms)
        while open_ms >= oldest_ms and len(opens) < limit:
            opens.append(open_ms)
            open_ms = open_of(open_ms - 1)
        return opens[::-1]
