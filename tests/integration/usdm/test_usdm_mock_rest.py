"""The futures mock by REST alone: reduce-only, the countdown, modes, and what clients read at their start."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from mmd.mock.futures.config import FuturesConfig
from mmd.mock.server import MockConfig, MockExchange
from mmd.testing.mock_venue import SignedRest
from mmd.types.market import Side

SYMBOL = "BTCUSDT"


class Client(SignedRest):
    """Orders in short."""

    def __init__(self, exchange: MockExchange) -> None:
        super().__init__(exchange.rest_url, "/fapi/v1", "K1", "S1")
        self.venue = exchange.futures.venue

    async def order(self, side: str, price: str, quantity: str, **more: object) -> dict[str, object]:
        fixed = {"symbol": SYMBOL, "type": "LIMIT", "timeInForce": "GTC"}
        answer: dict[str, object] = await self("POST", "order", side=side, price=price, quantity=quantity, **{**fixed, **more})
        return answer

    def open_names(self) -> list[str]:
        return [order.client_order_id for order in self.venue.engine.open_orders("K1", SYMBOL)]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    config = FuturesConfig(enabled=True, symbols=(SYMBOL,))
    async with MockExchange(MockConfig(market="none", futures=config)) as exchange:
        engine = exchange.futures.engine
        engine.background_limit(SYMBOL, Side.BUY, 600_000, 10_000, time.time_ns())
        engine.background_limit(SYMBOL, Side.SELL, 600_100, 10_000, time.time_ns())
        made = Client(exchange)
        try:
            yield made
        finally:
            await made.close()


async def test_reduce_only_reduces_or_is_refused(client: Client) -> None:
    with pytest.raises(AssertionError, match="-2022"):
        await client.order("SELL", "60010.0", "0.010", reduceOnly="true")
    await client.order("BUY", "60010.0", "0.010", timeInForce="IOC")
    with pytest.raises(AssertionError, match="-2022"):
        await client.order("SELL", "60020.0", "0.011", reduceOnly="true")
    await client.order("SELL", "60020.0", "0.010", reduceOnly="true", newClientOrderId="closing")
    assert client.open_names() == ["closing"]
    # The position goes otherwise: what could only turn it is cancelled.
    await client.order("SELL", "60000.0", "0.004", timeInForce="IOC")
    assert client.open_names() == []


async def test_the_countdown_fires_unless_told_again(client: Client) -> None:
    await client.order("BUY", "59990.0", "0.010", newClientOrderId="mine")
    await client("POST", "countdownCancelAll", symbol=SYMBOL, countdownTime=60_000)
    client.venue.step()
    assert client.open_names() == ["mine"]
    await client("POST", "countdownCancelAll", symbol=SYMBOL, countdownTime=1)
    deadline = time.monotonic() + 5
    while client.open_names():
        assert time.monotonic() < deadline
        await client("GET", "openOrders", symbol=SYMBOL)
    await client.order("BUY", "59990.0", "0.010", newClientOrderId="later")
    await client("POST", "countdownCancelAll", symbol=SYMBOL, countdownTime=0)
    client.venue.step()
    assert client.open_names() == ["later"]


async def test_what_clients_read(client: Client) -> None:
    await client.order("SELL", "60000.0", "0.010", timeInForce="IOC")
    assert (await client("GET", "positionSide/dual"))["dualSidePosition"] is False
    assert (await client("GET", "commissionRate", symbol=SYMBOL))["makerCommissionRate"] == "0.0002"
    (trade,) = await client("GET", "userTrades", symbol=SYMBOL)
    assert (trade["side"], trade["maker"], trade["commission"], trade["commissionAsset"]) == ("SELL", False, "0.30000000", "USDT")
    (order,) = [await client("GET", "order", symbol=SYMBOL, orderId=trade["orderId"])]
    assert (order["status"], order["avgPrice"]) == ("FILLED", "60000.00000000")
    (config,) = await client("GET", "symbolConfig", symbol=SYMBOL)
    assert config["leverage"] == 20
    with pytest.raises(AssertionError, match="-4061"):
        await client.order("BUY", "59990.0", "0.010", positionSide="LONG")
    with pytest.raises(AssertionError, match="-4164"):
        await client.order("BUY", "10000.0", "0.001")
    with pytest.raises(AssertionError, match="-1111"):
        await client.order("BUY", "59990.0", "0.0105")
