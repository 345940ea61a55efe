"""Market data over real sockets: a book that stays right, faults on the line, and the account as REST tells it."""

from __future__ import annotations

import asyncio
import time

from mmd.exchanges.adapter import Event
from mmd.exchanges.binance.decode import FrameDecoder
from mmd.market.book import OrderBook
from mmd.types.market import (
    BatchEnd,
    DepthSnapshot,
    DepthUpdate,
    FeedAnnouncement,
    FeedState,
    FeedStatus,
    MarketTrade,
    Side,
    TouchUpdate,
)
from mmd.types.orders import (
    CancelOrder,
    ClockSync,
    Fill,
    OrderAccepted,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    ReconciliationFailed,
    ReconciliationReport,
    RequestDepthSnapshot,
    RequestReconciliation,
)
from tests.integration.adapter.venue_room import ASK_TICKS, BID_TICKS, Room, text_frame


class BookKeeper:
    """Keeps a book of one symbol as the core does, asking for snapshots through the adapter."""

    def __init__(self, room: Room, symbol: str) -> None:
        self.room = room
        self.symbol = symbol
        self.book = OrderBook(symbol)
        self.updates_while_valid = 0
        self.enough = asyncio.Event()

    def __call__(self, event: Event) -> None:
        book = self.book
        if isinstance(event, FeedStatus) and event.state is FeedState.DISCONNECTED:
            book.invalidate("feed disconnected")
        if isinstance(event, TouchUpdate | DepthUpdate | DepthSnapshot) and event.symbol == self.symbol:
            if isinstance(event, TouchUpdate):
                book.on_touch_update(event)
            elif isinstance(event, DepthUpdate):
                book.on_depth_update(event)
            else:
                book.on_depth_snapshot(event)
            if book.valid:
                assert 0 < book.bid_ticks < book.ask_ticks
                self.updates_while_valid += 1
                if self.updates_while_valid >= 80:
                    self.enough.set()
            elif book.needs_snapshot and book.snapshot_due(event.receive_ns):
                book.snapshot_requested(event.receive_ns)
                self.room.adapter.send(RequestDepthSnapshot(event.receive_ns, self.symbol))


async def test_a_book_of_the_live_streams_stays_right(lively_room: Room) -> None:
    room = lively_room
    keeper = BookKeeper(room, "BTCUSDT")
    room.recorder.reactions.append(keeper)
    await room.open("BTCUSDT", "ETHUSDT")
    async with asyncio.timeout(20):
        await keeper.enough.wait()
    assert keeper.book.gaps == 0
    assert room.recorder.of(MarketTrade)
    # Another snapshot must agree with the book at the same update id.
    since = room.recorder.mark()
    room.adapter.send(RequestDepthSnapshot(time.time_ns(), "BTCUSDT"))
    snapshot = await room.recorder.wait_for(DepthSnapshot, lambda event: event.symbol == "BTCUSDT", since=since)
    assert snapshot.bids == tuple(sorted(snapshot.bids, reverse=True))
    assert snapshot.asks == tuple(sorted(snapshot.asks))
    assert room.adapter.counters.malformed == 0


async def test_quiet_market_sync(room: Room) -> None:
    keeper = BookKeeper(room, "BTCUSDT")
    room.recorder.reactions.append(keeper)
    await room.open()
    room.background(Side.BUY, BID_TICKS + 1, 500)
    await room.recorder.wait_for(TouchUpdate, lambda event: event.bid_ticks == BID_TICKS + 1)
    await room.recorder.wait_for(DepthSnapshot)
    room.background(Side.SELL, ASK_TICKS - 1, 700)
    await room.recorder.wait_for(DepthUpdate, lambda event: (ASK_TICKS - 1, 700) in event.asks)
    book = keeper.book
    assert book.valid
    assert (book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots) == (BID_TICKS + 1, 500, ASK_TICKS - 1, 700)
    room.background_trade(Side.SELL, 200)
    trade = await room.recorder.wait_for(MarketTrade)
    assert (trade.price_ticks, trade.lots, trade.aggressor) == (BID_TICKS + 1, 200, Side.SELL)
    assert isinstance(await room.recorder.wait_for(BatchEnd, since=room.recorder.events.index(trade)), BatchEnd)


async def test_every_read_ends_in_a_batch_end(lively_room: Room) -> None:
    room = lively_room
    await room.open()
    since = room.recorder.mark()
    for _ in range(6):
        update = await room.recorder.wait_for(TouchUpdate, since=since)
        since = room.recorder.events.index(update, since)
        end = await room.recorder.wait_for(BatchEnd, since=since)
        since = room.recorder.events.index(end, since)
        assert end.receive_ns >= update.receive_ns


