"""What USD-M futures have and Spot has not, over real sockets: modification, shorts, funding, listen keys, the countdown."""

from __future__ import annotations

import asyncio
import time

import pytest

from mmd.exchanges.adapter import AdapterError
from mmd.types.instrument import atoms
from mmd.types.market import MarkPrice, Side
from mmd.types.orders import (
    CancelOrder,
    CancelRejected,
    DeadMansSwitchLapsed,
    ExternalBalanceChange,
    Fill,
    ForcedTrade,
    FundingPaid,
    ModifyOrder,
    OrderAccepted,
    OrderChannelStatus,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    OutcomeUnknown,
    QueryOrder,
)
from tests.integration.adapter.venue_room import text_frame
from tests.integration.usdm.usdm_room import ASK_TICKS, BID_TICKS, LOTS, SYMBOL, order, usdm_room


def modify(name: str, price_ticks: int, lots: int = LOTS, side: Side = Side.BUY) -> ModifyOrder:
    return ModifyOrder(time.time_ns(), name, SYMBOL, side, price_ticks, lots)


async def test_a_modified_order_keeps_its_ids_and_queues_anew() -> None:
    async with usdm_room() as room:
        adapter = await room.open()
        adapter.send(order("m-1"))
        accepted = await room.recorder.wait_for(OrderAccepted)
        room.background(Side.BUY, BID_TICKS + 5, LOTS)
        adapter.send(modify("m-1", BID_TICKS + 5, 2 * LOTS))
        changed = await room.recorder.wait_for(OrderUpdate, lambda event: event.price_ticks == BID_TICKS + 5)
        assert (changed.client_order_id, changed.exchange_order_id) == ("m-1", accepted.exchange_order_id)
        assert (changed.lots, changed.status) == (2 * LOTS, OrderStatus.NEW)
        room.background(Side.SELL, None, LOTS + 5)
        fill = await room.recorder.wait_for(Fill)
        assert (fill.client_order_id, fill.lots, fill.is_maker, fill.fee_asset) == ("m-1", 5, True, "USDT")
        # 0.005 BTC at 60,000.50 and 2 bps.
        assert fill.fee_atoms == atoms("0.0600005")
        # As much as is filled already: the venue cancels instead.
        adapter.send(modify("m-1", BID_TICKS + 4, 5))
        gone = await room.recorder.wait_for(OrderUpdate, lambda event: not event.status.is_open)
        assert (gone.status, gone.filled_lots) == (OrderStatus.CANCELED, 5)


async def test_what_the_venue_says_no_to() -> None:
    async with usdm_room() as room:
        adapter = await room.open()
        adapter.send(order("m-1", Side.BUY, ASK_TICKS))
        rejected = await room.recorder.wait_for(OrderRejected)
        assert (rejected.code, rejected.would_take) == (-5022, True)
        adapter.send(order("m-2", Side.BUY, BID_TICKS, 40_000))
        rejected = await room.recorder.wait_for(OrderRejected, lambda event: event.client_order_id == "m-2")
        assert (rejected.code, rejected.message, rejected.would_take) == (-2019, "Margin is insufficient.", False)
        adapter.send(order("m-3"))
        await room.recorder.wait_for(OrderAccepted, lambda event: event.client_order_id == "m-3")
        adapter.send(modify("m-3", BID_TICKS))
        same = await room.recorder.wait_for(CancelRejected)
        assert (same.code, same.message) == (-5027, "No need to modify the order.")
        adapter.send(order("m-3", price_ticks=BID_TICKS - 1))
        # An order with this id lives: it may be our own retry, so nothing is certain.
        await room.recorder.wait_for(OutcomeUnknown, lambda event: event.client_order_id == "m-3")
        since = room.recorder.mark()
        adapter.send(modify("m-3", ASK_TICKS))
        gone = await room.recorder.wait_for(OrderUpdate, since=since)
        assert gone.status is OrderStatus.CANCELED
        assert not room.recorder.of(Fill)


