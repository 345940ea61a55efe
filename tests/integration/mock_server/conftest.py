"""Clients of the mock exchange over real sockets, written from Binance's documentation and sharing no code with the server."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import websockets

from mmd.mock.server import MockConfig, MockExchange

Reply = tuple[int, Any, dict[str, str]]


class ManualClock:
    """UTC ns that move only when told to."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    @property
    def ms(self) -> int:
        return self.now_ns // 1_000_000


class RestClient:
    """Signed REST requests of one key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str, secret: str, clock: Callable[[], int]) -> None:
        self.session = session
        self.url = url
        self.key = key
        self.secret = secret
        self.clock = clock

    async def public(self, method: str, path: str, query: str = "") -> Reply:
        async with self.session.request(method, self._target(path, query)) as response:
            return response.status, await response.json(), dict(response.headers)

    async def signed(self, method: str, path: str, *, in_body: bool = False, **params: object) -> Reply:
        params.setdefault("timestamp", self.clock() // 1_000_000)
        payload = urlencode(params)
        signature = hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        return await self.raw(method, path, f"{payload}&signature={signature}", in_body=in_body)

    async def raw(self, method: str, path: str, payload: str, *, body: str = "", in_body: bool = False) -> Reply:
        query, body = ("", payload) if in_body else (payload, body)
        url = aiohttp.client.URL(self._target(path, query), encoded=True)
        headers = {"X-MBX-APIKEY": self.key, "Content-Type": "application/x-www-form-urlencoded"}
        async with self.session.request(method, url, data=body or None, headers=headers) as response:
            return response.status, await response.json(), dict(response.headers)

    def _target(self, path: str, query: str) -> str:
        return f"{self.url}{path if path.startswith('/') else f'/api/v3/{path}'}?{query}"

    async def place(self, side: str, price: str, quantity: str, **more: object) -> Any:
        """A LIMIT GTC order that must be accepted."""
        params = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC", "price": price, "quantity": quantity}
        status, reply, _ = await self.signed("POST", "order", **(params | more))
        assert status == 200, reply
        return reply

    async def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        _, account, _ = await self.signed("GET", "account")
        line = next(line for line in account["balances"] if line["asset"] == asset)
        return Decimal(line["free"]), Decimal(line["locked"])


class ApiClient:
    """Requests on the WebSocket API, and the user data events that come in between."""

    def __init__(self, socket: websockets.ClientConnection, key: str, secret: str) -> None:
        self.socket = socket
        self.key = key
        self.secret = secret
        self.events: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send as it is and wait for the reply."""
        request_id = next(self._ids)
        await self.socket.send(json.dumps({"id": request_id, "method": method, "params": params}))
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), 5))
            if "event" in message:
                self.events.append(message)
                continue
            assert message["id"] == request_id
            return message

    async def signed(self, method: str, **params: object) -> dict[str, Any]:
        params |= {"apiKey": self.key}
        params.setdefault("timestamp", time.time_ns() // 1_000_000)
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        return await self.call(method, **params)

    async def event(self) -> dict[str, Any]:
        """The next user data event."""
        if not self.events:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), 5))
            assert "event" in message
            return message
        return self.events.pop(0)


@pytest.fixture
def quiet_config() -> MockConfig:
    """No market but what the test does."""
    return MockConfig(market="none", symbols=("BTCUSDT",), balances={"USDT": Decimal(100_000), "BTC": Decimal(10)})


@pytest.fixture
async def exchange(quiet_config: MockConfig) -> AsyncIterator[MockExchange]:
    async with MockExchange(quiet_config) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def client(http: aiohttp.ClientSession) -> Callable[..., RestClient]:
    def make(exchange: MockExchange, key: str = "K1", secret: str = "S1", clock: Callable[[], int] = time.time_ns) -> RestClient:
        return RestClient(http, exchange.rest_url, key, secret, clock)

    return make


@pytest.fixture
def alice(exchange: MockExchange, client: Callable[..., RestClient]) -> RestClient:
    return client(exchange)


@pytest.fixture
def bob(exchange: MockExchange, client: Callable[..., RestClient]) -> RestClient:
    return client(exchange, "K2", "S2")


@pytest.fixture
async def api(exchange: MockExchange) -> AsyncIterator[ApiClient]:
    async with websockets.connect(exchange.websocket_api_url) as socket:
        yield ApiClient(socket, "K1", "S1")


@pytest.fixture
def manual_clock() -> ManualClock:
    """Starts on a full day, so that every rate-limit interval begins there."""
    return ManualClock(1_800_000_000_000_000_000 - 1_800_000_000_000_000_000 % 86_400_000_000_000)
