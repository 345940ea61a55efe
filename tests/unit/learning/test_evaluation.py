"""The measures against pandas and by hand, and the fitted use of the heads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mmd.learning.evaluation import (
    Served,
    by_series,
    constant_places,
    ic,
    lowest_block_ic,
    one_horizon_utility,
    pinball,
    rank_ic,
    series_metrics,
)
from mmd.learning.fitting import MAX_TARGET, NEVER_PULL, fair_weights, fit, pull_threshold, spread_multiplier
from mmd.learning.labels import LabelSettings
from mmd.learning.standing_quotes import Stands
from tests.unit.learning.made_sessions import drawn_session, whole

SETTINGS = LabelSettings(settle_seconds=0.0)


def served(price: np.ndarray, microprice: np.ndarray, move: np.ndarray, series: str = "made") -> Served:  # type: ignore[type-arg]
    rows = len(move)
    rng = np.random.default_rng(9)
    sign = rng.choice([-1.0, 0.0, 1.0], rows)
    place = np.full(rows, 0.5)
    outputs = np.stack([price, place, np.clip(price, -1, 1)], axis=1).astype(np.float32)
    return Served(
        series=series,
        outputs=outputs,
        move=move,
        microprice=microprice,
        imbalance=microprice,
        half_spread=np.full(rows, 0.1),
        trade_sign=sign,
        spread_place=place,
        sampled=np.ones(rows),
        stands=Stands(np.arange(rows), np.full(rows, 2.0), np.full(rows, 2.0), np.full(rows, 0.05)),
        inventory_effect=np.zeros((1, 2)),
    )


def drawn(strength: float, micro: float, rows: int = 4_000, seed: int = 1) -> Served:
    rng = np.random.default_rng(seed)
    move = rng.normal(size=rows)
    noise = rng.normal(size=(2, rows))
    return served(strength * move + noise[0] * 0.5, micro * move + noise[1] * 0.5, move)


def test_correlations_are_those_of_pandas() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=500), np.round(rng.normal(size=500))
    y += np.round(x)
    frame = pd.DataFrame({"x": x, "y": y})
    assert ic(x, y) == pytest.approx(frame.corr().iloc[0, 1])
    assert rank_ic(x, y) == pytest.approx(frame.corr("spearman").iloc[0, 1])
    assert ic(np.ones(5), y[:5]) == 0.0
    assert lowest_block_ic(np.append(x, -x), np.append(x, x), blocks=2) == pytest.approx(-1.0)


def test_pinball_is_least_at_the_quantile() -> None:
    labels = np.random.default_rng(2).uniform(size=2_000)
    losses = [pinball(np.full(2_000, place), labels, 0.7) for place in (0.5, 0.7, 0.9)]
    assert losses[1] == min(losses)
    assert pinball(np.array([0.2]), np.array([0.6]), 0.75) == pytest.approx(0.3)


def test_utility_by_hand() -> None:
    settings = LabelSettings(holding_cost=0.1, risk_aversion=2.0)
    assert one_horizon_utility(np.array([0.5, 0.0]), np.array([1.0, 3.0]), settings) == pytest.approx((0.5 - 0.05 - 0.25) / 2)


def test_a_head_that_does_not_beat_the_microprice_gets_no_weight() -> None:
    assert fair_weights({"a": [drawn(0.2, 0.6)]})["price_head"] == 0.0
    both = fair_weights({"a": [drawn(0.6, 0.3)]})
    assert both["price_head"] > both["microprice"] >= 0.0


def test_weights_are_never_negative_and_useless_candidates_get_none() -> None:
    assert fair_weights({"a": [drawn(-0.5, -0.5)]}) == {"microprice": 0.0, "price_head": 0.0}
    rng = np.random.default_rng(3)
    move = rng.normal(size=4_000)
    # The head is the move and the microprice on top of it: plain regression would subtract the microprice.
    micro = 0.2 * move + rng.normal(size=4_000)
    weights = fair_weights({"a": [served(move + micro, micro, move)]})
    assert weights["microprice"] == 0.0
    assert weights["price_head"] > 0.0


def test_pulling_is_chosen_where_it_saves_losses_and_not_otherwise() -> None:
    groups = by_series([drawn(0.8, 0.1)])
    # The head is right about the direction but its weight is too small to move the quotes out of the way.
    assert 0 < pull_threshold(groups, {"microprice": 0.0, "price_head": 0.2}, 1.0, SETTINGS) < 10
    assert pull_threshold(groups, {"microprice": 0.0, "price_head": 0.0}, 1.0, SETTINGS) == NEVER_PULL


def test_the_spread_is_rescaled_to_cover_its_quantile() -> None:
    each = drawn(0.5, 0.1)
    right = {"made": [each]}
    assert spread_multiplier(right, SETTINGS) == pytest.approx(1.0)
    wide = each.outputs.copy()
    wide[:, 1] = 0.5 + np.log(1.5) / np.log(SETTINGS.spread_max / SETTINGS.spread_min)
    assert spread_multiplier({"made": [Served(**{**each.__dict__, "outputs": wide})]}, SETTINGS) == pytest.approx(1 / 1.5, rel=1e-3)


def test_the_position_head_serves_only_where_it_gains() -> None:
    assert fit([drawn(0.5, 0.1)], SETTINGS).max_target in (0.0, MAX_TARGET)
    wrong = drawn(0.5, 0.1)
    outputs = wrong.outputs.copy()
    outputs[:, 2] *= -1
    assert fit([Served(**{**wrong.__dict__, "outputs": outputs})], SETTINGS).max_target == 0.0


def test_metrics_of_a_series_stand_beside_their_baselines() -> None:
    metrics = series_metrics([drawn(0.8, 0.2)], SETTINGS, 0.4, {"microprice": 0.0, "price_head": 1.0}, 1.0, 1.0)
    assert metrics["price_change.ic"] > metrics["microprice.ic"] > 0.2
    assert metrics["fair.ic"] == pytest.approx(metrics["price_change.ic"])
    assert metrics["optimal_spread.pinball"] < metrics["optimal_spread.pinball_of_constant"]
    assert all(np.isfinite(value) for value in metrics.values())


def test_the_constant_spread_is_the_quantile_of_the_given_parts_alone() -> None:
    part = whole(drawn_session(1_000), SETTINGS)
    labels = part.labels.spread[part.labels.spread_weight > 0]
    assert constant_places([part], 0.6)["drawn"] == pytest.approx(np.quantile(labels, 0.6))
