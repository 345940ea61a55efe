"""The steps of the conformance suite that are about orders: placed, amended, replaced, cancelled, asked for and filled."""

from __future__ import annotations

from mmd.testing.session import Session
from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    BalanceReport,
    CancelRejected,
    Fill,
    ModifyOrder,
    OrderAccepted,
    OrderNotFound,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    QueryOrder,
    ReplaceOrder,
)

TWO_HOURS_NS = 7200 * 10**9
JUMP_NS = 90 * 10**9
CLOCK_TOLERANCE_NS = 500_000_000


async def place(session: Session) -> None:
    """The venue lists what we asked for, to the digit."""
    venue = session.venue
    await session.open()
    for side, price_ticks in ((Side.BUY, venue.bid_ticks + 3), (Side.SELL, venue.ask_ticks - 3)):
        name = session.place(side, price_ticks)
        accepted = await session.about(OrderAccepted, name)
        assert accepted.symbol == venue.symbol
        listed = (await venue.open_orders())[name]
        assert listed.side == side.name
        assert session.instrument.ticks(listed.price) == price_ticks
        assert session.instrument.lots(listed.quantity) == venue.lots
        since = session.recorder.mark()
        session.send(QueryOrder(session.clock(), name, venue.symbol))
        found = await session.about(OrderUpdate, name, since=since)
        assert found.exchange_order_id == accepted.exchange_order_id
        assert (found.side, found.price_ticks, found.lots, found.filled_lots) == (side, price_ticks, venue.lots, 0)
        assert found.status is OrderStatus.NEW


async def take(session: Session) -> None:
    """An order that is not post-only trades at once; what it cannot have expires."""
    venue = session.venue
    await session.open()
    name = session.place(Side.BUY, venue.ask_ticks, post_only=False)
    fill = await session.about(Fill, name)
    assert (fill.side, fill.price_ticks, fill.lots, fill.is_maker) == (Side.BUY, venue.ask_ticks, venue.lots, False)
    await session.status(name, OrderStatus.FILLED)
    unfilled = session.place(Side.BUY, venue.bid_ticks + 1, post_only=False)
    gone = await session.recorder.wait_for(
        OrderUpdate, lambda event: event.client_order_id == unfilled and not event.status.is_open
    )
    assert gone.filled_lots == 0
    assert await venue.open_orders() == {}


async def reject_post_only(session: Session) -> None:
    """Refused, not unknown, and nothing of it lives."""
    venue = session.venue
    await session.open()
    name = session.place(Side.BUY, venue.ask_ticks)
    assert isinstance(await session.outcome(name), OrderRejected)
    assert await venue.open_orders() == {}
    assert session.recorder.of(Fill) == []


async def refuse_all_post_only(session: Session) -> None:
    """A venue that knows no post-only orders gets none: one that would rest might take as well."""
    await session.open()
    name = session.place()
    assert isinstance(await session.outcome(name), OrderRejected)
    assert await session.venue.open_orders() == {}


async def reject_filter(session: Session) -> None:
    """Too small an order is refused for certain."""
    venue, instrument = session.venue, None
    await session.open()
    instrument = session.instrument
    name = session.place(Side.BUY, instrument.min_price_ticks, instrument.min_lots)
    assert isinstance(await session.outcome(name), OrderRejected)
    assert await venue.open_orders() == {}


