"""What the core does about a guard that is not there, about its own standing still, and what it says when it is cut off."""

from __future__ import annotations

from mmd.types.control import GuardStatus, HaltRequest, PauseReason
from mmd.types.market import BatchEnd, TouchUpdate
from mmd.types.orders import CancelOrder, OrderChannelStatus, OrderStatus, PlaceOrder, ReplaceOrder
from tests.unit.trader.session import SECOND, Session


def quoting() -> tuple[Session, list[PlaceOrder]]:
    session = Session()
    session.connect()
    placed = [command for command in session.commands if isinstance(command, PlaceOrder)]
    for order in placed:
        session.accept(order)
    session.wait(0.05)
    session.commands.clear()
    return session, placed


def test_without_its_guard_it_pulls_its_quotes_and_with_it_they_come_back() -> None:
    session, placed = quoting()
    gone = session.give(GuardStatus(session.now, alive=False))
    assert {command.client_order_id for command in gone if isinstance(command, CancelOrder)} == {
        order.client_order_id for order in placed
    }
    for order in placed:
        session.give(session.update(order, OrderStatus.CANCELED))
    assert not any(isinstance(command, PlaceOrder) for command in session.touch(lots=5))
    assert session.trader.safeguards.pauses.reasons("BTCUSDT") == (PauseReason.GUARD_LOST,)
    back = session.give(GuardStatus(session.now, alive=True))
    assert sum(isinstance(command, PlaceOrder) for command in back) == 2
    assert not session.trader.safeguards.latch.halted


def test_after_standing_still_nothing_is_quoted_before_the_timer_could_bring_a_halt() -> None:
    session, _ = quoting()
    session.now += 3 * SECOND
    moved = session.touch(bid=6_002_000, ask=6_002_010)
    assert moved == []
    halted = session.give(HaltRequest(session.now, "guard: no heartbeat", "guard"))
    assert sum(isinstance(command, CancelOrder) for command in halted) == 2
    assert not any(isinstance(command, PlaceOrder | ReplaceOrder) for command in session.wait(0.05))


def test_after_standing_still_the_timer_brings_the_newest_quote() -> None:
    session, _ = quoting()
    session.now += 3 * SECOND
    session.give(TouchUpdate("BTCUSDT", session.now, session.now, 10_000, 6_002_000, 9, 6_002_010, 9))
    assert not session.give(BatchEnd(session.now))
    assert any(isinstance(command, ReplaceOrder) for command in session.wait(0.0))


def test_what_the_venue_says_after_standing_still_makes_no_order_either() -> None:
    session, placed = quoting()
    session.give(session.update(placed[0], OrderStatus.CANCELED))
    session.now += SECOND
    session.report(open_orders=(session.update(placed[1], OrderStatus.NEW),))
    assert not any(isinstance(command, PlaceOrder) for command in session.commands)
    assert any(isinstance(command, PlaceOrder) for command in session.wait(0.0))


def test_cut_off_is_having_orders_open_and_no_way_to_cancel_them() -> None:
    session, placed = quoting()
    assert not session.trader.cut_off
    session.give(OrderChannelStatus(session.now, False, "connection lost"))
    assert session.trader.cut_off
    session.give(OrderChannelStatus(session.now, True))
    assert not session.trader.cut_off
    for order in placed:
        session.give(session.update(order, OrderStatus.CANCELED))
    session.give(OrderChannelStatus(session.now, False, "connection lost"))
    assert not session.trader.cut_off, "nothing of ours is open"


def test_orders_that_were_withdrawn_long_ago_and_stand_are_as_good_as_cut_off() -> None:
    session, placed = quoting()
    session.give(GuardStatus(session.now, alive=False))
    session.wait(0.05)
    assert not session.trader.cut_off
    session.wait(1.0)
    session.wait(1.5)
    assert session.trader.cut_off
    for order in placed:
        session.give(session.update(order, OrderStatus.CANCELED))
    assert not session.trader.cut_off
