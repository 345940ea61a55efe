"""The market of the golden world: one symbol's book, in whole numbers."""

from __future__ import annotations

from random import Random

from mmd.types.instrument import Instrument
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, Side, TouchUpdate

START_TICKS = {"BTCUSDT": 6_000_000, "ETHUSDT": 300_000}
LEVELS = 30


class GoldenBook:
    """One symbol's true book: levels around a bid that wanders."""

    def __init__(self, instrument: Instrument, random: Random) -> None:
        self.instrument, self._random = instrument, random
        self.bid = START_TICKS[instrument.symbol]
        self.spread = 10
        self.update_id = 1_000
        self.sides: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.changed: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.first_id = self.update_id + 1
        self.move(0)

    def move(self, ticks: int) -> None:
        """Another bid and spread; levels that are missing on the way are made, those in the way removed."""
        random = self._random
        self.bid += ticks
        self.spread = max(1, min(30, self.spread + random.randrange(-2, 3)))
        self.update_id += 1
        for side, best, step in ((Side.BUY, self.bid, -1), (Side.SELL, self.bid + self.spread, 1)):
            levels = self.sides[side]
            for price in [price for price in levels if (price - best) * step < 0]:
                self._set(side, price, 0)
            self._set(side, best, random.randrange(1_000, 90_000))
            for number in range(1, LEVELS):
                price = best + step * number * 3
                if price not in levels:
                    self._set(side, price, random.randrange(1_000, 90_000))

    def _set(self, side: Side, price: int, lots: int) -> None:
        if lots:
            self.sides[side][price] = lots
        else:
            self.sides[side].pop(price, None)
        self.changed[side][price] = lots

    def touch(self, now: int) -> TouchUpdate:
        ask = self.bid + self.spread
        lots = self.sides
        return TouchUpdate(
            self.instrument.symbol, now, 0, self.update_id, self.bid, lots[Side.BUY][self.bid], ask, lots[Side.SELL][ask]
        )

    def diff(self, now: int, stamp: int) -> DepthUpdate:
        bids, asks = (tuple(sorted(self.changed[side].items())) for side in (Side.BUY, Side.SELL))
        update = DepthUpdate(self.instrument.symbol, now, stamp, self.first_id, self.update_id, NO_UPDATE_ID, bids, asks)
        self.changed = {Side.BUY: {}, Side.SELL: {}}
        self.first_id = self.update_id + 1
        return update

    def snapshot(self, now: int) -> DepthSnapshot:
        bids = tuple(sorted(self.sides[Side.BUY].items(), reverse=True))
        asks = tuple(sorted(self.sides[Side.SELL].items()))
        return DepthSnapshot(self.instrument.symbol, now, self.update_id, bids, asks)
