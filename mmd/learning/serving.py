"""Sessions through a bundle as it serves: the predictor that trades, row by row from a zero state, at flat inventory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mmd.inference.companion import Companion
from mmd.inference.predictor import QuotePredictor
from mmd.learning.labels import spread_in_sigma
from mmd.learning.sessions import Floats, Session

ROWS_PER_REPORT = 20_000


@dataclass(frozen=True)
class CrossAssetWord:
    """What the cross-asset network says at each row, and how E takes it up; see `CrossAssetCard`."""

    move: Floats
    """sigma over H; NaN where it is warmed or no reference is fresh."""
    base_scale: float
    weight: float
    max_shift: float
    """sigma"""


@dataclass(frozen=True)
class ServedSession:
    """What each head said at each row; NaN for the rows with which the state was warmed, since nobody quotes on those."""

    session: Session
    price_change: Floats
    """sigma over H."""
    spread_place: Floats
    position: Floats
    order_flow: Floats | None = None
    """2 P(up) - 1, 0 while its state was cold; None where it has no weight in E."""
    cross_asset: CrossAssetWord | None = None
    """None where it has no weight in E, or the session no references."""

    def expected_move_bps(self, fair_weights: Mapping[str, float], max_shift: float) -> Floats:
        """E as it is quoted on before the online rescaling, basis points of the mid; `max_shift` bounds it, in sigma, where the
        cross-asset network does not speak."""
        session, per_sigma = self.session, bps_per_sigma(self.session)
        expected = fair_weights.get("microprice", 0.0) * 1e4 * session.microprice_ticks / session.mid_ticks
        expected = expected + fair_weights.get("price_head", 0.0) * self.price_change_bps
        if self.order_flow is not None:
            expected = expected + fair_weights.get("order_flow", 0.0) * self.order_flow * per_sigma
        bound: Floats | float = max_shift
        if self.cross_asset is not None:
            cross = self.cross_asset
            speaks = np.isfinite(cross.move)
            joined = cross.base_scale * expected + cross.weight * cross.move * per_sigma
            expected, bound = np.where(speaks, joined, expected), np.where(speaks, cross.max_shift, max_shift)
        return np.asarray(np.clip(expected, -bound * per_sigma, bound * per_sigma))

    @property
    def price_change_bps(self) -> Floats:
        """Predicted change of the mid over H, basis points of the mid."""
        return self.price_change * bps_per_sigma(self.session)

    def spread_bps(self, spread_min: float, spread_max: float) -> Floats:
        """Full spread, basis points of the mid."""
        return spread_in_sigma(self.spread_place, spread_min, spread_max) * bps_per_sigma(self.session)


@dataclass(frozen=True)
class CompanionAnswers:
    """One entry a row."""

    p_up: Floats
    p_adverse_bid: Floats
    p_adverse_ask: Floats
    risk: Floats


def bps_per_sigma(session: Session) -> Floats:
    """One sigma over H, basis points of the mid."""
    return np.asarray(1e4 * session.sigma_ticks / session.mid_ticks)


def serve_session(predictor: QuotePredictor, session: Session, on_rows: Callable[[int], None] | None = None) -> ServedSession:
    """Leaves the predictor reset. `on_rows` hears of every so many more rows that are done."""
    predictor.reset()
    predictor.inventory[:] = 0.0
    market, step, warm = predictor.market, predictor.step, predictor.card.steps
    width = len(market)
    answers = np.full((session.rows, 3), np.nan)
    for start in range(0, session.rows, ROWS_PER_REPORT):
        rows = np.asarray(session.market[start : start + ROWS_PER_REPORT, :width])
        for index, row in enumerate(rows, start):
            market[:] = row
            step()
            if index >= warm:
                answers[index] = predictor.price_change, predictor.optimal_spread, predictor.position_signal
        if on_rows is not None:
            on_rows(len(rows))
    predictor.reset()
    return ServedSession(session, answers[:, 0], answers[:, 1], answers[:, 2])


def serve_companion(companion: Companion, session: Session, start: int = 0, stop: int | None = None) -> CompanionAnswers:
    """Rows `start` up to `stop`, without signals, from zero state. Leaves the companion reset."""
    companion.reset()
    companion.signals[:] = 0.0
    market, step = companion.market, companion.step
    end = session.rows if stop is None else stop
    answers = np.zeros((end - start, 4))
    for first in range(start, end, ROWS_PER_REPORT):
        for index, row in enumerate(
            np.asarray(session.market[first : min(first + ROWS_PER_REPORT, end), : len(market)]), first - start
        ):
            market[:] = row
            step()
            answers[index] = companion.p_up, companion.p_adverse_bid, companion.p_adverse_ask, companion.risk
    companion.reset()
    return CompanionAnswers(*answers.T)
