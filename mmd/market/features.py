"""The market features of one symbol, one row for each step, each updated in constant time and from the past alone.

What the values are stands in feature_table.py; the last twelve are made in recent_touch.py. They are bounded, finite for every
input, and free of the units of tick and lot.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from math import asinh, copysign, exp, hypot, log, log1p, sqrt
from typing import ClassVar

from mmd.market.feature_settings import FeatureSettings, schema_hash
from mmd.market.feature_table import INVENTORY_NAMES, MARKET_NAMES
from mmd.market.recent_touch import recent_rows
from mmd.market.volatility import ENDLESS, NEVER, NOTHING, SECONDS_PER_NS, Usual, contrast

__all__ = ["INVENTORY_NAMES", "MARKET_NAMES", "MarketFeatures"]

Step = tuple[int, int, int, int, int, int, int, int, int, int, int]
"""`receive_ns`, `bid_ticks`, `bid_lots`, `ask_ticks`, `ask_lots`, `bid_lots_5`, `ask_lots_5`, `buy_lots`, `sell_lots`,
`trade_count`, `traded_ticks_lots`: the arguments of `MarketFeatures.update`."""
Traded = tuple[int, int, int]
"""Of one step: lots, lots bought less sold, twice the sum of ticks x lots."""
NO_TRADE: Traded = (0, 0, 0)
WindowRow = tuple[int, int, int, int, Traded]
"""Of one step: change of the mid (half-ticks), order flow (lots), lots at the touch, spread (ticks), trades."""
EMPTY: WindowRow = (0, 0, 0, 0, NO_TRADE)


class MarketFeatures:
    """`update` is called once for each step; `values` is its last row, in the order of `NAMES`, a new list each time."""

    __slots__ = ("_next_row", "_usual", "settings", "steps", "values", "warm")

    NAMES: ClassVar[tuple[str, ...]] = MARKET_NAMES

    def __init__(self, settings: FeatureSettings | None = None) -> None:
        self.settings = settings if settings is not None else FeatureSettings()
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after a resync or a session gap."""
        self.values: list[float] = [0.0] * len(MARKET_NAMES)
        self.steps: int = 0
        """Steps since the start or the last reset."""
        self.warm: bool = False
        """Whether every window is filled and volatility is known well enough: `warm_steps` and `warm_seconds` have passed."""
        self._usual = Usual(self.settings)
        rows = self._rows(self._usual)
        next(rows)
        self._next_row: Callable[[Step], list[float]] = rows.send

    def schema_hash(self) -> str:
        """SHA-256 (hex) of names, windows, half-lives, step rule and version."""
        return schema_hash(self.settings)

    def sigma_ticks(self, horizon_seconds: float) -> float:
        """Trailing volatility of the mid over a horizon, ticks, at least `sigma_floor_ticks`; known from two samples on."""
        return max(self._usual.sigma_ticks(horizon_seconds), self.settings.sigma_floor_ticks)

    @property
    def variance(self) -> float:
        """Of the mid, half-ticks squared per second, as of the last sample: `sigma_ticks` changes only when this does."""
        return self._usual.variance

    def update(self, *step: int) -> list[float]:
        """The row of one step, given as `Step` lists it.

        `…_lots_5` are sums of the best five levels; what traded is since the step before. A price of 0 or below is a missing side:
        both prices of the step before hold on. Receive time (UTC ns) that runs backwards stands still. Quantities must not be
        negative. Should it raise, on what is no number, only a reset makes it work again.
        """
        self.values = row = self._next_row(step)  # type: ignore[arg-type]  # one that is not of 11 does not unpack
        return row

    def _rows(self, usual: Usual) -> Generator[list[float], Step, None]:
        """Is sent steps and yields their rows.

        Every quote waits for it, hence a generator: what it keeps from step to step is in local variables, which cost a fraction of
        attributes, and what did not change since the step before is not computed anew. The mid and volatilities are in half-ticks
        here and spreads in ticks, so that a spread is a half-spread. Sums over the window: `changes`, `squares`, `flows`, `depths`,
        `traded`, `signed`, `twice_ticks_lots`; over the shorter one: `spreads`. Fading with receive time: `…_short`, `…_medium`.
        """
        settings, limit = self.settings, self.settings.limit
        size, spread_size = settings.window_steps, settings.spread_window_steps
        window = [EMPTY] * size
        by_count = [
            (n, 1.0 / sqrt(n), 1.0 / (n * (n - 1)) if n > 1 else 0.0, 1.0 / min(n, spread_size)) for n in range(1, size + 1)
        ]
        average_kept = 0.5 ** (1.0 / settings.average_half_life_steps)
        short, medium, _, _ = settings.half_lives_seconds
        short_exponent, medium_exponent = -log(2.0) / short, -log(2.0) / medium
        steps, warm, due_ns = 0, False, NEVER
        squared_since = count_since = lots_since = 0
        changes = squares = flows = depths = traded = signed = twice_ticks_lots = spreads = 0
        squared_short = count_short = signed_short = squared_medium = trend = 0.0
        weight = average_squared = average_volume = 0.0
        deviation = trade_imbalance = relative_spread = spread_contrast = 0.0
        recent = recent_rows(settings, usual)
        next(recent)
        recent_row = recent.send

        step = yield []
        first_ns, last_bid_ticks, last_bid_lots, last_ask_ticks, last_ask_lots, *_ = step
        if last_bid_ticks <= 0 or last_ask_ticks <= 0:
            last_bid_ticks = last_ask_ticks = 0
        last_ns = trade_ns = first_ns
        mid = last_bid_ticks + last_ask_ticks
        spread = last_ask_ticks - last_bid_ticks if last_ask_ticks > last_bid_ticks else 0
        while True:
            (
                receive_ns, bid_ticks, bid_lots, ask_ticks, ask_lots, bid_lots_5, ask_lots_5,
                buy_lots, sell_lots, trade_count, traded_ticks_lots,
            ) = step  # fmt: skip
            if bid_ticks <= 0 or ask_ticks <= 0:
                bid_ticks, ask_ticks = last_bid_ticks, last_ask_ticks

            change = squared = flow = 0
            moved = touched = False
            if bid_ticks != last_bid_ticks or ask_ticks != last_ask_ticks:
                moved = touched = True
                last = last_bid_ticks, last_bid_lots, last_ask_ticks, last_ask_lots
                flow = order_flow(bid_ticks, bid_lots, ask_ticks, ask_lots, *last)
                change = bid_ticks + ask_ticks - mid
                squared = change * change
                squared_since += squared
                mid += change
                spread = ask_ticks - bid_ticks if ask_ticks > bid_ticks else 0
                last_bid_ticks, last_bid_lots, last_ask_ticks, last_ask_lots = bid_ticks, bid_lots, ask_ticks, ask_lots
            elif bid_lots != last_bid_lots or ask_lots != last_ask_lots:
                touched = True
                flow = bid_lots - last_bid_lots - ask_lots + last_ask_lots
                last_bid_lots, last_ask_lots = bid_lots, ask_lots

            since_step = seconds = 0.0
            if receive_ns > last_ns:
                seconds = (receive_ns - last_ns) * SECONDS_PER_NS
                last_ns = receive_ns
                since_step = log1p(1000.0 * seconds)
                kept = exp(seconds * short_exponent)
                squared_short *= kept
                count_short *= kept
                signed_short *= kept
                kept = exp(seconds * medium_exponent)
                squared_medium *= kept
                trend *= kept

            volume, trade = 0, NO_TRADE
            if trade_count or buy_lots or sell_lots or traded_ticks_lots:
                volume = buy_lots + sell_lots
                trade = (volume, buy_lots - sell_lots, 2 * traded_ticks_lots)
                signed_short += buy_lots - sell_lots
                if trade_count:
                    trade_ns = last_ns
                    count_short += trade_count
                    count_since += trade_count
                    lots_since += volume

            if receive_ns >= due_ns:
                usual.sample(receive_ns, mid, spread, bid_lots + ask_lots, squared_since, count_since, lots_since)
                squared_since = count_since = lots_since = 0
                moved = touched = True
                due_ns, known, per_reference, per_trend = usual.due_ns, usual.known, usual.per_reference, usual.per_trend
                sigma_floor_squared, least_spread_ticks = usual.sigma_floor_squared, usual.least_spread_ticks
                usual_count, usual_lots, trade_rate = usual.count_short, usual.lots_short, usual.trade_rate
                usual_short, usual_medium, volatility_long = usual.squared_short, usual.squared_medium, usual.volatility_long
            if touched:
                depth = bid_lots + ask_lots
                imbalance = (bid_lots - ask_lots) / depth if depth else 0.0
                microprice = spread * imbalance * per_reference

            place = steps % size
            old_change, old_flow, old_depth, _, old_trade = window[place]
            old_spread = window[place - spread_size][3]
            window[place] = (change, flow, depth, spread, trade)
            self.steps = steps = steps + 1
            if not warm:
                moved = True
                count, per_root_count, per_pairs, per_spread_count = by_count[min(steps, size) - 1]
                two_counts = 2 * count
                deviation = sqrt((count * squares - changes * changes) * per_pairs)
                self.warm = warm = steps >= settings.warm_steps and (last_ns - first_ns) * SECONDS_PER_NS >= settings.warm_seconds
            if change or old_change:
                squared_short += squared
                squared_medium += squared
                trend += change
                changes += change - old_change
                squares += squared - old_change * old_change
                deviation = sqrt((count * squares - changes * changes) * per_pairs)
            if trade is not old_trade:
                old_traded, old_signed, old_twice_ticks_lots = old_trade
                traded += volume - old_traded
                signed += trade[1] - old_signed
                twice_ticks_lots += trade[2] - old_twice_ticks_lots
                trade_imbalance = signed / traded if traded else 0.0
            if moved or spread != old_spread:
                spreads += spread - old_spread
                average_spread = spreads * per_spread_count
                spread_contrast = (spread - average_spread) / (spread + average_spread) if average_spread else 0.0
            if moved:
                shown_spread = (spread if spread > least_spread_ticks else least_spread_ticks) * per_reference
                relative_spread = log(2.0 * shown_spread) if shown_spread > NOTHING else 0.0
            flows += flow - old_flow
            depths += depth - old_depth
            weight = weight * average_kept + 1.0
            average_squared += (squared - average_squared) / weight
            average_volume += (volume - average_volume) / weight

            per_step = 1.0 / (sqrt(average_squared + sigma_floor_squared) or ENDLESS)
            per_window = per_step * per_root_count
            mid_return = change * per_step
            return_mean = changes * per_window
            return_std = deviation * per_step
            vwap_deviation = (mid * traded - twice_ticks_lots) / traded * per_window if traded else 0.0
            depth_5 = bid_lots_5 + ask_lots_5
            flow_to_depth = asinh(two_counts * flows / depths) if depths else 0.0
            trend_shown = trend * per_trend
            since_trade = log1p((last_ns - trade_ns) * SECONDS_PER_NS * trade_rate) if last_ns != trade_ns else 0.0
            lots_short = usual_lots + (signed_short if signed_short > 0.0 else -signed_short)
            if known:
                trade_intensity = (count_short - usual_count) / (count_short + usual_count)
                signed_volume = signed_short / lots_short
                volatility_short = (squared_short - usual_short) / (squared_short + usual_short)
                volatility_medium = (squared_medium - usual_medium) / (squared_medium + usual_medium)
            else:
                trade_intensity = contrast(count_short, usual_count)
                signed_volume = signed_short / lots_short if lots_short > NOTHING else 0.0
                volatility_short = contrast(squared_short, usual_short)
                volatility_medium = contrast(squared_medium, usual_medium)
            row = [
                trade_imbalance,
                mid_return,
                return_mean,
                return_std,
                vwap_deviation,
                relative_spread,
                spread_contrast,
                log1p(volume / average_volume) if volume else 0.0,
                imbalance,
                (bid_lots_5 - ask_lots_5) / depth_5 if depth_5 else 0.0,
                microprice,
                flow_to_depth,
                trade_intensity,
                signed_volume,
                volatility_short,
                volatility_medium,
                volatility_long,
                trend_shown,
                since_trade,
                since_step,
            ]
            # Cheaper than ten comparisons; the others are within [-1, 1] or, the volume, below the least limit there may be.
            if hypot(
                mid_return, return_mean, return_std, vwap_deviation, relative_spread, microprice, flow_to_depth, trend_shown,
                since_trade, since_step,
            ) > limit:  # fmt: skip
                row = clipped(row, limit)
            row += recent_row((seconds, change, flow, imbalance, bid_ticks, bid_lots, ask_ticks, ask_lots, mid, spread, *trade))
            step = yield row


def clipped(row: list[float], limit: float) -> list[float]:
    """Each value within the limit."""
    return [value if -limit <= value <= limit else copysign(limit, value) for value in row]


def order_flow(
    bid_ticks: int,
    bid_lots: int,
    ask_ticks: int,
    ask_lots: int,
    last_bid_ticks: int,
    last_bid_lots: int,
    last_ask_ticks: int,
    last_ask_lots: int,
) -> int:
    """Order-flow imbalance from the step before (`last_…`) to this one, lots (Cont, Kukanov and Stoikov 2014, equation 4)."""
    if bid_ticks > last_bid_ticks:
        flow = bid_lots
    elif bid_ticks < last_bid_ticks:
        flow = -last_bid_lots
    else:
        flow = bid_lots - last_bid_lots
    if ask_ticks < last_ask_ticks:
        return flow - ask_lots
    if ask_ticks > last_ask_ticks:
        return flow + last_ask_lots
    return flow - ask_lots + last_ask_lots
