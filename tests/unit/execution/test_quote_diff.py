"""Desired versus live: what is kept, what moves, and what waits."""

from __future__ import annotations

from mmd.execution.quote_diff import (
    AmendIntent,
    CancelIntent,
    DesiredQuote,
    Intent,
    PlaceIntent,
    ReplaceIntent,
    plan,
)
from mmd.execution.settings import ExecutionSettings
from mmd.types.market import Side
from mmd.types.orders import OrderStatus
from tests.unit.execution.order_desk import MS, SYMBOL, Desk

# Half-spread of `wanted` is 100 ticks: with the defaults 10 ticks too passive or 2 too aggressive are kept.
BID, ASK = 10_000, 10_200


def wanted(bid: int = BID, bid_lots: int = 10, ask: int = ASK, ask_lots: int = 0) -> DesiredQuote:
    return DesiredQuote(SYMBOL, bid, bid_lots, ask, ask_lots)


def decide(desk: Desk, desired: DesiredQuote) -> list[Intent]:
    return plan(desired, desk.tracker, desk.settings, desk.now)


def old_desk(price: int = BID, lots: int = 10, side: Side = Side.BUY) -> Desk:
    """One order that is old enough to be moved for any reason."""
    desk = Desk()
    desk.place(side, price, lots)
    desk.now += 1_000 * MS
    return desk


def test_an_empty_book_of_ours_is_filled_on_both_sides() -> None:
    intents = decide(Desk(), wanted(ask_lots=7))
    assert intents == [
        PlaceIntent(SYMBOL, Side.BUY, BID, 10, "missing"),
        PlaceIntent(SYMBOL, Side.SELL, ASK, 7, "missing"),
    ]


def test_what_stands_as_desired_costs_no_message() -> None:
    assert decide(old_desk(), wanted()) == []


def test_a_withheld_side_is_cancelled_whatever_its_state_but_only_once() -> None:
    desk = Desk()
    live, pending = desk.place(), desk.place(live=False)
    unknown, cancelling = desk.place(), desk.place()
    desk.cancel(cancelling)
    desk.cancel_rejected(unknown)
    intents = decide(desk, wanted(bid_lots=0))
    assert intents == [CancelIntent(SYMBOL, order.client_order_id, "withheld") for order in (live, pending, unknown)]


def test_tolerance_is_wide_for_passive_and_narrow_for_aggressive() -> None:
    for price in (BID - 10, BID, BID + 2):
        assert decide(old_desk(price), wanted()) == [], price
    for price, reason in ((BID - 11, "too_passive"), (BID + 3, "too_aggressive")):
        desk = old_desk(price)
        (order,) = desk.tracker.all_open()
        assert decide(desk, wanted()) == [ReplaceIntent(SYMBOL, order.client_order_id, Side.BUY, BID, 10, reason)]
    for price, kept in ((ASK + 10, True), (ASK + 11, False), (ASK - 2, True), (ASK - 3, False)):
        desk = old_desk(price, side=Side.SELL)
        assert (decide(desk, wanted(bid_lots=0, ask_lots=10)) == []) is kept, price


def test_without_a_half_spread_the_ticks_hold() -> None:
    desired = wanted(ask=0)
    assert decide(old_desk(BID), desired) == []
    assert len(decide(old_desk(BID - 1), desired)) == 1
    assert len(decide(old_desk(BID + 1), desired)) == 1
    desk = Desk(ExecutionSettings(price_tolerance_ticks=5, aggressive_tolerance_ticks=3))
    desk.place(Side.BUY, BID + 3)
    assert decide(desk, desired) == []


def test_a_mere_improvement_waits_and_danger_does_not() -> None:
    for price, lots, waits in ((BID - 50, 10, True), (BID + 50, 10, False), (BID, 5, True), (BID, 20, False)):
        desk = Desk()
        desk.place(Side.BUY, price, lots)
        desk.now += 99 * MS
        assert (decide(desk, wanted()) == []) is waits, (price, lots)
        desk.now += 1 * MS
        assert len(decide(desk, wanted())) == 1


def test_too_large_is_amended_and_keeps_its_place() -> None:
    desk = old_desk(lots=20)
    (order,) = desk.tracker.all_open()
    assert decide(desk, wanted()) == [AmendIntent(SYMBOL, order.client_order_id, 10, "too_large")]
    desk.fill(order, 5)
    desk.update(order, OrderStatus.PARTIALLY_FILLED, 5)
    assert decide(desk, wanted()) == [AmendIntent(SYMBOL, order.client_order_id, 15, "too_large")], "5 done and 10 to go"


