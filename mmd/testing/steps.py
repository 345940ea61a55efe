"""What each step of the conformance suite does: commands in, events awaited, and the venue's own word as the judge."""

from __future__ import annotations

import asyncio

import pytest

from mmd.exchanges.adapter import AdapterError
from mmd.testing.recorder import PATIENCE_SECONDS
from mmd.testing.session import PREFIX, Session
from mmd.types.market import FeedState, FeedStatus, Side
from mmd.types.orders import (
    ClockSync,
    Fill,
    InstrumentsLoaded,
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
