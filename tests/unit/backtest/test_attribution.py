"""The split of PnL against cases done by hand, and against the ledger on whole runs."""

from __future__ import annotations

import pytest

from mmd.backtest.attribution import MidPath, equity_curve, fill_columns, markouts, split_pnl
from mmd.backtest.figures import Terms, figures
from mmd.backtest.recorder import SymbolTrack
from mmd.backtest.statistics import Calendar
from mmd.types.market import Side
from mmd.types.orders import Fill
from tests.unit.backtest.synthetic import COIN, SECOND, START, HandMadeMarket, Session
from tests.unit.backtest.test_session import calm, hit_and_fall


def fill(second: float, side: Side, ticks: int, lots: int, fee: float = 0.0) -> Fill:
    at = START + round(second * SECOND)
    return Fill(
        at,
        "COINUSD",
        round(1_000 * second),
        f"o{second}",
        round(1_000 * second),
        side,
        ticks,
        lots,
        round(fee * 1e8),
        "USD",
        True,
        at,
    )


def by_hand() -> SymbolTrack:
    """Bought 10 at 99.99 with the mid at 100, which falls to 99.90 within the second and to 99.80 later; sold at 99.85."""
    track = SymbolTrack(COIN)
    mids = [(0, 20_000), (1.5, 19_980), (3, 19_960), (10, 19_960)]
    cash = [0.0, -1_000.0, -1_000.0, -1_000.0 + 998.5]
    held = [0, 10, 10, 0]
    for (second, mid), money, lots in zip(mids, cash, held, strict=True):
        track.times.append(START + round(second * SECOND))
        track.mids_x2.append(mid)
        track.cash.append(round(money * 1e8))
        track.positions.append(lots * 100_000_000)
        track.bids.append(1)
        track.asks.append(2)
        track.limits.append(50)
    track.fills = [fill(1, Side.BUY, 9_999, 10, 0.1), fill(5, Side.SELL, 9_985, 10, -0.05)]
    track.cash = [0, -round(1_000.0 * 1e8), -round(1_000.0 * 1e8), round((-1_000.0 + 998.55) * 1e8)]
    track.fill_mids_x2 = [20_000, 19_960]
    track.attributions = [{}, {}]
    return track


def test_the_parts_are_those_counted_by_hand() -> None:
    split = split_pnl(by_hand())
    assert split.spread == pytest.approx(10 * 0.01 + 10 * 0.05)
    # One second after the purchase the mid stands at 99.90; after the sale it stays.
    assert split.adverse_selection == pytest.approx(-1.0)
    assert split.inventory == pytest.approx(-1.0)
    assert split.fees == pytest.approx(0.05)
    # 99.99 · 10 + 0.1 paid, 99.85 · 10 + 0.05 received.
    assert split.total == pytest.approx(-1.45)
    assert split.unexplained == pytest.approx(0.0, abs=1e-9)


def test_a_fill_that_the_ledger_lacks_is_not_explained_away() -> None:
    track = by_hand()
    track.cash[-1] -= round(2.0 * 1e8)
    split = split_pnl(track)
    assert split.unexplained == pytest.approx(-2.0)
    assert split.unexplained_share > 0.5


def test_markouts_are_signed_by_the_makers_side_and_end_with_the_data() -> None:
    track = by_hand()
    fills, path = fill_columns(track), MidPath(track)
    after = markouts(fills, path, 1.0)
    assert after.tolist() == pytest.approx([(99.90 - 99.99) / 99.99 * 1e4, -(99.80 - 99.85) / 99.85 * 1e4])
    late = markouts(fills, path, 6.0)
    assert late[0] == pytest.approx((99.80 - 99.99) / 99.99 * 1e4)
    assert late[1] != late[1]


def test_what_a_closing_fill_realised_is_at_average_cost() -> None:
    track = by_hand()
    track.fills = [
        fill(1, Side.BUY, 10_000, 1),
        fill(2, Side.BUY, 10_010, 3),
        fill(3, Side.SELL, 10_030, 6),
        fill(4, Side.BUY, 10_000, 2),
    ]
    track.fill_mids_x2 = [20_000] * 4
    realised = fill_columns(track).realised
    assert realised[:2].tolist() != realised[:2].tolist()
    assert realised[2:].tolist() == pytest.approx([(100.30 - 100.075) * 4, (100.30 - 100.0) * 2])


def test_on_a_whole_run_nothing_is_unexplained_and_markouts_are_those_of_the_trader() -> None:
    market = hit_and_fall(calm(), 3_000)
    session = Session(market, maker_fee=-0.00005)
    track = session.recorder.tracks["COINUSD"]
    split = split_pnl(track)
    assert track.fills
    assert abs(split.unexplained) < 1e-6
    assert split.fees < 0
    meter = session.trader.markouts.mean_bps("COINUSD")
    fills, path = fill_columns(track), MidPath(track)
    assert markouts(fills, path, 0.0).mean() == pytest.approx(meter["0s"], abs=1e-9)
    assert markouts(fills, path, 0.1).mean() == pytest.approx(meter["0.1s"], abs=1e-9)
    assert equity_curve(track)[-1] == pytest.approx(split.total)
    terms = Terms(1_000.0, Calendar(), 1, 1, 0.0005)
    found = figures(session.recorder, session.venue.placed, terms)
    assert found["pnl"] == pytest.approx(found["symbols"]["COINUSD"]["pnl"])
    assert found["total_return"] == pytest.approx(split.total / 1_000.0)
    assert found["split"]["unexplained_share"] < 0.01
    assert 0 < found["symbols"]["COINUSD"]["quote_uptime"] <= 1


def test_a_run_without_a_fill_has_figures_too() -> None:
    session = Session(HandMadeMarket().snapshot(0, [(90, 5)], [(110, 5)]).levels(500, bids=[(90, 6)]).levels(900, bids=[(90, 5)]))
    found = figures(session.recorder, session.venue.placed, Terms(1_000.0, Calendar(), 1, 1, 0.0))
    assert (found["total_trades"], found["pnl"], found["win_rate"], found["pnl_per_volume_bps"]) == (0, 0.0, None, None)
