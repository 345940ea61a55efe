"""The core on a perpetual future: short positions, modifications, funding in the loss budget, and what halts there."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mmd.execution.order_state import OrderState
from mmd.execution.settings import ExecutionSettings
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits
from mmd.trader import Trader, TraderConfig
from mmd.types.control import HaltRequest, PersistHalt, PersistLedger
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument, Replacement, atoms
from mmd.types.market import Side
from mmd.types.orders import (
    Balance,
    CancelOrder,
    DeadMansSwitchLapsed,
    Fill,
    ForcedTrade,
    FundingPaid,
    Margin,
    ModifyOrder,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    Position,
    ReconciliationReport,
    ReplaceOrder,
    RequestReconciliation,
)
from tests.unit.trader.session import Session

PERP = msgspec.structs.replace(
    Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5"),
    perpetual=True,
    replacement=Replacement.MODIFY,
)


class PerpetualSession(Session):
    """The venue states a position and margin instead of balances."""

    def __init__(self, *, checkpoint: dict[str, Any] | None = None, **limits: Any) -> None:
        super().__init__()
        config = TraderConfig(
            session="s1",
            quoting=QuotingSettings(strategy="fixed"),
            risk=RiskLimits(**limits),
            execution=ExecutionSettings(minimum_quote_life_ms=0, price_tolerance_ticks=0),
        )
        self.trader = Trader(config, {"BTCUSDT": PERP}, checkpoint=checkpoint)
        self.position_atoms = 0
        self.equity = 100_000
        self.funding: tuple[FundingPaid, ...] = ()

    def report(
        self, *, requested_ns: int | None = None, open_orders: tuple[OrderUpdate, ...] = (), trades: tuple[Fill, ...] = ()
    ) -> Any:
        equity_atoms = self.equity * ATOMS_PER_UNIT
        return self.give(
            ReconciliationReport(
                receive_ns=self.now,
                requested_ns=self.now - 1 if requested_ns is None else requested_ns,
                balances=(Balance("USDT", equity_atoms, 0),),
                open_orders=open_orders,
                trades=trades,
                positions=(Position("BTCUSDT", self.position_atoms, 6_000_000, 10),),
                funding=self.funding,
                margin=Margin(equity_atoms, equity_atoms),
            )
        )

    def trade(self, order: PlaceOrder, lots: int, trade_id: int) -> Any:
        self.position_atoms += order.side.sign * lots * PERP.lot_atoms
        return self.fill(order, lots, trade_id)

    @property
    def ledger(self) -> Any:
        return self.trader.desks["BTCUSDT"].ledger

    @property
    def halt_reason(self) -> str:
        record = self.trader.safeguards.latch.record
        return record.reason if record.halted else ""


def of(kind: type, commands: Any) -> list[Any]:
    return [command for command in commands if isinstance(command, kind)]


def quoting() -> tuple[PerpetualSession, PlaceOrder, PlaceOrder]:
    session = PerpetualSession()
    session.connect()
    placed = of(PlaceOrder, session.commands)
    for order in placed:
        session.accept(order)
    session.commands.clear()
    buy, sell = (next(order for order in placed if order.side is side) for side in (Side.BUY, Side.SELL))
    return session, buy, sell


def pay(session: PerpetualSession, number: int, amount: str) -> FundingPaid:
    return FundingPaid(session.now, "BTCUSDT", number, atoms(amount), "USDT", session.now)


def test_a_moved_market_modifies_both_orders_and_replaces_none() -> None:
    session, buy, sell = quoting()
    sent = session.trader.orders.orders_sent
    moved = session.touch(bid=6_000_050, ask=6_000_060)
    modified = of(ModifyOrder, moved)
    assert {command.client_order_id for command in modified} == {buy.client_order_id, sell.client_order_id}
    assert not of(ReplaceOrder, moved)
    assert all(command.price_ticks != 0 for command in modified)
    assert session.trader.orders.orders_sent == sent + 2  # each counts against the order budget
    # The answer with the new price makes it an order at rest, which may be modified again.
    for command in modified:
        side_order = buy if command.side is Side.BUY else sell
        order = msgspec.structs.replace(side_order, price_ticks=command.price_ticks, lots=command.lots)
        session.give(session.update(order, OrderStatus.NEW))
    assert len(of(ModifyOrder, session.touch(bid=6_000_100, ask=6_000_110))) == 2


def test_a_modification_is_held_to_the_position_limit_without_counting_the_order_twice() -> None:
    # Room for one order and a half: a replacement that counted both would be denied and cancelled.
    session = PerpetualSession()
    session.connect()
    placed = of(PlaceOrder, session.commands)
    notional = max(order.lots * order.price_ticks * PERP.notional_atoms for order in placed) / ATOMS_PER_UNIT
    tight = PerpetualSession(max_position_notional=round(notional * 1.5))
    tight.connect()
    for order in of(PlaceOrder, tight.commands):
        tight.accept(order)
    moved = tight.touch(bid=6_000_050, ask=6_000_060)
    assert of(ModifyOrder, moved)
    assert not of(CancelOrder, moved)


def test_a_short_position_is_held_marked_and_agrees_with_the_venue() -> None:
    session, _, sell = quoting()
    session.trade(sell, sell.lots, 1)
    assert session.ledger.position_atoms == -sell.lots * PERP.lot_atoms
    session.report(trades=())
    assert session.halt_reason == ""
    line = session.trader.report(session.now).symbols[0]
    assert line.position < 0
    # A short is worth the ask: the pnl is marked at the worse touch.
    cost = -sell.lots * PERP.lot_atoms * (6_000_010 - sell.price_ticks) * PERP.notional_atoms // PERP.lot_atoms
    assert session.ledger.unrealised_atoms(6_000_010) == cost


def test_funding_is_booked_once_reported_apart_and_persisted() -> None:
    session, _, sell = quoting()
    session.trade(sell, sell.lots, 1)
    payment = pay(session, 5, "-1.25")
    commands = session.give(payment)
    assert of(PersistLedger, commands)
    assert not of(PersistLedger, session.give(payment))
    session.funding = (payment,)
    session.report()
    report = session.trader.report(session.now)
    assert (report.funding, report.symbols[0].funding) == (-1.25, -1.25)
    assert report.symbols[0].realised == 0
    request = of(RequestReconciliation, session.wait(31))[0]
    assert request.funding_since_ns == (("BTCUSDT", payment.exchange_ns),)
    stored = json.loads(of(PersistLedger, session.commands)[-1].document)
    assert stored["ledgers"]["BTCUSDT"]["funding_atoms"] == atoms("-1.25")


def test_funding_that_only_a_comparison_brings_is_booked_too() -> None:
    session, _, _ = quoting()
    session.funding = (pay(session, 5, "0.5"),)
    session.report()
    assert session.ledger.funding_atoms == atoms("0.5")


def test_funding_uses_up_the_loss_budget() -> None:
    session, _, _ = quoting()
    halts = of(PersistHalt, session.give(pay(session, 1, "-100")))
    assert "max_daily_loss" in halts[0].record.reason
    assert halts[0].record.realised_atoms == atoms("-100")


def test_funding_from_before_the_first_start_is_not_ours() -> None:
    session = PerpetualSession()
    session.funding = (pay(session, 3, "-7"),)
    session.give(pay(session, 2, "-9"))
    session.connect()
    assert session.ledger.funding_atoms == 0
    session.give(pay(session, 4, "-1"))
    assert session.ledger.funding_atoms == atoms("-1")


def test_a_position_that_was_there_is_taken_over_at_the_mark_and_counts_against_the_limits() -> None:
    session = PerpetualSession()
    session.position_atoms = -5_000_000
    session.connect()
    assert session.ledger.position_atoms == -5_000_000
    assert session.trader.report(session.now).symbols[0].average_cost == 60_000
    # 3,000 short of at most 5,000: an ask may add less than it could from flat.
    assert session.trader.safeguards.exposure_atoms(session.trader.tracker) >= 3_000 * ATOMS_PER_UNIT


def test_little_margin_makes_little_quotes() -> None:
    rich, poor = PerpetualSession(), PerpetualSession()
    poor.equity = 50
    sizes = []
    for session in (rich, poor):
        session.connect()
        sizes.append(session.trader.safeguards.position_limit_lots(session.trader.desks["BTCUSDT"]))
    # 50 of equity at tenfold leverage, of which nine tenths are used: 450 at 60,000.05.
    assert sizes == [8_333, 749]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (DeadMansSwitchLapsed(1, "BTCUSDT", "no heartbeat for 30 s"), "dead-man's switch has lapsed: no heartbeat for 30 s"),
        (ForcedTrade(1, "BTCUSDT", "liquidation"), "the venue trades on our position: liquidation"),
    ],
)
def test_what_the_venue_does_by_itself_halts(event: Any, words: str) -> None:
    session, _, _ = quoting()
    commands = session.give(event)
    assert words in of(PersistHalt, commands)[0].record.reason
    assert len(of(CancelOrder, commands)) == 2


def test_a_modification_that_was_never_handed_out_leaves_the_order_in_question() -> None:
    session, _, _ = quoting()
    modified = of(ModifyOrder, session.touch(bid=6_000_050, ask=6_000_060))
    for command in modified:
        session.trader.orders.unsend(command)
        order = session.trader.tracker.find(command.client_order_id)
        assert order is not None
        assert (order.state, order.modify_price_ticks) == (OrderState.UNKNOWN, 0)
        assert order.price_ticks != command.price_ticks


def test_a_halt_cancels_what_is_being_modified() -> None:
    session, buy, sell = quoting()
    session.touch(bid=6_000_050, ask=6_000_060)
    commands = session.give(HaltRequest(session.now, "test", "http"))
    assert {command.client_order_id for command in of(CancelOrder, commands)} == {buy.client_order_id, sell.client_order_id}


def test_a_post_only_order_that_would_take_is_no_error() -> None:
    session, buy, _ = quoting()
    for _ in range(20):
        session.give(OrderRejected(session.now, "BTCUSDT", buy.client_order_id, -5022, "could not be executed as maker", True))
    session.wait(0.05)
    assert session.halt_reason == ""