async def test_a_cut_feed_is_told_and_comes_back(room: Room) -> None:
    adapter = await room.open()
    since = room.recorder.mark()
    room.market_wire.cut()
    down = await room.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.DISCONNECTED, since=since)
    assert down.symbols == ("BTCUSDT",)
    await room.recorder.wait_for(
        FeedStatus, lambda event: event.state is FeedState.CONNECTED, since=room.recorder.events.index(down)
    )
    assert adapter.counters.reconnects == 1
    room.background(Side.BUY, BID_TICKS + 1, 500)
    await room.recorder.wait_for(TouchUpdate, lambda event: event.bid_ticks == BID_TICKS + 1, since=since)


async def test_a_malformed_frame_is_counted_and_leads_to_a_fresh_connection(room: Room) -> None:
    adapter = await room.open()
    since = room.recorder.mark()
    good = b'{"stream":"btcusdt@bookTicker","data":{"u":9,"s":"BTCUSDT","b":"1.00","B":"1","a":"2.00","A":"1"}}'
    room.market_wire.inject(text_frame(b'{"stream":"btcusdt@bookTicker","data":{"u":') + text_frame(good))
    down = await room.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.DISCONNECTED, since=since)
    assert down.detail == "malformed message"
    await room.recorder.wait_for(
        FeedStatus, lambda event: event.state is FeedState.CONNECTED, since=room.recorder.events.index(down)
    )
    assert adapter.counters.malformed == 1
    # What followed in the same read may have a gap before it, and is not delivered.
    assert not [event for event in room.recorder.of(TouchUpdate) if event.update_id == 9 and event.bid_ticks == 100]


async def test_a_silent_feed_is_connected_again(room: Room) -> None:
    await room.open(market_data_idle_seconds=0.2)
    down = await room.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.DISCONNECTED)
    assert down.detail == "no message for 0.2 s"
    await room.recorder.wait_for(
        FeedStatus, lambda event: event.state is FeedState.CONNECTED, since=room.recorder.events.index(down)
    )


