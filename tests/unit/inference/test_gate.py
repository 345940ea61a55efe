"""One test for each reason of the gate, and their order."""

from __future__ import annotations

from math import inf, isfinite, nan

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmd.inference.bundle import Bundle
from mmd.inference.card import TrainingRange
from mmd.inference.gate import PredictionGate
from mmd.inference.predictor import QuotePredictor
from mmd.inference.refusals import GateRefusal, gate_table
from mmd.inference.settings import GateSettings

SETTINGS = GateSettings(max_prediction_age_ms=100.0, inference_budget_us=500.0, max_out_of_range_score=0.5)
FRESH, QUICK = 1_000_000, 20_000


@pytest.fixture
def predictor(tiny_bundle: Bundle) -> QuotePredictor:
    predictor = QuotePredictor(tiny_bundle)
    predictor.warm(np.zeros((tiny_bundle.card.steps, 20), np.float32))
    return predictor


@pytest.fixture
def gate(tiny_bundle: Bundle) -> PredictionGate:
    return PredictionGate(tiny_bundle.card, SETTINGS)


def test_a_good_prediction_passes(gate: PredictionGate, predictor: QuotePredictor) -> None:
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=QUICK) is None
    assert gate.check(predictor, age_ns=100_000_000, elapsed_ns=500_000) is None
    assert (gate.passed, sum(gate.refusals.values()), gate.score) == (2, 0, 0.0)


def test_cold(gate: PredictionGate, predictor: QuotePredictor, tiny_bundle: Bundle) -> None:
    predictor.reset()
    for _ in range(tiny_bundle.card.steps):
        assert gate.check(predictor, age_ns=FRESH, elapsed_ns=QUICK) is GateRefusal.COLD
        predictor.step()
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=QUICK) is None
    assert gate.refusals[GateRefusal.COLD] == tiny_bundle.card.steps


def test_stale(gate: PredictionGate, predictor: QuotePredictor) -> None:
    assert gate.check(predictor, age_ns=100_000_001, elapsed_ns=QUICK) is GateRefusal.STALE


@pytest.mark.parametrize("output", ["price_change", "optimal_spread", "position_signal"])
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_an_output_that_is_not_finite(gate: PredictionGate, predictor: QuotePredictor, output: str, value: float) -> None:
    setattr(predictor, output, value)
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=QUICK) is GateRefusal.NOT_FINITE


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_an_input_that_is_not_finite(gate: PredictionGate, predictor: QuotePredictor, value: float) -> None:
    predictor.inventory[2] = value
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=QUICK) is GateRefusal.NOT_FINITE
    assert gate.score == inf
    predictor.inventory[2] = 0.0
    predictor.market[4] = value
    predictor.step()
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=QUICK) is GateRefusal.NOT_FINITE


def test_out_of_range_counts_the_excess_in_widths_of_each_range(gate: PredictionGate, predictor: QuotePredictor) -> None:
    predictor.market[0] = 6.0  # 2 beyond a range of [-4, 4]: a quarter of its width
    predictor.inventory[1] = -1.5  # 0.5 beyond a range of [-1, 1]: a quarter
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=QUICK) is None
    assert gate.score == pytest.approx(0.5)
    predictor.market[1] = -4.1
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=QUICK) is GateRefusal.OUT_OF_RANGE
    assert gate.score == pytest.approx(0.5125)


def test_an_input_that_was_constant_in_training_is_measured_in_its_own_unit(tiny_bundle: Bundle, predictor: QuotePredictor) -> None:
    inside = tiny_bundle.card.training_range
    constant = msgspec.structs.replace(inside, inventory_low=(0.0,) * 5, inventory_high=(0.0,) * 5)
    gate = PredictionGate(msgspec.structs.replace(tiny_bundle.card, training_range=constant), SETTINGS)
    predictor.inventory[0] = 0.25
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=QUICK) is None
    assert gate.score == pytest.approx(0.25)


def test_over_budget(gate: PredictionGate, predictor: QuotePredictor) -> None:
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=500_001) is GateRefusal.OVER_BUDGET


def test_the_first_reason_counts_and_only_it(gate: PredictionGate, predictor: QuotePredictor) -> None:
    predictor.market[:] = 100.0
    spoilt = {"age_ns": 10**12, "elapsed_ns": 10**12}
    assert gate.check(predictor, **spoilt) is GateRefusal.STALE
    assert gate.check(predictor, age_ns=FRESH, elapsed_ns=10**12) is GateRefusal.OUT_OF_RANGE
    predictor.reset()
    assert gate.check(predictor, **spoilt) is GateRefusal.COLD
    assert {reason for reason, count in gate.refusals.items() if count} == {
        GateRefusal.COLD,
        GateRefusal.STALE,
        GateRefusal.OUT_OF_RANGE,
    }
    assert gate.passed == 0


def test_every_reason_is_in_the_table() -> None:
    table = gate_table()
    assert all(f"`{reason.value}` | {reason.text}" in table for reason in GateRefusal)


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        GateSettings(max_age_ms=1.0)  # type: ignore[call-arg]


class _Recorded:
    """A prediction that was recorded."""

    price_change, optimal_spread, position_signal, steps = 0.1, 0.5, 0.0, 10_000

    def __init__(self, market: np.ndarray, inventory: np.ndarray) -> None:
        self.market, self.inventory = market, inventory


ROOM = st.sampled_from([-1.0, -0.7, -0.1, 0.0, 1e-3, 0.1, 0.7, 1.0])
VALUES = st.one_of(
    st.floats(width=32), st.floats(-1.5, 1.5, width=32), ROOM.map(lambda value: float(np.float32(value))), st.just(-0.0)
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(ROOM, ROOM), min_size=25, max_size=25),
    st.lists(st.lists(VALUES, min_size=25, max_size=25), min_size=1, max_size=4),
)
def test_the_score_is_what_comparing_one_by_one_gives(
    tiny_bundle: Bundle, ranges: list[tuple[float, float]], rows: list[list[float]]
) -> None:
    lows, highs = tuple(min(pair) for pair in ranges), tuple(max(pair) for pair in ranges)
    inside = TrainingRange(lows[:20], highs[:20], lows[20:], highs[20:])
    gate = PredictionGate(msgspec.structs.replace(tiny_bundle.card, training_range=inside), SETTINGS)
    for row in rows:
        whole = np.array(row, dtype=np.float32)
        refusal = gate.check(_Recorded(whole[:20], whole[20:]), age_ns=0, elapsed_ns=0)
        score = 0.0
        for value, low, high in zip(whole.tolist(), lows, highs, strict=True):
            if not low <= value <= high:
                score = score + max(low - value, value - high) / ((high - low) or 1.0) if isfinite(value) else inf
        assert gate.score == pytest.approx(score, rel=1e-12)
        expected = GateRefusal.NOT_FINITE if score == inf else GateRefusal.OUT_OF_RANGE if score > 0.5 else None
        assert refusal is expected
