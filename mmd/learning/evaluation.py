"""What a network is worth, judged on the very graph that serves, row by row from a zero state, beside the plain baselines.

IC is the correlation of a prediction with what then happened. Rows come in bursts and share most of their future, so an IC over
rows is no large sample: `ic_sampled` takes the last row of each quarter of a second, `ic_low` is the worst of five blocks of
rows. Nothing here fits anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmd.inference.golden import OUTPUT_NAMES, state_names
from mmd.inference.runtime import TensorSession
from mmd.learning.dataset import Part
from mmd.learning.labels import LabelSettings, position_target, spread_in_sigma, touch_trade_sign
from mmd.learning.sessions import Floats, Integers, Rows
from mmd.learning.standing_quotes import Outcome, Stands, quote_outcome, stands

BLOCKS = 5
FULL_INVENTORY = (1.0, 4.0, 0.0, 0.0, 1.0)
"""Inventory inputs of a full long position held for a minute; its mirror image has the first negated."""
SENSITIVITY_STRIDE = 50
SAMPLE_NS = 250_000_000


@dataclass(frozen=True)
class Served:
    """A part's rows after the warm-up that count for the price head, as the served graph saw them. Moves in sigma over H."""

    series: str
    outputs: Rows
    """[n, 3]: price change, place of the spread, position, at flat inventory."""
    move: Floats
    """Realised mid change over H, clipped as the label."""
    microprice: Floats
    """Microprice less mid."""
    imbalance: Floats
    half_spread: Floats
    """Half of the visible spread."""
    trade_sign: Floats
    """Of the aggressors at this touch, 0 where there were none."""
    spread_place: Floats
    """Label of the spread head, where `trade_sign` is not 0."""
    sampled: Floats
    """1 for the last row of each quarter of a second, else 0."""
    stands: Stands
    """The quotes that would have been made at the sampled rows, and how far trades reached."""
    inventory_effect: Floats
    """[k, 2] largest change of price (sigma) and of spread place that a full position makes, at every 50th row."""

    @property
    def price(self) -> Floats:
        """The price head, sigma over H."""
        return self.outputs[:, 0].astype(np.float64)


ROW_BY_ROW = ("outputs", "move", "microprice", "imbalance", "half_spread", "trade_sign", "spread_place", "sampled")
"""What of it has one entry a row."""


def serve(session: TensorSession, part: Part, warm_steps: int) -> Served:
    """Walk a part from zero state at flat inventory. Leaves the session's tensors as the last step left them."""
    inputs, outputs = session.inputs, session.outputs
    rows = part.session.market[part.span, : inputs["market"].size]
    states = state_names(session)
    for name in states:
        inputs[name][:] = 0.0
    inputs["inventory"][:] = 0.0
    market, invoke = inputs["market"][0], session.invoke
    heads = tuple(outputs[name].reshape(()) for name in OUTPUT_NAMES)
    carried = tuple((inputs[name], outputs[f"{name}_out"]) for name in states)
    answers = np.zeros((len(rows), len(heads)), dtype=np.float32)
    effects = []
    for index, row in enumerate(rows):
        market[:] = row
        if index % SENSITIVITY_STRIDE == 0 and index >= warm_steps:
            effects.append(_inventory_effect(session))
        invoke()
        for state, state_out in carried:
            state[:] = state_out
        answers[index] = [head.item() for head in heads]
    return _counted(part, answers, np.array(effects, dtype=np.float64).reshape(-1, 2), warm_steps)


def _inventory_effect(session: TensorSession) -> tuple[float, float]:
    inventory, outputs = session.inputs["inventory"], session.outputs
    seen = []
    for sign in (0.0, 1.0, -1.0):
        inventory[0] = FULL_INVENTORY if sign else 0.0
        inventory[0, 0] = sign
        session.invoke()
        seen.append((outputs["price_change"].item(), outputs["optimal_spread"].item()))
    inventory[:] = 0.0
    flat, *held = seen
    return max(abs(each[0] - flat[0]) for each in held), max(abs(each[1] - flat[1]) for each in held)


def counted_rows(part: Part, warm_steps: int) -> npt.NDArray[np.bool_]:
    """Which rows of a part count for the price head: after the warm-up, with a known label."""
    return np.asarray((np.arange(part.rows) >= warm_steps) & (part.labels.price_weight[part.span] > 0))


