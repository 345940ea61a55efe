"""How the outputs are to be used, fitted on the validation part alone: fair weights, pull threshold, bounds and multipliers.

Every series weighs the same, however many rows it has. A head that does not beat its baseline gets the weight 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mmd.learning.evaluation import Served, by_series, expected_move, ic, joined, one_horizon_utility, outcome
from mmd.learning.labels import LabelSettings, spread_in_sigma
from mmd.learning.sessions import Floats

CANDIDATES = ("microprice", "price_head")
RIDGE = 1e-3
"""Of the candidates' mean square."""
PULL_THRESHOLDS = tuple(round(0.25 * step, 2) for step in range(1, 41))
NEVER_PULL = 0.0
"""The card's way of saying that no side is ever withheld."""
SHIFT_QUANTILE = 0.999
MAX_TARGET = 0.25
MULTIPLIER_BOUNDS = (0.5, 2.0)


@dataclass(frozen=True)
class Fit:
    """For the card; see `Card` for what each means."""

    fair_weights: dict[str, float]
    pull_threshold: float
    max_shift: float
    spread_multiplier: float
    max_target: float


def fit(served: Sequence[Served], settings: LabelSettings) -> Fit:
    """Everything, from the validation parts."""
    groups = by_series(served)
    weights = fair_weights(groups)
    sizes = np.concatenate([np.abs(expected_move(each, weights)) for each in served])
    multiplier = spread_multiplier(groups, settings)
    return Fit(
        fair_weights=weights,
        pull_threshold=pull_threshold(groups, weights, multiplier, settings),
        max_shift=float(np.clip(np.quantile(sizes, SHIFT_QUANTILE), 0.1, settings.price_clip)),
        spread_multiplier=multiplier,
        max_target=MAX_TARGET if position_gains(groups, weights, settings) else 0.0,
    )


def fair_weights(groups: dict[str, list[Served]]) -> dict[str, float]:
    """Non-negative ridge of realised moves on the candidates, all in sigma over H.

    The price head takes part only if its mean IC over the series is above that of the microprice, the microprice if its own is
    above 0.
    """
    columns = {name: [_candidates(parts)[:, place] for parts in groups.values()] for place, name in enumerate(CANDIDATES)}
    moves = [joined(parts, "move") for parts in groups.values()]
    ics = {name: float(np.mean([ic(x, y) for x, y in zip(column, moves, strict=True)])) for name, column in columns.items()}
    baseline = {"microprice": 0.0, "price_head": max(ics["microprice"], 0.0)}
    allowed = [place for place, name in enumerate(CANDIDATES) if ics[name] > baseline[name]]
    gram, target = np.zeros((2, 2)), np.zeros(2)
    for parts, move in zip(groups.values(), moves, strict=True):
        candidates = _candidates(parts)
        scale = 1.0 / (len(move) * max(float((move**2).mean()), 1e-12))
        gram += candidates.T @ candidates * scale
        target += candidates.T @ move * scale
    gram[np.diag_indices(2)] *= 1.0 + RIDGE
    found = non_negative(gram, target, allowed)
    return {name: round(float(weight), 6) for name, weight in zip(CANDIDATES, found, strict=True)}


def non_negative(gram: Floats, target: Floats, allowed: Sequence[int]) -> Floats:
    """The best solution of every subset of the allowed candidates that has no negative weight: exact, as their number is small."""
    best, best_value = np.zeros(len(target)), 0.0
    for size in range(1, len(allowed) + 1):
        for chosen in combinations(allowed, size):
            index = np.array(chosen)
            try:
                weights = np.linalg.solve(gram[np.ix_(index, index)], target[index])
            except np.linalg.LinAlgError:
                continue
            value = float(target[index] @ weights)
            if (weights >= 0).all() and value > best_value:
                best, best_value = np.zeros(len(target)), value
                best[index] = weights
    return best


def pull_threshold(
    groups: dict[str, list[Served]], weights: Mapping[str, float], multiplier: float, settings: LabelSettings
) -> float:
    """Half-spreads (of those that the spread head gives) at which the side that E is about to run over is withheld.

    The one with which standing quotes earn the most, each series by its gain a quote; `NEVER_PULL` where pulling gains nothing.
    """

    def gain(threshold: float) -> float:
        found = [outcome(parts, settings, weights, threshold, multiplier) for parts in groups.values()]
        return sum(each.gain / (len(joined(parts, "move")) or 1) for each, parts in zip(found, groups.values(), strict=True))

    undisturbed = gain(NEVER_PULL)
    gains = [gain(threshold) for threshold in PULL_THRESHOLDS]
    best = int(np.argmax(gains))
    return PULL_THRESHOLDS[best] if gains[best] > undisturbed else NEVER_PULL


def spread_multiplier(groups: dict[str, list[Served]], settings: LabelSettings) -> float:
    """Factor that makes the spread head cover its stated quantile of trades, as the mean over the series, bounded."""
    factors = []
    for parts in groups.values():
        traded = joined(parts, "trade_sign") != 0
        if not traded.any():
            continue
        place = np.concatenate([each.outputs[:, 1] for each in parts])[traded]
        given = spread_in_sigma(place, settings.spread_min, settings.spread_max)
        needed = spread_in_sigma(joined(parts, "spread_place")[traded], settings.spread_min, settings.spread_max)
        factors.append(float(np.log(np.quantile(needed / given, settings.spread_quantile))))
    return round(float(np.clip(np.exp(np.mean(factors)), *MULTIPLIER_BOUNDS)), 4) if factors else 1.0


def position_gains(groups: dict[str, list[Served]], weights: Mapping[str, float], settings: LabelSettings) -> bool:
    """Whether the position head is worth more over one horizon than flat, and than what E alone says, by the mean over series."""
    head, plain = [], []
    for parts in groups.values():
        move = joined(parts, "move")
        position = np.concatenate([each.outputs[:, 2] for each in parts]).astype(np.float64)
        fair = np.concatenate([expected_move(each, weights) for each in parts])
        optimum = np.sign(fair) * np.maximum(np.abs(fair) - settings.holding_cost, 0.0) / settings.risk_aversion
        head.append(one_horizon_utility(position, move, settings))
        plain.append(one_horizon_utility(np.clip(optimum, -1.0, 1.0), move, settings))
    return float(np.mean(head)) > max(0.0, float(np.mean(plain)))


def _candidates(parts: Sequence[Served]) -> Floats:
    return np.stack([joined(parts, "microprice"), joined(parts, "price")], axis=1)
