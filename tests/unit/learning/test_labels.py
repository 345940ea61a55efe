"""Labels on series made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from mmd.learning.labels import LabelSettings, make_labels, mid_change, position_target, spread_in_sigma, spread_place
from tests.unit.learning.made_sessions import made_session

SETTINGS = LabelSettings(horizon_seconds=1.0, settle_seconds=0.0, price_clip=3.0, spread_min=0.1, spread_max=10.0)


def test_the_price_label_is_the_mid_change_over_the_horizon_in_sigma() -> None:
    # Mids: 100.5, 101.5, 102.5, 96.5, 96.5
    session = made_session([0.0, 0.5, 1.0, 1.4, 2.0], [100, 101, 102, 96, 96], [101, 102, 103, 97, 97], sigma=2.0)
    labels = make_labels(session, SETTINGS)
    # At 0 s the mid a second later is that of the row at 1 s; at 0.5 s that of the row at 1.4 s, the last one before 1.5 s.
    assert labels.price_change[:3].tolist() == [1.0, -2.5, -3.0]
    assert labels.price_weight.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0], "the horizon of the last rows reaches over the end"
    change, known = mid_change(session, 1.0)
    assert change[:3].tolist() == [2.0, -5.0, -6.0]
    assert known.tolist() == [True, True, True, False, False]


def test_rows_of_the_same_time_look_at_the_newest_of_the_later_ones() -> None:
    session = made_session([0.0, 0.0, 1.0, 1.0, 3.0], [100, 100, 101, 104, 104], [101, 101, 102, 105, 105], sigma=2.0)
    assert make_labels(session, SETTINGS).price_change[:2].tolist() == [2.0, 2.0]


def test_the_first_seconds_weigh_nothing_as_sigma_is_not_known_yet() -> None:
    session = made_session([0.0, 1.0, 2.0, 3.0, 4.0], [100] * 5, [101] * 5)
    settings = SETTINGS.model_copy(update={"settle_seconds": 2.0})
    assert make_labels(session, settings).price_weight.tolist() == [0.0, 0.0, 1.0, 1.0, 0.0]


def test_the_spread_label_is_twice_the_signed_move_after_a_trade_at_the_touch() -> None:
    trades = [
        (0, 101, 1, 5),  # bought at the ask of row 0
        (1, 100, -1, 5),  # sold at the bid of row 1
        (2, 102, 1, 5),  # a print from the touch before: row 2 shows an ask of 103
        (-1, 101, 1, 5),  # before the first row
    ]
    session = made_session(
        [0.0, 0.5, 1.0, 1.5, 3.0], [100, 100, 102, 102, 102], [101, 101, 103, 103, 103], sigma=2.0, trades=trades
    )
    labels = make_labels(session, SETTINGS)
    # Row 0: the mid rises by 2 ticks, one sigma, after a buyer: a full spread of two sigma would have broken even.
    assert labels.spread[0] == pytest.approx(np.log(2.0 / 0.1) / np.log(100.0))
    # Row 1: it rose after a seller: in the maker's favour, the narrowest spread.
    assert labels.spread[1] == 0.0
    assert labels.spread_weight.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_trades_of_both_sides_at_one_row_count_by_volume() -> None:
    trades = [(0, 101, 1, 2), (0, 100, -1, 5)]
    session = made_session([0.0, 1.0, 2.0], [100, 98, 98], [101, 99, 99], sigma=2.0, trades=trades)
    assert make_labels(session, SETTINGS).spread[0] == pytest.approx(np.log(2.0 / 0.1) / np.log(100.0))


def test_places_of_spreads_go_there_and_back() -> None:
    spreads = np.array([0.1, 0.5, 3.0, 10.0])
    place = spread_place(spreads, SETTINGS)
    assert place[0] == 0.0
    assert place[-1] == 1.0
    assert spread_in_sigma(place, SETTINGS.spread_min, SETTINGS.spread_max) == pytest.approx(spreads)
    assert spread_place(np.array([-4.0, 0.0, 99.0]), SETTINGS).tolist() == [0.0, 0.0, 1.0]


def test_the_position_target_is_the_one_horizon_optimum_less_what_is_held() -> None:
    settings = LabelSettings(risk_aversion=2.0, holding_cost=0.1, inventory_pull=0.25)
    flat = np.zeros((4, 5), dtype=np.float32)
    moves = np.array([0.05, 1.1, -1.1, 9.0], dtype=np.float32)
    assert position_target(moves, flat, settings) == pytest.approx([0.0, 0.5, -0.5, 1.0])
    long = flat.copy()
    long[:, 0] = 1.0
    assert position_target(moves, long, settings) == pytest.approx([-0.25, 0.25, -0.75, 1.0])
    exposed = flat.copy()
    exposed[:, 4] = 1.0
    assert position_target(moves[1:2], exposed[:1], settings) == pytest.approx([0.25])
    losing = flat.copy()
    losing[:, 3] = -1.0
    assert position_target(moves[1:2], losing[:1], settings) == pytest.approx([0.25])
    winning = flat.copy()
    winning[:, 3] = 1.0
    assert position_target(moves[1:2], winning[:1], settings) == pytest.approx([0.5])


def test_the_target_is_mirrored_with_the_market() -> None:
    rng = np.random.default_rng(1)
    moves = rng.normal(size=50).astype(np.float32)
    inventory = rng.uniform(-1, 1, (50, 5)).astype(np.float32)
    mirrored = inventory * np.array([-1, 1, 1, 1, 1], dtype=np.float32)
    assert position_target(-moves, mirrored, LabelSettings()) == pytest.approx(-position_target(moves, inventory, LabelSettings()))


@pytest.mark.parametrize(
    "wrong", [{"horizon_seconds": 0}, {"spread_min": 3, "spread_max": 2}, {"spread_quantile": 1}, {"unknown": 1}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        LabelSettings.model_validate(wrong)