def _counted(part: Part, answers: Rows, effects: Floats, warm_steps: int) -> Served:
    session, labels, span = part.session, part.labels, part.span
    count = counted_rows(part, warm_steps)
    sigma = session.sigma_ticks[span][count]
    sampled = last_of_each(session.receive_ns[span][count] // SAMPLE_NS)
    return Served(
        series=session.series,
        outputs=answers[count],
        move=labels.price_change[span][count].astype(np.float64),
        microprice=session.microprice_ticks[span][count] / sigma,
        imbalance=session.touch_imbalance[span][count],
        half_spread=(session.ask_ticks - session.bid_ticks)[span][count] / 2.0 / sigma,
        trade_sign=touch_trade_sign(session)[span][count].astype(np.float64),
        spread_place=labels.spread[span][count].astype(np.float64),
        sampled=sampled,
        stands=stands(session, np.arange(part.start, part.stop)[count], sampled),
        inventory_effect=effects,
    )


def last_of_each(bucket: Integers) -> Floats:
    """1 for the last row of each run of equal numbers, else 0."""
    return np.asarray(np.append(bucket[1:] != bucket[:-1], True)[: len(bucket)], dtype=np.float64)


def by_series(served: Iterable[Served]) -> dict[str, list[Served]]:
    """Grouped, in order of first appearance."""
    grouped: dict[str, list[Served]] = {}
    for each in served:
        grouped.setdefault(each.series, []).append(each)
    return grouped


def joined(served: Sequence[Served], name: str) -> Floats:
    """One array of all parts."""
    return np.concatenate([np.asarray(getattr(each, name), dtype=np.float64) for each in served])


# ---- measures


def ic(prediction: Floats, realised: Floats) -> float:
    """Pearson correlation; 0 where either is constant."""
    if len(prediction) < 2:
        return 0.0
    x, y = prediction - prediction.mean(), realised - realised.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else 0.0


def rank_ic(prediction: Floats, realised: Floats) -> float:
    """Spearman correlation, ties at their average rank."""
    return ic(_ranks(prediction), _ranks(realised))


def _ranks(values: Floats) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    average = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray(average[place])


def lowest_block_ic(prediction: Floats, realised: Floats, blocks: int = BLOCKS) -> float:
    """The worst IC of consecutive blocks of rows."""
    cuts = np.array_split(np.arange(len(realised)), blocks)
    return min((ic(prediction[rows], realised[rows]) for rows in cuts if len(rows) > 1), default=0.0)


def pinball(place: Floats, label: Floats, quantile: float) -> float:
    """Mean pinball loss; 0 without rows."""
    if not len(label):
        return 0.0
    error = label - place
    return float(np.maximum(quantile * error, (quantile - 1.0) * error).mean())


def one_horizon_utility(target: Floats, move: Floats, settings: LabelSettings) -> float:
    """Mean of q move - cost |q| - phi / 2 q^2 over rows, sigma: what taking the target from flat for one horizon is worth."""
    value = target * move - settings.holding_cost * np.abs(target) - settings.risk_aversion / 2.0 * target**2
    return float(value.mean()) if len(value) else 0.0


def expected_move(served: Served, fair_weights: Mapping[str, float]) -> Floats:
    """E, in sigma over H."""
    return np.asarray(fair_weights["microprice"] * served.microprice + fair_weights["price_head"] * served.price)


def outcome(
    served: Sequence[Served], settings: LabelSettings, fair_weights: Mapping[str, float], pull_threshold: float, multiplier: float
) -> Outcome:
    """What quotes of the heads would have earned over these parts; see `standing_quotes`."""
    found = []
    for each in served:
        spread = multiplier * spread_in_sigma(each.outputs[:, 1], settings.spread_min, settings.spread_max)
        expected = expected_move(each, fair_weights)
        found.append(quote_outcome(each.stands, expected, spread / 2.0, each.half_spread, each.move, pull_threshold))
    return Outcome(sum(each.quotes for each in found), sum(each.fills for each in found), sum(each.gain for each in found))


def series_metrics(
    served: Sequence[Served],
    settings: LabelSettings,
    constant_place: float,
    fair_weights: Mapping[str, float],
    pull_threshold: float,
    multiplier: float,
) -> dict[str, float]:
    """All measures of one series. `constant_place` is the quantile of its own training labels: the spread head's baseline."""
    move = joined(served, "move")
    return {
        "rows": float(len(move)),
        "rows_without_move": float((move == 0).mean()) if len(move) else 0.0,
        **_price_metrics(served, fair_weights),
        **_spread_metrics(served, settings, constant_place),
        **_position_metrics(served, settings),
        **_quoting_metrics(served, settings, fair_weights, pull_threshold, multiplier),
    }


def _price_metrics(served: Sequence[Served], fair_weights: Mapping[str, float]) -> dict[str, float]:
    move, price = joined(served, "move"), joined(served, "price")
    sampled = joined(served, "sampled") != 0
    candidates = {
        "price_change": price,
        "microprice": joined(served, "microprice"),
        "touch_imbalance": joined(served, "imbalance"),
        "fair": np.concatenate([expected_move(each, fair_weights) for each in served]),
    }
    metrics = {}
    for name, prediction in candidates.items():
        metrics[f"{name}.ic"] = ic(prediction, move)
        metrics[f"{name}.rank_ic"] = rank_ic(prediction, move)
        metrics[f"{name}.ic_sampled"] = ic(prediction[sampled], move[sampled])
        metrics[f"{name}.ic_low"] = lowest_block_ic(prediction, move)
    effects = np.concatenate([each.inventory_effect for each in served])
    metrics["price_change.r2"] = 1.0 - float(((move - price) ** 2).mean()) / (float((move**2).mean()) or 1.0)
    metrics["price_change.inventory_effect"] = float(effects[:, 0].max(initial=0.0))
    return metrics


def _spread_metrics(served: Sequence[Served], settings: LabelSettings, constant_place: float) -> dict[str, float]:
    place = np.concatenate([each.outputs[:, 1] for each in served]).astype(np.float64)
    traded = joined(served, "trade_sign") != 0
    label = joined(served, "spread_place")[traded]
    effects = np.concatenate([each.inventory_effect for each in served])
    return {
        "optimal_spread.rows": float(traded.sum()),
        "optimal_spread.pinball": pinball(place[traded], label, settings.spread_quantile),
        "optimal_spread.pinball_of_constant": pinball(np.full(len(label), constant_place), label, settings.spread_quantile),
        "optimal_spread.coverage": float((label <= place[traded]).mean()) if len(label) else 0.0,
        "optimal_spread.inventory_effect": float(effects[:, 1].max(initial=0.0)),
    }


def _position_metrics(served: Sequence[Served], settings: LabelSettings) -> dict[str, float]:
    move = joined(served, "move")
    position = np.concatenate([each.outputs[:, 2] for each in served]).astype(np.float64)
    perfect = position_target(move.astype(np.float32), np.zeros((len(move), 5), np.float32), settings).astype(np.float64)
    return {
        "position_signal.ic": ic(position, move),
        "position_signal.utility": one_horizon_utility(position, move, settings),
        "position_signal.utility_of_perfect": one_horizon_utility(perfect, move, settings),
    }


def _quoting_metrics(
    served: Sequence[Served], settings: LabelSettings, fair_weights: Mapping[str, float], pull_threshold: float, multiplier: float
) -> dict[str, float]:
    with_heads = outcome(served, settings, fair_weights, pull_threshold, multiplier)
    around_mid = outcome(served, settings, dict.fromkeys(fair_weights, 0.0), 0.0, multiplier)
    return {
        "quoting.quotes": float(with_heads.quotes),
        "quoting.fills": float(with_heads.fills),
        "quoting.edge": with_heads.edge,
        "quoting.fills_around_mid": float(around_mid.fills),
        "quoting.edge_around_mid": around_mid.edge,
    }


def constant_places(parts: Sequence[Part], quantile: float) -> dict[str, float]:
    """By series, the quantile of its spread labels: what a constant spread would be, fitted on these parts."""
    labels: dict[str, list[Rows]] = {}
    for part in parts:
        weight = part.labels.spread_weight[part.span] > 0
        labels.setdefault(part.session.series, []).append(part.labels.spread[part.span][weight])
    return {
        series: float(np.quantile(np.concatenate(places), quantile)) if sum(map(len, places)) else 0.0
        for series, places in labels.items()
    }
