"""Order flow, adverse selection and risk on rows that fitted nothing, beside base rate, imbalance and logistic regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmd.inference.calibration import brier, calibration, calibration_error
from mmd.learning.companion_labels import CompanionLabelSettings, fill_labels, loss_moves, up_labels
from mmd.learning.dataset import Part
from mmd.learning.evaluation import rank_ic
from mmd.learning.labels import LabelSettings
from mmd.learning.measures import auc
from mmd.learning.sessions import Floats, Rows
from mmd.market.companion_inputs import ADVERSE_PLAIN_NAMES, ADVERSE_SIGNED_NAMES, ORDER_FLOW_NAMES, columns
from mmd.market.feature_table import MARKET_NAMES

Booleans = npt.NDArray[np.bool_]
LOGISTIC_ROWS = 60_000
HEADLINES = {
    "p_up": ("p_up.auc", ("p_up.auc_of_imbalance", "p_up.auc_of_logistic")),
    "p_adverse": ("p_adverse.auc", ("p_adverse.auc_of_imbalance", "p_adverse.auc_of_logistic")),
    "risk": ("risk.rank_ic", ("risk.rank_ic_of_volatility",)),
}
"""Head to its measure and those of its baselines."""


@dataclass(frozen=True)
class CompanionRows:
    """A test part and what was said at its rows, [rows, 4]."""

    part: Part
    said: Rows


def head_is_useful(head: str, metrics: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether its measure is above that of every baseline, as the mean over the series that have both."""
    own, baselines = HEADLINES[head]
    for baseline in baselines:
        gains = [each[own] - each[baseline] for each in metrics.values() if own in each and baseline in each]
        if not gains or not np.mean(gains) > 0:
            return False
    return True


def companion_metrics(
    by_series: Mapping[str, Sequence[CompanionRows]],
    train: Sequence[Part],
    settings: LabelSettings,
    labels: CompanionLabelSettings,
    warm_steps: int,
) -> dict[str, dict[str, float]]:
    """Series to measure to value; measures without rows are left out."""
    flow, adverse = _logistic_flow(train, settings), _logistic_adverse(train, settings, labels)
    found = {}
    for series, parts in by_series.items():
        measures = {
            **_flow(parts, settings, warm_steps, flow),
            **_adverse(parts, settings, labels, warm_steps, adverse),
            **_risk(parts, labels, warm_steps),
        }
        found[series] = {name: float(f"{value:.5g}") for name, value in measures.items() if np.isfinite(value)}
    return found


def _flow(parts: Sequence[CompanionRows], settings: LabelSettings, warm: int, logistic: Floats | None) -> dict[str, float]:
    said, happened, imbalance, linear = [], [], [], []
    for each in parts:
        up, counts = up_labels(each.part.session, settings)
        span = each.part.span
        rows = np.flatnonzero(counts[span] & (np.arange(each.part.rows) >= warm))
        said.append(each.said[rows, 0].astype(np.float64))
        happened.append(up[span][rows])
        market = np.asarray(each.part.session.market[span])[rows]
        imbalance.append(market[:, MARKET_NAMES.index("touch_imbalance")].astype(np.float64))
        linear.append(_logit(market[:, columns(ORDER_FLOW_NAMES)], logistic))
    return _probability("p_up", np.concatenate(said), np.concatenate(happened), np.concatenate(imbalance), np.concatenate(linear))


def _adverse(
    parts: Sequence[CompanionRows],
    settings: LabelSettings,
    labels: CompanionLabelSettings,
    warm: int,
    logistic: Floats | None,
) -> dict[str, float]:
    said: list[Floats] = []
    happened: list[Booleans] = []
    imbalance: list[Floats] = []
    linear: list[Floats] = []
    for each in parts:
        fills = fill_labels(each.part.session, settings, labels)
        inside = (fills.row >= each.part.start + warm) & (fills.row < each.part.stop)
        row, side = fills.row[inside], fills.side[inside]
        answers = each.said[row - each.part.start]
        said.append(np.where(side > 0, answers[:, 1], answers[:, 2]).astype(np.float64))
        happened.append(fills.adverse[inside])
        market = np.asarray(each.part.session.market[row])
        imbalance.append(np.asarray(-side * market[:, MARKET_NAMES.index("touch_imbalance")], dtype=np.float64))
        linear.append(_logit(_sided(market, side), logistic))
    joined = np.concatenate(said), np.concatenate(happened), np.concatenate(imbalance), np.concatenate(linear)
    return _probability("p_adverse", *joined)


