"""How much each network moves the quotes, counted by standing each quote beside the one without it."""

from __future__ import annotations

import pytest

from mmd.quoting.quote import clamp
from mmd.quoting.tally import LOOKED_AT, AttributionTally
from tests.unit.quoting.test_neural import BTC, context
from tests.unit.quoting.test_prediction import quoter, said


def test_each_network_is_told_by_its_own_ticks() -> None:
    tally, where = AttributionTally(), context()
    for predicted in (said(p_up=0.75, p_adverse_bid=0.8, risk=0.25), said(p_up=0.25, risk=0.75)):
        tally.take(clamp(quoter().quote(where, predicted), where, BTC, 1))
    tally.look()
    shares = tally.shares()
    assert tally.looked_at == 2
    assert shares["order_flow"].mean_absolute_ticks == pytest.approx(0.4 * 0.5 * 100)
    assert shares["order_flow"].moved_share == 1.0
    assert shares["adverse_selection"].moved_share == 0.5
    assert shares["cross_asset"].mean_absolute_ticks == 0.0
    assert shares["cross_asset"].moved_share == 0.0
    assert shares["risk"].mean_absolute_ticks is None
    assert shares["risk"].mean_size_taken == pytest.approx(0.5)
    assert shares["spread_head"].moved_share == 1.0


def test_a_part_too_small_to_turn_a_tick_moves_nothing() -> None:
    tally, where = AttributionTally(), context(bid_lots=100)
    tally.take(clamp(quoter().quote(where, said(p_up=0.5 + 1e-9, optimal_spread=0.517)), where, BTC, 1))
    tally.look()
    assert tally.shares()["order_flow"].mean_absolute_ticks == pytest.approx(0.0, abs=1e-4)
    assert tally.shares()["order_flow"].moved_share == 0.0


def test_only_the_newest_few_quotes_wait_to_be_looked_at() -> None:
    tally, where = AttributionTally(), context()
    for _ in range(3 * LOOKED_AT):
        tally.take(clamp(quoter().quote(where, said()), where, BTC, 1))
    tally.look()
    tally.look()
    assert tally.looked_at == LOOKED_AT
    assert AttributionTally().shares() == {}
