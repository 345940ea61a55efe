"""What the adapter's tests play with: the mock exchange with wires in front of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

from pydantic import SecretStr

from mmd.exchanges.binance.adapter import BinanceSpotAdapter
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.mock.server import MockExchange
from mmd.testing.recorder import Recorder
from mmd.testing.wire import Wire, text_frame
from mmd.types.market import FeedState, FeedStatus, Side
from mmd.types.orders import OrderChannelStatus

BID_TICKS, ASK_TICKS = 2_816_500, 2_816_600

__all__ = ["ASK_TICKS", "BID_TICKS", "Recorder", "Room", "Wire", "make_room", "text_frame"]


class Room:
    """Mock, wires and adapter of one test."""

    def __init__(self, exchange: MockExchange, market_wire: Wire, order_wire: Wire, recorder: Recorder) -> None:
        self.exchange = exchange
        self.market_wire = market_wire
        self.order_wire = order_wire
        self.recorder = recorder
        self.adapter: BinanceSpotAdapter
        self._adapters: list[BinanceSpotAdapter] = []

    def settings(self, **changes: Any) -> BinanceSettings:
        values: dict[str, Any] = {
            "rest_url": self.exchange.rest_url,
            "stream_url": f"ws://127.0.0.1:{self.market_wire.port}",
            "websocket_api_url": f"ws://127.0.0.1:{self.order_wire.port}/ws-api/v3",
            "api_key": "K1",
            "api_secret": SecretStr("S1"),
            "backoff_first_seconds": 0.02,
            "announcements": False,
            "renewal_overlap_seconds": 0.3,
        }
        return BinanceSettings.model_validate(values | changes)

    async def open(
        self,
        *symbols: str,
        clock_ns: Callable[[], int] = time.time_ns,
        wait: bool = True,
        on_market_frame: Callable[[int, bytes], None] | None = None,
        **changes: Any,
    ) -> BinanceSpotAdapter:
        """Start an adapter, and wait until both channels are up."""
        self.adapter = BinanceSpotAdapter(
            self.settings(**changes),
            symbols or ("BTCUSDT",),
            clock_ns=clock_ns,
            on_failure=self.recorder.on_failure,
            random=Random(1),
            on_market_frame=on_market_frame,
        )
        self._adapters.append(self.adapter)
        await self.adapter.start(self.recorder)
        if wait:
            await self.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.CONNECTED)
            await self.recorder.wait_for(OrderChannelStatus, lambda event: event.connected)
        return self.adapter

    def background(self, side: Side, price_ticks: int, lots: int, symbol: str = "BTCUSDT") -> None:
        """Somebody else's limit order."""
        now_ns = time.time_ns()
        _, events = self.exchange.engine.background_limit(symbol, side, price_ticks, lots, now_ns)
        self.exchange.venue.publish(now_ns, symbol, events)

    def background_trade(self, side: Side, lots: int, symbol: str = "BTCUSDT") -> None:
        """Somebody else's market order."""
        now_ns = time.time_ns()
        events = self.exchange.engine.background_market(symbol, side, lots, now_ns)
        self.exchange.venue.publish(now_ns, symbol, events)

    async def close(self) -> None:
        for adapter in self._adapters:
            await adapter.close()
        await self.market_wire.stop()
        await self.order_wire.stop()


async def make_room(exchange: MockExchange) -> Room:
    market_wire, order_wire = Wire(exchange.stream_url), Wire(exchange.websocket_api_url)
    await market_wire.start()
    await order_wire.start()
    return Room(exchange, market_wire, order_wire, Recorder())
