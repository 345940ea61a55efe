"""The futures mock, wires with faults in front of it, and an adapter whose events are kept."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from typing import Any

from pydantic import SecretStr

from mmd.exchanges.binance_usdm.adapter import BinanceUsdmAdapter
from mmd.exchanges.binance_usdm.settings import BinanceUsdmSettings
from mmd.mock.futures.config import FuturesConfig
from mmd.mock.futures.venue import FuturesVenue
from mmd.mock.server import MockConfig, MockExchange
from mmd.testing.recorder import Recorder
from mmd.testing.wire import Wire
from mmd.types.market import Side
from mmd.types.orders import OrderChannelStatus, PlaceOrder, ReconciliationReport, RequestReconciliation

SYMBOL = "BTCUSDT"
BID_TICKS, ASK_TICKS, LOTS = 600_000, 600_100, 20


class UsdmRoom:
    """A market of two resting orders in which nothing moves by itself."""

    def __init__(self, exchange: MockExchange, wires: dict[str, Wire]) -> None:
        self.exchange = exchange
        self.market, self.user, self.orders, self.rest = (wires[name] for name in ("market", "user", "orders", "rest"))
        self.recorder = Recorder()
        self.adapters: list[BinanceUsdmAdapter] = []

    @property
    def venue(self) -> FuturesVenue:
        return self.exchange.futures.venue

    def make(self, options: dict[str, str] | None = None, **changes: Any) -> BinanceUsdmAdapter:
        values: dict[str, Any] = {
            "rest_url": f"http://127.0.0.1:{self.rest.port}",
            "stream_url": f"ws://127.0.0.1:{self.market.port}/fstream",
            "websocket_api_url": f"ws://127.0.0.1:{self.orders.port}/ws-fapi/v1",
            "api_key": "K1",
            "api_secret": SecretStr("S1"),
            "announcements": False,
            "request_timeout_seconds": 0.4,
            "backoff_first_seconds": 0.02,
            "rest_timeout_seconds": 1.0,
            "options": options or {},
        }
        settings = RoutedUsdmSettings.model_validate(values | changes)
        settings.__dict__["user_url"] = f"ws://127.0.0.1:{self.user.port}/fstream/private"
        adapter = BinanceUsdmAdapter(
            settings, (SYMBOL,), clock_ns=time.time_ns, on_failure=self.recorder.on_failure, random=Random(1)
        )
        self.adapters.append(adapter)
        return adapter

    async def open(self, options: dict[str, str] | None = None, **changes: Any) -> BinanceUsdmAdapter:
        adapter = self.make(options, **changes)
        await adapter.start(self.recorder)
        await self.recorder.wait_for(OrderChannelStatus, lambda event: event.connected)
        return adapter

    def background(self, side: Side, price_ticks: int | None, lots: int) -> None:
        now_ns = time.time_ns()
        if price_ticks is None:
            events = self.venue.engine.background_market(SYMBOL, side, lots, now_ns)
        else:
            _, events = self.venue.engine.background_limit(SYMBOL, side, price_ticks, lots, now_ns)
        self.venue.publish(now_ns, SYMBOL, events)

    async def reconcile(self, adapter: BinanceUsdmAdapter, since_ns: int = 0) -> ReconciliationReport:
        since = self.recorder.mark()
        adapter.send(RequestReconciliation(time.time_ns(), "test", ((SYMBOL, -1),), ((SYMBOL, since_ns),)))
        return await self.recorder.wait_for(ReconciliationReport, since=since)


class RoutedUsdmSettings(BinanceUsdmSettings):
    """User data over a wire of its own."""

    @property
    def private_stream_url(self) -> str:
        return str(self.__dict__.get("user_url") or super().private_stream_url)


def order(
    name: str, side: Side = Side.BUY, price_ticks: int = BID_TICKS, lots: int = LOTS, *, post_only: bool = True
) -> PlaceOrder:
    return PlaceOrder(time.time_ns(), name, SYMBOL, side, price_ticks, lots, post_only)


@asynccontextmanager
async def usdm_room(**futures: Any) -> AsyncIterator[UsdmRoom]:
    config = FuturesConfig(enabled=True, symbols=(SYMBOL,), **futures)
    async with MockExchange(MockConfig(market="none", futures=config, balances={"USDT": Decimal(1)})) as exchange:
        urls = {"market": exchange.rest_url, "user": exchange.rest_url, "orders": exchange.rest_url, "rest": exchange.rest_url}
        wires = {name: Wire(url) for name, url in urls.items()}
        for wire in wires.values():
            await wire.start()
        room = UsdmRoom(exchange, wires)
        room.background(Side.BUY, BID_TICKS, 10_000)
        room.background(Side.SELL, ASK_TICKS, 10_000)
        try:
            yield room
        finally:
            for adapter in room.adapters:
                await adapter.close()
            for wire in wires.values():
                await wire.stop()
        assert not room.recorder.failures
