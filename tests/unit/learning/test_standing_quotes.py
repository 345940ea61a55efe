"""Standing quotes by hand: who is filled, at what gain, and what is withheld."""

from __future__ import annotations

import numpy as np
import pytest

from mmd.learning.standing_quotes import NOBODY, Stands, quote_outcome, stands
from tests.unit.learning.made_sessions import made_session


def test_trades_reach_the_quotes_that_stood_then() -> None:
    trades = [(0, 105, 1, 1), (1, 103, 1, 1), (1, 96, -1, 1), (2, 130, 1, 1)]
    session = made_session([0.0, 0.1, 0.5, 1.0], [100] * 4, [102] * 4, sigma=2.0, trades=trades)
    made = stands(session, np.arange(4), np.array([1.0, 0.0, 1.0, 1.0]))
    assert made.row.tolist() == [0, 2, 3]
    assert made.reach_up.tolist() == [2.0, 14.5, NOBODY]
    assert made.reach_down.tolist() == [2.5, NOBODY, NOBODY]
    assert made.tick.tolist() == [0.5] * 3


def outcome(expected: float, half: float, move: float, pull: float = 0.0):  # type: ignore[no-untyped-def]
    made = Stands(np.array([0]), np.array([1.0]), np.array([1.0]), np.array([0.1]))
    arrays = [np.array([value]) for value in (expected, half, 0.2, move)]
    return quote_outcome(made, *arrays, pull_threshold=pull)


def test_both_sides_earn_their_distance_less_the_move_against_them() -> None:
    assert outcome(0.0, 0.5, 0.0).gain == pytest.approx(1.0)
    assert outcome(0.0, 0.5, 3.0).gain == pytest.approx(1.0), "what one side loses the other gains"
    assert outcome(0.0, 1.0, 0.0).fills == 0, "at its own price nobody is filled"
    assert outcome(0.0, 0.01, 0.0).gain == pytest.approx(0.2), "a half-spread is at least a tick"


def test_an_expected_move_shifts_both_quotes_and_the_touch_bounds_them() -> None:
    risen = outcome(0.7, 0.5, 0.7)
    # Ask at 1.2, out of reach; bid at 0.2 above the mid would take: it stands a tick below the ask at 0.1 above.
    assert (risen.quotes, risen.fills) == (2, 1)
    assert risen.gain == pytest.approx(-0.1 + 0.7)


def test_the_side_about_to_be_run_over_is_withheld() -> None:
    assert outcome(0.4, 0.5, 0.4, pull=1.0).quotes == 2
    assert outcome(0.4, 0.5, 0.4, pull=0.5).quotes == 1
    assert outcome(-0.4, 0.5, -0.4, pull=0.5).quotes == 1
    assert outcome(0.0, 0.5, 0.0).edge == pytest.approx(0.5)
