"""The predictor's contract: held views, carried state, warming, the shadow step. Runs in both environments."""

from __future__ import annotations

import struct
from math import isfinite, isnan

import numpy as np
import pytest
from numpy.typing import NDArray

from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor


def rows(count: int, seed: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.0, 1.5, (count, 20)).astype(np.float32)


def outputs(predictor: QuotePredictor) -> tuple[float, float, float]:
    return predictor.price_change, predictor.optimal_spread, predictor.position_signal


def run(predictor: QuotePredictor, market: NDArray[np.float32]) -> list[tuple[float, float, float]]:
    answers = []
    for number, row in enumerate(market):
        predictor.market[:] = row
        predictor.inventory[:] = [0.1 * (number % 7), 0.2, -0.3, 0.0, 0.5]
        predictor.step()
        answers.append(outputs(predictor))
    return answers


@pytest.fixture
def predictor(tiny_bundle: Bundle) -> QuotePredictor:
    return QuotePredictor(tiny_bundle)


def test_views_are_held_and_never_move(predictor: QuotePredictor) -> None:
    session = predictor._session
    assert predictor.holds_views
    assert predictor.market.base is not None
    arrays, addresses = {**session.inputs, **session.outputs}, session.addresses()
    market_address, market = predictor.market.ctypes.data, predictor.market
    run(predictor, rows(300))
    predictor.reset()
    predictor.warm(rows(20))
    predictor.rehearsing().step()
    run(predictor, rows(20))
    assert session.addresses() == addresses
    assert predictor.market is market
    assert market.ctypes.data == market_address == addresses["market"]
    assert all({**session.inputs, **session.outputs}[name] is array for name, array in arrays.items())
    # Views taken anew lie where the held ones do: the interpreter has not allocated again.
    interpreter = session._interpreter
    for indices, held in zip(session._transfers, (session.inputs, session.outputs), strict=True):
        assert {name: interpreter.tensor(index)().ctypes.data for name, index in indices.items()} == {
            name: array.ctypes.data for name, array in held.items()
        }


def test_the_public_call_refuses_held_views_which_is_why_the_private_one_is_used(predictor: QuotePredictor) -> None:
    with pytest.raises(RuntimeError, match="reference to internal data"):
        predictor._session._interpreter.invoke()


def test_held_views_and_copies_give_equal_results(tiny_bundle: Bundle) -> None:
    held, copied = QuotePredictor(tiny_bundle), QuotePredictor(tiny_bundle, hold_views=False)
    assert (held.holds_views, copied.holds_views) == (True, False)
    assert run(held, rows(200)) == run(copied, rows(200))
    assert np.array_equal(held.recurrent_state(), copied.recurrent_state())


def test_the_runtime_does_not_write_into_inputs(predictor: QuotePredictor) -> None:
    run(predictor, rows(5))
    before = {name: array.copy() for name, array in predictor._session.inputs.items()}
    rehearsed = predictor.rehearsing()
    for _ in range(10):
        rehearsed.step()
    assert all(np.array_equal(array, before[name]) for name, array in predictor._session.inputs.items())


def test_recurrent_state_carries_and_resets(predictor: QuotePredictor) -> None:
    first = run(predictor, rows(30))
    assert predictor.steps == 30
    assert run(predictor, rows(30)) != first
    predictor.reset()
    assert predictor.steps == 0
    assert not predictor.recurrent_state().any()
    assert all(isnan(value) for value in outputs(predictor))
    assert predictor.inventory.any(), "inventory is no recurrent state: the position is what it is"
    assert run(predictor, rows(30)) == first


def test_warm_equals_stepping_the_window(tiny_bundle: Bundle) -> None:
    window = rows(60)
    stepped, warmed = QuotePredictor(tiny_bundle), QuotePredictor(tiny_bundle)
    inventory = np.array([0.5, 0.1, -0.2, 0.0, 1.0], np.float32)
    for row in window:
        stepped.market[:] = row
        stepped.inventory[:] = inventory
        stepped.step()
    run(warmed, rows(17, seed=9))
    warmed.inventory[:] = inventory
    warmed.warm(window)
    assert outputs(warmed) == outputs(stepped)
    assert np.array_equal(warmed.recurrent_state(), stepped.recurrent_state())
    assert np.array_equal(warmed.inventory, inventory)
    assert warmed.steps == stepped.steps == 60
    assert warmed.warm_enough
    with pytest.raises(ValueError, match=r"must be \[rows, 20\], got \[60, 19\]"):
        warmed.warm(window[:, 1:])


def test_an_empty_window_warms_nothing(predictor: QuotePredictor) -> None:
    predictor.warm(rows(0))
    assert (predictor.steps, predictor.warm_enough) == (0, False)


