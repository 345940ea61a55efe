"""Orders, fills, amendments and the outcomes nobody knows, over real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from mmd.exchanges.adapter import AdapterError
from mmd.mock.server import MockConfig, MockExchange, RateLimits
from mmd.types.market import BatchEnd, Side
from mmd.types.orders import (
    AmendOrder,
    BalanceReport,
    CancelOrder,
    CancelRejected,
    ClockSync,
    ExternalBalanceChange,
    Fill,
    InstrumentsLoaded,
    OrderAccepted,
    OrderBudgetReport,
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
from tests.integration.adapter.venue_room import ASK_TICKS, BID_TICKS, Room, make_room, text_frame

LOTS = 100


def place(client_order_id: str, side: Side = Side.BUY, price_ticks: int = BID_TICKS, *, post_only: bool = True) -> PlaceOrder:
    return PlaceOrder(time.time_ns(), client_order_id, "BTCUSDT", side, price_ticks, LOTS, post_only)


def named(client_order_id: str) -> Callable[[OrderAccepted | OrderRejected | OutcomeUnknown | CancelRejected], bool]:
    return lambda event: event.client_order_id == client_order_id


def in_state(client_order_id: str, status: OrderStatus) -> Callable[[OrderUpdate], bool]:
    return lambda event: event.client_order_id == client_order_id and event.status is status


async def test_what_comes_first(room: Room) -> None:
    await room.open("BTCUSDT", "ETHUSDT")
    events = room.recorder.events
    assert isinstance(events[0], InstrumentsLoaded)
    assert events[0].symbols == ("BTCUSDT", "ETHUSDT")
    assert room.adapter.instruments["BTCUSDT"].ticks_per_unit == 100.0
    measured = events.index(room.recorder.of(ClockSync)[0])
    up = events.index(room.recorder.of(OrderChannelStatus)[0])
    assert measured < up


async def test_place_fill_and_balances(room: Room) -> None:
    adapter = await room.open()
    adapter.send(place("m-1", Side.SELL, ASK_TICKS - 10))
    accepted = await room.recorder.wait_for(OrderAccepted, named("m-1"))
    new = await room.recorder.wait_for(OrderUpdate, in_state("m-1", OrderStatus.NEW))
    assert (new.exchange_order_id, new.side, new.price_ticks) == (accepted.exchange_order_id, Side.SELL, ASK_TICKS - 10)
    assert (new.lots, new.filled_lots) == (LOTS, 0)
    budget = await room.recorder.wait_for(OrderBudgetReport)
    assert (budget.used, budget.interval_ns) == (1, 10_000_000_000)
    room.background_trade(Side.BUY, 40)
    fill = await room.recorder.wait_for(Fill)
    assert (fill.client_order_id, fill.side, fill.price_ticks, fill.lots, fill.is_maker) == (
        "m-1",
        Side.SELL,
        ASK_TICKS - 10,
        40,
        True,
    )
    partly = await room.recorder.wait_for(OrderUpdate, in_state("m-1", OrderStatus.PARTIALLY_FILLED))
    assert partly.filled_lots == 40
    assert room.recorder.events.index(fill) < room.recorder.events.index(partly)
    balances = await room.recorder.wait_for(BalanceReport, since=room.recorder.events.index(fill))
    assert {balance.asset for balance in balances.balances} >= {"BTC", "USDT"}
    assert isinstance(await room.recorder.wait_for(BatchEnd, since=room.recorder.events.index(fill)), BatchEnd)


async def test_immediate_order_takes(room: Room) -> None:
    adapter = await room.open()
    adapter.send(place("m-1", Side.BUY, ASK_TICKS, post_only=False))
    fill = await room.recorder.wait_for(Fill)
    assert (fill.price_ticks, fill.lots, fill.is_maker, fill.fee_asset) == (ASK_TICKS, LOTS, False, "BTC")
    assert fill.fee_atoms > 0
    await room.recorder.wait_for(OrderUpdate, in_state("m-1", OrderStatus.FILLED))


async def test_refusals(room: Room) -> None:
    adapter = await room.open()
    adapter.send(place("m-1", Side.BUY, ASK_TICKS))
    rejected = await room.recorder.wait_for(OrderRejected, named("m-1"))
    assert (rejected.code, rejected.message) == (-2010, "Order would immediately match and take.")
    adapter.send(CancelOrder(time.time_ns(), "m-9", "BTCUSDT"))
    refused = await room.recorder.wait_for(CancelRejected, named("m-9"))
    assert (refused.code, refused.message) == (-2011, "Unknown order sent.")
    before_ms = time.time_ns() // 1_000_000
    adapter.send(QueryOrder(time.time_ns(), "m-9", "BTCUSDT"))
    absent = await room.recorder.wait_for(OrderNotFound)
    assert absent.client_order_id == "m-9"
    assert before_ms - 5 <= absent.query_exchange_ms <= before_ms + 1000
    # The same id again while the first lives: it may be our own retry of an order thought lost, so nothing is certain.
    adapter.send(place("m-2"))
    await room.recorder.wait_for(OrderAccepted, named("m-2"))
    adapter.send(place("m-2"))
    await room.recorder.wait_for(OutcomeUnknown, named("m-2"))


async def test_cancel_and_query(room: Room) -> None:
    adapter = await room.open()
    adapter.send(place("m-1"))
    accepted = await room.recorder.wait_for(OrderAccepted, named("m-1"))
    adapter.send(CancelOrder(time.time_ns(), "m-1", "BTCUSDT"))
    cancelled = await room.recorder.wait_for(OrderUpdate, in_state("m-1", OrderStatus.CANCELED))
    assert cancelled.exchange_order_id == accepted.exchange_order_id
    since = room.recorder.mark()
    adapter.send(QueryOrder(time.time_ns(), "m-1", "BTCUSDT"))
    await room.recorder.wait_for(OrderUpdate, in_state("m-1", OrderStatus.CANCELED), since=since)
    assert {update.client_order_id for update in room.recorder.of(OrderUpdate)} == {"m-1"}


async def test_replace(room: Room) -> None:
    adapter = await room.open()
    adapter.send(place("m-1"))
    await room.recorder.wait_for(OrderAccepted, named("m-1"))
    adapter.send(ReplaceOrder(time.time_ns(), "m-1", "m-2", "BTCUSDT", Side.BUY, BID_TICKS - 5, LOTS))
    await room.recorder.wait_for(OrderUpdate, in_state("m-1", OrderStatus.CANCELED))
    await room.recorder.wait_for(OrderAccepted, named("m-2"))
    adapter.send(ReplaceOrder(time.time_ns(), "m-1", "m-3", "BTCUSDT", Side.BUY, BID_TICKS - 6, LOTS))
    assert (await room.recorder.wait_for(CancelRejected, named("m-1"))).code == -2011
    assert (await room.recorder.wait_for(OrderRejected, named("m-3"))).code == -2022
    adapter.send(ReplaceOrder(time.time_ns(), "m-2", "m-4", "BTCUSDT", Side.BUY, ASK_TICKS, LOTS))
    await room.recorder.wait_for(OrderUpdate, in_state("m-2", OrderStatus.CANCELED))
    assert (await room.recorder.wait_for(OrderRejected, named("m-4"))).code == -2010


async def test_amend(room: Room) -> None:
    adapter = await room.open()
    adapter.send(place("m-1"))
    accepted = await room.recorder.wait_for(OrderAccepted, named("m-1"))
    adapter.send(AmendOrder(time.time_ns(), "m-1", "m-2", "BTCUSDT", LOTS // 2))
    await room.recorder.wait_for(OrderUpdate, lambda event: event.client_order_id == "m-2" and event.lots == LOTS // 2)
    amended = [event for event in room.recorder.of(OrderUpdate) if event.client_order_id == "m-2"]
    assert {event.replaced_client_order_id for event in amended} == {"m-1"}
    assert {event.exchange_order_id for event in amended} == {accepted.exchange_order_id}
    adapter.send(AmendOrder(time.time_ns(), "m-2", "m-3", "BTCUSDT", LOTS * 2))
    assert (await room.recorder.wait_for(CancelRejected, named("m-2"))).code == -2038


async def test_a_cut_line_leaves_the_outcome_unknown(room: Room) -> None:
    adapter = await room.open()
    room.order_wire.holding = True
    adapter.send(place("m-1"))
    adapter.send(ReplaceOrder(time.time_ns(), "m-1", "m-2", "BTCUSDT", Side.BUY, BID_TICKS - 5, LOTS))
    assert adapter.counters.requests_in_flight == 2
    await room.order_wire.held.wait()
    since = room.recorder.mark()
    room.order_wire.cut()
    room.order_wire.holding = False
    for name in ("m-1", "m-2"):
        unknown = await room.recorder.wait_for(OutcomeUnknown, named(name), since=since)
        assert "connection lost" in unknown.detail
    assert adapter.counters.requests_in_flight == 0
    down = await room.recorder.wait_for(OrderChannelStatus, lambda event: not event.connected, since=since)
    await room.recorder.wait_for(OrderChannelStatus, lambda event: event.connected, since=room.recorder.events.index(down))
    assert adapter.counters.reconnects == 1
    adapter.send(QueryOrder(time.time_ns(), "m-1", "BTCUSDT"))
    found = await room.recorder.wait_for(OrderUpdate, lambda event: event.client_order_id == "m-1", since=since)
    assert found.exchange_order_id > 0


async def test_while_the_line_is_down_nothing_is_written(room: Room) -> None:
    adapter = await room.open()
    room.order_wire.refusing = True
    room.order_wire.cut()
    since = room.recorder.mark()
    await room.recorder.wait_for(OrderChannelStatus, lambda event: not event.connected)
    adapter.send(place("m-1"))
    # Not from inside send(): the core's own shell is calling it.
    assert not room.recorder.of(OutcomeUnknown)
    unknown = await room.recorder.wait_for(OutcomeUnknown, named("m-1"), since=since)
    assert unknown.detail == "not written: order entry is down"
    await room.order_wire.refused.wait()
    room.order_wire.refusing = False
    await room.recorder.wait_for(OrderChannelStatus, lambda event: event.connected, since=since)
    assert adapter.counters.connect_failures > 0


async def test_requests_in_flight_are_bounded(room: Room) -> None:
    adapter = await room.open(max_requests_in_flight=1)
    room.order_wire.holding = True
    adapter.send(place("m-1"))
    adapter.send(place("m-2"))
    unknown = await room.recorder.wait_for(OutcomeUnknown)
    assert (unknown.client_order_id, unknown.detail) == ("m-2", "not written: 1 requests await a reply already")
    room.order_wire.release()
    await room.recorder.wait_for(OrderAccepted, named("m-1"))
    adapter.send(place("m-2"))
    await room.recorder.wait_for(OrderAccepted, named("m-2"))


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        (b"{", "malformed message"),
        (b'{"event":{"e":"executionReport"}}', "malformed message"),
        (b'{"id":null,"status":401,"error":{"code":-2015,"msg":"Invalid API-key."}}', "401 -2015 Invalid API-key."),
    ],
)
async def test_messages_after_which_the_line_cannot_be_trusted(room: Room, message: bytes, detail: str) -> None:
    await room.open()
    since = room.recorder.mark()
    room.order_wire.inject(text_frame(message))
    down = await room.recorder.wait_for(OrderChannelStatus, lambda event: not event.connected, since=since)
    assert down.detail == detail
    await room.recorder.wait_for(OrderChannelStatus, lambda event: event.connected, since=since)


async def test_a_late_reply_is_read_after_all(room: Room) -> None:
    adapter = await room.open(request_timeout_seconds=0.2)
    room.order_wire.holding = True
    adapter.send(place("m-1"))
    unknown = await room.recorder.wait_for(OutcomeUnknown, named("m-1"))
    assert unknown.detail == "no reply in time"
    assert adapter.counters.requests_timed_out == 1
    room.order_wire.release()
    await room.recorder.wait_for(OrderAccepted, named("m-1"))


async def test_a_reaction_inside_the_sink_is_sent_at_once(room: Room) -> None:
    """The core's commands leave from inside the callback of the frame that caused them."""
    adapter = await room.open()

    def react(event: object) -> None:
        if isinstance(event, OrderAccepted) and event.client_order_id == "m-1":
            adapter.send(CancelOrder(time.time_ns(), "m-1", "BTCUSDT"))

    room.recorder.reactions.append(react)
    adapter.send(place("m-1"))
    await room.recorder.wait_for(OrderUpdate, in_state("m-1", OrderStatus.CANCELED))


