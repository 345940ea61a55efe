"""Flattening: reduce-only, passive then aggressive, under a collar, to a deadline, and nothing else while halted."""

from __future__ import annotations

from decimal import Decimal

from mmd.types.control import FlattenRequest, HaltRequest, PersistHalt, ResumeRequest
from mmd.types.market import DepthUpdate, Side
from mmd.types.orders import CancelOrder, Fill, OrderStatus, OrderUpdate, PlaceOrder
from tests.unit.trader.session import SECOND, Session

COLLAR_BPS = 20


def trade(now: int, number: int, name: str, exchange_id: int, side: Side, price_ticks: int, lots: int) -> Fill:
    return Fill(now, "BTCUSDT", number, name, exchange_id, side, price_ticks, lots, 0, "USDT", True, now)


class Halted(Session):
    """Long 0.005 BTC (300 USDT), nothing open, about to flatten within ten seconds."""

    def __init__(self, lots: int = 500, **limits: object) -> None:
        super().__init__(**{"max_order_notional": Decimal(1000), "max_position_notional": Decimal(1000), **limits})
        self.connect()
        placed = [command for command in self.commands if isinstance(command, PlaceOrder)]
        for order in placed:
            self.accept(order)
        self.give(HaltRequest(self.now, "fire", "http"))
        side = Side.BUY if lots > 0 else Side.SELL
        self.trader.desks["BTCUSDT"].ledger.book(trade(self.now, 1, "mmd-s0-1", 1, side, 6_000_005, abs(lots)))
        for order in placed:
            self.give(self.update(order, OrderStatus.CANCELED))
        self.commands.clear()

    def flatten(self, seconds: float = 10.0) -> list[PlaceOrder]:
        return placed(self.give(FlattenRequest(self.now, "flatten: drill", "cli", self.now + round(seconds * SECOND)))) or placed(
            self.wait(0.05)
        )

    def fill(self, order: PlaceOrder, lots: int, trade_id: int) -> None:
        """Trade `lots` of it; the rest of an immediate-or-cancel order expires."""
        exchange_id = self.accept(order) if order.post_only else 900 + trade_id
        self.give(trade(self.now, trade_id, order.client_order_id, exchange_id, order.side, order.price_ticks, lots))
        ended = OrderStatus.FILLED if lots == order.lots else OrderStatus.EXPIRED
        side, price = order.side, order.price_ticks
        self.give(OrderUpdate(self.now, "BTCUSDT", order.client_order_id, exchange_id, side, price, order.lots, lots, ended, 0))

    @property
    def outcome(self) -> str:
        report = self.trader.flattening.report(self.now)
        assert report is not None
        return report.outcome


def placed(commands: object) -> list[PlaceOrder]:
    return [command for command in commands if isinstance(command, PlaceOrder)]  # type: ignore[attr-defined]


def test_a_long_position_is_offered_at_the_touch_first_and_follows_it() -> None:
    session = Halted()
    (order,) = session.flatten()
    assert (order.side, order.price_ticks, order.lots, order.post_only) == (Side.SELL, 6_000_010, 500, True)
    session.accept(order)
    moved = session.touch(bid=6_000_000, ask=6_000_008)
    cancels = [command for command in [*moved, *session.wait(0.05)] if isinstance(command, CancelOrder)]
    assert [cancel.client_order_id for cancel in cancels] == [order.client_order_id]
    session.give(session.update(order, OrderStatus.CANCELED))
    (again,) = placed(session.wait(0.05))
    assert again.price_ticks == 6_000_008


def test_later_it_takes_what_stands_up_to_the_collar_and_ends_flat() -> None:
    session = Halted()
    (passive,) = session.flatten()
    session.accept(passive)
    session.touch()
    session.wait(1.9)
    session.touch()
    session.wait(1.9)
    session.give(session.update(passive, OrderStatus.CANCELED))
    (order,) = placed([*session.touch(), *session.wait(0.05)])
    assert not order.post_only
    assert order.side is Side.SELL
    mid = 6_000_005
    assert 0 <= mid - order.price_ticks <= mid * COLLAR_BPS / 10_000
    session.fill(order, 300, 2)
    (rest,) = placed([*session.touch(), *session.wait(0.05)])
    assert rest.lots == 200
    session.fill(rest, 200, 3)
    session.touch()
    session.wait(0.05)
    assert session.outcome == "flat"
    assert not session.trader.flattening.active
    assert session.trader.safeguards.latch.halted, "flat is no resume"


def test_a_short_position_is_bought_back() -> None:
    session = Halted(lots=-500)
    (order,) = session.flatten()
    assert (order.side, order.price_ticks, order.lots) == (Side.BUY, 6_000_000, 500)


def test_more_than_one_order_may_be_is_cut_so_that_the_rest_stays_tradable() -> None:
    # 500 lots are 300 USDT. The limit lets 296 pass: what would be left of that is less than the venue takes.
    session = Halted(max_order_notional=Decimal(296))
    (order,) = session.flatten()
    assert order.lots < 493
    assert (500 - order.lots) * 6_000_000 * 0.998 >= 5 * 100 * 100_000


def test_dust_is_left_and_said() -> None:
    session = Halted(lots=5)
    session.flatten()
    session.wait(0.05)
    assert session.outcome == "flat"
    report = session.trader.flattening.report(session.now)
    assert report is not None
    assert report.left == {"BTCUSDT": 0.00005}
    assert placed(session.commands) == []


def test_on_an_invalid_book_it_waits_and_at_the_deadline_it_ends() -> None:
    session = Halted()
    session.give(DepthUpdate("BTCUSDT", session.now, 0, 10_000, 10_001, -1, (), ()))
    assert session.flatten(seconds=3) == []
    report = session.trader.flattening.report(session.now)
    assert report is not None
    assert "book_invalid" in report.waits_for
    session.wait(3.1)
    assert session.outcome == "deadline"
    session.snapshot()
    session.touch()
    session.wait(0.05)
    assert placed(session.commands) == []


def test_a_second_halt_and_a_resume_end_it() -> None:
    session = Halted()
    (order,) = session.flatten()
    session.accept(order)
    stopped = session.give(HaltRequest(session.now, "stop that too", "http"))
    assert [command.client_order_id for command in stopped if isinstance(command, CancelOrder)] == [order.client_order_id]
    assert session.outcome == "stopped"
    session.give(session.update(order, OrderStatus.CANCELED))
    session.flatten()
    session.give(ResumeRequest(session.now, "all is well", "cli"))
    assert session.outcome == "stopped"


def test_it_halts_whoever_was_quoting_and_counts_its_orders_in_the_order_rate() -> None:
    session = Session()
    session.connect()
    for order in placed(session.commands):
        session.accept(order)
    sent = session.trader.orders.orders_sent
    commands = session.give(FlattenRequest(session.now, "flatten: drill", "cli", session.now + SECOND))
    assert isinstance(commands[0], PersistHalt)
    assert sum(isinstance(command, CancelOrder) for command in commands) == 2
    assert session.trader.orders.orders_sent == sent
    denied = Halted(max_orders_per_10s=2)
    assert denied.flatten() == [], "the two quotes before the halt have used the rate up"