def test_rehearsing_changes_nothing_that_is_read(tiny_bundle: Bundle) -> None:
    quiet, shadowed = QuotePredictor(tiny_bundle), QuotePredictor(tiny_bundle)
    rehearsed = shadowed.rehearsing()
    answers = []
    for row in rows(40):
        shadowed.market[:] = row
        shadowed.step()
        before = outputs(shadowed), shadowed.recurrent_state().tobytes(), shadowed.inventory.tobytes(), shadowed.steps
        for _ in range(3):
            rehearsed.market[:] = row + 0.1
            rehearsed.inventory[:] = 0.7
            rehearsed.step()
        assert (outputs(shadowed), shadowed.recurrent_state().tobytes(), shadowed.inventory.tobytes(), shadowed.steps) == before
        assert all(isfinite(value) for value in outputs(rehearsed))
        answers.append(outputs(shadowed))
    for row, answer in zip(rows(40), answers, strict=True):
        quiet.market[:] = row
        quiet.step()
        assert outputs(quiet) == answer


def test_outputs_lie_where_their_activations_put_them(predictor: QuotePredictor) -> None:
    for price_change, optimal_spread, position_signal in run(predictor, 5.0 * rows(500)):
        assert isfinite(price_change)
        assert 0.0 <= optimal_spread <= 1.0
        assert -1.0 <= position_signal <= 1.0


def test_a_long_stream_stays_bounded(predictor: QuotePredictor) -> None:
    run(predictor, rows(3_000))
    assert np.abs(predictor.recurrent_state()).max() < 50.0


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
def test_a_row_that_is_not_finite_never_enters_the_state(predictor: QuotePredictor, poison: float) -> None:
    run(predictor, rows(10))
    state, steps = predictor.recurrent_state(), predictor.steps
    predictor.market[7] = poison
    predictor.step()
    assert all(isnan(value) for value in outputs(predictor))
    assert np.array_equal(predictor.recurrent_state(), state)
    assert (predictor.rejected_rows, predictor.steps) == (1, steps)
    predictor.market[7] = 0.5
    predictor.step()
    assert all(isfinite(value) for value in outputs(predictor))


def test_a_row_handed_over_is_stepped_on_as_one_written_into_the_buffer(tiny_bundle: Bundle) -> None:
    written, handed = QuotePredictor(tiny_bundle), QuotePredictor(tiny_bundle)
    inventory = [0.1, 0.2, -0.3, 0.0, 0.5]
    written.inventory[:] = inventory
    handed.tell_inventory(inventory)
    for row in rows(20).astype(np.float64) * 1.1:
        written.market[:] = row
        written.step()
        handed.step_on(row.tolist())
        assert outputs(handed) == outputs(written)
    assert np.array_equal(handed.recurrent_state(), written.recurrent_state())
    state = handed.recurrent_state()
    for number, poison in enumerate((float("nan"), float("inf"), float("-inf"), 1e300), start=1):
        handed.step_on([0.5] * 7 + [poison] + [0.5] * 12)
        assert all(isnan(value) for value in outputs(handed))
        assert (handed.rejected_rows, handed.steps) == (number, 20)
        assert np.array_equal(handed.recurrent_state(), state)
    with pytest.raises(struct.error):
        handed.step_on([0.5] * 19)


def test_of_a_longer_row_the_features_count_that_the_bundle_knows(tiny_bundle: Bundle) -> None:
    known, longer = QuotePredictor(tiny_bundle), QuotePredictor(tiny_bundle)
    wide = np.concatenate([rows(20), np.full((20, 12), 9.0, dtype=np.float32)], axis=1)
    for row in wide:
        known.step_on(row[:20].tolist())
        longer.step_on(row.tolist())
        assert outputs(longer) == outputs(known)
    known.warm(wide[:, :20])
    longer.warm(wide)
    assert outputs(longer) == outputs(known)
    with pytest.raises(ValueError, match="a window must be"):
        longer.warm(wide[:, :19])


def test_inventory_touches_the_heads_but_not_the_recurrent_state(tiny_bundle: Bundle) -> None:
    flat, long = QuotePredictor(tiny_bundle), QuotePredictor(tiny_bundle)
    for row in rows(20):
        for predictor, position in ((flat, 0.0), (long, 1.0)):
            predictor.market[:] = row
            predictor.inventory[0] = position
            predictor.step()
    assert outputs(flat) != outputs(long)
    assert np.array_equal(flat.recurrent_state(), long.recurrent_state())


def test_a_checkpoint_of_the_state_goes_on_as_if_nothing_had_happened(tiny_bundle: Bundle) -> None:
    original, restored = QuotePredictor(tiny_bundle), QuotePredictor(tiny_bundle)
    run(original, rows(25))
    restored.restore_recurrent_state(original.recurrent_state(), original.steps)
    assert run(restored, rows(25, seed=5)) == run(original, rows(25, seed=5))
    assert restored.steps == original.steps == 50
    with pytest.raises(ValueError, match="expected a recurrent state of 96 finite numbers"):
        restored.restore_recurrent_state(original.recurrent_state()[1:], 1)


def test_predictors_of_one_bundle_share_nothing(tiny_bundle: Bundle) -> None:
    one, other = QuotePredictor(tiny_bundle), QuotePredictor(tiny_bundle)
    run(one, rows(10))
    assert not other.recurrent_state().any()
    assert not set(one._session.addresses().values()) & set(other._session.addresses().values())
