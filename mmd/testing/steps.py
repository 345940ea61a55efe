"""What each step of the conformance suite does: commands in, events awaited, and the venue's own word as the judge."""

from __future__ import annotations

import asyncio

import pytest

from mmd.exchanges.adapter import AdapterError
from mmd.testing.recorder import PATIENCE_SECONDS
from mmd.testing.session import PREFIX, Session
from mmd.types.market import FeedState, FeedStatus, Side
from mmd.types.orders import (
    AmendOrder,
    BalanceReport,
    CancelRejected,
    ClockSync,
    Fill,
    InstrumentsLoaded,
    ModifyOrder,
    OrderAccepted,
    OrderChannelStatus,
    OrderNotFound,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
    RateLimited,
    ReplaceOrder,
)

TWO_HOURS_NS = 7200 * 10**9
JUMP_NS = 90 * 10**9
CLOCK_TOLERANCE_NS = 500_000_000


# ---- connecting


async def connect(session: Session) -> None:
    """Instruments are known before anything else is said; the clock is measured before orders can be sent."""
    venue = session.venue
    with pytest.raises(AdapterError):
        session.send(PlaceOrder(session.clock(), session.next_id(), venue.symbol, Side.BUY, venue.bid_ticks, venue.lots))
    instruments = await session.adapter.load_instruments()
    instrument = instruments[venue.symbol]
    assert instrument.symbol == venue.symbol
    assert instrument.tick_size > 0
    assert instrument.lot_size > 0
    assert instrument.min_lots <= venue.lots <= instrument.max_lots
    assert venue.lots * venue.bid_ticks * instrument.notional_atoms >= instrument.min_notional_atoms
    await session.open()
    events = session.recorder.events
    assert isinstance(events[0], InstrumentsLoaded)
    assert venue.symbol in events[0].symbols
    if session.capabilities.remote_orders:
        measured = events.index(session.recorder.of(ClockSync)[0])
        up = next(event for event in session.recorder.of(OrderChannelStatus) if event.connected)
        assert measured < events.index(up)


