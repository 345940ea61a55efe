"""What the cross-asset network is worth, beside what could be had without it: the own network alone, the references' lagged move,
a ridge regression on everything that the network sees. And its weight in E, fitted where nothing else was.

Only rows at which some reference was fresh count, and only where the price label does. Moves are in sigma over H.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmd.inference.bundle import Bundle
from mmd.inference.companion import Companion
from mmd.inference.cross_asset import CrossAssetPredictor
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import Runtime
from mmd.learning.baselines import RIDGE_PENALTY
from mmd.learning.cross_asset_rows import FRESHNESS, with_reference
from mmd.learning.cross_asset_training import CrossPart
from mmd.learning.evaluation import SAMPLE_NS, ic, last_of_each
from mmd.learning.fitting import RIDGE, SHIFT_QUANTILE, non_negative
from mmd.learning.measures import block_draws, blocks
from mmd.learning.sessions import Floats, Integers, Rows
from mmd.market.reference import ASSET_NAMES

BASE, CROSS = 0, 1
CANDIDATES = 2
RIDGE_ROWS = 200_000
SHIFT_BOUNDS = (0.1, 5.0)


@dataclass(frozen=True)
class CrossServed:
    """Rows that count, of one part, as they are served."""

    series: str
    candidates: Floats
    """[n, 2] sigma over H: E as the bundle makes it without the cross-asset network, and the network."""
    own: Floats
    """The quote network's price head, sigma over H."""
    microprice: Floats
    leader: Floats
    inputs: Rows
    """[n, features + 10] own features and pooled references."""
    move: Floats
    """What the mid did."""
    time_ns: Integers

    @property
    def sampled(self) -> Floats:
        """1 for the last row of each quarter of a second, else 0."""
        return last_of_each(self.time_ns // SAMPLE_NS)


def serve_cross(predictor: CrossAssetPredictor, rows: Rows) -> Floats:
    """[n] sigma over H, from zero state; NaN while it is warmed."""
    predictor.reset()
    said = np.full(len(rows), np.nan)
    for index, assets in enumerate(rows.tolist()):
        predictor.step_on(assets)
        if predictor.warm_enough:
            said[index] = predictor.move
    predictor.reset()
    return said


@dataclass(frozen=True)
class OwnNetworks:
    """What makes E without other assets: quote network and, where it weighs, order flow."""

    quote: QuotePredictor
    companion: Companion | None
    weights: Mapping[str, float]

    @classmethod
    def of(cls, bundle: Bundle, runtime: Runtime) -> OwnNetworks:
        """Of a bundle, as it serves."""
        card = bundle.card
        flow = card.fair_weights.get("order_flow", 0.0) > 0 and card.companion is not None
        companion = Companion(card.companion, bundle.companion_files, runtime) if flow and card.companion else None
        return cls(QuotePredictor(bundle, runtime), companion, card.fair_weights)

    def serve(self, market: Rows) -> tuple[Floats, Floats]:
        """[n] the price head at flat inventory, and what the order flow adds to E; NaN while they are warmed."""
        quote, companion = self.quote, self.companion
        weight = self.weights.get("order_flow", 0.0)
        quote.reset()
        quote.inventory[:] = 0.0
        if companion is not None:
            companion.reset()
        said, flow = np.full(len(market), np.nan), np.zeros(len(market))
        # Newer features stand after those that an older bundle knows.
        for index, row in enumerate(market):
            quote.market[:] = row[: len(quote.market)]
            quote.step()
            if companion is not None:
                companion.market[:] = row[: len(companion.market)]
                companion.step()
                flow[index] = weight * (2.0 * companion.p_up - 1.0)
            if quote.warm_enough:
                said[index] = quote.price_change
        quote.reset()
        return said, flow


def pooled(rows: Rows) -> Rows:
    """[n, 10] the mean over the fresh references."""
    fresh = rows[:, 1:, FRESHNESS:] > 0
    return np.asarray((rows[:, 1:] * fresh).sum(axis=1) / np.maximum(fresh.sum(axis=1), 1), dtype=np.float32)


def inputs_of(each: CrossPart) -> Rows:
    """[n, features and 10]"""
    market = np.asarray(each.part.session.market[each.part.span])
    return np.concatenate([market, pooled(each.rows)], axis=1)


def served(each: CrossPart, networks: OwnNetworks, cross: Floats) -> CrossServed:
    """`cross` says of every row of the part."""
    part, span = each.part, each.part.span
    session, labels = part.session, part.labels
    own, flow = networks.serve(np.asarray(session.market[span]))
    counts = (labels.price_weight[span] > 0) & with_reference(each.rows) & np.isfinite(own) & np.isfinite(cross)
    microprice = session.microprice_ticks[span] / session.sigma_ticks[span]
    weights = networks.weights
    base = weights.get("microprice", 0.0) * microprice + weights.get("price_head", 0.0) * own + flow
    return CrossServed(
        series=session.series,
        candidates=np.stack([base, cross], axis=1)[counts],
        own=own[counts],
        microprice=microprice[counts],
        leader=pooled(each.rows)[counts, ASSET_NAMES.index("move_slow")].astype(np.float64),
        inputs=inputs_of(each)[counts],
        move=labels.price_change[span][counts].astype(np.float64),
        time_ns=np.asarray(session.receive_ns[span])[counts],
    )


def by_series(found: Sequence[CrossServed]) -> dict[str, list[CrossServed]]:
    """Grouped, in order of first appearance; parts without a row are left out."""
    grouped: dict[str, list[CrossServed]] = {}
    for each in found:
        if len(each.move):
            grouped.setdefault(each.series, []).append(each)
    return grouped


# ---- the weight in E


@dataclass(frozen=True)
class CrossFit:
    """E = `base_scale` x (E without the network) + `weight` x network, in sigma over H, bounded by `max_shift`."""

    base_scale: float
    weight: float
    max_shift: float


def fit_weights(found: Sequence[CrossServed]) -> CrossFit:
    """Non-negative ridge of moves on E and the network, from the validation part; each series has the same say.

    The network takes part only if, with weights fitted on the one half of the rows of each series, E has a higher IC on the other
    half with it than without it, as the mean over both halves and the series.
    """
    groups = by_series(found)
    candidates = {series: np.concatenate([each.candidates for each in parts]) for series, parts in groups.items()}
    moves = {series: np.concatenate([each.move for each in parts]) for series, parts in groups.items()}
    if not groups or not gain_on_other_half(candidates, moves) > 0:
        return CrossFit(1.0, 0.0, SHIFT_BOUNDS[1])
    weights = _solve(candidates, moves)
    if not weights[CROSS] > 0:
        return CrossFit(1.0, 0.0, SHIFT_BOUNDS[1])
    sizes = np.concatenate([np.abs(each @ weights) for each in candidates.values()])
    shift = float(np.clip(np.quantile(sizes, SHIFT_QUANTILE), *SHIFT_BOUNDS))
    return CrossFit(round(float(weights[BASE]), 6), round(float(weights[CROSS]), 6), round(shift, 4))


def gain_on_other_half(candidates: Mapping[str, Floats], moves: Mapping[str, Floats]) -> float:
    """Mean IC that the network adds to E where its weight was not fitted."""
    gains = []
    for half in (0, 1):
        fits, judges = ({series: _half(len(moves[series]), half ^ other) for series in moves} for other in (0, 1))
        joined = _solve({s: candidates[s][fits[s]] for s in moves}, {s: moves[s][fits[s]] for s in moves})
        for series, rows in judges.items():
            move = moves[series][rows]
            gains.append(ic(candidates[series][rows] @ joined, move) - ic(candidates[series][rows][:, BASE], move))
    return float(np.mean(gains)) if gains else 0.0


def _half(count: int, half: int) -> slice:
    return slice(0, count // 2) if half == 0 else slice(count // 2, count)


def _solve(candidates: Mapping[str, Floats], moves: Mapping[str, Floats]) -> Floats:
    """Non-negative ridge; each series has the same say."""
    gram, target = np.zeros((CANDIDATES, CANDIDATES)), np.zeros(CANDIDATES)
    for series, move in moves.items():
        scale = 1.0 / (max(len(move), 1) * max(float((move**2).mean()) if len(move) else 0.0, 1e-12))
        gram += candidates[series].T @ candidates[series] * scale
        target += candidates[series].T @ move * scale
    gram[np.diag_indices(len(gram))] *= 1.0 + RIDGE
    return non_negative(gram, target, range(CANDIDATES))


# ---- measures


def fit_ridge(train: Sequence[CrossPart]) -> tuple[Floats, Floats]:
    """Coefficients of the inputs, and their scale: of no constant, each series with the same say."""
    inputs, moves, weights = [], [], []
    series = [each.part.session.series for each in train]
    for each in train:
        known = np.flatnonzero((each.part.labels.price_weight[each.part.span] > 0) & with_reference(each.rows))
        known = known[:: max(1, len(known) * len(train) // RIDGE_ROWS)]
        inputs.append(inputs_of(each)[known].astype(np.float64))
        moves.append(each.part.labels.price_change[each.part.span][known].astype(np.float64))
        share = 1.0 / (max(len(known), 1) * series.count(each.part.session.series))
        weights.append(np.full(len(known), share))
    x, y, w = np.concatenate(inputs), np.concatenate(moves), np.concatenate(weights)
    w = w / (w.mean() or 1.0)
    scale = np.sqrt(np.average(x**2, axis=0, weights=w))
    scale = np.where(scale > 1e-9, scale, 1.0)
    x = x / scale
    gram = x.T @ (x * w[:, None]) + RIDGE_PENALTY * np.eye(x.shape[1])
    return np.linalg.solve(gram, x.T @ (y * w)), scale


def cross_metrics(found: Sequence[CrossServed], ridge: tuple[Floats, Floats], fit: CrossFit) -> dict[str, dict[str, float]]:
    """Series to measure to value: IC by row and over samples of a quarter of a second, of the network, its baselines, and of E
    without it and with it; the share of block-bootstrap draws of the samples in which the second has the higher IC.
    """
    coefficients, scale = ridge
    metrics = {}
    for series, parts in by_series(found).items():
        candidates = np.concatenate([each.candidates for each in parts])
        move = np.concatenate([each.move for each in parts])
        sampled = np.concatenate([each.sampled for each in parts]) > 0
        times = np.concatenate([each.time_ns for each in parts])
        said = {
            "cross_asset": candidates[:, CROSS],
            "price_head": np.concatenate([each.own for each in parts]),
            "microprice": np.concatenate([each.microprice for each in parts]),
            "leader": np.concatenate([each.leader for each in parts]),
            "ridge": np.concatenate([each.inputs for each in parts]) / scale @ coefficients,
            "fair_without": candidates[:, BASE],
            "fair": candidates @ np.array([fit.base_scale, fit.weight]),
        }
        values = {"rows": float(len(move)), "rows_sampled": float(sampled.sum())}
        for name, x in said.items():
            values[f"{name}.ic"] = ic(x, move)
            values[f"{name}.ic_sampled"] = ic(x[sampled], move[sampled])
        one, other = (blocks(said[name][sampled], move[sampled], times[sampled]) for name in ("fair_without", "fair"))
        draws = block_draws(len(one.sums))
        better = other.drawn_ics(draws) > one.drawn_ics(draws) if len(one.sums) > 1 else np.zeros(1)
        values["fair.better_in_draws"] = float(better.mean())
        metrics[series] = {name: float(f"{value:.5g}") for name, value in values.items()}
    return metrics
