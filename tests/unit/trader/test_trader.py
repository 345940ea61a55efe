"""The core as a whole, event by event: when it quotes, when it must not, what a halt and a pause do."""

from __future__ import annotations

import json

import pytest

from mmd.market.signals import external_signal
from mmd.types.control import Exit, HaltRequest, PersistHalt, PersistLedger, ResumeRequest, Shutdown
from mmd.types.market import DepthUpdate, FeedState, FeedStatus, Side
from mmd.types.orders import (
    CancelOrder,
    CancelRejected,
    ClockSync,
    OrderChannelStatus,
    OrderNotFound,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    QueryOrder,
    ReconciliationReport,
    ReplaceOrder,
    RequestDepthSnapshot,
    RequestReconciliation,
)
from tests.unit.trader.session import BTC, SECOND, START, Session


def of(kind: type, commands: object) -> list:
    return [command for command in commands if isinstance(command, kind)]  # type: ignore[attr-defined]


def test_nothing_is_placed_before_feed_order_channel_and_reconciliation_stand() -> None:
    session = Session()
    session.give(FeedStatus(session.now, FeedState.CONNECTED, ("BTCUSDT",)))
    session.snapshot()
    assert of(PlaceOrder, session.touch()) == []
    session.give(OrderChannelStatus(session.now, True))
    assert of(PlaceOrder, session.touch(lots=7)) == []
    session.report()
    assert {order.side for order in of(PlaceOrder, session.commands)} == {Side.BUY, Side.SELL}


def test_a_quote_is_two_post_only_orders_around_the_mid() -> None:
    session = Session()
    session.connect()
    placed = of(PlaceOrder, session.commands)
    buy, sell = (next(order for order in placed if order.side is side) for side in (Side.BUY, Side.SELL))
    assert buy.post_only
    assert sell.post_only
    assert buy.price_ticks < 6_000_005 < sell.price_ticks
    assert buy.client_order_id != sell.client_order_id


def test_an_unchanged_market_sends_nothing_and_a_moved_one_replaces() -> None:
    session = Session()
    session.connect()
    for order in of(PlaceOrder, session.commands):
        session.accept(order)
    session.commands.clear()
    assert session.touch(lots=5) == []
    moved = session.touch(bid=6_000_050, ask=6_000_060)
    assert len(of(ReplaceOrder, moved)) == 2


def test_a_gap_pulls_the_quotes_and_asks_for_a_snapshot() -> None:
    session = Session()
    session.connect()
    for order in of(PlaceOrder, session.commands):
        session.accept(order)
    gap = session.give(DepthUpdate("BTCUSDT", session.now, 0, 10_000, 10_001, -1, (), ()))
    commands = [*gap, *session.wait(0.05)]
    assert len(of(CancelOrder, commands)) == 2
    assert of(RequestDepthSnapshot, commands)
    assert of(PlaceOrder, session.touch()) == []


def test_stale_data_pulls_the_quotes_and_fresh_data_brings_them_back() -> None:
    session = Session(max_data_age_seconds=2)
    session.connect()
    for order in of(PlaceOrder, session.commands):
        session.accept(order)
    cancels = of(CancelOrder, session.wait(3))
    assert len(cancels) == 2
    for order in of(PlaceOrder, session.commands):
        session.give(session.update(order, OrderStatus.CANCELED))
    session.commands.clear()
    session.touch(lots=3)
    session.wait(0.05)
    session.touch(lots=4)
    assert len(of(PlaceOrder, session.commands)) == 2


def test_halt_latches_first_cancels_everything_and_nothing_follows_until_resume() -> None:
    session = Session()
    session.connect()
    placed = of(PlaceOrder, session.commands)
    for order in placed:
        session.accept(order)
    commands = session.give(HaltRequest(session.now, "smoke", "http"))
    assert isinstance(commands[0], PersistHalt)
    assert commands[0].record.reason == "smoke"
    assert {c.client_order_id for c in of(CancelOrder, commands)} == {o.client_order_id for o in placed}
    for order in placed:
        session.give(session.update(order, OrderStatus.CANCELED))
    session.commands.clear()
    session.touch(bid=6_002_000, ask=6_002_010)
    session.wait(1)
    assert of(PlaceOrder, session.commands) == []
    session.give(ResumeRequest(session.now, "  ", "http"))
    assert session.trader.safeguards.latch.halted
    resumed = session.give(ResumeRequest(session.now, "fire is out", "http"))
    assert isinstance(resumed[0], PersistHalt)
    assert not resumed[0].record.halted
    assert of(RequestReconciliation, resumed)
    session.report()
    assert len(of(PlaceOrder, session.commands)) == 2


def test_a_halt_within_an_event_takes_back_what_that_event_had_decided() -> None:
    session = Session()
    session.connect()
    for order in of(PlaceOrder, session.commands):
        session.accept(order)
    old = session.trader.tracker.working("BTCUSDT", Side.BUY)[0]
    session.trader.orders.send(ReplaceOrder(session.now, old.client_order_id, "mmd-s1-99", "BTCUSDT", Side.BUY, 5_999_000, 10))
    commands = session.give(HaltRequest(session.now, "smoke", "http"))
    assert isinstance(commands[0], PersistHalt)
    assert of(ReplaceOrder, commands) == []
    assert {order.client_order_id for order in of(CancelOrder, commands)} >= {old.client_order_id}
    assert session.trader.tracker.find("mmd-s1-99").is_terminal


