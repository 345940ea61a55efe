"""What lies ahead of a row, as the networks are asked for it. Features know the past only, labels the future only.

With H the horizon, sigma the trailing volatility of the mid over H known at the row, and delta the mid's change over H:

- price change: delta / sigma, clipped. Rows whose horizon is not wholly inside the session weigh 0,
  and so do those of its first seconds, where sigma is not known well.
- spread: for a row at whose touch the next trades happened, r = 2 x signed(delta) / sigma with the aggressor's sign, which is the
  full spread at which a maker hit there would have broken even; the label is its place s in [0, 1] on the log scale from
  `spread_min` to `spread_max` sigma (clipped: a move in the maker's favour is 0). Rows without such a trade weigh 0. The network
  is trained for a quantile of s, and as quantiles pass through rising functions, it is that quantile of the spread.
- position: see `position_target`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mmd.learning.sessions import Floats, Integers, Rows, Session
from mmd.learning.sources import SECOND_NS


class LabelSettings(BaseModel):
    """What the heads are asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    horizon_seconds: float = Field(default=1.0, description="H, seconds of receive time.", gt=0, le=3_600)
    price_clip: float = Field(default=5.0, description="Largest price change that counts, in sigma over H.", gt=0)
    settle_seconds: float = Field(
        default=30.0,
        description="Rows so soon in a session weigh 0: volatility, the labels' unit, is not known well yet, seconds.",
        ge=0,
    )
    spread_min: float = Field(default=0.05, description="Full spread at s = 0, in sigma over H.", gt=0)
    spread_max: float = Field(default=10.0, description="Full spread at s = 1, in sigma over H.", gt=0)
    spread_quantile: float = Field(default=0.5, description="Quantile of the break-even spread that the head gives.", gt=0, lt=1)
    risk_aversion: float = Field(default=2.0, description="phi of the one-horizon optimum, per sigma squared.", gt=0)
    holding_cost: float = Field(default=0.1, description="Cost of turning a full position over, in sigma over H.", ge=0)
    inventory_pull: float = Field(default=0.25, description="How much of the present position is taken off the target.", ge=0, le=1)

    @model_validator(mode="after")
    def _spreads_rise(self) -> LabelSettings:
        if self.spread_min >= self.spread_max:
            raise ValueError(f"spread_min {self.spread_min} must be below spread_max {self.spread_max}")
        return self


@dataclass(frozen=True)
class Labels:
    """Arrays of length n, float32; a weight of 0 means that the row says nothing about that head."""

    price_change: Rows
    price_weight: Rows
    spread: Rows
    """s in [0, 1]."""
    spread_weight: Rows


def mid_change(session: Session, horizon_seconds: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Change of the mid from each row to the last row at or before H later, ticks, and whether H later is inside the session."""
    later = session.receive_ns + round(horizon_seconds * SECOND_NS)
    index = np.searchsorted(session.receive_ns, later, side="right") - 1
    mid = session.mid_ticks
    return mid[index] - mid, later <= session.receive_ns[-1]


def make_labels(session: Session, settings: LabelSettings) -> Labels:
    """Price and spread labels of a session; nothing is looked up beyond its end."""
    change, known = mid_change(session, settings.horizon_seconds)
    in_sigma = change / session.sigma_ticks
    settled = session.receive_ns >= session.receive_ns[0] + round(settings.settle_seconds * SECOND_NS)
    known &= settled
    clip = settings.price_clip
    sign = touch_trade_sign(session)
    spread = spread_place(2.0 * sign * in_sigma, settings)
    return Labels(
        price_change=np.where(known, np.clip(in_sigma, -clip, clip), 0.0).astype(np.float32),
        price_weight=known.astype(np.float32),
        spread=np.where(known & (sign != 0), spread, 0.0).astype(np.float32),
        spread_weight=(known & (sign != 0)).astype(np.float32),
    )


def touch_trade_sign(session: Session) -> Integers:
    """Per row: sign of the aggressors who traded at the row's own touch right after it, by volume; 0 where nobody did.

    A trade belongs to the last row before it, and counts if it was at (or beyond) the best price that this row shows: a print that
    arrives after the touch has moved away from its price says nothing about the new touch.
    """
    volume = np.zeros(session.rows, dtype=np.int64)
    row = session.trade_row
    inside = row >= 0
    row, price = row[inside], session.trade_price_ticks[inside]
    sign, lots = session.trade_sign[inside], session.trade_lots[inside]
    at_touch = np.where(sign > 0, price >= session.ask_ticks[row], price <= session.bid_ticks[row])
    np.add.at(volume, row[at_touch], (sign * lots)[at_touch])
    return np.sign(volume)


def spread_place(spread_in_sigma: Floats, settings: LabelSettings) -> Floats:
    """s in [0, 1] of a full spread given in sigma: log(spread) = log(min) + s log(max / min), clipped."""
    ratio = np.maximum(spread_in_sigma, settings.spread_min) / settings.spread_min
    return np.asarray(np.clip(np.log(ratio) / log(settings.spread_max / settings.spread_min), 0.0, 1.0))


def spread_in_sigma(place: Rows | Floats, spread_min: float, spread_max: float) -> Floats:
    """The inverse of `spread_place`: full spread in sigma over H."""
    return np.asarray(spread_min * (spread_max / spread_min) ** np.asarray(place, dtype=np.float64))


def position_target(price_change: Rows, inventory: Rows, settings: LabelSettings) -> Rows:
    """Target inventory (share of the limit, [-1, 1]) for realised moves in sigma and inventory inputs [..., 5].

    The one-horizon optimum of q delta - cost |q| - phi / 2 q^2 with everything in sigma is q* = soft(delta, cost) / phi, where soft
    takes the cost off the move's size. Risk aversion grows with exposure and with an open loss, phi (1 + exposure + loss), and a
    share of what is held already is taken off, since that much risk is on the book for the next horizon too. Trained on realised
    moves by squares, the head gives the mean of this target.
    """
    held, unrealised, exposure = inventory[..., 0], inventory[..., 3], inventory[..., 4]
    soft = np.sign(price_change) * np.maximum(np.abs(price_change) - settings.holding_cost, 0.0)
    aversion = settings.risk_aversion * (1.0 + exposure + np.maximum(-unrealised, 0.0))
    return np.asarray(np.clip(soft / aversion - settings.inventory_pull * held, -1.0, 1.0), dtype=np.float32)
