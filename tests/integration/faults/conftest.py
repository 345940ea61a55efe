"""A quiet mock exchange over real sockets, on which a test makes frames and orders one by one and switches faults on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import websockets

from mmd.mock.faults import parse_fault
from mmd.mock.server import MockConfig, MockExchange
from mmd.types.market import Side
from tests.integration.mock_server.conftest import ApiClient, RestClient

BID_TICKS, ASK_TICKS = 5_000_000, 5_000_100
PATIENCE = 10.0


class Stage:
    """The exchange and its clients."""

    def __init__(self, exchange: MockExchange, http: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.http = http
        self.alice = RestClient(http, exchange.rest_url, "K1", "S1", time.time_ns)
        self._sockets: list[Any] = []
        self._bid = BID_TICKS

    def on(self, kind: str, **parameters: Any) -> int:
        """Switch a fault on."""
        return self.exchange.faults.switch_on(parse_fault({"kind": kind, **parameters}), time.time_ns())

    def struck(self, kind: str) -> int:
        return self.exchange.faults.injected[kind]

    async def streams(self, *names: str, combined: bool = False) -> websockets.ClientConnection:
        """A websocket on market streams of BTCUSDT."""
        path = "/stream?streams=" if combined else "/ws/"
        joined = "/".join(f"btcusdt@{name}" for name in names)
        socket = await websockets.connect(f"{self.exchange.stream_url}{path}{joined}", ping_interval=None)
        self._sockets.append(socket)
        return socket

    async def api(self, key: str = "K1", secret: str = "S1") -> ApiClient:
        socket = await websockets.connect(self.exchange.websocket_api_url, ping_interval=None)
        self._sockets.append(socket)
        return ApiClient(socket, key, secret)

    def move(self) -> int:
        """A better bid: one more bookTicker frame (and a change of the depth). Its update id."""
        self._bid += 1
        self.rest(Side.BUY, self._bid, 1000)
        return self.exchange.engine.touch("BTCUSDT")[0]

    def rest(self, side: Side, price_ticks: int, lots: int) -> None:
        """Somebody else's limit order."""
        now_ns = self.exchange.venue.catch_up()
        _, events = self.exchange.engine.background_limit("BTCUSDT", side, price_ticks, lots, now_ns)
        self.exchange.venue.publish(now_ns, "BTCUSDT", events)

    async def close(self) -> None:
        for socket in self._sockets:
            await socket.close()


async def received(socket: websockets.ClientConnection, last_id: int) -> list[int]:
    """Update ids of the bookTicker frames that come, up to and with `last_id`."""
    ids: list[int] = []
    while not ids or ids[-1] != last_id:
        ids.append(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))["u"])
    return ids


async def closed_with(socket: websockets.ClientConnection) -> websockets.ConnectionClosed:
    """How a connection ended."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await socket.recv()
            except websockets.ConnectionClosed as end:
                return end


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    config = MockConfig(market="none", symbols=("BTCUSDT",), balances={"USDT": Decimal(1_000_000), "BTC": Decimal(10)})
    async with MockExchange(config) as exchange, aiohttp.ClientSession() as http:
        made = Stage(exchange, http)
        made.rest(Side.BUY, BID_TICKS, 1000)
        made.rest(Side.SELL, ASK_TICKS, 1000)
        yield made
        await made.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