def test_a_latched_record_from_disk_starts_halted() -> None:
    first = Session()
    first.connect()
    record = of(PersistHalt, first.give(HaltRequest(first.now, "smoke", "http")))[0].record
    second = Session(halt=record)
    second.connect()
    second.touch(lots=2)
    assert of(PlaceOrder, second.commands) == []
    assert second.trader.report(second.now).halt.reason == "smoke"


def test_a_partial_fill_reaches_position_money_and_checkpoint_once() -> None:
    session = Session()
    session.connect()
    buy = next(order for order in of(PlaceOrder, session.commands) if order.side is Side.BUY)
    session.accept(buy)
    commands = session.fill(buy, 40, trade_id=9)
    assert session.trader.desks["BTCUSDT"].ledger.position_atoms == 40 * BTC.lot_atoms
    document = json.loads(of(PersistLedger, commands)[0].document)
    assert document["ledgers"]["BTCUSDT"]["position_atoms"] == 40 * BTC.lot_atoms
    session.base_atoms -= 40 * BTC.lot_atoms
    session.fill(buy, 40, trade_id=9)
    assert session.trader.desks["BTCUSDT"].ledger.position_atoms == 40 * BTC.lot_atoms
    assert session.trader.report(session.now).fills == 1


def test_a_restart_continues_position_and_budgets() -> None:
    session = Session()
    session.connect()
    buy = next(order for order in of(PlaceOrder, session.commands) if order.side is Side.BUY)
    session.accept(buy)
    session.fill(buy, 40, trade_id=9)
    checkpoint = json.loads(of(PersistLedger, session.commands)[-1].document)
    again = Session(checkpoint=checkpoint)
    again.base_atoms = session.base_atoms
    again.connect()
    assert again.trader.desks["BTCUSDT"].ledger.position_atoms == 40 * BTC.lot_atoms
    assert not again.trader.safeguards.latch.halted
    assert len(of(PlaceOrder, again.commands)) == 2


def test_a_ledger_difference_that_stays_pauses_and_then_halts() -> None:
    session = Session()
    session.connect()
    for order in of(PlaceOrder, session.commands):
        session.accept(order)
    orders = tuple(session.update(order, OrderStatus.NEW) for order in of(PlaceOrder, session.commands))
    session.base_atoms += BTC.lot_atoms * 77
    for _ in range(6):
        session.now += 2 * SECOND
        session.report(open_orders=orders)
        for order in of(PlaceOrder, session.commands):
            session.give(session.update(order, OrderStatus.CANCELED))
        orders = ()
        if session.trader.safeguards.latch.halted:
            break
    assert "base balance differs" in session.trader.safeguards.latch.record.reason


def test_an_order_left_by_an_earlier_session_is_cancelled_before_the_first_quote() -> None:
    session = Session()
    session.give(FeedStatus(session.now, FeedState.CONNECTED, ("BTCUSDT",)))
    session.give(OrderChannelStatus(session.now, True))
    session.snapshot()
    old = OrderUpdate(session.now, "BTCUSDT", "mmd-s0-7", 55, Side.BUY, 5_990_000, 100, 0, OrderStatus.NEW, START)
    foreign = OrderUpdate(session.now, "BTCUSDT", "web_1", 56, Side.BUY, 5_990_000, 100, 0, OrderStatus.NEW, START)
    commands = session.report(open_orders=(old, foreign))
    assert [c.client_order_id for c in of(CancelOrder, session.commands)] == ["mmd-s0-7"], commands
    assert of(PlaceOrder, session.commands) == []
    session.give(OrderUpdate(session.now, "BTCUSDT", "mmd-s0-7", 55, Side.BUY, 5_990_000, 100, 0, OrderStatus.CANCELED, START))
    session.wait(2)
    session.touch(lots=11)
    session.report(open_orders=(foreign,))
    assert len(of(PlaceOrder, session.commands)) == 2


def test_shutdown_cancels_and_exits_only_when_all_is_gone() -> None:
    session = Session()
    session.connect()
    placed = of(PlaceOrder, session.commands)
    for order in placed:
        session.accept(order)
    commands = session.give(Shutdown(session.now, "SIGTERM"))
    assert len(of(CancelOrder, commands)) == 2
    assert of(Exit, commands) == []
    session.give(session.update(placed[0], OrderStatus.CANCELED))
    assert of(Exit, session.commands) == []
    commands = session.give(session.update(placed[1], OrderStatus.CANCELED))
    assert of(Exit, commands)


