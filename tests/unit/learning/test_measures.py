"""Measures of predictions against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest

from mmd.inference.calibration import brier, calibration, calibration_error
from mmd.learning.measures import auc, block_draws, blocks
from mmd.learning.moves import moves_by_row, moves_by_step, moves_by_tenth, moves_by_time
from tests.unit.learning.made_sessions import SECOND_NS, START_NS, drawn_session, made_session


def drawn(rows: int = 3_000, strength: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return x, strength * x + rng.normal(size=rows), START_NS + np.arange(rows, dtype=np.int64) * SECOND_NS


def test_ic_slope_and_r2_of_blocks_are_those_of_the_rows() -> None:
    x, y, t = drawn()
    found = blocks(x, y, t)
    assert found.ic() == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found.slope() == pytest.approx((x @ y) / (x @ x))
    assert found.r2(0.3) == pytest.approx(1 - ((y - 0.3 * x) ** 2).sum() / (y**2).sum())
    assert found.sums[:, 0].sum() == len(x)


def test_a_constant_prediction_has_no_correlation_and_is_no_error() -> None:
    _, y, t = drawn()
    assert np.isnan(blocks(np.zeros(len(y)), y, t).ic())
    assert np.isnan(blocks(np.zeros(0), np.zeros(0), t[:0]).ic())


def test_rows_that_nobody_was_served_count_for_nothing() -> None:
    x, y, t = drawn()
    with_holes = np.where(np.arange(len(x)) < 60, np.nan, x)
    assert blocks(with_holes, y, t).ic() == pytest.approx(np.corrcoef(x[60:], y[60:])[0, 1])


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = 0.3 / np.sqrt(1 + 0.3**2)
    inside = 0
    for seed in range(60):
        found = blocks(*drawn(seed=seed))
        low, high = found.ic_interval(block_draws(len(found.sums)))
        inside += low <= truth <= high
    assert 50 <= inside <= 60


def test_shuffled_outcomes_leave_nothing() -> None:
    x, y, t = drawn(strength=0.5)
    shuffled = np.random.default_rng(1).permutation(y)
    found = blocks(x, shuffled, t)
    low, high = found.ic_interval(block_draws(len(found.sums)))
    assert low < 0 < high
    assert abs(found.ic()) < 0.06


@pytest.mark.parametrize(
    ("said", "happened", "area"),
    [([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75), ([0.5, 0.5, 0.5], [0, 1, 1], 0.5), ([0.1, 0.9], [1, 0], 0.0)],
)
def test_area_under_the_curve(said: list[float], happened: list[int], area: float) -> None:
    assert auc(np.array(said), np.array(happened, dtype=bool)) == pytest.approx(area)


def test_calibration_of_a_forecaster_who_is_right_and_of_one_who_exaggerates() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=40_000)
    happened = rng.uniform(size=len(truth)) < truth
    assert calibration_error(calibration(truth, happened)) < 0.02
    exaggerated = np.clip(2 * truth - 0.5, 0, 1)
    assert calibration_error(calibration(exaggerated, happened)) > 0.1
    assert brier(truth, happened) < brier(exaggerated, happened)


def test_moves_by_step_and_by_time_on_a_hand_made_session() -> None:
    # The mid is 100 until 2 s, then 102; rows come in a burst before that.
    session = made_session([0.0, 1.0, 1.01, 1.02, 2.0, 6.0], [99, 99, 99, 99, 101, 101], [101, 101, 101, 101, 103, 103])
    step = moves_by_step(session, 1.0, 0, session.rows)
    assert step.row.tolist() == [0, 1, 2, 3, 4]
    assert step.change_bps.tolist() == pytest.approx([0.0, 200.0, 200.0, 200.0, 0.0])
    time = moves_by_time(session, 1.0, 0, session.rows, grid_seconds=1.0)
    assert ((time.time_ns - START_NS) // SECOND_NS).tolist() == [0, 1, 2, 3, 4, 5]
    assert time.change_bps.tolist() == pytest.approx([0.0, 200.0, 0.0, 0.0, 0.0, 0.0])
    assert time.row.tolist() == [0, 1, 4, 4, 4, 4]
    assert time.last_bps.tolist() == pytest.approx([0.0, 0.0, 1e4 * 2 / 102, 0.0, 0.0, 0.0])


def test_moves_by_row_leave_trades_out_and_take_what_stands_when_a_moment_is_over() -> None:
    # The second row is a trade's, the touch is the same; the third and fourth bear one stamp.
    seconds, bids = [0.0, 0.5, 1.0, 1.0, 1.05, 1.2, 6.0], [99, 99, 100, 101, 102, 102, 102]
    session = made_session(seconds, bids, [102, 102, 103, 104, 105, 104, 104])
    found = moves_by_row(session, 1.0, 0, session.rows)
    assert found.row.tolist() == [0, 3, 3, 4, 5]
    assert found.change_bps[:2].tolist() == pytest.approx([1e4 * 2 / 100.5, 1e4 * 0.5 / 102.5])
    tenth = moves_by_tenth(session, 1.0, 0, session.rows)
    assert tenth.row.tolist() == [0, 4, 5]
    assert tenth.change_bps.tolist() == pytest.approx([1e4 * 2 / 100.5, -1e4 * 0.5 / 103.5, 0.0])


def test_moves_look_at_no_row_after_their_stretch_to_begin_from() -> None:
    session = drawn_session()
    for count in (moves_by_step, moves_by_row, moves_by_tenth, moves_by_time):
        found = count(session, 1.0, 300, 600)
        assert found.row.min() >= 300
        assert found.row.max() < 600