async def test_a_modification_whose_answer_is_lost_is_unknown_and_a_query_tells() -> None:
    async with usdm_room() as room:
        adapter = await room.open()
        adapter.send(order("m-1"))
        await room.recorder.wait_for(OrderAccepted)
        room.orders.holding = room.user.holding = True
        adapter.send(modify("m-1", BID_TICKS + 7))
        unknown = await room.recorder.wait_for(OutcomeUnknown)
        assert (unknown.client_order_id, unknown.detail) == ("m-1", "no reply in time")
        room.orders.release()
        since = room.recorder.mark()
        adapter.send(QueryOrder(time.time_ns(), "m-1", SYMBOL))
        found = await room.recorder.wait_for(OrderUpdate, since=since)
        assert found.price_ticks == BID_TICKS + 7


async def test_a_short_position_as_the_venue_states_it() -> None:
    async with usdm_room() as room:
        adapter = await room.open()
        flat = await room.reconcile(adapter)
        assert [(each.base_atoms, each.leverage, each.mark_ticks) for each in flat.positions] == [(0, 20, 600_050)]
        adapter.send(order("m-1", Side.SELL, BID_TICKS, post_only=False))
        fill = await room.recorder.wait_for(Fill)
        assert (fill.side, fill.price_ticks, fill.lots, fill.is_maker) == (Side.SELL, BID_TICKS, LOTS, False)
        # 0.02 BTC at 60,000 and 5 bps.
        assert fill.fee_atoms == atoms("0.6")
        report = await room.reconcile(adapter)
        assert report.positions[0].base_atoms == -LOTS * 100_000
        assert [trade.trade_id for trade in report.trades] == [fill.trade_id]
        assert report.margin is not None
        # Marked at the mid of 60,005, the short has lost 0.10; a twentieth of its value is bound.
        assert report.margin.equity_atoms == atoms("100000") - atoms("0.6") - atoms("0.1")
        assert report.margin.available_atoms == report.margin.equity_atoms - atoms("1200.1") // 20


async def test_funding_is_told_once_with_its_symbol_and_found_after_an_outage() -> None:
    async with usdm_room(funding_interval=0.4) as room:
        adapter = await room.open()
        adapter.send(order("m-1", Side.SELL, BID_TICKS, post_only=False))
        paid = await room.recorder.wait_for(FundingPaid)
        assert (paid.symbol, paid.asset, paid.amount_atoms) == (SYMBOL, "USDT", atoms("0.120010"))
        room.user.refusing = True
        room.user.cut()
        await room.recorder.wait_for(OrderChannelStatus, lambda event: not event.connected)
        missed = len(room.venue.income)
        async with asyncio.timeout(20):
            # The venue pays when its time comes and tells nobody here; asking it would use up the weight of a minute.
            while len(room.venue.income) == missed:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        room.user.refusing = False
        report = await room.reconcile(adapter, paid.exchange_ns)
        numbers = [payment.funding_id for payment in report.funding]
        assert numbers == sorted(set(numbers))
        assert {paid.funding_id, room.venue.income[missed].funding_id} <= set(numbers)
        told = [event.funding_id for event in room.recorder.of(FundingPaid)]
        assert len(told) == len(set(told))


async def test_marks_and_coming_funding_are_told() -> None:
    async with usdm_room() as room:
        await room.open()
        mark = await room.recorder.wait_for(MarkPrice)
        assert (mark.symbol, mark.mark_ticks, mark.funding_rate) == (SYMBOL, 600_050, 0.0001)
        assert mark.next_funding_ns > mark.receive_ns


async def test_hedge_mode_is_an_error_that_says_what_to_do() -> None:
    async with usdm_room() as room:
        room.venue.dual_side = True
        with pytest.raises(AdapterError, match=r"hedge mode.*set one-way mode"):
            await room.open()
        assert room.recorder.events == []


async def test_bad_keys_are_an_error_at_the_start() -> None:
    async with usdm_room() as room:
        with pytest.raises(AdapterError, match="-2015"):
            await room.open(api_key="nobody")


async def test_the_channel_is_up_only_with_both_its_parts() -> None:
    async with usdm_room() as room:
        adapter = await room.open()
        since = room.recorder.mark()
        room.user.refusing = True
        room.user.cut()
        down = await room.recorder.wait_for(OrderChannelStatus, since=since)
        assert not down.connected
        assert down.detail.startswith("user data:")
        # Cancels must go out all the same.
        adapter.send(CancelOrder(time.time_ns(), "m-9", SYMBOL))
        assert (await room.recorder.wait_for(CancelRejected, since=since)).code == -2011
        room.user.refusing = False
        await room.recorder.wait_for(OrderChannelStatus, lambda event: event.connected, since=since)
        assert [event.connected for event in room.recorder.of(OrderChannelStatus)] == [True, False, True]