def test_asked_to_leave_before_ledgers_were_compared_it_finds_and_cancels_what_an_earlier_session_left() -> None:
    session = Session()
    assert of(Exit, session.give(Shutdown(session.now, "SIGTERM"))) == []
    session.give(ClockSync(session.now, 0, 1000))
    assert of(RequestReconciliation, session.give(OrderChannelStatus(session.now, True)))
    assert of(Exit, session.wait(0.1)) == []
    left = PlaceOrder(session.now - SECOND, "mmd-s0-1", "BTCUSDT", Side.BUY, 5_999_000, 10)
    commands = session.report(open_orders=(session.update(left, OrderStatus.NEW, exchange_id=7),))
    assert [cancel.client_order_id for cancel in of(CancelOrder, commands)] == ["mmd-s0-1"]
    assert of(Exit, commands) == []
    assert of(Exit, session.give(session.update(left, OrderStatus.CANCELED, exchange_id=7)))


def test_an_event_writes_one_checkpoint_which_holds_all_of_it_and_goes_ahead_of_its_orders() -> None:
    session = Session()
    session.give(ClockSync(session.now, 0, 1000))
    session.give(FeedStatus(session.now, FeedState.CONNECTED, ("BTCUSDT",)))
    session.give(OrderChannelStatus(session.now, True))
    session.snapshot()
    session.touch()
    # The first comparison is to be kept, and the orders that it allows are to be counted.
    commands = session.report()
    assert [type(command) for command in commands] == [PersistLedger, PlaceOrder, PlaceOrder]
    document = json.loads(commands[0].document)
    assert document["order_rate"]["recent"] >= 2
    assert document["neutral_base_atoms"] == {"BTCUSDT": session.base_atoms}


def test_a_lost_channel_makes_requests_unknown_and_they_are_cancelled_and_queried_on_return() -> None:
    session = Session()
    session.connect()
    placed = of(PlaceOrder, session.commands)
    session.give(OrderChannelStatus(session.now, False, "cut"))
    assert session.trader.tracker.open_count == 2
    session.commands.clear()
    session.wait(0.1)
    assert of(QueryOrder, session.commands) == of(CancelOrder, session.commands) == []
    session.give(OrderChannelStatus(session.now, True))
    ids = {order.client_order_id for order in placed}
    assert {cancel.client_order_id for cancel in of(CancelOrder, session.commands)} == ids
    for order in placed:
        session.give(CancelRejected(session.now, "BTCUSDT", order.client_order_id, -2011, "Unknown order sent."))
    session.wait(0.1)
    assert {query.client_order_id for query in of(QueryOrder, session.commands)} == ids
    assert session.trader.tracker.open_count == 2


def test_an_acknowledged_order_that_the_venue_forgets_is_a_halt() -> None:
    session = Session()
    session.connect()
    placed = of(PlaceOrder, session.commands)
    for order in placed:
        session.accept(order)
    session.give(OrderChannelStatus(session.now, False, "cut"))
    session.now += 10 * SECOND
    session.give(OrderChannelStatus(session.now, True))
    for _ in range(5):
        session.give(ReconciliationReport(session.now, session.now - 1, (), (), ()))
        session.wait(11)
        for order in placed:
            session.give(OrderNotFound(session.now, "BTCUSDT", order.client_order_id, session.now // 1_000_000))
    assert session.trader.safeguards.latch.halted
    assert (
        "forgotten" in session.trader.safeguards.latch.record.reason or "differs" in session.trader.safeguards.latch.record.reason
    )


def test_a_breached_loss_budget_halts() -> None:
    session = Session(max_daily_loss=5)
    session.connect()
    buy = next(order for order in of(PlaceOrder, session.commands) if order.side is Side.BUY)
    session.accept(buy)
    session.fill(buy, buy.lots, trade_id=1)
    session.touch(bid=5_900_000, ask=5_900_010)
    session.wait(0.1)
    assert "daily loss" in session.trader.safeguards.latch.record.reason


def test_errors_in_a_row_halt_but_lost_races_do_not() -> None:
    for code, message, halts in (
        (-2022, "not attempted", False),
        (-2010, "Order would immediately match and take.", False),
        (-1013, "Filter failure: LOT_SIZE", True),
    ):
        session = Session(max_consecutive_errors=3)
        session.connect()
        for number in range(5):
            placed = [
                order
                for order in of(PlaceOrder, session.commands)
                if not session.trader.tracker.find(order.client_order_id).is_terminal
            ]
            for order in placed:
                session.give(OrderRejected(session.now, "BTCUSDT", order.client_order_id, code, message))
            session.touch(lots=20 + number)
            session.wait(0.05)
        assert session.trader.safeguards.latch.halted is halts, code


def test_an_unknown_event_is_an_error() -> None:
    with pytest.raises(KeyError):
        Session().give(BTC)


def test_external_signals_reach_the_core_and_die() -> None:
    session = Session()
    assert not session.give(external_signal(session.now, "macro_risk", 0.5, 2))
    assert session.trader.signals.value("macro_risk", session.now) == 0.5
    session.wait(3)
    lines = {line.name: line for line in session.trader.report(session.now).signals}
    assert (lines["macro_risk"].state, lines["macro_risk"].value) == ("stale", 0.0)
    assert lines["news_sentiment"].state == "absent"
