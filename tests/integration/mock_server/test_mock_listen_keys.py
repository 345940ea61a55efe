"""Listen keys: served when asked for, bare events on the key's stream, an hour's life; off by default."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal

import pytest
import websockets

from mmd.mock.server import MockConfig, MockExchange
from mmd.mock.server.listen_keys import VALIDITY_MS
from tests.integration.mock_server.conftest import ManualClock, RestClient

BALANCES = {"USDT": Decimal(100_000), "BTC": Decimal(10)}


@pytest.fixture
def config() -> MockConfig:
    return MockConfig(market="none", symbols=("BTCUSDT",), balances=BALANCES, legacy_listen_keys=True)


async def _listen_key(client: RestClient) -> str:
    status, reply, _ = await client.raw("POST", "userDataStream", "")
    assert status == 200, reply
    return str(reply["listenKey"])


@pytest.mark.parametrize("combined", [True, False])
async def test_the_events_of_the_account_come_bare(config: MockConfig, client: Callable[..., RestClient], combined: bool) -> None:
    async with MockExchange(config) as exchange:
        alice, bob = client(exchange), client(exchange, "K2", "S2")
        key = await _listen_key(alice)
        path = f"/stream?streams={key}" if combined else f"/ws/{key}"
        async with websockets.connect(exchange.stream_url + path) as socket:
            await bob.place("BUY", "90.00", "1")
            order = await alice.place("BUY", "100.00", "1")
            message = json.loads(await asyncio.wait_for(socket.recv(), 5))
            if combined:
                assert message["stream"] == key
                message = message["data"]
            assert (message["e"], message["x"], message["i"]) == ("executionReport", "NEW", order["orderId"])


async def test_a_key_is_the_same_until_it_is_closed(config: MockConfig, client: Callable[..., RestClient]) -> None:
    async with MockExchange(config) as exchange:
        alice = client(exchange)
        key = await _listen_key(alice)
        assert await _listen_key(alice) == key
        assert (await alice.raw("PUT", "userDataStream", f"listenKey={key}"))[:2] == (200, {})
        assert (await alice.raw("DELETE", "userDataStream", f"listenKey={key}"))[:2] == (200, {})
        status, reply, _ = await alice.raw("PUT", "userDataStream", f"listenKey={key}")
        assert (status, reply["code"]) == (400, -1125)
        assert await _listen_key(alice) != key


async def test_a_key_lives_for_an_hour(config: MockConfig, client: Callable[..., RestClient], manual_clock: ManualClock) -> None:
    async with MockExchange(config, clock=manual_clock) as exchange:
        alice = client(exchange, clock=manual_clock)
        key = await _listen_key(alice)
        manual_clock.now_ns += (VALIDITY_MS - 1) * 1_000_000
        assert (await alice.raw("PUT", "userDataStream", f"listenKey={key}"))[0] == 200
        manual_clock.now_ns += VALIDITY_MS * 1_000_000
        assert (await alice.raw("PUT", "userDataStream", f"listenKey={key}"))[0] == 400


async def test_another_account_cannot_close_it(config: MockConfig, client: Callable[..., RestClient]) -> None:
    async with MockExchange(config) as exchange:
        key = await _listen_key(client(exchange))
        bob = client(exchange, "K2", "S2")
        await _listen_key(bob)
        status, reply, _ = await bob.raw("DELETE", "userDataStream", f"listenKey={key}")
        assert (status, reply["code"]) == (400, -1125)


async def test_there_are_none_by_default(alice: RestClient) -> None:
    status, _, _ = await alice.raw("POST", "userDataStream", "")
    assert status == 404
