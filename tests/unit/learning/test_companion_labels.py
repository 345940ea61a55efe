"""Labels of the companion networks on sessions made by hand, and inputs that know the past alone."""

from __future__ import annotations

import numpy as np
import pytest

from mmd.learning.companion_labels import CompanionLabelSettings, fill_labels, loss_moves, places, up_labels
from mmd.learning.companion_training import adverse_rows, signal_effect
from mmd.learning.labels import LabelSettings
from mmd.market.companion_inputs import ADVERSE_NAMES, ORDER_FLOW_NAMES, RISK_NAMES, columns
from mmd.market.feature_table import MARKET_NAMES
from tests.unit.learning.made_sessions import made_session

SETTINGS = LabelSettings(settle_seconds=0.0)
LABELS = CompanionLabelSettings(risk_window_seconds=2.0, risk_grid_seconds=0.5)


def test_the_articles_shapes() -> None:
    assert (len(ORDER_FLOW_NAMES), len(ADVERSE_NAMES), len(RISK_NAMES)) == (8, 15, 10)
    assert len(set(ADVERSE_NAMES)) == 15


def test_up_is_the_sign_of_the_next_move_and_rows_without_one_do_not_count() -> None:
    # Mid 100 at 0 s, 101 from 1 s, 100 from 2 s, then still.
    session = made_session([0.0, 1.0, 2.0, 3.0, 4.0], [99, 100, 99, 99, 99], [101, 102, 101, 101, 101])
    up, counts = up_labels(session, SETTINGS)
    assert up[:2].tolist() == [True, False]
    assert counts.tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("later_mid_shift", "bid_adverse", "ask_adverse"),
    [(-2, True, False), (-1, False, False), (0, False, False), (1, False, False), (2, False, True)],
)
def test_a_fill_is_adverse_when_the_mid_ends_beyond_its_price(later_mid_shift: int, bid_adverse: bool, ask_adverse: bool) -> None:
    # Touch 99/101; somebody sells at 99 and somebody buys at 101 right after the first row.
    bids, asks = [99, 99 + later_mid_shift, 99], [101, 101 + later_mid_shift, 101]
    session = made_session([0.0, 1.0, 3.0], bids, asks, trades=[(0, 99, -1, 5), (0, 101, 1, 5)])
    fills = fill_labels(session, SETTINGS, LABELS)
    found = dict(zip(fills.side.tolist(), fills.adverse.tolist(), strict=True))
    assert found == {1: bid_adverse, -1: ask_adverse}


def test_fees_move_the_bar_and_prints_away_from_the_touch_are_nobodys() -> None:
    session = made_session([0.0, 1.0, 3.0], [99, 97, 97], [101, 99, 99], trades=[(0, 99, -1, 5), (0, 100, 1, 5), (-1, 99, -1, 1)])
    assert fill_labels(session, SETTINGS, LABELS).adverse.tolist() == [True]
    dear = CompanionLabelSettings(fees_bps=150.0)
    assert fill_labels(session, SETTINGS, dear).adverse.tolist() == [False]


def test_the_risk_label_is_the_largest_distance_within_the_window() -> None:
    session = made_session([0.0, 0.5, 1.0, 1.5, 2.5, 6.0], [99, 102, 99, 95, 99, 99], [101, 104, 101, 97, 101, 101])
    moves = loss_moves(session, LABELS, np.arange(6))
    assert moves[:4].tolist() == [4.0, 7.0, 4.0, 4.0]
    assert np.isnan(moves[5])


def test_places_are_shares_of_what_is_smaller() -> None:
    assert places(np.array([0.0, 2.0, 9.0]), np.array([1.0, 2.0, 2.0, 3.0])).tolist() == [0.0, 0.5, 1.0]


def test_an_ask_sees_the_mirrored_market() -> None:
    row = np.random.default_rng(0).normal(size=(1, len(MARKET_NAMES))).astype(np.float32)
    bid, ask = adverse_rows(row, [1]), adverse_rows(row, [-1])
    np.testing.assert_array_equal(bid[:, :10], -ask[:, :10])
    np.testing.assert_array_equal(bid[:, 10:], ask[:, 10:])
    assert bid[0, 4] == row[0, MARKET_NAMES.index("touch_imbalance")]
    assert columns(("trade_imbalance",)) == [0]


def test_signals_push_the_score_only_upwards() -> None:
    signals = np.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert signal_effect(signals).tolist() == [0.0, 0.5, 0.0, 0.5]
