"""The market that shadow ticks show to a rehearsal: it swings between two prices, so that every tick moves both quotes."""

from __future__ import annotations

from mmd.types.instrument import Instrument
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, MarketTrade, Side, TouchUpdate

STEP_NS = 100_000_000
"""Virtual time between two events, ns: slow enough for every window and limit of the rehearsal."""
LEVELS = 20
TRADE_EVERY = 8
DEPTH_EVERY = 32
SWING_PER_PRICE = 50_000
"""The price is so many times the swing (0.2 bps)."""


class ShadowMarket:
    """One symbol around a mid price in ticks. Time and update ids are its own."""

    def __init__(self, instrument: Instrument, mid_ticks: int, start_ns: int) -> None:
        self._symbol = instrument.symbol
        self._swing = max(4, mid_ticks // SWING_PER_PRICE)
        spread = max(1, self._swing // 2)
        self._bids = (mid_ticks, mid_ticks + self._swing)
        self._asks = (mid_ticks + spread, mid_ticks + spread + self._swing)
        # Lots that are a plausible touch anywhere: some tens of times the least order.
        self._lots = 40 * max(1, instrument.min_lots)
        self.now_ns = start_ns
        self._number = 0

    def snapshot(self) -> DepthSnapshot:
        """The book at the start."""
        bids = tuple((self._bids[0] - level, self._lots) for level in range(LEVELS))
        # Between its two prices the ask has no level that would stand in the way of the bid's higher one.
        asks = ((self._asks[0], self._lots), *((self._asks[1] + level, self._lots) for level in range(LEVELS - 1)))
        return DepthSnapshot(self._symbol, self.now_ns, 0, bids, asks)

    def next_event(self) -> TouchUpdate | MarketTrade | DepthUpdate:
        """The next event, `STEP_NS` after the one before."""
        self._number = number = self._number + 1
        self.now_ns = now = self.now_ns + STEP_NS
        lots = self._lots + number % 7
        high = number % 2
        if number % DEPTH_EVERY == 1:
            # Whatever the diffs leave must be the touch that the next update shows.
            bids = ((self._bids[0], lots), (self._bids[1], lots if high else 0))
            asks = ((self._asks[0], 0 if high else lots), (self._asks[1], lots))
            first = max(1, number - DEPTH_EVERY + 1)
            return DepthUpdate(self._symbol, now, now, first, number, NO_UPDATE_ID, bids, asks)
        if number % TRADE_EVERY == 0:
            return MarketTrade(self._symbol, now, now, number, self._asks[high], 1 + number % 5, Side.BUY)
        return TouchUpdate(self._symbol, now, now, number, self._bids[high], lots, self._asks[high], lots + number % 3)
