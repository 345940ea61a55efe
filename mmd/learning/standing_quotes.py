"""What quotes made of the heads would have earned: a small, strict stand-in for a backtest, for fitting and for the card.

At the last row of each quarter of a second two quotes are made, fair + and - half of the spread head's spread, post-only, and stand
until the next ones; a side that E is about to run over may be withheld. A quote is filled where somebody traded strictly beyond it
meanwhile (no queue is ever passed at its own price), and is marked at the mid one horizon after it was made. No fees, no skew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mmd.learning.sessions import Floats, Integers, Session

NOBODY = -1e9
"""Reach of trades where there were none."""


@dataclass(frozen=True)
class Stands:
    """One entry for each time that quotes were made. Distances from the mid and moves in sigma over H."""

    row: Integers
    """Which of the counted rows it was made at."""
    reach_up: Floats
    """How far above the mid buyers paid while the quotes stood."""
    reach_down: Floats
    """How far below it sellers sold."""
    tick: Floats


@dataclass(frozen=True)
class Outcome:
    """Of all quotes of a series."""

    quotes: int
    """Sides that were quoted."""
    fills: int
    gain: float
    """Sum over fills, sigma over H."""

    @property
    def edge(self) -> float:
        """Mean gain of a fill, sigma over H; below zero, quoting lost money before fees."""
        return self.gain / self.fills if self.fills else 0.0


def stands(session: Session, rows: Integers, sampled: Floats) -> Stands:
    """Of the counted `rows` of a session those that are `sampled`, and what traded from each until the next."""
    chosen = np.flatnonzero(sampled)
    at = rows[chosen]
    sigma, mid = session.sigma_ticks[at], session.mid_ticks[at]
    up, down = np.full(len(at), NOBODY), np.full(len(at), NOBODY)
    place = np.searchsorted(at, session.trade_row, side="right") - 1
    # The quotes of the last time would stand beyond the part's end, and those before the first are nobody's.
    inside = (place >= 0) & (place < len(at) - 1)
    place, price, sign = place[inside], session.trade_price_ticks[inside], session.trade_sign[inside]
    distance = sign * (price - mid[place]) / sigma[place]
    np.maximum.at(up, place[sign > 0], distance[sign > 0])
    np.maximum.at(down, place[sign < 0], distance[sign < 0])
    return Stands(row=chosen, reach_up=up, reach_down=down, tick=1.0 / sigma)


class Sides(NamedTuple):
    """Something of our bid and of our ask."""

    bid: Any
    ask: Any


def quote_outcome(
    made: Stands,
    expected: Floats,
    half_spread: Floats,
    visible: Floats,
    move: Floats,
    pull_threshold: float = 0.0,
    *,
    multipliers: Sides | None = None,
    shown: Sides | None = None,
) -> Outcome:
    """Quotes at `expected` + and - `half_spread` (at least one tick), `visible` being half of the market's own spread.

    All arrays are of counted rows. `pull_threshold` in half-spreads of ours, 0 never pulls. `multipliers` of each side's
    half-spread, and where it is `shown` at all, if something else is to decide that too.
    """
    row = made.row
    fair, moved = expected[row], move[row]
    half = np.maximum(half_spread[row], made.tick)
    nearest = made.tick - visible[row]
    quotes, fills, gain = 0, 0, 0.0
    for sign, reach, name in ((1.0, made.reach_up, "ask"), (-1.0, made.reach_down, "bid")):
        wide = half if multipliers is None else np.maximum(half * getattr(multipliers, name)[row], made.tick)
        distance = np.maximum(wide + sign * fair, nearest)
        stood = sign * fair <= pull_threshold * half if pull_threshold else np.ones(len(row), dtype=np.bool_)
        if shown is not None:
            stood = stood & getattr(shown, name)[row]
        filled = stood & (reach > distance)
        quotes += int(stood.sum())
        fills += int(filled.sum())
        gain += float((distance - sign * moved)[filled].sum())
    return Outcome(quotes, fills, gain)
