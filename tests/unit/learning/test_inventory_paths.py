"""Simulated inventory says what the live inventory features would, and nothing of the market's next move."""

from __future__ import annotations

import numpy as np
import pytest

from mmd.learning.inventory_paths import inventory_path
from mmd.learning.labels import LabelSettings, make_labels
from mmd.market.inventory import inventory_row
from tests.unit.learning.made_sessions import drawn_session

SESSION = drawn_session(20_000, seed=3)
PATH = inventory_path(np.random.default_rng(1), SESSION.receive_ns, SESSION.mid_ticks, SESSION.sigma_ticks)


def test_paths_are_bounded_as_the_features_are() -> None:
    low, high = PATH.min(axis=0), PATH.max(axis=0)
    assert (low >= [-1, 0, -10, -1, 0]).all()
    assert (high <= [1, 10, 10, 1, 1]).all()
    assert abs(PATH[:, 0].mean()) < 0.1
    assert PATH[:, 0].std() > 0.4
    assert (high[1:] > [5, 4, 0.1, 0.9]).all()


def test_a_flat_row_has_neither_age_nor_entry_nor_profit() -> None:
    flat = PATH[PATH[:, 0] == 0]
    assert len(flat) > 100
    assert not flat[:, 1:4].any()


def test_within_a_piece_the_entry_follows_the_live_formula() -> None:
    checked = 0
    for row in range(1, len(PATH)):
        before, now = PATH[row - 1], PATH[row]
        if now[0] != before[0] or now[0] == 0 or abs(now[2]) > 9 or abs(before[2]) > 9:
            continue
        # The entry that the row before implies, asked of the live formula at this row's mid.
        sign = np.sign(float(now[0]))
        offset_ticks = float(before[2]) * SESSION.sigma_ticks[row - 1] * sign
        entry = SESSION.mid_ticks[row - 1] - offset_ticks
        live = inventory_row(
            float(now[0]),
            1.0,
            np.expm1(float(before[1])) + 0.1,
            SESSION.mid_ticks[row] - entry,
            SESSION.sigma_ticks[row],
            0,
            1,
            0,
            1,
        )
        if before[1] < 10:
            assert now[1] == pytest.approx(live[1], abs=1e-3)
        assert now[2] == pytest.approx(live[2], abs=1e-3)
        checked += 1
    assert checked > 10_000


def test_the_position_does_not_tell_of_the_next_move() -> None:
    labels = make_labels(SESSION, LabelSettings())
    assert abs(np.corrcoef(PATH[:, 0], labels.price_change)[0, 1]) < 0.06


def test_the_same_generator_draws_the_same_path() -> None:
    again = inventory_path(np.random.default_rng(1), SESSION.receive_ns, SESSION.mid_ticks, SESSION.sigma_ticks)
    assert np.array_equal(PATH, again)