async def test_a_shutdown_announced_is_no_outage(lively_room: Room) -> None:
    room = lively_room
    await room.open()
    since = room.recorder.mark()
    room.market_wire.inject(text_frame(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}'))
    await room.market_wire.wait_for_connections(2)
    await room.market_wire.wait_for_open(1)
    trades_before = len(room.recorder.of(MarketTrade))
    await room.recorder.wait_for(MarketTrade, lambda _: len(room.recorder.of(MarketTrade)) > trades_before + 5)
    assert not [event for event in room.recorder.events[since:] if isinstance(event, FeedStatus)]
    ids = [event.trade_id for event in room.recorder.of(MarketTrade)]
    assert ids == sorted(set(ids))


async def test_connections_are_renewed_before_the_venue_ends_them(lively_room: Room) -> None:
    room = lively_room
    await room.open(max_connection_age_seconds=0.4)
    await room.market_wire.wait_for_connections(3)
    await room.order_wire.wait_for_connections(3)
    assert {event.state for event in room.recorder.of(FeedStatus)} == {FeedState.CONNECTED}


async def test_announcements_of_a_replaying_mock(room: Room) -> None:
    await room.open(announcements=True)
    frame = b'{"stream":"mmd@announcement","data":{"e":"announcement","epoch":5,"speed":2,"ended":true}}'
    room.market_wire.inject(text_frame(frame))
    told = await room.recorder.wait_for(FeedAnnouncement)
    assert (told.epoch_ns, told.speed, told.ended) == (5, 2.0, True)


async def test_pings_of_the_venue_are_answered(room: Room) -> None:
    await room.open()
    room.market_wire.inject(b"\x89\x05hello")
    assert await room.market_wire.next_pong() == b"hello"


async def test_reconciliation(room: Room) -> None:
    adapter = await room.open("BTCUSDT", "ETHUSDT")
    adapter.send(PlaceOrder(time.time_ns(), "m-1", "BTCUSDT", Side.SELL, ASK_TICKS - 1, 100))
    await room.recorder.wait_for(OrderAccepted)
    room.background_trade(Side.BUY, 40)
    fill = await room.recorder.wait_for(Fill)
    before_ns = time.time_ns()
    adapter.send(RequestReconciliation(before_ns, "test", (("BTCUSDT", -1), ("ETHUSDT", -1))))
    report = await room.recorder.wait_for(ReconciliationReport)
    assert before_ns <= report.requested_ns <= report.receive_ns
    balances = {balance.asset: balance for balance in report.balances}
    assert balances["BTC"].total_atoms == 20 * 10**8 - 40 * 1000
    assert balances["BTC"].locked_atoms == 60 * 1000
    (order,) = report.open_orders
    assert (order.client_order_id, order.lots, order.filled_lots, order.status) == ("m-1", 100, 40, OrderStatus.PARTIALLY_FILLED)
    (trade,) = report.trades
    assert (trade.trade_id, trade.client_order_id, trade.lots, trade.fee_atoms) == (fill.trade_id, "m-1", 40, fill.fee_atoms)
    assert (trade.exchange_ns, trade.is_maker, trade.side) == (fill.exchange_ns, True, Side.SELL)
    # Only what comes after the id that was booked.
    adapter.send(RequestReconciliation(time.time_ns(), "test", (("BTCUSDT", fill.trade_id),)))
    second = await room.recorder.wait_for(ReconciliationReport, lambda event: event is not report)
    assert second.trades == ()


async def test_trades_of_an_earlier_life_are_named_by_asking(room: Room) -> None:
    earlier = await room.open()
    earlier.send(PlaceOrder(time.time_ns(), "old-1", "BTCUSDT", Side.SELL, ASK_TICKS - 1, 100))
    await room.recorder.wait_for(OrderAccepted)
    room.background_trade(Side.BUY, 100)
    fill = await room.recorder.wait_for(Fill)
    await earlier.close()
    adapter = await room.open()
    adapter.send(RequestReconciliation(time.time_ns(), "start", (("BTCUSDT", fill.trade_id - 1),)))
    report = await room.recorder.wait_for(ReconciliationReport)
    assert [(trade.trade_id, trade.client_order_id) for trade in report.trades] == [(fill.trade_id, "old-1")]


async def test_requests_made_during_a_reconciliation_get_one_of_their_own(room: Room) -> None:
    adapter = await room.open()
    for number in range(5):
        adapter.send(RequestReconciliation(time.time_ns(), f"number {number}", ()))
    first = await room.recorder.wait_for(ReconciliationReport)
    second = await room.recorder.wait_for(ReconciliationReport, lambda event: event is not first)
    assert second.requested_ns >= first.receive_ns
    assert len(room.recorder.of(ReconciliationReport)) == 2


async def test_a_failed_reconciliation_says_so(room: Room) -> None:
    adapter = await room.open()
    await room.exchange.stop()
    adapter.send(RequestReconciliation(time.time_ns(), "test", ()))
    failed = await room.recorder.wait_for(ReconciliationFailed)
    assert "/api/v3/" in failed.detail
    assert adapter.counters.rest_errors > 0


async def test_a_clock_that_jumped_is_measured_again_and_the_request_repeated(room: Room) -> None:
    jump_ns = 0

    def clock_ns() -> int:
        return time.time_ns() + jump_ns

    adapter = await room.open(clock_ns=clock_ns)
    jump_ns = 3600 * 10**9
    adapter.send(RequestReconciliation(clock_ns(), "test", ()))
    report = await room.recorder.wait_for(ReconciliationReport)
    assert report.balances
    assert adapter.counters.rest_errors > 0
    assert abs(room.recorder.of(ClockSync)[-1].offset_ns + jump_ns) < 500_000_000


async def test_a_snapshot_is_asked_for_until_it_comes(room: Room) -> None:
    await room.open(rest_url=f"http://127.0.0.1:{room.market_wire.port}")
    room.market_wire.refusing = True
    room.market_wire.cut()
    await room.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.DISCONNECTED)
    for _ in range(3):
        room.adapter.send(RequestDepthSnapshot(time.time_ns(), "BTCUSDT"))
    await room.market_wire.refused.wait()
    assert not room.recorder.of(DepthSnapshot)
    room.market_wire.refusing = False
    snapshot = await room.recorder.wait_for(DepthSnapshot)
    assert (snapshot.symbol, snapshot.bids, snapshot.asks) == ("BTCUSDT", ((BID_TICKS, 100_000),), ((ASK_TICKS, 100_000),))


async def test_frames_can_be_tapped_for_a_recording(room: Room) -> None:
    frames: list[tuple[int, bytes]] = []
    await room.open(on_market_frame=lambda receive_ns, frame: frames.append((receive_ns, frame)))
    room.background(Side.BUY, BID_TICKS + 1, 500)
    update = await room.recorder.wait_for(TouchUpdate, lambda event: event.bid_ticks == BID_TICKS + 1)
    assert update in [FrameDecoder(room.adapter.instruments).decode(frame, receive_ns) for receive_ns, frame in frames]


async def test_closing_ends_everything(room: Room) -> None:
    adapter = await room.open()
    adapter.send(PlaceOrder(time.time_ns(), "m-1", "BTCUSDT", Side.BUY, BID_TICKS, 100))
    await room.recorder.wait_for(OrderAccepted)
    adapter.send(CancelOrder(time.time_ns(), "m-1", "BTCUSDT"))
    await room.recorder.wait_for(OrderUpdate, lambda event: event.status is OrderStatus.CANCELED)
    await adapter.close()
    since = room.recorder.mark()
    room.background(Side.BUY, BID_TICKS + 1, 500)
    await room.market_wire.wait_for_open(0)
    await room.order_wire.wait_for_open(0)
    assert room.recorder.events[since:] == []
    mine = {task.get_name() for task in asyncio.all_tasks()}
    assert not mine & {"venue clock", "market data", "order entry", "unanswered requests"}
