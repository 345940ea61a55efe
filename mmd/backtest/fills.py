"""Fills where the data cannot tell of any: a seeded stream of market orders beside quotes that come without trades or sizes.

It is an assumption, not a record, and every result says so. Orders arrive as a Poisson process. Each reaches a distance R from the
mid, exponential with the mean (half of the market's spread) ÷ `decay`: so an order of ours at the distance d is reached with the
probability exp(-decay · d ÷ half-spread), and the more competitive it is against the market's spread, the likelier it is filled.
The share `adverse_share` of them comes from those who know: they take the side that the mid moves to within `horizon_seconds`. The
others take either side with the same chance. What is reached is filled whole.

The strategy never sees them, as the feed had none; those of the time before trading calibrate models that ask for arrivals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from math import ceil, floor
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmd.backtest.errors import BacktestError
from mmd.market.book import OrderBook
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedState, FeedStatus, MarketTrade, Side, TouchUpdate

FillSource = Literal["auto", "recorded", "probabilistic"]
FILL_SOURCES: tuple[FillSource, ...] = ("auto", "recorded", "probabilistic")
WHOLE_LOTS = 1_000_000_000
NS = 1_000_000_000
_PAUSE_NS = 60 * NS
"""Quotes silent for longer than this are a market that rests: nobody trades in it."""
_PART = re.compile(r"^(arrivals|decay|adverse|horizon)=(\d+(?:\.\d+)?)$")
_NAMES = {"arrivals": "arrivals_per_second", "decay": "decay", "adverse": "adverse_share", "horizon": "horizon_seconds"}
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FillModel:
    """Market orders of both sides together a second; decay per half of the market's spread; share that knows where it goes."""

    arrivals_per_second: float = 0.2
    decay: float = 1.0
    adverse_share: float = 0.3
    horizon_seconds: float = 1.0
    seed: int = 1

    @property
    def text(self) -> str:
        """As results state it."""
        return (
            f"a PROBABILISTIC MODEL, not data: {self.arrivals_per_second:g} market orders a second, filled with "
            f"exp(-{self.decay:g} · distance ÷ half of the market's spread), {self.adverse_share:.0%} of them with the move of the "
            f"next {self.horizon_seconds:g} s; seed {self.seed}"
        )

    def as_dict(self) -> dict[str, float]:
        """For reports."""
        return asdict(self)


def parse_fill_model(text: str, seed: int) -> FillModel:
    """`arrivals=0.2,decay=1,adverse=0.3,horizon=1`, any of them. Raises `BacktestError`."""
    told: dict[str, float] = {}
    for part in [part.strip() for part in text.split(",") if part.strip()]:
        match = _PART.match(part)
        if match is None:
            raise BacktestError(f"fill model {part!r}: write arrivals=0.2,decay=1,adverse=0.3,horizon=1, any of them")
        told[_NAMES[match[1]]] = float(match[2])
    model = FillModel(**told, seed=seed)
    if not 0 < model.arrivals_per_second <= 1_000 or not 0 < model.decay <= 100 or not 0 < model.horizon_seconds <= 3_600:
        raise BacktestError("fill model: arrivals must be above 0 (up to 1000), decay (up to 100) and horizon (up to 3600) as well")
    if not 0 <= model.adverse_share <= 1:
        raise BacktestError(f"fill model: adverse={model.adverse_share:g} is no share: write 0 to 1")
    return model


def modelled_trades(events: Iterable[Any], symbol: str, model: FillModel) -> list[MarketTrade]:
    """The market orders of one symbol's whole data, as trades of `WHOLE_LOTS`, by receive time. The same seed, the same orders."""
    times, bids, asks, rests = _touches(events, symbol)
    if not len(times):
        return []
    random = np.random.default_rng([model.seed, *symbol.encode()])
    span = (int(times[-1]) - int(times[0])) / NS
    count = int(random.poisson(model.arrivals_per_second * span))
    when = np.sort(random.integers(int(times[0]), int(times[-1]) + 1, size=count))
    knowing = random.random(count) < model.adverse_share
    signs = np.where(random.random(count) < 0.5, 1, -1)
    reaches = random.exponential(1.0 / model.decay, count)
    place = np.searchsorted(times, when, side="right") - 1
    later = np.searchsorted(times, when + round(model.horizon_seconds * NS), side="right") - 1
    mids = (bids + asks) / 2
    moves = np.sign(mids[later] - mids[place]).astype(np.int64)
    signs = np.where(knowing & (moves != 0), moves, signs)
    awake = ~rests[place] & (when - times[place] <= _PAUSE_NS)
    distances = reaches * (asks[place] - bids[place]) / 2
    trades: list[MarketTrade] = []
    for number in np.flatnonzero(awake).tolist():
        side = Side.BUY if signs[number] > 0 else Side.SELL
        reached = mids[place[number]] + signs[number] * distances[number]
        price = floor(reached) if side is Side.BUY else ceil(reached)
        if price > 0:
            trades.append(MarketTrade(symbol, int(when[number]), 0, number + 1, price, WHOLE_LOTS, side))
    return trades


def with_trades(events: Iterable[Any], trades: Iterable[MarketTrade]) -> Iterator[Any]:
    """The market's events with these trades in place of its own, by receive time; a trade comes before what is received with it."""
    coming = iter(trades)
    trade = next(coming, None)
    for event in events:
        while trade is not None and trade.receive_ns <= event.receive_ns:
            yield trade
            trade = next(coming, None)
        if not isinstance(event, MarketTrade):
            yield event


def _touches(events: Iterable[Any], symbol: str) -> tuple[Ints, Ints, Ints, npt.NDArray[np.bool_]]:
    """Receive time, best bid and ask in ticks at each change, and whether the market rests from then on."""
    book = OrderBook(symbol)
    rows: list[tuple[int, int, int, bool]] = []
    for event in events:
        if isinstance(event, FeedStatus):
            if event.state is FeedState.DISCONNECTED:
                book.invalidate(event.detail)
                if rows:
                    rows.append((event.receive_ns, rows[-1][1], rows[-1][2], True))
            continue
        if isinstance(event, TouchUpdate):
            book.on_touch_update(event)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        elif isinstance(event, DepthSnapshot):
            book.on_depth_snapshot(event)
        else:
            continue
        if book.valid:
            row = (event.receive_ns, book.bid_ticks, book.ask_ticks, False)
            if not rows or rows[-1][1:] != row[1:] or row[0] - rows[-1][0] > NS:
                rows.append(row)
    table = np.asarray([row[:3] for row in rows], np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2], np.asarray([row[3] for row in rows], np.bool_)
