"""The core on hand-made markets: what it knows when, what it is told in which order, and what its fills cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mmd.backtest.latency import Latency
from mmd.types.market import Side
from mmd.types.orders import Fill, OrderAccepted, OrderRejected, OrderStatus, OrderUpdate, PlaceOrder, ReplaceOrder
from tests.unit.backtest.synthetic import MS, SECOND, START, HandMadeMarket, Session

BIDS, ASKS = [(9_999, 500), (9_998, 500)], [(10_001, 500), (10_002, 500)]


def calm(until_ms: int = 3_000, every_ms: int = 200) -> HandMadeMarket:
    """A book whose bid has 500 lots and 501 by turns."""
    market = HandMadeMarket().snapshot(0, BIDS, ASKS)
    for at in range(every_ms, until_ms, every_ms):
        market.levels(at, bids=[(9_999, 500 + at // every_ms % 2)])
    return market


def hit_and_fall(market: HandMadeMarket, at_ms: int) -> HandMadeMarket:
    """The bid is sold through, and the market falls by ten ticks, all at once at the exchange."""
    market.trade(at_ms, Side.SELL, 9_990, 2_000)
    market.levels(at_ms, bids=[(9_999, 0), (9_998, 0), (9_990, 500)], asks=[(9_992, 500), (10_001, 0), (10_002, 0)])
    for later in range(at_ms + 200, at_ms + 3_000, 200):
        market.levels(later, bids=[(9_980, 100 + later % 7)])
    return market


def test_a_market_that_moves_only_after_the_fill_is_not_foreseen() -> None:
    session = Session(hit_and_fall(calm(), 3_000))
    bought = [fill for fill in session.fills if fill.side is Side.BUY]
    assert bought, "our bid stood at the touch and must have been hit"
    assert bought[0].exchange_ns == START + 3_000 * MS
    assert bought[0].receive_ns == bought[0].exchange_ns + 5 * MS
    # Every order sent before the fall was heard of is one that a calm market gets too.
    heard_ns = START + 3_002 * MS
    quiet = Session(calm(6_000))
    before = [(at, command) for at, command in session.commands if at < heard_ns]
    assert before == [(at, command) for at, command in quiet.commands if at < heard_ns]
    assert any(isinstance(command, PlaceOrder) for _, command in before)


def test_whatever_comes_later_changes_no_command_before_it_is_received() -> None:
    base = list(hit_and_fall(calm(), 3_000).events)
    cut_ns = START + 2_000 * MS
    changed = HandMadeMarket()
    changed.events = [event for event in base if event.receive_ns < cut_ns]
    changed._number = len(changed.events) + 10
    changed_from = [event for event in base if event.receive_ns < cut_ns][-1].final_update_id
    changed._number = changed_from
    for at in range(2_000, 6_000, 100):
        changed.levels(at, bids=[(9_999, 1 + at % 13), (9_995, at % 5)], asks=[(10_001, 3 + at % 11)])
        changed.trade(at + 1, Side.BUY, 10_001, 5)
    original = HandMadeMarket()
    original.events = base
    first, second = Session(original), Session(changed)
    assert [c for c in first.commands if c[0] < cut_ns] == [c for c in second.commands if c[0] < cut_ns]
    assert [f for f in first.fills if f.receive_ns < cut_ns] == [f for f in second.fills if f.receive_ns < cut_ns]
    assert first.commands != second.commands


def test_the_trader_hears_of_everything_in_order_of_time_and_of_orders_when_their_answer_arrives() -> None:
    session = Session(hit_and_fall(calm(), 3_000))
    times = [event.receive_ns for event in session.told]
    assert times == sorted(times)
    sent = {command.client_order_id: at for at, command in session.commands if isinstance(command, PlaceOrder)}
    accepted = [event for event in session.told if isinstance(event, OrderAccepted) and event.client_order_id in sent]
    assert accepted
    for event in accepted:
        assert event.receive_ns == sent[event.client_order_id] + 8 * MS, "3 ms there and 5 ms back"


def test_a_replacement_is_placed_when_the_cancel_is_acknowledged() -> None:
    market = calm()
    # The market rises: our bid is too far from it and is replaced.
    market.levels(3_000, asks=[(10_001, 0)], bids=[(10_000, 500)])
    for later in range(3_200, 5_000, 200):
        market.levels(later, bids=[(10_000, 500 + later // 200 % 2)])
    session = Session(market, quoting={"fixed_half_spread_bps": 0.5})
    replaced = [(at, c) for at, c in session.commands if isinstance(c, ReplaceOrder) and c.side is Side.BUY]
    assert replaced
    at, command = replaced[0]
    gone = next(e for e in session.told if isinstance(e, OrderUpdate) and e.client_order_id == command.cancel_client_order_id
                and e.status is OrderStatus.CANCELED)  # fmt: skip
    there = next(e for e in session.told if isinstance(e, OrderAccepted) and e.client_order_id == command.client_order_id)
    assert gone.receive_ns == at + 8 * MS
    assert there.receive_ns == gone.receive_ns + 8 * MS


def test_a_replacement_of_an_order_that_was_filled_meanwhile_is_not_placed() -> None:
    session = Session(hit_and_fall(calm(), 3_000), latency=Latency(None, 400 * MS, 400 * MS, 2 * MS))
    replaced = {c.client_order_id: c.cancel_client_order_id for _, c in session.commands if isinstance(c, ReplaceOrder)}
    filled = {fill.client_order_id for fill in session.fills}
    raced = [new for new, old in replaced.items() if old in filled]
    refused = {event.client_order_id for event in session.told if isinstance(event, OrderRejected)}
    assert set(raced) <= refused
    booked = sum(fill.side.sign * fill.lots for fill in session.fills)
    assert session.trader.desks["COINUSD"].ledger.position_atoms == booked * 100_000_000


@pytest.mark.parametrize("fee", [0.0002, 0.0, -0.00005])
def test_fees_and_cash_are_those_of_decimal_arithmetic(fee: float) -> None:
    session = Session(hit_and_fall(calm(), 3_000), maker_fee=fee)
    assert session.fills
    cash, position = Decimal(0), Decimal(0)
    for fill in session.fills:
        notional = Decimal(fill.price_ticks) * Decimal("0.01") * fill.lots
        paid = (notional * Decimal(str(fee))).quantize(Decimal("1e-8"))
        assert Decimal(fill.fee_atoms) / 10**8 == paid
        cash -= fill.side.sign * notional + paid
        position += fill.side.sign * fill.lots
    ledger = session.trader.desks["COINUSD"].ledger
    assert Decimal(ledger.cash_atoms) / 10**8 == cash
    assert Decimal(ledger.position_atoms) / 10**8 == position


def test_partial_fills_reach_the_position_one_by_one() -> None:
    market = calm(2_000)
    # 500 stood before us at the touch; they and part of ours are sold, twice.
    market.trade(2_000, Side.SELL, 9_999, 501).levels(2_000, bids=[(9_999, 0)])
    market.trade(2_004, Side.SELL, 9_999, 2)
    for later in range(2_300, 4_000, 200):
        market.levels(later, bids=[(9_990, 100 + later % 7)])
    session = Session(market, quoting={"order_notional": 600})
    lots = [(fill.exchange_ns - START, fill.lots) for fill in session.fills if fill.side is Side.BUY]
    assert lots == [(2_000 * MS, 1), (2_004 * MS, 2)]
    told = [event for event in session.told if isinstance(event, Fill)]
    assert told == session.fills
    assert session.trader.desks["COINUSD"].ledger.position_atoms == 3 * 100_000_000


def test_a_silence_and_a_gap_leave_no_order_standing() -> None:
    from mmd.types.market import FeedState, FeedStatus

    market = calm(2_000)
    market.events.append(FeedStatus(market.events[-1].receive_ns, FeedState.DISCONNECTED, ("COINUSD",), "a gap"))
    hour = 3_600 * SECOND
    market.events.append(FeedStatus(market.events[-1].receive_ns + hour, FeedState.CONNECTED, ("COINUSD",)))
    market.snapshot(1_800 + 3_600_000, BIDS, ASKS)
    market.trade(1_900 + 3_600_000, Side.SELL, 9_900, 5_000)
    market.levels(2_000 + 3_600_000, bids=[(9_990, 5)])
    session = Session(market)
    in_gap: list[Any] = [fill for fill in session.fills if START + 2_500 * MS < fill.exchange_ns < START + hour]
    assert not in_gap
    updates = [event for event in session.told if isinstance(event, OrderUpdate) and event.status is OrderStatus.CANCELED]
    assert {event.side for event in updates if event.receive_ns < START + 3 * SECOND} == {Side.BUY, Side.SELL}
