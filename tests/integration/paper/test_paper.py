"""Paper trading on the mock's live market over real sockets: nothing is sent, the queue is waited in, the account survives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from pydantic import SecretStr

from mmd.exchanges.adapter import AdapterError
from mmd.exchanges.binance.adapter import BinanceSpotAdapter
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.mock.server import MockConfig, MockExchange
from mmd.paper.adapter import PaperAdapter
from mmd.paper.settings import PaperSettings
from mmd.testing.recorder import Recorder
from mmd.testing.wire import Wire
from mmd.types.market import MarketTrade, Side
from mmd.types.orders import (
    BalanceReport,
    CancelOrder,
    Fill,
    OrderAccepted,
    OrderChannelStatus,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    QueryOrder,
    ReconciliationReport,
    RequestReconciliation,
)

SYMBOL = "BTCUSDT"
BID_TICKS, ASK_TICKS, DISPLAYED, LOTS = 2_816_500, 2_816_600, 1_000, 100


class Tap(Wire):
    """Keeps everything that the adapter sends."""

    def __init__(self, upstream_url: str) -> None:
        super().__init__(upstream_url)
        self.sent = bytearray()

    def on_sent(self, data: bytes) -> None:
        self.sent += data


class Room:
    def __init__(self, exchange: MockExchange, tap: Tap, folder: Path) -> None:
        self.exchange, self.tap, self.folder = exchange, tap, folder
        self.recorder = Recorder()
        self.adapters: list[PaperAdapter] = []

    async def open(self, **paper: float | dict[str, Decimal]) -> PaperAdapter:
        address = f"127.0.0.1:{self.tap.port}"
        settings = BinanceSettings(
            rest_url=f"http://{address}",
            stream_url=f"ws://{address}",
            websocket_api_url=f"ws://{address}/ws-api/v3",
            api_key="K1",
            api_secret=SecretStr("S1"),
            announcements=False,
        )
        self.recorder = Recorder()
        adapter = PaperAdapter(
            settings,
            (SYMBOL,),
            market=BinanceSpotAdapter,
            paper=PaperSettings.model_validate({"order_latency_ms": 1, "response_latency_ms": 1, **paper}),
            state_dir=self.folder,
            clock_ns=time.time_ns,
            on_failure=self.recorder.on_failure,
            random=Random(1),
        )
        self.adapters.append(adapter)
        await adapter.start(self.recorder)
        await self.recorder.wait_for(OrderChannelStatus)
        return adapter

    def background(self, side: Side, price_ticks: int, lots: int) -> None:
        now_ns = time.time_ns()
        _, events = self.exchange.engine.background_limit(SYMBOL, side, price_ticks, lots, now_ns)
        self.exchange.venue.publish(now_ns, SYMBOL, events)

    async def trade(self, side: Side, lots: int) -> None:
        """Somebody's market order; returns when we have seen its print."""
        since, now_ns = self.recorder.mark(), time.time_ns()
        self.exchange.venue.publish(now_ns, SYMBOL, self.exchange.engine.background_market(SYMBOL, side, lots, now_ns))
        await self.recorder.wait_for(MarketTrade, since=since)

    def filled(self) -> int:
        return sum(fill.lots for fill in self.recorder.of(Fill))

    async def reconcile(self, adapter: PaperAdapter) -> ReconciliationReport:
        adapter.send(RequestReconciliation(time.time_ns(), "test", ((SYMBOL, -1),)))
        return await self.recorder.wait_for(ReconciliationReport, since=self.recorder.mark())


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with MockExchange(MockConfig(market="none", symbols=(SYMBOL,))) as exchange:
        tap = Tap(exchange.rest_url)
        await tap.start()
        room = Room(exchange, tap, tmp_path)
        room.background(Side.BUY, BID_TICKS, DISPLAYED)
        room.background(Side.SELL, ASK_TICKS, DISPLAYED)
        try:
            yield room
        finally:
            for adapter in room.adapters:
                await adapter.close()
            await tap.stop()
        assert not room.recorder.failures


def place(client_order_id: str, side: Side = Side.BUY, price_ticks: int = BID_TICKS, *, post_only: bool = True) -> PlaceOrder:
    return PlaceOrder(time.time_ns(), client_order_id, SYMBOL, side, price_ticks, LOTS, post_only)


async def test_a_whole_session_sends_nothing_that_is_signed(room: Room) -> None:
    adapter = await room.open()
    adapter.send(place("p-1"))
    await room.recorder.wait_for(OrderAccepted)
    adapter.send(place("p-2", Side.BUY, ASK_TICKS, post_only=False))
    await room.recorder.wait_for(Fill)
    adapter.send(QueryOrder(time.time_ns(), "p-1", SYMBOL))
    await room.reconcile(adapter)
    assert [order.client_order_id for order in await adapter.open_orders_audit("p")] == ["p-1"]
    adapter.send(CancelOrder(time.time_ns(), "p-1", SYMBOL))
    await room.recorder.wait_for(OrderUpdate, lambda event: event.status is OrderStatus.CANCELED)
    await adapter.close()
    sent = bytes(room.tap.sent)
    assert b"GET /api/v3/depth" in sent
    for word in (b"signature", b"X-MBX-APIKEY", b"K1", b"ws-api", b"POST", b"DELETE", b"PUT", b"order"):
        assert word not in sent, word
    assert room.exchange.engine.open_orders("K1", None) == []
    assert room.exchange.engine.trades("K1", SYMBOL) == []


