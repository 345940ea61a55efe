"""What a network has to beat: predictors that anybody could have for the same rows, fitted on the rows before them.

Price predictors are in basis points of the mid. Ridge and boosted trees see all features of a row, and
learn the move in units of its trailing volatility, half of their rows drawn by step and half by time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmd.learning.moves import Moves, moves_by_step, moves_by_time
from mmd.learning.serving import bps_per_sigma
from mmd.learning.sessions import Floats, Session
from mmd.market.feature_table import MARKET_NAMES

FIT_ROWS = 150_000
CLIP_SIGMA = 5.0
RIDGE_PENALTY = 10.0
TREES = {"max_iter": 100, "learning_rate": 0.08, "max_leaf_nodes": 20, "min_samples_leaf": 200, "l2_regularization": 10.0}
FITTED = ("ridge", "trees")
PLAIN = ("zero", "last value", "imbalance", "microprice")


@dataclass(frozen=True)
class Stretch:
    """Rows `start` up to `stop` of a session."""

    session: Session
    start: int
    stop: int


Predict = Callable[[Floats], Floats]
"""[rows, 20] features to sigma."""


@dataclass(frozen=True)
class Fitted:
    """Ridge and boosted trees of one horizon."""

    models: Mapping[str, Predict]

    def predict(self, name: str, session: Session, start: int, stop: int) -> Floats:
        """Basis points, of the rows from `start` up to `stop`; they are in units of sigma over the horizon that sessions have."""
        rows = slice(start, stop)
        return self.models[name](np.asarray(session.market[rows], dtype=np.float64)) * bps_per_sigma(session)[rows]


def plain(name: str, session: Session, moves: Moves) -> Floats:
    """A baseline that needs no fit, up to its scale."""
    if name == "zero":
        return np.zeros(len(moves.row))
    if name == "last value":
        return moves.last_bps
    if name == "imbalance":
        return session.touch_imbalance[moves.row]
    return (1e4 * session.microprice_ticks / session.mid_ticks)[moves.row]


def fit_baselines(stretches: Sequence[Stretch], horizon_seconds: float, seed: int = 0, trees: bool = True) -> Fitted | None:
    """None where the stretches have no rows. Each series has the same say."""
    features, targets, weights = _sample(stretches, horizon_seconds, seed)
    if not len(targets):
        return None
    return Fitted({"ridge": _ridge(features, targets, weights)} | ({"trees": _trees(features, targets, weights)} if trees else {}))


def _sample(stretches: Sequence[Stretch], horizon_seconds: float, seed: int) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    by_series: dict[str, list[Stretch]] = {}
    for each in stretches:
        if each.stop > each.start:
            by_series.setdefault(each.session.series, []).append(each)
    features: list[Floats] = [np.zeros((0, len(MARKET_NAMES)))]
    targets: list[Floats] = [np.zeros(0)]
    weights: list[Floats] = [np.zeros(0)]
    for parts in by_series.values():
        rows, moved = [], []
        for part in parts:
            for count in (moves_by_step, moves_by_time):
                moves = count(part.session, horizon_seconds, part.start, part.stop)
                wanted = FIT_ROWS // (2 * len(by_series) * len(parts))
                chosen = np.sort(rng.choice(len(moves.row), min(wanted, len(moves.row)), replace=False))
                row = moves.row[chosen]
                rows.append(np.asarray(part.session.market[row], dtype=np.float64))
                moved.append(np.clip(moves.change_bps[chosen] / bps_per_sigma(part.session)[row], -CLIP_SIGMA, CLIP_SIGMA))
        count_of_series = sum(map(len, moved))
        features += rows
        targets += moved
        weights.append(np.full(count_of_series, 1.0 / max(count_of_series, 1)))
    weight = np.concatenate(weights)
    return np.concatenate(features), np.concatenate(targets), weight / (weight.mean() or 1.0) if len(weight) else weight


def _ridge(features: Floats, targets: Floats, weights: Floats) -> Predict:
    """On standardised features, without a constant: no drift is predicted."""
    mean = np.average(features, axis=0, weights=weights)
    std = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    std = np.where(std > 1e-9, std, 1.0)
    scaled = (features - mean) / std
    gram = scaled.T @ (scaled * weights[:, None]) + RIDGE_PENALTY * np.eye(scaled.shape[1])
    coefficients = np.linalg.solve(gram, scaled.T @ (targets * weights))
    return lambda rows: np.asarray((rows - mean) / std @ coefficients)


def _trees(features: Floats, targets: Floats, weights: Floats) -> Predict:
    """On one thread: on a machine that is busy, more of them wait for each other."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    model: Any = HistGradientBoostingRegressor(**TREES, max_bins=128, early_stopping=False, random_state=0)
    with threadpool_limits(1):
        model.fit(features, targets, weights)

    def predict(rows: Floats) -> Floats:
        if not len(rows):
            return np.zeros(0)
        with threadpool_limits(1):
            return np.asarray(model.predict(rows), dtype=np.float64)

    return predict
