"""The streams there are, by the part of their name behind the symbol, and what comes on them."""

from __future__ import annotations

from mmd.mock.server.candles import INTERVALS

WINDOWS = {"1h": 3_600_000, "4h": 4 * 3_600_000, "1d": 24 * 3_600_000}
"""Rolling windows of the ticker streams, ms."""
EVERY_TOUCH_STREAM = "!bookTicker"
PARTIAL_DEPTHS = (5, 10, 20)

MARKET_STREAMS: dict[str, str] = {
    EVERY_TOUCH_STREAM: "the touch of every symbol, at each change",
    "!miniTicker@arr": "`24hrMiniTicker` of the symbols that traded in the last second",
    "!ticker@arr": "`24hrTicker` of the symbols that traded in the last second",
    **{f"!ticker_{name}@arr": f"the same over the last {name}" for name in WINDOWS},
}
SYMBOL_STREAMS: dict[str, str] = {
    "trade": "each trade",
    "aggTrade": "the trades of one taker order at one price, as one",
    "bookTicker": "the touch, at each change (no `e` field)",
    "depth": "changes of the book, each second",
    "depth@100ms": "changes of the book, ten times a second",
    **{f"depth{depth}": f"the best {depth} levels, each second" for depth in PARTIAL_DEPTHS},
    **{f"depth{depth}@100ms": f"the best {depth} levels, ten times a second" for depth in PARTIAL_DEPTHS},
    "miniTicker": "statistics of the last 24 hours in short, each second",
    "ticker": "statistics of the last 24 hours, each second",
    **{f"ticker_{name}": f"statistics of the last {name}, each second" for name in WINDOWS},
    "avgPrice": "average price of five minutes, each second",
    **{f"kline_{name}": f"the candle of {name}, each second; closed (`x`) on the second at which it ends" for name in INTERVALS},
}
RECORDED_STREAMS = ("depth@0ms", "depth@250ms", "depth@500ms")
"""Speeds of other venues' recordings, which a replay shows."""