async def test_what_the_core_raises_is_reported_and_the_line_stays(room: Room) -> None:
    adapter = await room.open()

    def react(event: object) -> None:
        if isinstance(event, OrderAccepted):
            raise RuntimeError("the core has a bug")

    room.recorder.reactions.append(react)
    adapter.send(place("m-1"))
    with pytest.raises(AssertionError, match="the core has a bug"):
        await room.recorder.wait_for(OrderRejected)
    assert room.recorder.failures[0][1] == "the core, on OrderAccepted"
    room.recorder.failures.clear()
    room.recorder.reactions.clear()
    adapter.send(CancelOrder(time.time_ns(), "m-1", "BTCUSDT"))
    await room.recorder.wait_for(OrderUpdate, in_state("m-1", OrderStatus.CANCELED))


async def test_a_clock_that_is_hours_off(room: Room) -> None:
    offset_ns = 7200 * 10**9

    def wrong_clock_ns() -> int:
        return time.time_ns() - offset_ns

    adapter = await room.open(clock_ns=wrong_clock_ns)
    sync = room.recorder.of(ClockSync)[0]
    assert abs(sync.offset_ns - offset_ns) < 500_000_000
    adapter.send(PlaceOrder(wrong_clock_ns(), "m-1", "BTCUSDT", Side.BUY, BID_TICKS, LOTS))
    await room.recorder.wait_for(OrderAccepted, named("m-1"))


