"""What is left of the wire's description once the other files are through: one test a sentence, or a few."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from decimal import Decimal

import aiohttp
import pytest
import websockets

from mmd.mock.server import MockConfig, MockExchange, RateLimits
from mmd.mock.server.candles import INTERVALS
from tests.integration.mock_server.conftest import ApiClient

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "50000", "quantity": "0.01"}
AMOUNTS = {"price", "qty", "origQty", "executedQty", "cummulativeQuoteQty", "origQuoteOrderQty", "free", "locked", "commission"}
METHODS = (
    *("ping", "time", "exchangeInfo", "depth", "trades.recent", "trades.historical", "klines"),
    *("ticker.price", "ticker.book", "ticker.24hr"),
    *("order.place", "order.test", "order.cancel", "order.cancelReplace", "order.amend.keepPriority", "order.status"),
    *("openOrders.status", "openOrders.cancelAll", "allOrders", "myTrades"),
    *("account.status", "account.commission", "account.rateLimits.orders"),
    *("session.logon", "session.status", "session.logout", "session.subscriptions"),
    *("userDataStream.subscribe", "userDataStream.subscribe.signature", "userDataStream.unsubscribe"),
)


def _amounts(document: object) -> list[object]:
    if isinstance(document, dict):
        own = [value for name, value in document.items() if name in AMOUNTS]
        return own + [each for value in document.values() for each in _amounts(value)]
    if isinstance(document, list):
        return [each for value in document for each in _amounts(value)]
    return []


async def test_amounts_are_texts_with_eight_decimals(alice, bob):
    await bob.place("SELL", "50000", "0.005")
    documents = [await alice.place("BUY", "50000", "0.01")]
    for path, params in (
        ("openOrders", {}),
        ("myTrades", {"symbol": "BTCUSDT"}),
        ("account", {}),
        ("allOrders", {"symbol": "BTCUSDT"}),
    ):
        documents.append((await alice.signed("GET", path, **params))[1])
    documents.append((await alice.public("GET", "trades", "symbol=BTCUSDT"))[1])
    amounts = _amounts(documents)
    assert len(amounts) > 20
    assert all(isinstance(each, str) and len(each.partition(".")[2]) == 8 for each in amounts)


async def test_lists_by_time(alice, bob, manual_clock, quiet_config, client):
    async with MockExchange(quiet_config, clock=manual_clock) as exchange:
        alice, bob = client(exchange, clock=manual_clock), client(exchange, "K2", "S2", clock=manual_clock)
        times = []
        for price in ("50000", "50001", "50002"):
            manual_clock.now_ns += 10_000_000_000
            while exchange.venue.step():
                continue
            times.append(manual_clock.ms)
            await alice.place("BUY", price, "0.01")
            await bob.place("SELL", price, "0.01")
        for path in ("myTrades", "allOrders"):
            everything = (await alice.signed("GET", path, symbol="BTCUSDT"))[1]
            assert [line["time"] for line in everything] == times, path
            since = (await alice.signed("GET", path, symbol="BTCUSDT", startTime=times[1]))[1]
            assert [line["time"] for line in since] == times[1:]
            first = (await alice.signed("GET", path, symbol="BTCUSDT", startTime=times[1], limit=1))[1]
            assert [line["time"] for line in first] == times[1:2]
            between = (await alice.signed("GET", path, symbol="BTCUSDT", startTime=0, endTime=times[0]))[1]
            assert [line["time"] for line in between] == times[:1]


async def test_a_rebate_is_a_commission_below_zero(client):
    config = MockConfig(market="none", symbols=("BTCUSDT",), maker_fee=Decimal("-0.0001"), taker_fee=Decimal("0.0004"))
    async with MockExchange(config) as exchange:
        alice, bob = client(exchange), client(exchange, "K2", "S2")
        await alice.place("BUY", "50000", "0.01")
        sold = await bob.place("SELL", "50000", "0.01")
        assert sold["fills"][0]["commission"] == "0.20000000"
        _, trades, _ = await alice.signed("GET", "myTrades", symbol="BTCUSDT")
        assert (trades[0]["commission"], trades[0]["commissionAsset"]) == ("-0.00000100", "BTC")
        _, account, _ = await alice.signed("GET", "account")
        assert (account["makerCommission"], account["commissionRates"]["maker"]) == (-1, "-0.00010000")


async def test_weight_is_counted_by_address_and_in_calendar_minutes(quiet_config, client, manual_clock):
    config = quiet_config.model_copy(update={"rate_limits": RateLimits(weight_per_minute=3)})
    async with MockExchange(config, clock=manual_clock) as exchange:
        other = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession() as here, aiohttp.ClientSession(connector=other) as elsewhere:

            async def ping(session: aiohttp.ClientSession) -> tuple[int, str]:
                async with session.get(f"{exchange.rest_url}/api/v3/ping") as response:
                    return response.status, response.headers["X-MBX-USED-WEIGHT-1M"]

            manual_clock.now_ns += 59_000_000_000
            assert [await ping(here) for _ in range(4)] == [(200, "1"), (200, "2"), (200, "3"), (429, "3")]
            assert await ping(elsewhere) == (200, "1")
            manual_clock.now_ns += 1_000_000_000
            assert await ping(here) == (200, "1")


@pytest.mark.parametrize("depth", [5, 10, 20])
@pytest.mark.parametrize("speed", ["", "@100ms"])
async def test_partial_depth_at_both_speeds(exchange, alice, depth, speed):
    for number in range(22):
        await alice.place("BUY", str(50_000 - number), "0.001")
    async with websockets.connect(f"{exchange.stream_url}/ws/btcusdt@depth{depth}{speed}") as socket:
        frame = json.loads(await asyncio.wait_for(socket.recv(), 5))
    assert [float(price) for price, _ in frame["bids"]] == [50_000.0 - number for number in range(depth)]
    assert frame["asks"] == []


async def test_every_kline_stream_and_properties(exchange, alice, bob):
    await bob.place("SELL", "50000", "0.1")
    await alice.place("BUY", "50000", "0.1")
    wanted = {f"btcusdt@kline_{name}" for name in INTERVALS}
    async with websockets.connect(f"{exchange.stream_url}/stream") as socket:

        async def ask(method: str, params: list[object]) -> object:
            await socket.send(json.dumps({"method": method, "params": params, "id": 1}))
            while True:
                reply = json.loads(await asyncio.wait_for(socket.recv(), 5))
                if "id" in reply:
                    return reply["result"] if "result" in reply else reply["code"]

        assert await ask("GET_PROPERTY", ["combined"]) is True
        assert await ask("SET_PROPERTY", ["combined", "yes"]) == 1
        assert await ask("SUBSCRIBE", sorted(wanted)) is None
        while wanted:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 5))
            wanted.discard(frame["stream"])
            assert frame["data"]["k"]["i"] == frame["stream"].partition("kline_")[2]
    async with websockets.connect(f"{exchange.stream_url}/ws") as socket:
        assert await ask("GET_PROPERTY", ["combined"]) is False


@pytest.mark.parametrize("prefix", ["", "v3/"])
async def test_every_method_is_served_and_tells_the_limits(api, prefix):
    for method in METHODS:
        reply = await api.signed(prefix + method, symbol="BTCUSDT", interval="1m", whatever="x")
        assert reply.get("error", {}).get("code") != -1020, method
        assert reply["rateLimits"][-1]["rateLimitType"] == "REQUEST_WEIGHT"
        silent = await api.signed(prefix + method, symbol="BTCUSDT", interval="1m", returnRateLimits=False)
        assert "rateLimits" not in silent
    unserved = await api.call(prefix + "order.shout")
    assert (unserved["status"], unserved["error"]["code"]) == (400, -1020)


async def test_expired_orders_and_one_subscription_an_account(api, alice, bob, exchange):
    assert (await api.signed("userDataStream.subscribe.signature"))["result"] == {"subscriptionId": 0}
    assert (await api.signed("userDataStream.subscribe.signature"))["error"]["code"] == -2035
    other = ApiClient(api.socket, "K2", "S2")
    assert (await other.signed("userDataStream.subscribe.signature"))["result"] == {"subscriptionId": 1}
    assert (await api.call("session.subscriptions"))["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
    await bob.place("SELL", "50000", "0.004")
    await alice.place("BUY", "50000", "0.01", timeInForce="IOC")
    seen: dict[int, list[tuple[str, str]]] = {0: [], 1: []}
    while [kind for kind, _ in seen[0]] != ["NEW", "TRADE", "EXPIRED"] or len(seen[1]) < 2:
        message = await api.event()
        if message["event"]["e"] == "executionReport":
            seen[message["subscriptionId"]].append((message["event"]["x"], message["event"]["X"]))
    assert seen == {
        0: [("NEW", "NEW"), ("TRADE", "PARTIALLY_FILLED"), ("EXPIRED", "EXPIRED")],
        1: [("NEW", "NEW"), ("TRADE", "FILLED")],
    }
    assert (await api.call("userDataStream.unsubscribe", subscriptionId=7))["error"]["code"] == -2036
    assert (await api.call("userDataStream.unsubscribe"))["result"] == {}
    ended = set()
    while len(ended) < 2:
        message = await api.event()
        if message["event"]["e"] == "eventStreamTerminated":
            ended.add(message["subscriptionId"])
    assert ended == {0, 1}


async def test_a_pong_counts_only_with_the_pings_payload(quiet_config, http):
    assert (MockConfig().ping_interval, MockConfig().pong_timeout, MockConfig().max_connection_age) == (20, 60, 86_400)
    config = quiet_config.model_copy(update={"ping_interval": 0.05, "pong_timeout": 0.2})
    async with MockExchange(config) as exchange, http.ws_connect(exchange.websocket_api_url, autoping=False) as socket:
        message = await socket.receive(5)
        while message.type is aiohttp.WSMsgType.PING:
            await socket.pong(b"something else")
            message = await socket.receive(5)
        assert (message.type, message.extra) == (aiohttp.WSMsgType.CLOSE, "no pong in time")


async def test_sigterm_of_the_process_is_announced_in_every_form():
    command = [sys.executable, "-m", "mmd.cli", "mock", "--port", "0", "--no-market", "--rate-limits", "off", "--fees", "0,0"]
    with await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            urls = dict(part.split("=", 1) for part in line.split() if "=" in part)
            async with (
                websockets.connect(f"{urls['stream']}/ws") as raw,
                websockets.connect(f"{urls['stream']}/stream") as combined,
                websockets.connect(urls["websocket_api"]) as api,
            ):
                now_ms = time.time_ns() // 1_000_000
                process.send_signal(signal.SIGTERM)
                plain = json.loads(await asyncio.wait_for(raw.recv(), 10))
                wrapped = json.loads(await asyncio.wait_for(combined.recv(), 10))
                event = json.loads(await asyncio.wait_for(api.recv(), 10))
                assert (plain["e"], plain["E"] >= now_ms) == ("serverShutdown", True)
                assert (set(wrapped), wrapped["data"]["e"]) == ({"stream", "data"}, "serverShutdown")
                assert event["event"]["e"] == "serverShutdown"
                await asyncio.wait_for(raw.wait_closed(), 10)
                assert raw.close_code == 1001
            assert await asyncio.to_thread(process.wait, 20) == 0
        finally:
            process.kill()
