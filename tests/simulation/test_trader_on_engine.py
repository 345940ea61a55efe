"""The trader on the simulated market in virtual time: what must hold after every event, whatever the seed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mmd.mock.engine import MatchingEngine
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.mock.virtual_venue import VirtualVenue
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits
from mmd.trader import Trader, TraderConfig
from mmd.types.control import HaltRequest, Shutdown
from mmd.types.instrument import atoms
from mmd.types.market import Side

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def make_world(seed: int, **limits: Any) -> tuple[VirtualVenue, Trader]:
    engine = MatchingEngine(listed(SYMBOLS), maker_fee=Decimal("0.0001"))
    market = SimulatedMarket(engine, SimulationParameters(), seed=seed, start_ns=START_NS)
    engine.open_account("A", {"BTC": atoms("5"), "ETH": atoms("100"), "USDT": atoms("1000000")})
    trader = Trader(
        TraderConfig(session="t", quoting=QuotingSettings(strategy="fixed"), risk=RiskLimits(**limits)), engine.instruments
    )
    return VirtualVenue(engine, market, "A"), trader


class Invariants:
    """Checked before each event the trader gets."""

    def __init__(self, venue: VirtualVenue, trader: Trader, limit_notional: float) -> None:
        self.venue, self.trader, self.limit = venue, trader, limit_notional
        self.checked = 0

    def __call__(self, event: Any) -> None:
        self.checked += 1
        for symbol, desk in self.trader.desks.items():
            if not desk.book.valid:
                continue
            mid = (desk.book.bid_ticks + desk.book.ask_ticks) / 2 * float(desk.instrument.tick_size)
            position = desk.ledger.position_atoms / 1e8
            lot = float(desk.instrument.lot_size)
            longest = position + self.trader.tracker.at_risk_lots(symbol, Side.BUY) * lot
            shortest = position - self.trader.tracker.at_risk_lots(symbol, Side.SELL) * lot
            # The limit binds when an order is sent; the mid may move a little until it is answered.
            assert max(longest, -shortest) * mid <= self.limit * 1.01, (symbol, longest, shortest, event)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_session_keeps_its_limits_agrees_with_the_exchange_and_leaves_nothing_behind(seed: int) -> None:
    venue, trader = make_world(seed, max_position_notional=2000, max_drawdown=1000, max_daily_loss=1000)
    invariants = Invariants(venue, trader, 2000.0)
    venue.on_event = invariants
    venue.connect(trader)
    venue.run(START_NS + 60 * SECOND_NS)
    report = trader.report(venue.now_ns)
    assert not report.halt.halted, report.halt
    assert report.fills > 0
    assert report.sequence_gaps == 0
    assert invariants.checked > 1000
    venue.deliver(Shutdown(venue.now_ns, "the session is over"))
    venue.run(venue.now_ns + 5 * SECOND_NS)
    assert venue.exited
    assert venue.engine.open_orders("A") == []
    balances = {balance.asset: balance.total_atoms for balance in venue.engine.balances("A")}
    cash = sum(desk.ledger.cash_atoms for desk in trader.desks.values())
    assert balances["BTC"] == atoms("5") + trader.desks["BTCUSDT"].ledger.position_atoms
    assert balances["ETH"] == atoms("100") + trader.desks["ETHUSDT"].ledger.position_atoms
    assert abs(balances["USDT"] - atoms("1000000") - cash) <= report.fills


def test_a_halt_in_mid_session_leaves_no_order_and_nothing_follows() -> None:
    venue, trader = make_world(5)
    venue.connect(trader)
    venue.run(START_NS + 10 * SECOND_NS)
    assert venue.engine.open_orders("A")
    venue.deliver(HaltRequest(venue.now_ns, "drill", "http"))
    sent = trader.orders.orders_sent
    venue.run(venue.now_ns + 10 * SECOND_NS)
    assert venue.halts[0].record.reason == "drill"
    assert venue.engine.open_orders("A") == []
    assert trader.orders.orders_sent == sent


def test_the_same_seed_gives_the_same_session() -> None:
    checkpoints = []
    for _ in range(2):
        venue, trader = make_world(7)
        venue.connect(trader)
        venue.run(START_NS + 15 * SECOND_NS)
        report = trader.report(venue.now_ns)
        checkpoints.append((venue.checkpoint, report.ticks, report.orders_sent, report.pnl))
    assert checkpoints[0] == checkpoints[1]
