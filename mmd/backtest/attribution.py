"""Where a symbol's PnL came from, by fills and mids, beside the ledger's own PnL: the difference is what is not explained.
explained.

    spread captured    Σ over fills: side · (mid when the fill was received - price) · quantity
    adverse selection  Σ over fills: side · (mid `horizon` later - mid at the fill) · quantity
    inventory          Σ over moves of the mid: position · move, without what is counted as adverse selection
    fees               below zero: rebates
    funding            Σ over settlements of perpetuals: - position · mark · rate

Mids and positions are those of the samples and fills in order of time, so that the sum of the moves is the whole way of the mid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmd.backtest.recorder import SymbolTrack

Floats = npt.NDArray[np.float64]
ADVERSE_SECONDS = 1.0
NS = 1_000_000_000


@dataclass(frozen=True)
class Split:
    """Quote units."""

    spread: float
    adverse_selection: float
    inventory: float
    fees: float
    unexplained: float
    total: float
    """The ledger's, marked at the mid."""
    funding: float = 0.0

    @property
    def unexplained_share(self) -> float:
        """Of the sum of the parts' sizes; 0 where nothing happened."""
        gross = abs(self.spread) + abs(self.adverse_selection) + abs(self.inventory) + abs(self.fees) + abs(self.funding)
        return abs(self.unexplained) / gross if gross else 0.0


@dataclass(frozen=True)
class FillColumns:
    """One row a fill: time ns, side, price and mid in quote units, quantity in base units, fee in quote units."""

    times: npt.NDArray[np.int64]
    sides: Floats
    prices: Floats
    mids: Floats
    quantities: Floats
    fees: Floats
    realised: Floats
    """Profit of what the fill closed, at average cost, quote units; NaN where it closed nothing."""

    @property
    def notional(self) -> Floats:
        """Quote units."""
        return self.prices * self.quantities


def fill_columns(track: SymbolTrack) -> FillColumns:
    """Of a track, in order of time."""
    tick, lot = float(track.instrument.tick_size), float(track.instrument.lot_size)
    fills = track.fills
    prices = np.asarray([fill.price_ticks for fill in fills], np.float64) * tick
    quantities = np.asarray([fill.lots for fill in fills], np.float64) * lot
    sides = np.asarray([fill.side.sign for fill in fills], np.float64)
    return FillColumns(
        np.asarray([fill.receive_ns for fill in fills], np.int64),
        sides,
        prices,
        np.asarray(track.fill_mids_x2, np.float64) * tick / 2,
        quantities,
        np.asarray([fill.fee_atoms for fill in fills], np.float64) / 1e8,
        _realised(sides, prices, quantities),
    )


def _realised(sides: Floats, prices: Floats, quantities: Floats) -> Floats:
    result = np.full(len(sides), np.nan)
    position = cost = 0.0
    for number, (side, price, quantity) in enumerate(zip(sides.tolist(), prices.tolist(), quantities.tolist(), strict=True)):
        signed = side * quantity
        if position * signed < -1e-15:
            closed = min(abs(position), quantity)
            result[number] = (price - cost) * closed * (1.0 if position > 0 else -1.0)
            if quantity > abs(position) + 1e-15:
                cost = price
        elif position + signed:
            cost = (cost * abs(position) + price * quantity) / (abs(position) + quantity)
        position += signed
        if abs(position) < 1e-12:
            position = 0.0
    return result


class MidPath:
    """The mid as a step function: samples and the mids at fills. Quote units."""

    def __init__(self, track: SymbolTrack) -> None:
        tick = float(track.instrument.tick_size)
        # Of one moment fills come first: they are received before the market data that is sampled.
        times = np.concatenate([np.asarray([f.receive_ns for f in track.fills], np.int64), np.asarray(track.times, np.int64)])
        mids = np.concatenate([np.asarray(track.fill_mids_x2, np.float64), np.asarray(track.mids_x2, np.float64)]) * tick / 2
        known = mids > 0
        order = np.argsort(times[known], kind="stable")
        self.times = times[known][order]
        self.mids = mids[known][order]

    def at(self, times: npt.NDArray[np.int64]) -> Floats:
        """The newest mid at or before each time; NaN before the first and after the last."""
        place = np.searchsorted(self.times, times, side="right") - 1
        found = self.mids[np.maximum(place, 0)] if len(self.mids) else np.zeros(len(times))
        beyond = (place < 0) | (times > (self.times[-1] if len(self.times) else 0))
        return np.where(beyond, np.nan, found)


def markouts(fills: FillColumns, path: MidPath, seconds: float) -> Floats:
    """Of each fill after so many seconds, bps of the price, above zero where it went the maker's way; NaN where the data ends."""
    later = path.at(fills.times + round(seconds * NS))
    return np.asarray(fills.sides * (later - fills.prices) / fills.prices * 1e4, np.float64)


def split_pnl(track: SymbolTrack, horizon_seconds: float = ADVERSE_SECONDS) -> Split:
    """The parts, and what they leave of the ledger's PnL from the first sample to the last."""
    fills, path = fill_columns(track), MidPath(track)
    spread = float(np.sum(fills.sides * (fills.mids - fills.prices) * fills.quantities))
    moves = 0.0
    if len(path.times):
        held = np.concatenate([[0.0], np.cumsum(fills.sides * fills.quantities)])
        place = np.searchsorted(fills.times, path.times[:-1], side="right")
        moves = float(np.sum(held[place] * np.diff(path.mids)))
    end = np.minimum(fills.times + round(horizon_seconds * NS), path.times[-1] if len(path.times) else 0)
    adverse = float(np.sum(fills.sides * (path.at(end) - fills.mids) * fills.quantities)) if len(fills.times) else 0.0
    fees = float(np.sum(fills.fees))
    total = ledger_pnl(track)
    inventory = moves - adverse
    funding = sum(record.payment.amount_atoms for record in track.funding) / 1e8
    return Split(spread, adverse, inventory, fees, total - (spread + moves - fees + funding), total, funding)


def ledger_pnl(track: SymbolTrack) -> float:
    """The trader's own, marked at the last known mid, quote units."""
    equity = equity_curve(track)
    return float(equity[-1]) if len(equity) else 0.0


def equity_curve(track: SymbolTrack) -> Floats:
    """At each sample: cash and the position at the mid, quote units; 0 while nothing has traded."""
    mids = np.asarray(track.mids_x2, np.float64) / 2 * float(track.instrument.tick_size)
    return np.asarray(track.cash, np.float64) / 1e8 + np.asarray(track.positions, np.float64) / 1e8 * mids