async def test_an_order_waits_behind_what_is_displayed(room: Room) -> None:
    adapter = await room.open()
    adapter.send(place("p-1"))
    await room.recorder.wait_for(OrderAccepted)
    await room.trade(Side.SELL, DISPLAYED - 10)
    await room.reconcile(adapter)
    assert room.filled() == 0, "it stood behind the whole level"
    room.background(Side.BUY, BID_TICKS, 500)
    await room.trade(Side.SELL, 10 + LOTS // 2)
    fill = await room.recorder.wait_for(Fill)
    assert (fill.client_order_id, fill.lots, fill.price_ticks, fill.is_maker) == ("p-1", LOTS // 2, BID_TICKS, True)


async def test_an_order_that_is_under_way_meets_nothing(room: Room) -> None:
    adapter = await room.open(order_latency_ms=300)
    adapter.send(place("p-1", Side.BUY, BID_TICKS + 10))
    await room.trade(Side.SELL, 50)
    await room.recorder.wait_for(OrderAccepted)
    await room.reconcile(adapter)
    assert room.filled() == 0
    await room.trade(Side.SELL, 50)
    assert (await room.recorder.wait_for(Fill)).lots == 50


async def test_the_account_survives_a_restart_and_its_orders_do_not(room: Room) -> None:
    adapter = await room.open(maker_fee=0.0, taker_fee=0.001)
    adapter.send(place("p-1", Side.BUY, ASK_TICKS, post_only=False))
    fill = await room.recorder.wait_for(Fill)
    assert (fill.fee_asset, fill.fee_atoms) == ("BTC", LOTS * 1_000 // 1_000)
    adapter.send(place("p-2"))
    await room.recorder.wait_for(OrderAccepted, lambda event: event.client_order_id == "p-2")
    before = await room.reconcile(adapter)
    assert [order.client_order_id for order in before.open_orders] == ["p-2"]
    await adapter.close()
    again = await room.open()
    after = await room.reconcile(again)
    assert after.open_orders == ()
    assert [(trade.trade_id, trade.client_order_id) for trade in after.trades] == [(fill.trade_id, "p-1")]
    total = {balance.asset: balance.total_atoms for balance in before.balances}
    assert {balance.asset: balance.total_atoms for balance in after.balances} == total
    assert all(balance.locked_atoms == 0 for balance in after.balances)
    again.send(QueryOrder(time.time_ns(), "p-2", SYMBOL))
    assert (await room.recorder.wait_for(OrderUpdate)).status is OrderStatus.CANCELED


async def test_a_crash_loses_no_fill(room: Room, tmp_path: Path) -> None:
    adapter = await room.open()
    adapter.send(place("p-1", Side.BUY, ASK_TICKS, post_only=False))
    fill = await room.recorder.wait_for(Fill)
    balances = await room.recorder.wait_for(BalanceReport)
    # What is on disk at this very moment is what a killed process would find.
    left = tmp_path / "left"
    await asyncio.to_thread(copy_account, room.folder, left)
    await adapter.close()
    room.folder = left
    report = await room.reconcile(await room.open())
    assert [trade.trade_id for trade in report.trades] == [fill.trade_id]
    kept = {balance.asset: balance.total_atoms for balance in report.balances}
    assert all(kept[balance.asset] == balance.total_atoms for balance in balances.balances)


def copy_account(source: Path, target: Path) -> None:
    folder = target / "paper-account"
    folder.mkdir(parents=True)
    for file in (source / "paper-account").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())


async def test_what_a_market_ran_past_while_unseen_is_filled(room: Room) -> None:
    adapter = await room.open()
    adapter.send(place("p-1", Side.BUY, BID_TICKS + 10))
    await room.recorder.wait_for(OrderAccepted)
    room.tap.refusing = True
    room.tap.cut()
    now_ns = time.time_ns()
    room.exchange.engine.background_market(SYMBOL, Side.SELL, DISPLAYED, now_ns)
    room.background(Side.BUY, BID_TICKS - 200, DISPLAYED)
    room.background(Side.SELL, BID_TICKS, DISPLAYED)
    room.tap.refusing = False
    fill = await room.recorder.wait_for(Fill)
    assert (fill.client_order_id, fill.price_ticks, fill.lots) == ("p-1", BID_TICKS + 10, LOTS)


async def test_an_asset_without_a_balance_is_named(room: Room) -> None:
    with pytest.raises(AdapterError, match=r"begins without BTC: set paper\.balances\.BTC \(MMD_PAPER__BALANCES__BTC\)"):
        await room.open(balances={"USDT": Decimal(100)})
