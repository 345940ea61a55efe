"""A session on the mock and the backtest of its recording agree within the bounds that the documentation states."""

from __future__ import annotations

from typing import Any

import pytest

from mmd.backtest.mock_session import Agreement, agreement, backtest_of, trade_on_mock
from mmd.quoting.settings import QuotingSettings
from mmd.types.market import DepthUpdate

SEEDS, SECONDS = (1, 2, 3), 150.0


@pytest.fixture(scope="module")
def pairs() -> list[Agreement]:
    quoting = QuotingSettings.model_validate({"strategy": "avellaneda-stoikov"})
    sessions = [trade_on_mock(quoting, SECONDS, seed) for seed in SEEDS]
    return [agreement(session, backtest_of(session, session.plain, quoting)) for session in sessions]


def test_quotes_and_fills_agree_in_each_session(pairs: list[Agreement]) -> None:
    for pair in pairs:
        assert min(pair.fills) > 5
        session, backtest = pair.volume
        assert backtest == pytest.approx(session, rel=0.35)
        assert pair.quote_distance_bps < 0.2
        session, backtest = pair.pnl_per_volume_bps
        assert backtest == pytest.approx(session, abs=0.5)


def test_profit_and_volume_agree_over_the_sessions_together(pairs: list[Agreement]) -> None:
    volume = [sum(pair.volume[side] for pair in pairs) for side in (0, 1)]
    profit = [sum(pair.pnl[side] for pair in pairs) for side in (0, 1)]
    assert volume[1] == pytest.approx(volume[0], rel=0.25)
    assert profit[1] / volume[1] * 1e4 == pytest.approx(profit[0] / volume[0] * 1e4, abs=0.25)


def test_with_other_settings_the_backtest_is_another_session(pairs: list[Agreement]) -> None:
    quoting = QuotingSettings.model_validate({"strategy": "avellaneda-stoikov"})
    wide = quoting.model_copy(update={"risk_aversion": 8.0})
    session = trade_on_mock(quoting, SECONDS, 1)
    other = agreement(session, backtest_of(session, session.plain, wide))
    assert other.quote_distance_bps > 0.2
    assert other.volume[1] != pytest.approx(other.volume[0], rel=0.35)


def test_our_own_orders_can_be_taken_out_of_the_recording() -> None:
    session = trade_on_mock(QuotingSettings.model_validate({"strategy": "fixed"}), 20.0, 1)

    def lots(events: list[Any]) -> int:
        updates = (event for event in events if isinstance(event, DepthUpdate))
        return sum(lots for event in updates for _, lots in event.bids + event.asks)

    assert session.quotes
    assert 0 < lots(session.cleaned) < lots(session.plain)