def test_what_may_not_be_amended_is_replaced() -> None:
    desk = old_desk(lots=20)
    (order,) = desk.tracker.all_open()
    order.amend_refused = True
    assert decide(desk, wanted()) == [ReplaceIntent(SYMBOL, order.client_order_id, Side.BUY, BID, 10, "too_large")]


def test_size_within_its_tolerance_is_kept() -> None:
    for lots, kept in ((8, True), (12, True), (7, False), (13, False)):
        assert (decide(old_desk(lots=lots), wanted()) == []) is kept, lots


def test_a_partly_filled_order_is_filled_up_by_a_replace() -> None:
    desk = old_desk()
    (order,) = desk.tracker.all_open()
    desk.fill(order, 6)
    assert decide(desk, wanted()) == [ReplaceIntent(SYMBOL, order.client_order_id, Side.BUY, BID, 10, "too_small")]


def test_while_anything_is_in_flight_a_side_is_only_cancelled() -> None:
    desk = Desk()
    desk.place(Side.BUY, BID, live=False)
    assert decide(desk, wanted()) == []
    assert decide(desk, wanted(bid=BID + 500, ask=ASK + 500)) == []
    (order,) = desk.tracker.all_open()
    lower = wanted(bid=BID - 11, ask=ASK - 11)
    assert decide(desk, lower) == [CancelIntent(SYMBOL, order.client_order_id, "too_aggressive")]
    assert decide(desk, wanted(bid=BID - 10, ask=ASK - 10)) == [], "in flight the wider tolerance holds"
    desk.lose(order)
    assert decide(desk, wanted()) == []
    assert decide(desk, lower) == [CancelIntent(SYMBOL, order.client_order_id, "too_aggressive")]


def test_the_other_side_is_free_meanwhile() -> None:
    desk = Desk()
    desk.place(Side.BUY, BID, live=False)
    assert decide(desk, wanted(ask_lots=3)) == [PlaceIntent(SYMBOL, Side.SELL, ASK, 3, "missing")]


def test_nothing_is_placed_beside_a_replace_in_flight() -> None:
    """Cancel plus new passed a hard inventory cap (hftbacktest #280)."""
    desk = old_desk()
    (old,) = desk.tracker.all_open()
    new = desk.replace(old, price=BID)
    assert decide(desk, wanted()) == []
    desk.accept(new.client_order_id)
    assert decide(desk, wanted()) == [], "the old one is not answered yet"
    desk.update(old, OrderStatus.CANCELED)
    assert decide(desk, wanted()) == []
    desk.now += 1_000 * MS
    assert len(decide(desk, wanted(bid=BID + 50, ask=ASK + 50))) == 1


def test_of_several_orders_the_nearest_stays() -> None:
    desk = Desk()
    far, near, nearer = (desk.place(Side.BUY, price) for price in (BID - 30, BID - 5, BID - 4))
    assert decide(desk, wanted()) == [
        CancelIntent(SYMBOL, far.client_order_id, "surplus"),
        CancelIntent(SYMBOL, near.client_order_id, "surplus"),
    ]
    desk.cancel(far)
    desk.cancel(near)
    assert decide(desk, wanted()) == []
    assert decide(desk, wanted(bid=BID - 50, ask=ASK - 50)) == [CancelIntent(SYMBOL, nearer.client_order_id, "too_aggressive")]


def test_an_order_whose_cancel_is_being_repeated_is_not_quoted_on() -> None:
    desk = old_desk()
    (order,) = desk.tracker.all_open()
    desk.cancel(order)
    desk.cancel_rejected(order)
    desk.update(order, OrderStatus.NEW)
    assert decide(desk, wanted()) == []
    assert decide(desk, wanted(bid_lots=0)) == [], "the tracker repeats it"


def test_cancels_come_first() -> None:
    desk = Desk()
    order = desk.place(Side.SELL, ASK)
    intents = decide(desk, wanted(ask_lots=0))
    assert intents == [
        CancelIntent(SYMBOL, order.client_order_id, "withheld"),
        PlaceIntent(SYMBOL, Side.BUY, BID, 10, "missing"),
    ]