async def test_a_stale_timestamp_is_a_refusal_and_measures_the_clock_again(room: Room) -> None:
    adapter = await room.open()
    measured = len(room.recorder.of(ClockSync))
    adapter.send(PlaceOrder(time.time_ns() - 60 * 10**9, "m-1", "BTCUSDT", Side.BUY, BID_TICKS, LOTS))
    rejected = await room.recorder.wait_for(OrderRejected, named("m-1"))
    assert rejected.code == -1021
    await room.recorder.wait_for(ClockSync, lambda _: len(room.recorder.of(ClockSync)) > measured)


async def test_deposits_are_events_of_their_own(room: Room) -> None:
    await room.open()
    now_ns = time.time_ns()
    room.exchange.venue.publish(now_ns, "BTCUSDT", room.exchange.engine.transfer("K1", "USDT", 12_345, now_ns))
    change = await room.recorder.wait_for(ExternalBalanceChange)
    assert (change.asset, change.delta_atoms) == ("USDT", 12_345)


async def test_renewal_opens_the_new_line_before_it_leaves_the_old(room: Room) -> None:
    adapter = await room.open()
    since = room.recorder.mark()
    room.order_wire.inject(text_frame(b'{"event":{"e":"serverShutdown","E":1}}'))
    adapter.send(place("m-1"))
    await room.recorder.wait_for(OrderAccepted, named("m-1"), since=since)
    await room.order_wire.wait_for_connections(2)
    adapter.send(place("m-2", price_ticks=BID_TICKS - 1))
    await room.recorder.wait_for(OrderAccepted, named("m-2"), since=since)
    assert [event.connected for event in room.recorder.of(OrderChannelStatus)] == [True]


