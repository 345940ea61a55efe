"""What the venue allows an address, an account and a connection, and how connections end."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
import websockets

from mmd.mock.server import MockExchange, RateLimits
from mmd.types.instrument import atoms
from tests.integration.mock_server.conftest import ApiClient


def _limited(quiet_config, **limits: int):
    return quiet_config.model_copy(update={"rate_limits": RateLimits(**limits)})


@pytest.mark.parametrize(
    ("path", "query", "weight"),
    [
        ("ping", "", 1),
        ("exchangeInfo", "", 20),
        ("depth", "symbol=BTCUSDT&limit=100", 5),
        ("depth", "symbol=BTCUSDT&limit=101", 25),
        ("depth", "symbol=BTCUSDT&limit=1000", 50),
        ("depth", "symbol=BTCUSDT&limit=5000", 250),
        ("trades", "symbol=BTCUSDT", 25),
        ("aggTrades", "symbol=BTCUSDT", 4),
        ("klines", "symbol=BTCUSDT&interval=1m", 2),
        ("ticker/24hr", "symbol=BTCUSDT", 2),
        ("ticker/24hr", "", 80),
        ("ticker/price", "", 4),
        ("ticker/bookTicker", "symbol=BTCUSDT", 2),
        ("ticker/price", 'symbols=["NOPE"]', 4),
    ],
)
async def test_weights_of_public_requests(alice, path, query, weight):
    assert (await alice.public("GET", path, query))[2]["X-MBX-USED-WEIGHT-1M"] == str(weight)


@pytest.mark.parametrize(
    ("method", "path", "params", "weight"),
    [
        ("GET", "account", {}, 20),
        ("GET", "account/commission", {"symbol": "BTCUSDT"}, 20),
        ("GET", "openOrders", {"symbol": "BTCUSDT"}, 6),
        ("GET", "openOrders", {}, 80),
        ("GET", "allOrders", {"symbol": "BTCUSDT"}, 20),
        ("GET", "myTrades", {"symbol": "BTCUSDT"}, 20),
        ("GET", "myTrades", {"symbol": "BTCUSDT", "orderId": 1}, 5),
        ("GET", "rateLimit/order", {}, 40),
        ("GET", "order", {"symbol": "BTCUSDT", "orderId": 1}, 4),
        ("DELETE", "order", {"symbol": "BTCUSDT", "orderId": 1}, 1),  # it fails
        ("DELETE", "openOrders", {"symbol": "BTCUSDT"}, 1),  # it fails
    ],
)
async def test_weights_of_signed_requests(alice, method, path, params, weight):
    assert (await alice.signed(method, path, **params))[2]["X-MBX-USED-WEIGHT-1M"] == str(weight)


async def test_what_succeeds_on_orders_weighs_nothing_and_a_cancel_leaves_the_count(alice):
    placed = await alice.place("BUY", "50000", "0.01")
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "price": "49000", "quantity": "0.01"}
    status, replaced, headers = await alice.signed(
        "POST", "order/cancelReplace", **params, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"]
    )
    assert (status, headers["X-MBX-USED-WEIGHT-1M"]) == (200, "0")
    assert (headers["X-MBX-ORDER-COUNT-10S"], headers["X-MBX-ORDER-COUNT-1D"]) == ("2", "2")
    order_id = replaced["newOrderResponse"]["orderId"]
    status, _, headers = await alice.signed("DELETE", "order", symbol="BTCUSDT", orderId=order_id)
    assert (status, headers["X-MBX-USED-WEIGHT-1M"]) == (200, "0")
    _, counts, headers = await alice.signed("GET", "rateLimit/order")
    assert [(line["interval"], line["count"]) for line in counts] == [("SECOND", 2), ("DAY", 2)]
    refused = await alice.signed("POST", "order", **params | {"quantity": "0.00001"})
    assert (refused[0], refused[2]["X-MBX-USED-WEIGHT-1M"]) == (400, "41")


async def test_raw_requests_and_connection_attempts(quiet_config, client, manual_clock, http):
    config = _limited(quiet_config, requests_per_5_minutes=3, connections_per_5_minutes=2, refusals_before_ban=1)
    async with MockExchange(config, clock=manual_clock) as exchange:
        asker = client(exchange)
        manual_clock.now_ns += 120_000_000_000
        answers = [await asker.public("GET", "ping") for _ in range(5)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429, 418]
        assert (answers[3][1]["code"], answers[3][2]["Retry-After"]) == (-1003, "180")
        assert "IP banned until" in answers[4][1]["msg"]
        for url in (f"{exchange.stream_url}/ws", exchange.websocket_api_url):
            with pytest.raises(aiohttp.WSServerHandshakeError) as banned:
                await http.ws_connect(url)
            assert (banned.value.status, banned.value.headers["Retry-After"]) == (418, "120")
        manual_clock.now_ns += 300_000_000_000
        for _ in range(2):
            await (await http.ws_connect(f"{exchange.stream_url}/ws")).close()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{exchange.stream_url}/ws")
        assert refused.value.status == 429
        manual_clock.now_ns += 300_000_000_000
        await (await http.ws_connect(f"{exchange.stream_url}/ws")).close()


async def test_the_count_of_unfilled_orders_is_one_over_every_api(quiet_config, client, manual_clock):
    config = _limited(quiet_config, orders_per_10_seconds=2)
    async with MockExchange(config, clock=manual_clock) as exchange, websockets.connect(exchange.websocket_api_url) as socket:
        alice, bob = client(exchange, clock=manual_clock), client(exchange, "K2", "S2", clock=manual_clock)
        await alice.place("BUY", "50000", "0.01")
        await alice.place("BUY", "50001", "0.01")
        await bob.place("BUY", "40000", "0.01")
        api = ApiClient(socket, "K1", "S1")
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "price": "49000", "quantity": "0.01"}
        refused = await api.signed("order.place", **order, timestamp=manual_clock.ms)
        assert (refused["status"], refused["error"]["code"]) == (429, -1015)
        assert refused["error"]["data"] == {"serverTime": manual_clock.ms, "retryAfter": manual_clock.ms + 10_000}
        assert [(line["rateLimitType"], line["count"]) for line in refused["rateLimits"]][:2] == [("ORDERS", 2), ("ORDERS", 2)]
        # The first fill as a taker forgives one.
        await bob.place("SELL", "50000", "0.01")
        _, counts, _ = await bob.signed("GET", "rateLimit/order")
        assert [line["count"] for line in counts] == [1, 1]


async def test_refused_cancel_replace_at_the_order_limit(quiet_config, client, manual_clock):
    config = _limited(quiet_config, orders_per_10_seconds=1)
    async with MockExchange(config, clock=manual_clock) as exchange:
        alice = client(exchange, clock=manual_clock)
        placed = await alice.place("BUY", "50000", "0.01")
        params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "price": "49000", "quantity": "0.01"}
        params |= {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": placed["orderId"]}
        status, reply, _ = await alice.signed("POST", "order/cancelReplace", **params)
        assert (status, reply["code"]) == (429, -1015)
        _, order, _ = await alice.signed("GET", "order", symbol="BTCUSDT", orderId=placed["orderId"])
        assert order["status"] == "NEW"  # the count was checked before anything was cancelled
        status, reply, _ = await alice.signed("POST", "order/cancelReplace", **params, orderRateLimitExceededMode="CANCEL_ONLY")
        assert (status, reply["code"], reply["data"]["cancelResult"]) == (409, -2021, "SUCCESS")


async def test_1024_streams_and_large_frames(quiet_config, http):
    config = _limited(quiet_config, streams_per_connection=3).model_copy(update={"max_incoming_bytes": 2_000})
    async with MockExchange(config) as exchange:
        async with websockets.connect(f"{exchange.stream_url}/ws/btcusdt@trade/btcusdt@depth") as socket:
            await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@ticker","btcusdt@bookTicker"],"id":1}')
            reply = json.loads(await socket.recv())
            assert (reply["code"], reply["id"]) == (2, 1)
            assert "too many" in reply["msg"]
            await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":3}')
            assert json.loads(await socket.recv())["result"] == ["btcusdt@trade", "btcusdt@depth"]
            await socket.send(json.dumps({"method": "SUBSCRIBE", "params": ["x" * 4_000], "id": 2}))
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 1009
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{exchange.stream_url}/stream?streams=a@trade/b@trade/c@trade/d@trade")
        assert refused.value.status == 400
    assert RateLimits().streams_per_connection == 1024
    assert RateLimits().stream_messages_per_second == 5


async def test_ids_of_requests(exchange, api):
    async with websockets.connect(f"{exchange.stream_url}/ws") as socket:
        for wrong in ("1.5", '"' + "x" * 37 + '"', "true", "[1]"):
            await socket.send(f'{{"method":"LIST_SUBSCRIPTIONS","id":{wrong}}}')
            reply = json.loads(await socket.recv())
            assert reply["code"] == 2
            assert "request ID" in reply["msg"]
    for right in ("7", "-7", '"' + "x" * 36 + '"', "null"):
        await api.socket.send(f'{{"method":"ping","id":{right}}}')
        reply = json.loads(await api.socket.recv())
        assert (reply["id"], reply["status"]) == (json.loads(right), 200)
    for wrong in ("1.5", '"' + "x" * 37 + '"', "true", "[1]"):
        await api.socket.send(f'{{"method":"ping","id":{wrong}}}')
        reply = json.loads(await api.socket.recv())
        assert (reply["status"], reply["error"]) == (400, {"code": -1135, "msg": "Invalid JSON Request"})


async def test_a_connection_ends_at_its_age_and_the_end_is_announced_first(quiet_config):
    config = quiet_config.model_copy(update={"max_connection_age": 0.3})
    async with (
        MockExchange(config) as exchange,
        websockets.connect(f"{exchange.stream_url}/ws") as raw,
        websockets.connect(f"{exchange.stream_url}/stream") as combined,
        websockets.connect(exchange.websocket_api_url) as api,
    ):
        exchange.announce_shutdown()
        assert json.loads(await raw.recv())["e"] == "serverShutdown"
        assert json.loads(await combined.recv())["data"]["e"] == "serverShutdown"
        assert json.loads(await api.recv())["event"]["e"] == "serverShutdown"
        for socket in (raw, combined, api):
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert (socket.close_code, socket.close_reason) == (1001, "the connection is a day old")
        async with websockets.connect(f"{exchange.stream_url}/ws") as again:
            await exchange.close_connections("moved")
            await asyncio.wait_for(again.wait_closed(), 5)
            assert again.close_reason == "moved"


async def test_a_transfer_is_told_as_a_balance_update(exchange, api, alice, http):
    await api.signed("userDataStream.subscribe.signature")
    exchange.venue.transfer("K1", "USDT", atoms("-250.5"))
    moved, position = (await api.event())["event"], (await api.event())["event"]
    assert (moved["e"], moved["a"], moved["d"]) == ("balanceUpdate", "USDT", "-250.50000000")
    assert position["B"] == [{"a": "USDT", "f": "99749.50000000", "l": "0.00000000"}]
    _, account, _ = await alice.signed("GET", "account", omitZeroBalances="true")
    assert {line["asset"]: line["free"] for line in account["balances"]}["USDT"] == "99749.50000000"

    async def transfer(body: object, **headers: str) -> tuple[int, dict]:
        async with http.post(f"{exchange.rest_url}/mock/transfers", json=body, headers=headers) as response:
            return response.status, await response.json()

    deposit = {"account": "K1", "asset": "DOGE", "amount": "5"}
    assert await transfer(deposit) == (200, {"asset": "DOGE", "free": "5.00000000", "locked": "0.00000000"})
    assert (await api.event())["event"]["d"] == "5.00000000"
    for wrong, status, text in (
        (deposit | {"account": "nobody"}, 404, "there are K1, K2"),
        (deposit | {"amount": "-6"}, 409, "insufficient balance"),
        (deposit | {"amount": "0.000000001"}, 400, "finer than 1e-8"),
        ({"account": "K1"}, 400, "the body must be as"),
    ):
        got = await transfer(wrong)
        assert (got[0], text in got[1]["error"]) == (status, True), got
    assert (await transfer(deposit, Origin="http://evil.example"))[0] == 403