async def amend(session: Session) -> None:
    """What is amended down keeps its place: it trades before an order that came after it."""
    venue = session.venue
    await session.open()
    price_ticks = venue.bid_ticks + 5
    first = await session.placed(Side.BUY, price_ticks)
    await venue.quote(Side.BUY, price_ticks, venue.lots)
    second = session.next_id()
    session.send(AmendOrder(session.clock(), first, second, venue.symbol, venue.lots // 2))
    names = (first, second)
    amended = await session.recorder.wait_for(
        OrderUpdate, lambda event: event.client_order_id in names and event.lots == venue.lots // 2
    )
    listed = await venue.open_orders()
    assert list(listed) == [amended.client_order_id]
    assert session.instrument.lots(listed[amended.client_order_id].quantity) == venue.lots // 2
    await venue.trade(Side.SELL, venue.lots // 2)
    fill = await session.recorder.wait_for(Fill)
    assert (fill.client_order_id, fill.lots, fill.is_maker) == (amended.client_order_id, venue.lots // 2, True)
    third = session.next_id()
    session.send(AmendOrder(session.clock(), "conf-none", third, venue.symbol, venue.lots // 2))
    await session.about(CancelRejected, "conf-none")


async def refuse_amend(session: Session) -> None:
    """The order stands as it was."""
    venue = session.venue
    await session.open()
    name = await session.placed()
    session.send(AmendOrder(session.clock(), name, session.next_id(), venue.symbol, venue.lots // 2))
    await session.about(CancelRejected, name)
    await _stands(session, name)


async def _stands(session: Session, client_order_id: str) -> None:
    listed = await session.venue.open_orders()
    assert list(listed) == [client_order_id]
    assert session.instrument.lots(listed[client_order_id].quantity) == session.venue.lots


async def refuse_replace(session: Session) -> None:
    """Both halves are told, and nothing has changed."""
    await session.open()
    name = await session.placed()
    new_id = _replace(session, name, session.venue.bid_ticks - 5)
    await session.about(CancelRejected, name)
    await session.about(OrderRejected, new_id)
    await _stands(session, name)


async def modify(session: Session) -> None:
    """The order keeps its ids; where it would take at its new price it is refused or cancelled, and never trades."""
    venue = session.venue
    await session.open()
    name = await session.placed()
    before = (await session.recorder.wait_for(OrderAccepted)).exchange_order_id
    for price_ticks, lots in ((venue.bid_ticks + 5, venue.lots), (venue.bid_ticks + 5, venue.lots // 2)):
        since = session.recorder.mark()
        session.send(ModifyOrder(session.clock(), name, venue.symbol, Side.BUY, price_ticks, lots))
        changed = await session.about(OrderUpdate, name, since=since)
        assert (changed.exchange_order_id, changed.price_ticks, changed.lots) == (before, price_ticks, lots)
        listed = (await venue.open_orders())[name]
        assert (session.instrument.ticks(listed.price), session.instrument.lots(listed.quantity)) == (price_ticks, lots)
    since = session.recorder.mark()
    session.send(ModifyOrder(session.clock(), name, venue.symbol, Side.BUY, venue.ask_ticks, venue.lots // 2))
    answer = await session.recorder.wait_for(
        object, lambda event: isinstance(event, OrderUpdate | CancelRejected) and event.client_order_id == name, since=since
    )
    if isinstance(answer, OrderUpdate):
        assert not answer.status.is_open
    assert session.recorder.of(Fill) == []
    since = session.recorder.mark()
    session.send(ModifyOrder(session.clock(), "conf-none", venue.symbol, Side.BUY, venue.bid_ticks, venue.lots))
    await session.about(CancelRejected, "conf-none", since=since)


async def refuse_modify(session: Session) -> None:
    """The order stands as it was."""
    venue = session.venue
    await session.open()
    name = await session.placed()
    session.send(ModifyOrder(session.clock(), name, venue.symbol, Side.BUY, venue.bid_ticks - 5, venue.lots))
    await session.about(CancelRejected, name)
    await _stands(session, name)


async def replace(session: Session) -> None:
    """Old out, new in; where the old one is gone already the new one is never placed; a refused new one leaves nothing."""
    venue = session.venue
    await session.open()
    first = await session.placed()
    second = _replace(session, first, venue.bid_ticks - 5)
    await session.status(first, OrderStatus.CANCELED)
    await session.about(OrderAccepted, second)
    assert list(await venue.open_orders()) == [second]
    third = _replace(session, first, venue.bid_ticks - 6)
    await session.about(CancelRejected, first)
    await session.about(OrderRejected, third)
    assert list(await venue.open_orders()) == [second]
    fourth = _replace(session, second, venue.ask_ticks)
    await session.status(second, OrderStatus.CANCELED)
    await session.about(OrderRejected, fourth)
    assert await venue.open_orders() == {}


def _replace(session: Session, client_order_id: str, price_ticks: int) -> str:
    new_id, venue = session.next_id(), session.venue
    session.send(ReplaceOrder(session.clock(), client_order_id, new_id, venue.symbol, Side.BUY, price_ticks, venue.lots))
    return new_id


async def cancel(session: Session) -> None:
    """Confirmed by its own name; of an order that never was, refused."""
    await session.open()
    name = await session.placed()
    session.cancel(name)
    await session.status(name, OrderStatus.CANCELED)
    assert await session.venue.open_orders() == {}
    for gone in (name, "conf-none"):
        since = session.recorder.mark()
        session.cancel(gone)
        await session.about(CancelRejected, gone, since=since)


async def query(session: Session) -> None:
    """Each state of an order, and its absence, stamped with the time of the question on the venue's clock."""
    venue = session.venue
    await session.open()
    name = await session.placed()
    session.cancel(name)
    await session.status(name, OrderStatus.CANCELED)
    since = session.recorder.mark()
    session.send(QueryOrder(session.clock(), name, venue.symbol))
    found = await session.about(OrderUpdate, name, since=since)
    assert found.status is OrderStatus.CANCELED
    before_ms = session.clock() // 1_000_000
    session.send(QueryOrder(session.clock(), "conf-none", venue.symbol))
    absent = await session.about(OrderNotFound, "conf-none")
    assert abs(absent.query_exchange_ms - before_ms) < CLOCK_TOLERANCE_NS // 1_000_000


async def fill(session: Session) -> None:
    """Each trade once, by the venue's trade id, with fee and flag; then the balances."""
    venue = session.venue
    await session.open()
    name = await session.placed(Side.SELL, venue.ask_ticks - 5)
    half = venue.lots // 2
    since = session.recorder.mark()
    await venue.trade(Side.BUY, half)
    first = await session.about(Fill, name)
    assert (first.side, first.price_ticks, first.lots, first.is_maker) == (Side.SELL, venue.ask_ticks - 5, half, True)
    assert first.symbol == venue.symbol
    assert first.fee_asset
    partly = await session.status(name, OrderStatus.PARTIALLY_FILLED)
    assert (partly.filled_lots, partly.exchange_order_id) == (half, first.exchange_order_id)
    await venue.trade(Side.BUY, half)
    whole = await session.status(name, OrderStatus.FILLED)
    assert whole.filled_lots == venue.lots
    second = await session.recorder.wait_for(Fill, lambda event: event.trade_id != first.trade_id)
    assert second.trade_id > first.trade_id
    balances = await session.recorder.wait_for(BalanceReport, since=since)
    assert {balance.asset for balance in balances.balances} & {session.instrument.base_asset, session.instrument.quote_asset}
    report = await session.reconcile()
    assert [(trade.trade_id, trade.lots) for trade in report.trades] == [(first.trade_id, half), (second.trade_id, half)]
    assert len({event.trade_id for event in session.recorder.of(Fill)}) == len(session.recorder.of(Fill)) == 2