async def sync(session: Session) -> None:
    """A book kept from the adapter's events equals the venue's own, again and again."""
    venue = session.venue
    await session.open()
    # The first change starts the diff stream of a venue that has been quiet.
    await venue.quote(Side.BUY, venue.bid_ticks - 1, venue.lots)
    await session.synced()
    for number in range(1, 6):
        await venue.quote(Side.BUY, venue.bid_ticks + number, venue.lots * number)
        await venue.quote(Side.SELL, venue.ask_ticks - 2 * number, venue.lots * number)
        await venue.trade(Side.SELL, venue.lots // 2)
        await session.synced()
    assert session.book.bid_ticks > venue.bid_ticks
    assert session.book.gaps == 0


async def reconnect(session: Session) -> None:
    """Both channels go down and come up by themselves; what happened in between is found by a reconciliation."""
    venue = session.venue
    await session.open()
    await venue.quote(Side.BUY, venue.bid_ticks - 1, venue.lots)
    await session.synced()
    order = await session.placed(Side.BUY, venue.bid_ticks + 5)
    since = session.recorder.mark()
    venue.refuse(True)
    venue.cut()
    if session.capabilities.remote_orders:
        await session.down(since)
    else:
        await session.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.DISCONNECTED, since=since)
    assert not session.book.valid
    if session.capabilities.remote_orders:
        await venue.trade(Side.SELL, venue.lots // 2)
    back = session.recorder.mark()
    venue.refuse(False)
    await session.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.CONNECTED, since=back)
    if session.capabilities.remote_orders:
        await session.recorder.wait_for(OrderChannelStatus, lambda event: event.connected, since=back)
    await venue.quote(Side.SELL, venue.ask_ticks + 1, venue.lots)
    await session.synced(back)
    report = await session.reconcile()
    assert [update.client_order_id for update in report.open_orders] == [order]
    if session.capabilities.remote_orders:
        assert [(trade.client_order_id, trade.lots) for trade in report.trades] == [(order, venue.lots // 2)]
        assert report.open_orders[0].filled_lots == venue.lots // 2


async def close(session: Session) -> None:
    """After `close` the sink is left alone, whatever goes on at the venue."""
    await session.open()
    await session.placed()
    await session.adapter.close()
    since = session.recorder.mark()
    await session.venue.trade(Side.SELL, session.venue.lots)
    await session.venue.quote(Side.SELL, session.venue.ask_ticks - 1, session.venue.lots)
    await session.venue.open_orders()
    assert session.recorder.events[since:] == []


# ---- orders


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


# ---- what nobody knows


async def unknown_outcome(session: Session) -> None:
    """The order lives, its answer never comes: unknown, never refused; a query finds it."""
    venue = session.venue
    await session.open()
    venue.hold_answers()
    held = session.place()
    await session.at_venue(held)
    assert isinstance(await session.outcome(held), OutcomeUnknown)
    venue.release_answers()
    await _found_by_query(session, held)
    venue.hold_answers()
    cut = session.place(Side.BUY, venue.bid_ticks - 1)
    await session.at_venue(cut)
    venue.cut()
    venue.release_answers()
    assert isinstance(await session.outcome(cut), OutcomeUnknown)
    await _found_by_query(session, cut)
    assert not session.recorder.of(OrderRejected)


async def _found_by_query(session: Session, client_order_id: str) -> None:
    since = session.recorder.mark()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            session.send(QueryOrder(session.clock(), client_order_id, session.venue.symbol))
            answer = await session.recorder.wait_for(
                object,
                lambda event: (
                    isinstance(event, OrderUpdate | OutcomeUnknown | OrderNotFound) and event.client_order_id == client_order_id
                ),
                since=since,
            )
            since = session.recorder.mark()
            assert not isinstance(answer, OrderNotFound)
            if isinstance(answer, OrderUpdate):
                assert answer.status is OrderStatus.NEW
                return


async def no_unknown_outcome(session: Session) -> None:
    """Orders that never leave this process are answered whatever becomes of the line."""
    venue = session.venue
    await session.open()
    venue.hold_answers()
    assert isinstance(await session.outcome(session.place()), OrderAccepted)
    venue.cut()
    venue.release_answers()
    assert not isinstance(await session.outcome(session.place(Side.BUY, venue.bid_ticks - 1)), OutcomeUnknown)


async def not_written(session: Session) -> None:
    """What could not be sent is unknown as well: the core asks before it believes anything."""
    venue = session.venue
    await session.open()
    since = session.recorder.mark()
    venue.refuse(True)
    venue.cut()
    await session.recorder.wait_for(OrderChannelStatus, lambda event: not event.connected, since=since)
    name = session.place()
    # Not from inside send(): the core's own shell is calling it.
    assert not [event for event in session.recorder.of(OutcomeUnknown) if event.client_order_id == name]
    assert isinstance(await session.outcome(name), OutcomeUnknown)
    back = session.recorder.mark()
    venue.refuse(False)
    await session.recorder.wait_for(OrderChannelStatus, lambda event: event.connected, since=back)
    session.send(QueryOrder(session.clock(), name, venue.symbol))
    await session.about(OrderNotFound, name)


# ---- the account


async def reconcile(session: Session) -> None:
    """Everything that is open on our symbols, whoever placed it, and every trade after the id asked for."""
    venue = session.venue
    await session.open()
    ours = await session.placed(Side.SELL, venue.ask_ticks - 5)
    expected = {ours}
    if session.capabilities.remote_orders:
        await venue.place_elsewhere(Side.BUY, venue.bid_ticks - 7, venue.lots, "somebody-1")
        expected.add("somebody-1")
    half = venue.lots // 2
    for _ in range(2):
        await venue.trade(Side.BUY, half // 2)
    await session.recorder.wait_for(Fill, lambda _: len(session.recorder.of(Fill)) == 2)
    report = await session.reconcile()
    assert report.requested_ns <= report.receive_ns
    assert {update.client_order_id for update in report.open_orders} == expected
    assert [trade.client_order_id for trade in report.trades] == [ours, ours]
    later = await session.reconcile(report.trades[0].trade_id)
    assert [trade.trade_id for trade in later.trades] == [report.trades[1].trade_id]
    balances = {balance.asset: balance for balance in report.balances}
    assert balances[session.instrument.quote_asset].total_atoms > 0
    if not session.capabilities.short_positions:
        assert balances[session.instrument.base_asset].locked_atoms == half * session.instrument.lot_atoms


async def audit(session: Session) -> None:
    """Asked over a connection of its own, whether or not the adapter runs."""
    venue = session.venue
    assert await session.adapter.open_orders_audit(PREFIX) == ()
    await session.open()
    ours = await session.placed()
    if session.capabilities.remote_orders:
        await venue.place_elsewhere(Side.BUY, venue.bid_ticks - 7, venue.lots, "somebody-1")
    await session.adapter.close()
    (found,) = await session.adapter.open_orders_audit(PREFIX)
    assert (found.client_order_id, found.symbol, found.side) == (ours, venue.symbol, "BUY")
    assert session.instrument.lots(found.quantity) == venue.lots
    assert session.instrument.ticks(found.price) == venue.bid_ticks
    assert await session.adapter.cancel_ours("nobody") == ()
    assert await session.adapter.cancel_ours(PREFIX) == (found,)
    assert await session.adapter.open_orders_audit(PREFIX) == ()
    if session.capabilities.remote_orders:
        assert [order.client_order_id for order in await session.adapter.open_orders_audit("somebody")] == ["somebody-1"]


async def rate_limit(session: Session) -> None:
    """Beyond the limit: until when is said, and every order is accepted or refused, as the venue's own list has it."""
    venue = session.venue
    await session.open()
    # Intervals are aligned to the calendar: of more than twice the limit some fall into one that is used up.
    names = [session.place(Side.BUY, venue.bid_ticks - number) for number in range(2 * venue.order_limit + 1)]
    limited = await session.recorder.wait_for(RateLimited)
    assert limited.until_ns > limited.receive_ns
    outcomes = {name: await session.outcome(name) for name in names}
    accepted = {name for name, outcome in outcomes.items() if isinstance(outcome, OrderAccepted)}
    refused = {name for name, outcome in outcomes.items() if isinstance(outcome, OrderRejected)}
    assert refused
    assert accepted | refused == set(names)
    assert set(await venue.open_orders()) == accepted


async def no_rate_limit(session: Session) -> None:
    """As many as one likes."""
    venue = session.venue
    await session.open()
    names = [session.place(Side.BUY, venue.bid_ticks - number) for number in range(50)]
    for name in names:
        assert isinstance(await session.outcome(name), OrderAccepted)
    assert session.recorder.of(RateLimited) == []


async def clock_skew(session: Session) -> None:
    """Our clock is two hours slow, then jumps: orders go on, or are refused for certain until it has been measured again."""
    session.clock.offset_ns = -TWO_HOURS_NS
    await session.open()
    measured = session.recorder.of(ClockSync)[-1]
    assert abs(measured.offset_ns - TWO_HOURS_NS) < CLOCK_TOLERANCE_NS
    await session.placed()
    since = session.recorder.mark()
    session.clock.offset_ns -= JUMP_NS
    refused = session.place(Side.BUY, session.venue.bid_ticks - 1)
    outcome = await session.outcome(refused)
    assert not isinstance(outcome, OutcomeUnknown)
    await session.recorder.wait_for(
        ClockSync, lambda event: abs(event.offset_ns - TWO_HOURS_NS - JUMP_NS) < CLOCK_TOLERANCE_NS, since=since
    )
    await session.placed(Side.BUY, session.venue.bid_ticks - 2)
    expected = 3 if isinstance(outcome, OrderAccepted) else 2
    assert len(await session.venue.open_orders()) == expected


async def no_clock_skew(session: Session) -> None:
    """No clock but ours is asked."""
    session.clock.offset_ns = -TWO_HOURS_NS
    await session.open()
    await session.placed()
    session.clock.offset_ns -= JUMP_NS
    await session.placed(Side.BUY, session.venue.bid_ticks - 1)