async def test_the_end_of_the_user_data_stream_is_a_disconnect(room: Room) -> None:
    await room.open()
    since = room.recorder.mark()
    room.order_wire.inject(text_frame(b'{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}'))
    down = await room.recorder.wait_for(OrderChannelStatus, lambda event: not event.connected, since=since)
    assert "ended the user data stream" in down.detail
    await room.recorder.wait_for(OrderChannelStatus, lambda event: event.connected, since=since)


async def test_bad_keys_are_told_once_and_tried_again(room: Room) -> None:
    await room.open(wait=False, api_secret=SecretStr("wrong"))
    down = await room.recorder.wait_for(OrderChannelStatus)
    assert not down.connected
    assert "-1022" in down.detail
    await room.order_wire.wait_for_connections(3)
    assert len(room.recorder.of(OrderChannelStatus)) == 1


async def test_rate_limits_say_until_when() -> None:
    limits = RateLimits(orders_per_10_seconds=1)
    async with MockExchange(MockConfig(market="none", rate_limits=limits)) as exchange:
        room = await make_room(exchange)
        try:
            adapter = await room.open()
            for number in range(3):
                adapter.send(place(f"m-{number}", price_ticks=BID_TICKS - number))
            limited = await room.recorder.wait_for(RateLimited)
            assert 0 < limited.until_ns - time.time_ns() <= 10_000_000_000
            assert (await room.recorder.wait_for(OrderRejected)).code == -1015
        finally:
            await room.close()


async def test_ed25519_session() -> None:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    async with MockExchange(MockConfig(market="none", public_keys={"E1": public})) as exchange:
        room = await make_room(exchange)
        try:
            adapter = await room.open(api_key="E1", api_secret=SecretStr(""), ed25519_private_key=SecretStr(private))
            adapter.send(place("m-1"))
            await room.recorder.wait_for(OrderAccepted, named("m-1"))
            await room.recorder.wait_for(OrderUpdate, in_state("m-1", OrderStatus.NEW))
        finally:
            await room.close()


async def test_an_absent_venue_is_an_error_at_start(room: Room) -> None:
    with pytest.raises(AdapterError, match="cannot read the instruments BTCUSDT"):
        await room.open(rest_url="http://127.0.0.1:9", rest_timeout_seconds=0.5)
