"""What is fitted about P(up), P(adverse) and risk: something where they tell something, nothing where they do not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from mmd.inference.companion import CompanionUse
from mmd.learning.companion_use import Heard, Terms, fair_weights, fit_use, gain, half_of, multiplier_of, spread_multiplier
from mmd.learning.labels import LabelSettings, spread_in_sigma
from mmd.learning.standing_quotes import Sides, Stands, quote_outcome
from mmd.quoting.prediction import multiplier
from tests.unit.learning.test_evaluation import drawn, served

ROWS = 6_000
SETTINGS = LabelSettings()
TERMS = Terms(SETTINGS, 1.0, 0.0)
ALL_USEFUL = {"p_up": True, "p_adverse": True, "risk": True}


def heard(strength: float, micro: float, flow: float) -> Heard:
    made = drawn(strength, micro)
    rng = np.random.default_rng(5)
    order_flow = np.clip(flow * made.move + rng.normal(size=len(made.move)) * 0.3, -1, 1)
    half = np.full(len(made.move), 0.5)
    return Heard(made, order_flow, Sides(half, half), half)


def picked_off(knowing: float) -> Heard:
    """Every second time the next second runs through a side's quote; P(adverse) says so as far as it is `knowing`."""
    rng = np.random.default_rng(3)
    down, up = rng.random(ROWS) < 0.3, rng.random(ROWS) < 0.3
    move = np.where(up, 1.5, 0.0) - np.where(down, 1.5, 0.0)
    made = served(np.zeros(ROWS), np.zeros(ROWS), move)
    reach_up, reach_down = np.where(up, 1.0, 0.6), np.where(down, 1.0, 0.6)
    made = replace(made, stands=Stands(np.arange(ROWS), reach_up, reach_down, np.full(ROWS, 0.05)))
    said = [np.clip(0.3 + knowing * (each - 0.3) + 0.02 * rng.normal(size=ROWS), 0, 1) for each in (down, up)]
    return Heard(made, np.zeros(ROWS), Sides(*said), np.full(ROWS, 0.5))


def test_order_flow_joins_where_it_tells_more_and_is_useful() -> None:
    groups = {"a": [heard(0.3, 0.1, 0.6)]}
    weights = fair_weights(groups, order_flow_is_useful=True)
    assert weights["order_flow"] > weights["microprice"]
    assert fair_weights(groups, order_flow_is_useful=False)["order_flow"] == 0.0
    assert fair_weights({"a": [heard(0.3, 0.1, -0.6)]}, order_flow_is_useful=True)["order_flow"] == 0.0, "no weight is negative"


def test_weights_are_those_of_ridge_regression_where_none_is_negative() -> None:
    from sklearn.linear_model import LinearRegression

    each = heard(0.5, 0.3, 0.4)
    found = fair_weights({"a": [each]}, order_flow_is_useful=True)
    table = np.stack([each.served.microprice, each.served.price, each.order_flow], axis=1)
    expected = LinearRegression(fit_intercept=False).fit(table, each.served.move).coef_
    assert list(found.values()) == pytest.approx(expected, abs=5e-3)


def test_p_adverse_that_knows_widens_and_one_that_guesses_does_not() -> None:
    knowing, factor = fit_use(
        {"a": [picked_off(1.0)]}, {"microprice": 0.0, "price_head": 0.0, "order_flow": 0.0}, ALL_USEFUL, TERMS
    )
    assert knowing.adverse_slope > 0
    assert knowing.adverse_median == pytest.approx(0.0, abs=0.05)
    assert knowing.risk_sizes
    weights = {"microprice": 0.0, "price_head": 0.0, "order_flow": 0.0}
    useless, _ = fit_use({"a": [picked_off(1.0)]}, weights, {**ALL_USEFUL, "p_adverse": False, "risk": False}, TERMS)
    assert (useless.adverse_slope, useless.adverse_pull, useless.risk_sizes) == (0.0, 1.0, False)
    assert factor > 0


def test_what_gains_on_the_rows_that_chose_it_alone_is_not_used() -> None:
    """P(adverse) of the first half knows, that of the second says the opposite: the whole may gain, the other half does not."""
    each = picked_off(1.0)
    first = np.arange(ROWS) < ROWS * 6 // 10
    sides = Sides(*(np.where(first, side, 1.0 - side) for side in each.adverse))
    weights = {"microprice": 0.0, "price_head": 0.0, "order_flow": 0.0}
    use, _ = fit_use({"a": [replace(each, adverse=sides)]}, weights, ALL_USEFUL, TERMS)
    assert use.gains["slope on the other half"] <= 0
    assert use.adverse_slope == 0.0
    knowing, _ = fit_use({"a": [each]}, weights, ALL_USEFUL, TERMS)
    assert knowing.gains["slope on the other half"] > 0


def test_halves_are_the_whole() -> None:
    each = picked_off(1.0)
    weights = {"microprice": 0.0, "price_head": 0.0, "order_flow": 0.0}
    use = CompanionUse(adverse_median=0.3, adverse_slope=1.0)
    halves = [gain({"a": [half_of(each, half)]}, weights, use, TERMS) for half in (0, 1)]
    assert sum(halves) / 2 == pytest.approx(gain({"a": [each]}, weights, use, TERMS))


def test_the_gain_is_that_of_standing_quotes_with_each_side_s_own_width() -> None:
    each = picked_off(1.0)
    weights = {"microprice": 0.0, "price_head": 0.0, "order_flow": 0.0}
    neutral = CompanionUse(adverse_median=0.3)
    plain = quote_outcome(
        each.served.stands,
        np.zeros(ROWS),
        spread_in_sigma(each.served.outputs[:, 1], SETTINGS.spread_min, SETTINGS.spread_max) / 2,
        each.served.half_spread,
        each.served.move,
    )
    assert gain({"a": [each]}, weights, neutral, TERMS) == pytest.approx(plain.gain / ROWS)
    pulled = msgspec.structs.replace(neutral, adverse_pull=0.5)
    assert gain({"a": [each]}, weights, pulled, TERMS) > plain.gain / ROWS, "what is about to be run over is not shown"


def test_many_multipliers_are_what_the_quoter_makes_of_each() -> None:
    use = CompanionUse(adverse_median=0.4, adverse_slope=3.0)
    p = np.linspace(0, 1, 21)
    assert multiplier_of(p, use).tolist() == pytest.approx([multiplier(3.0, 0.4, each) for each in p.tolist()])


def test_a_slope_makes_no_quote_wider_on_the_whole() -> None:
    groups = {"a": [picked_off(0.5)]}
    plain = spread_multiplier(groups, CompanionUse(adverse_median=0.1), SETTINGS)
    sloped = spread_multiplier(groups, CompanionUse(adverse_median=0.1, adverse_slope=2.0), SETTINGS)
    assert sloped < plain