async def test_an_expired_listen_key_is_replaced() -> None:
    async with usdm_room() as room:
        adapter = await room.open()
        since = room.recorder.mark()
        room.venue.listeners.expire_keys(time.time_ns() + 2 * 3_600 * 10**9)
        down = await room.recorder.wait_for(OrderChannelStatus, since=since)
        assert "listen key has expired" in down.detail
        await room.recorder.wait_for(OrderChannelStatus, lambda event: event.connected, since=since)
        adapter.send(order("m-1"))
        await room.recorder.wait_for(OrderUpdate, lambda event: event.status is OrderStatus.NEW, since=since)


async def test_a_key_is_kept_alive() -> None:
    async with usdm_room(listen_key_seconds=1.0) as room:
        await room.open({"listen_key_refresh_seconds": "0.2"})
        await asyncio.sleep(1.5)
        assert [event.connected for event in room.recorder.of(OrderChannelStatus)] == [True]


async def test_liquidation_and_deposits_are_events_of_their_own() -> None:
    async with usdm_room() as room:
        await room.open()
        forced = (
            b'{"e":"ORDER_TRADE_UPDATE","E":1,"T":1,"o":{"s":"BTCUSDT","c":"autoclose-17","S":"BUY","q":"0.02","p":"0","x":"NEW",'
            b'"X":"NEW","i":9,"l":"0","z":"0","L":"0","T":1,"t":0,"m":false}}'
        )
        room.user.inject(text_frame(forced))
        assert "autoclose-17" in (await room.recorder.wait_for(ForcedTrade)).detail
        now_ns = time.time_ns()
        room.venue.publish(now_ns, SYMBOL, room.venue.engine.transfer("K1", "USDT", atoms("-5"), now_ns))
        change = await room.recorder.wait_for(ExternalBalanceChange)
        assert (change.asset, change.delta_atoms) == ("USDT", atoms("-5"))


async def test_a_heartbeat_keeps_orders_alive_beyond_the_countdown() -> None:
    async with usdm_room() as room:
        adapter = await room.open({"countdown_seconds": "2", "heartbeat_seconds": "0.3"})
        adapter.send(order("m-1"))
        await room.recorder.wait_for(OrderAccepted)
        await asyncio.sleep(2.6)
        assert [each.client_order_id for each in room.venue.engine.open_orders("K1", SYMBOL)] == ["m-1"]
        assert adapter.switch.heartbeats > 5
        assert not room.recorder.of(DeadMansSwitchLapsed)


async def test_when_heartbeats_fail_for_the_countdown_the_venue_cancels_and_we_say_so_once() -> None:
    async with usdm_room() as room:
        adapter = await room.open({"countdown_seconds": "2", "heartbeat_seconds": "0.3"})
        adapter.send(order("m-1"))
        await room.recorder.wait_for(OrderAccepted)
        room.rest.refusing = True
        room.rest.cut()
        cancelled = await room.recorder.wait_for(OrderUpdate, lambda event: event.status is OrderStatus.CANCELED)
        assert cancelled.client_order_id == "m-1"
        lapsed = await room.recorder.wait_for(DeadMansSwitchLapsed)
        assert lapsed.symbol == SYMBOL
        assert "no heartbeat was" in lapsed.detail
        assert room.venue.engine.open_orders("K1", SYMBOL) == []
        await asyncio.sleep(0.5)
        assert len(room.recorder.of(DeadMansSwitchLapsed)) == 1


async def test_nothing_is_placed_before_the_switch_is_armed() -> None:
    async with usdm_room() as room:
        adapter = room.make()
        await adapter.load_instruments()
        beats: list[bool] = []
        original = adapter.switch.arm

        async def arm() -> None:
            beats.append(not any(event.connected for event in room.recorder.of(OrderChannelStatus)))
            await original()

        adapter.switch.arm = arm  # type: ignore[method-assign]
        await adapter.start(room.recorder)
        await room.recorder.wait_for(OrderChannelStatus, lambda event: event.connected)
        assert beats == [True]
        assert adapter.switch.heartbeats >= 1
