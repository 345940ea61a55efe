"""Labels of the networks beside the quote network. H: the horizon; sigma: the mid's trailing volatility over H, known at the row.

- order flow, P(up): 1 if the mid has risen H later, 0 if it has fallen; rows without change weigh 0.
- adverse selection, P(adverse): one label for each row and side at whose touch somebody traded right after the row. A maker's bid
  hit there bought at the bid, an ask sold at the ask; 1 if H later the mid stands beyond that price, against the maker, by more
  than the fees (basis points of the price), else 0.
- risk: with W the risk window, the largest distance of the mid from where it is now, over the next W, in sigma over W; the label is
  its place among those of the training rows, from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from mmd.learning.labels import LabelSettings, mid_change
from mmd.learning.sessions import Floats, Integers, Session
from mmd.learning.sources import SECOND_NS


class CompanionLabelSettings(BaseModel):
    """What they are asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fees_bps: float = Field(default=0.0, description="What a fill costs a maker, basis points; a move counts beyond it.", ge=0)
    risk_window_seconds: float = Field(default=10.0, description="W, seconds.", gt=0, le=3_600)
    risk_grid_seconds: float = Field(default=0.5, description="The mid is looked at so often in W, seconds.", gt=0)


@dataclass(frozen=True)
class Fills:
    """Rows and sides at whose touch somebody traded. Arrays of one length."""

    row: Integers
    side: Integers
    """+1: the maker's bid was hit, -1: the maker's ask."""
    adverse: npt.NDArray[np.bool_]


def up_labels(session: Session, settings: LabelSettings) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Per row: whether the mid rises, and whether the row counts."""
    change, known = mid_change(session, settings.horizon_seconds)
    settled = session.receive_ns >= session.receive_ns[0] + round(settings.settle_seconds * SECOND_NS)
    return change > 0, known & settled & (change != 0)


def fill_labels(session: Session, settings: LabelSettings, companion: CompanionLabelSettings) -> Fills:
    """One entry for each row and side, however many traded there."""
    change, known = mid_change(session, settings.horizon_seconds)
    row, price, sign = session.trade_row, session.trade_price_ticks, session.trade_sign
    inside = (row >= 0) & (row < session.rows)
    row, price, sign = row[inside], price[inside], sign[inside]
    at_touch = np.where(sign > 0, price >= session.ask_ticks[row], price <= session.bid_ticks[row])
    pairs = np.unique(np.stack([row[at_touch], -sign[at_touch]], axis=1), axis=0)
    row, side = pairs[:, 0], pairs[:, 1]
    row, side = row[known[row]], side[known[row]]
    fill = np.where(side > 0, session.bid_ticks[row], session.ask_ticks[row]).astype(np.float64)
    later = session.mid_ticks[row] + change[row]
    against = side * (fill - later)
    return Fills(row, side, against > companion.fees_bps * 1e-4 * fill)


def loss_moves(session: Session, companion: CompanionLabelSettings, rows: Integers) -> Floats:
    """Largest distance of the mid over the next W, sigma over W, of the given rows; NaN where W reaches over the session's end.

    Sigma over W is that over H scaled by the root of time, by the caller.
    """
    times, mid = session.receive_ns, session.mid_ticks
    window_ns, grid_ns = round(companion.risk_window_seconds * SECOND_NS), round(companion.risk_grid_seconds * SECOND_NS)
    now, start = mid[rows], times[rows]
    largest = np.zeros(len(rows))
    for offset in range(grid_ns, window_ns + 1, grid_ns):
        later = np.searchsorted(times, start + offset, side="right") - 1
        np.maximum(largest, np.abs(mid[later] - now), out=largest)
    return np.where(start + window_ns <= times[-1], largest, np.nan)


def places(values: Floats, among: Floats) -> Floats:
    """Share of the sorted `among` below each value, ties by half: in [0, 1]."""
    low, high = np.searchsorted(among, values, side="left"), np.searchsorted(among, values, side="right")
    return np.asarray((low + high) / 2.0 / max(len(among), 1))
