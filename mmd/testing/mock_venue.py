"""The mock exchange as a venue under test: a quiet market, a second account, and wires in front that can be held and cut."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp

from mmd.exchanges.adapter import ExchangeAdapter, FailureHandler, VenueOrder
from mmd.mock.server import MockConfig, MockExchange, RateLimits
from mmd.mock.server.venue import Venue
from mmd.testing.wire import Wire
from mmd.types.market import Level, Side

OURS, OTHER = ("K1", "S1"), ("K2", "S2")


class SignedRest:
    """A client of the venue's REST API with a key of its own, as simple as can be. A refusal is an `AssertionError`."""

    def __init__(self, base_url: str, api: str, key: str, secret: str) -> None:
        self._base_url = base_url + api
        self._key = key
        self._secret = secret.encode()
        self._session = aiohttp.ClientSession()

    async def __call__(self, method: str, path: str, **parameters: object) -> Any:
        """Send one signed request; returns the decoded reply."""
        query = urlencode({**parameters, "timestamp": time.time_ns() // 1_000_000})
        signature = hmac.new(self._secret, query.encode(), hashlib.sha256).hexdigest()
        url = f"{self._base_url}/{path}?{query}&signature={signature}"
        async with self._session.request(method, url, headers={"X-MBX-APIKEY": self._key}) as response:
            reply = await response.json()
            assert response.status == 200, (path, response.status, reply)
            return reply

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()


class MockVenue:
    """See `VenueHarness`. A subclass says how its adapter is made, and which wires carry the answers to orders."""

    name = "mock"
    symbol = "BTCUSDT"
    api = "/api/v3"
    bid_ticks = 2_816_500
    ask_ticks = 2_816_600
    lots = 100
    order_limit = 20

    def __init__(self) -> None:
        self.exchange = MockExchange(self.config())
        self._wires: list[Wire] = []

    def config(self) -> MockConfig:
        """Of the exchange."""
        limits = RateLimits(orders_per_10_seconds=self.order_limit)
        return MockConfig(market="none", accounts=dict((OURS, OTHER)), rate_limits=limits, symbols=(self.symbol,))

    @property
    def market(self) -> Venue:
        """Which of the exchange's markets is under test."""
        return self.exchange.venue

    def urls(self) -> tuple[str, str]:
        """Of the market streams and of order entry."""
        return self.exchange.stream_url, self.exchange.websocket_api_url

    async def __aenter__(self) -> Self:
        """Start exchange, wires and clients, and make the market."""
        await self.exchange.start()
        stream_url, order_url = self.urls()
        self.market_wire = await self._wire(stream_url)
        self.order_wire = await self._wire(order_url)
        self.rest_wire = await self._wire(self.exchange.rest_url)
        self._ours = SignedRest(self.exchange.rest_url, self.api, *OURS)
        self._other = SignedRest(self.exchange.rest_url, self.api, *OTHER)
        await self.quote(Side.BUY, self.bid_ticks, self.lots * 100)
        await self.quote(Side.SELL, self.ask_ticks, self.lots * 100)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop them."""
        await self._ours.close()
        await self._other.close()
        for wire in self._wires:
            await wire.stop()
        await self.exchange.stop()

    def make_adapter(self, *, clock_ns: Callable[[], int], on_failure: FailureHandler) -> ExchangeAdapter:
        """A fresh adapter."""
        raise NotImplementedError

    def answer_wires(self) -> tuple[Wire, ...]:
        """Over which the answers to orders come."""
        return (self.order_wire,)

    # ---- others, and the venue's word

    async def trade(self, side: Side, lots: int) -> None:
        """The second account's market order."""
        await self._other("POST", "order", symbol=self.symbol, side=side.name, type="MARKET", quantity=self._quantity(lots))

    async def quote(self, side: Side, price_ticks: int, lots: int) -> None:
        """Nobody's order: it counts for no account."""
        now_ns = time.time_ns()
        _, events = self.market.engine.background_limit(self.symbol, side, price_ticks, lots, now_ns)
        self.market.publish(now_ns, self.symbol, events)

    async def place_elsewhere(self, side: Side, price_ticks: int, lots: int, client_order_id: str) -> None:
        """Our account's, by REST."""
        await self._ours(
            "POST",
            "order",
            symbol=self.symbol,
            side=side.name,
            type="LIMIT",
            timeInForce="GTC",
            price=self.market.engine.instruments[self.symbol].price_text(price_ticks),
            quantity=self._quantity(lots),
            newClientOrderId=client_order_id,
        )

    async def open_orders(self) -> dict[str, VenueOrder]:
        """By REST, with our account's key."""
        listed = await self._ours("GET", "openOrders", symbol=self.symbol)
        return {
            order["clientOrderId"]: VenueOrder(
                order["clientOrderId"], order["symbol"], order["side"], order["price"], order["origQty"], order["executedQty"]
            )
            for order in listed
        }

    async def depth(self) -> tuple[list[Level], list[Level]]:
        """The engine's own book."""
        _, bids, asks = self.market.depth(self.symbol, 1_000)
        return bids, asks

    # ---- faults

    def hold_answers(self) -> None:
        """On the wires of orders."""
        for wire in self.answer_wires():
            wire.holding = True

    def release_answers(self) -> None:
        """What was held goes out."""
        for wire in self.answer_wires():
            wire.release()

    def cut(self) -> None:
        """Every wire."""
        for wire in self._wires:
            wire.cut()

    def refuse(self, refusing: bool) -> None:
        """On every wire."""
        for wire in self._wires:
            wire.refusing = refusing

    async def _wire(self, url: str) -> Wire:
        wire = Wire(url)
        await wire.start()
        self._wires.append(wire)
        return wire

    def _quantity(self, lots: int) -> str:
        return self.market.engine.instruments[self.symbol].quantity_text(lots)
