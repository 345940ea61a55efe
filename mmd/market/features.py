"""The market features of one symbol, one row for each step, each updated in constant time and from the past alone.

What the 20 values are stands in feature_table.py. They are bounded, finite for every input, and free of the units of tick and lot.
"""

from __future__ import annotations

from math import asinh, copysign, hypot, log, log1p, sqrt

from mmd.market.feature_settings import FeatureSettings, schema_hash
from mmd.market.feature_table import INVENTORY_NAMES, MARKET_NAMES
from mmd.market.rolling import StepSums
from mmd.market.volatility import ENDLESS, NOTHING, SECONDS_PER_NS, Recent, Usual

__all__ = ["INVENTORY_NAMES", "MARKET_NAMES", "MarketFeatures"]


class MarketFeatures:
    """`update` is called once for each step; `values` is its last row, in the order of `NAMES`, a new list each time."""

    __slots__ = (
        "_ask_lots", "_ask_ticks", "_bid_lots", "_bid_ticks", "_count", "_first_ns", "_last_ns", "_limit", "_mid", "_per_pairs",
        "_per_root_count", "_per_spread_count", "_recent", "_sums", "_trade_ns", "_two_counts", "_usual", "settings", "steps",
        "values", "warm",
    )  # fmt: skip

    NAMES: tuple[str, ...] = MARKET_NAMES

    def __init__(self, settings: FeatureSettings | None = None) -> None:
        self.settings = settings if settings is not None else FeatureSettings()
        self._limit = self.settings.limit
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after a resync or a session gap."""
        settings = self.settings
        self.values: list[float] = [0.0] * len(MARKET_NAMES)
        self.steps: int = 0
        """Steps since the start or the last reset."""
        self.warm: bool = False
        """Whether every window is filled and volatility is known well enough: `warm_steps` and `warm_seconds` have passed."""
        self._sums = StepSums(settings)
        self._recent = Recent(settings)
        self._usual = Usual(settings)
        self._first_ns: int = 0
        self._last_ns: int = 0
        self._trade_ns: int = 0
        self._mid: int = 0
        self._bid_ticks: int = 0
        self._bid_lots: int = 0
        self._ask_ticks: int = 0
        self._ask_lots: int = 0
        self._count: int = 0
        self._two_counts: int = 0
        self._per_root_count: float = 0.0
        self._per_pairs: float = 0.0
        self._per_spread_count: float = 0.0

    def schema_hash(self) -> str:
        """SHA-256 (hex) of names, windows, half-lives, step rule and version."""
        return schema_hash(self.settings)

    def sigma_ticks(self, horizon_seconds: float) -> float:
        """Trailing volatility of the mid over a horizon, ticks, at least `sigma_floor_ticks`; known from two samples on."""
        return max(self._usual.sigma_ticks(horizon_seconds), self.settings.sigma_floor_ticks)

    def update(
        self,
        receive_ns: int,
        bid_ticks: int,
        bid_lots: int,
        ask_ticks: int,
        ask_lots: int,
        bid_lots_5: int,
        ask_lots_5: int,
        buy_lots: int,
        sell_lots: int,
        trade_count: int,
        traded_ticks_lots: int,
    ) -> list[float]:
        """The row of one step. `…_lots_5` are sums of the best five levels; what traded is since the step before.

        A price of 0 or below is a missing side: both prices of the step before hold on. Receive time (UTC ns) that runs backwards
        stands still. Quantities must not be negative.
        """
        if bid_ticks <= 0 or ask_ticks <= 0:
            bid_ticks, ask_ticks = self._bid_ticks, self._ask_ticks
        mid = bid_ticks + ask_ticks
        spread = ask_ticks - bid_ticks if ask_ticks > bid_ticks else 0
        depth = bid_lots + ask_lots
        traded, signed = buy_lots + sell_lots, buy_lots - sell_lots
        elapsed = 0.0
        if self.steps:
            if bid_ticks == self._bid_ticks and ask_ticks == self._ask_ticks:
                change = 0
                flow = bid_lots - self._bid_lots - ask_lots + self._ask_lots
            else:
                change = mid - self._mid
                flow = self._order_flow(bid_ticks, bid_lots, ask_ticks, ask_lots)
            if receive_ns > self._last_ns:
                elapsed = (receive_ns - self._last_ns) * SECONDS_PER_NS
                self._last_ns = receive_ns
        else:
            self._first_ns = self._last_ns = self._trade_ns = receive_ns
            change = flow = 0
        self.steps += 1
        self._mid, self._bid_ticks, self._bid_lots, self._ask_ticks, self._ask_lots = mid, bid_ticks, bid_lots, ask_ticks, ask_lots
        squared = change * change
        self._sums.push(change, squared, flow, depth, traded, signed, traded_ticks_lots, spread)
        self._recent.step(elapsed, change, squared, trade_count, signed)
        usual = self._usual
        usual.pending_squared += squared
        if trade_count:
            usual.pending_count += trade_count
            usual.pending_lots += traded
            self._trade_ns = self._last_ns
        if receive_ns >= usual.due_ns:
            usual.sample(receive_ns, mid, spread)
        if not self.warm:
            self._count_up()
        depth_5 = bid_lots_5 + ask_lots_5
        self.values = row = self._row(
            change,
            mid,
            spread,
            traded,
            (bid_lots - ask_lots) / depth if depth else 0.0,
            (bid_lots_5 - ask_lots_5) / depth_5 if depth_5 else 0.0,
            elapsed,
        )
        return row

    def _row(
        self, change: int, mid: int, spread: int, volume: int, imbalance: float, imbalance_5: float, elapsed: float
    ) -> list[float]:
        """Prices and volatilities are in half-ticks here and spreads in ticks, so that a spread is a half-spread."""
        sums, usual, recent = self._sums, self._usual, self._recent
        per_reference = usual.per_reference
        per_step = 1.0 / (sqrt(sums.usual_squared + usual.sigma_floor_squared) or ENDLESS)
        per_window = per_step * self._per_root_count
        change_sum, traded = sums.change, sums.traded_lots
        if traded:
            trade_imbalance = sums.signed_lots / traded
            vwap_deviation = (mid * traded - 2 * sums.ticks_lots) / traded * per_window
        else:
            trade_imbalance = vwap_deviation = 0.0
        return_1 = change * per_step
        return_mean = change_sum * per_window
        return_std = sqrt((self._count * sums.squared - change_sum * change_sum) * self._per_pairs) * per_step
        shown_spread = (spread if spread > usual.least_spread_ticks else usual.least_spread_ticks) * per_reference
        relative_spread = log(2.0 * shown_spread) if shown_spread > NOTHING else 0.0
        average_spread = sums.spread_ticks * self._per_spread_count
        microprice = spread * imbalance * per_reference
        order_flow = asinh(self._two_counts * sums.flow_lots / sums.depth_lots) if sums.depth_lots else 0.0
        trend = recent.trend * usual.per_trend
        since_trade = log1p((self._last_ns - self._trade_ns) * SECONDS_PER_NS * usual.trade_rate)
        since_step = log1p(1000.0 * elapsed)
        counts = recent.count_short + usual.count_short
        signed = recent.signed_short
        lots = usual.lots_short + (signed if signed > 0.0 else -signed)
        squares = recent.squared_short + usual.squared_short
        squares_medium = recent.squared_medium + usual.squared_medium
        row = [
            trade_imbalance,
            return_1,
            return_mean,
            return_std,
            vwap_deviation,
            relative_spread,
            (spread - average_spread) / (spread + average_spread) if average_spread else 0.0,
            log1p(volume / sums.usual_volume_lots) if volume else 0.0,
            imbalance,
            imbalance_5,
            microprice,
            order_flow,
            (recent.count_short - usual.count_short) / counts if counts > NOTHING else 0.0,
            signed / lots if lots > NOTHING else 0.0,
            (recent.squared_short - usual.squared_short) / squares if squares > NOTHING else 0.0,
            (recent.squared_medium - usual.squared_medium) / squares_medium if squares_medium > NOTHING else 0.0,
            usual.volatility_long,
            trend,
            since_trade,
            since_step,
        ]
        limit = self._limit
        unbounded = hypot(return_1, return_mean, return_std, vwap_deviation, relative_spread, microprice, order_flow, trend)
        if unbounded > limit or since_trade > limit or since_step > limit:
            return [value if -limit <= value <= limit else copysign(limit, value) for value in row]
        return row

    def _count_up(self) -> None:
        """What depends on the number of steps, until there are enough of them."""
        self._count = count = min(self.steps, self.settings.window_steps)
        self._two_counts = 2 * count
        self._per_root_count = 1.0 / sqrt(count)
        self._per_pairs = 1.0 / (count * (count - 1)) if count > 1 else 0.0
        self._per_spread_count = 1.0 / min(self.steps, self.settings.spread_window_steps)
        seconds = (self._last_ns - self._first_ns) * SECONDS_PER_NS
        self.warm = self.steps >= self.settings.warm_steps and seconds >= self.settings.warm_seconds

    def _order_flow(self, bid_ticks: int, bid_lots: int, ask_ticks: int, ask_lots: int) -> int:
        """Order-flow imbalance from the step before to this one, lots (Cont, Kukanov and Stoikov 2014, equation 4)."""
        if bid_ticks > self._bid_ticks:
            flow = bid_lots
        elif bid_ticks < self._bid_ticks:
            flow = -self._bid_lots
        else:
            flow = bid_lots - self._bid_lots
        if ask_ticks < self._ask_ticks:
            return flow - ask_lots
        if ask_ticks > self._ask_ticks:
            return flow + self._ask_lots
        return flow - ask_lots + self._ask_lots