def _probability(head: str, said: Floats, happened: Booleans, imbalance: Floats, linear: Floats) -> dict[str, float]:
    if not len(said):
        return {}
    rate = float(happened.mean())
    return {
        f"{head}.rows": float(len(said)),
        f"{head}.share": rate,
        f"{head}.auc": auc(said, happened),
        f"{head}.auc_of_imbalance": auc(imbalance, happened),
        f"{head}.auc_of_logistic": auc(linear, happened),
        f"{head}.brier": brier(said, happened),
        f"{head}.brier_of_rate": rate * (1.0 - rate),
        f"{head}.calibration_error": calibration_error(calibration(said, happened)),
    }


def _risk(parts: Sequence[CompanionRows], labels: CompanionLabelSettings, warm: int) -> dict[str, float]:
    """Ranking of the next window's largest move, in sigma."""
    said, moved, volatility = [], [], []
    for each in parts:
        rows = np.arange(each.part.start + warm, each.part.stop, 5)
        move = loss_moves(each.part.session, labels, rows) / each.part.session.sigma_ticks[rows]
        known = np.isfinite(move)
        said.append(each.said[rows[known] - each.part.start, 3].astype(np.float64))
        moved.append(move[known])
        market = np.asarray(each.part.session.market[rows[known]])
        volatility.append(market[:, MARKET_NAMES.index("volatility_short")].astype(np.float64))
    x, y, v = np.concatenate(said), np.concatenate(moved), np.concatenate(volatility)
    if len(x) < 2:
        return {}
    return {"risk.rows": float(len(x)), "risk.rank_ic": rank_ic(x, y), "risk.rank_ic_of_volatility": rank_ic(v, y)}


# ---- logistic regression


def _logistic_flow(train: Sequence[Part], settings: LabelSettings) -> Floats | None:
    rows, happened = [], []
    for part in train:
        up, counts = up_labels(part.session, settings)
        chosen = part.start + _some(np.flatnonzero(counts[part.span]), len(train))
        rows.append(np.asarray(part.session.market[chosen])[:, columns(ORDER_FLOW_NAMES)])
        happened.append(up[chosen])
    return _fit(np.concatenate(rows), np.concatenate(happened))


def _logistic_adverse(train: Sequence[Part], settings: LabelSettings, labels: CompanionLabelSettings) -> Floats | None:
    rows, happened = [], []
    for part in train:
        fills = fill_labels(part.session, settings, labels)
        chosen = _some(np.flatnonzero((fills.row >= part.start) & (fills.row < part.stop)), len(train))
        rows.append(_sided(np.asarray(part.session.market[fills.row[chosen]]), fills.side[chosen]))
        happened.append(fills.adverse[chosen])
    return _fit(np.concatenate(rows), np.concatenate(happened))


def _some(index: npt.NDArray[np.int64], parts: int) -> npt.NDArray[np.int64]:
    return index[:: max(1, len(index) * parts // LOGISTIC_ROWS)]


def _sided(market: Rows, side: npt.NDArray[np.int64]) -> Rows:
    signed = market[:, columns(ADVERSE_SIGNED_NAMES)] * side[:, None]
    return np.asarray(np.concatenate([signed, market[:, columns(ADVERSE_PLAIN_NAMES)]], axis=1), dtype=np.float32)


def _fit(rows: Rows, happened: Booleans) -> Floats | None:
    """Coefficients and constant; None where there is only one class."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    if happened.all() or not happened.any():
        return None
    with threadpool_limits(1):
        model = LogisticRegression(max_iter=300).fit(rows, happened)
    return np.append(model.coef_[0], model.intercept_[0])


def _logit(rows: Rows, coefficients: Floats | None) -> Floats:
    if coefficients is None:
        return np.zeros(len(rows))
    return np.asarray(rows @ coefficients[:-1] + coefficients[-1], dtype=np.float64)
