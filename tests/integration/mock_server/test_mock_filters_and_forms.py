"""Each filter that exchangeInfo lists, the forms in which parameters may come, time units, kinds of keys, and amendments."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from decimal import Decimal
from urllib.parse import quote

import aiohttp
import pytest
import websockets
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from mmd.mock.server import MockConfig, MockExchange, RateLimits

FILTERS = [
    "PRICE_FILTER",
    "LOT_SIZE",
    "MARKET_LOT_SIZE",
    "NOTIONAL",
    "PERCENT_PRICE_BY_SIDE",
    "ICEBERG_PARTS",
    "TRAILING_DELTA",
    "MAX_NUM_ORDERS",
    "MAX_NUM_ALGO_ORDERS",
    "MAX_NUM_ORDER_LISTS",
    "MAX_NUM_ORDER_AMENDS",
]
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "50000", "quantity": "0.01"}
MARKET = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET"}


@pytest.fixture
def quiet_config() -> MockConfig:
    """Rich accounts, so that filters are what fails."""
    return MockConfig(market="none", symbols=("BTCUSDT",), balances={"USDT": Decimal(10**9), "BTC": Decimal(10_000)})


async def test_exchange_info_says_what_is_allowed(alice):
    _, info, _ = await alice.public("GET", "exchangeInfo")
    assert [(line["rateLimitType"], line["interval"], line["intervalNum"], line["limit"]) for line in info["rateLimits"]] == [
        ("REQUEST_WEIGHT", "MINUTE", 1, 6000),
        ("ORDERS", "SECOND", 10, 100),
        ("ORDERS", "DAY", 1, 200_000),
        ("RAW_REQUESTS", "MINUTE", 5, 300_000),
    ]
    (symbol,) = info["symbols"]
    assert (symbol["status"], symbol["permissionSets"], symbol["orderTypes"]) == (
        "TRADING",
        [["SPOT"]],
        ["LIMIT", "LIMIT_MAKER", "MARKET"],
    )
    assert [line["filterType"] for line in symbol["filters"]] == FILTERS
    assert symbol["defaultSelfTradePreventionMode"] == "NONE"
    assert symbol["allowedSelfTradePreventionModes"] == ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]


async def test_each_filter_is_enforced_at_its_edge(alice, bob):
    _, info, _ = await alice.public("GET", "exchangeInfo", "symbol=BTCUSDT")
    rules = {line["filterType"]: line for line in info["symbols"][0]["filters"]}

    async def failure(params: dict, **change: object) -> str | None:
        status, reply, _ = await alice.signed("POST", "order/test", **params | change)
        if status == 200:
            return None
        assert (status, reply["code"]) == (400, -1013), reply
        return reply["msg"].removeprefix("Filter failure: ")

    price, lot, market_lot = rules["PRICE_FILTER"], rules["LOT_SIZE"], rules["MARKET_LOT_SIZE"]
    assert await failure(LIMIT) is None
    assert await failure(LIMIT, price="50000.001") == "PRICE_FILTER"
    assert await failure(LIMIT, price=str(Decimal(price["maxPrice"]) + Decimal(price["tickSize"]))) == "PRICE_FILTER"
    assert await failure(LIMIT, quantity="0.010001") == "LOT_SIZE"
    assert await failure(LIMIT, quantity=str(Decimal(lot["maxQty"]) + Decimal(lot["stepSize"]))) == "LOT_SIZE"
    assert await failure(MARKET, quantity="0.010001") == "LOT_SIZE"
    most = Decimal(market_lot["maxQty"])
    assert most < Decimal(lot["maxQty"])
    assert await failure(MARKET, quantity=str(most)) is None
    assert await failure(MARKET, quantity=str(most + Decimal(market_lot["stepSize"]))) == "MARKET_LOT_SIZE"
    assert await failure(LIMIT, quantity="0.00009") == "NOTIONAL"
    assert await failure(LIMIT, quantity="0.0001") is None
    assert await failure(LIMIT, price="100000", quantity="90.00001") == "NOTIONAL"
    assert await failure(MARKET, quoteOrderQty="4.99") == "NOTIONAL"

    # Prices are held against the last trade.
    await bob.place("SELL", "50000", "0.01")
    await alice.place("BUY", "50000", "0.01")
    percent = rules["PERCENT_PRICE_BY_SIDE"]
    assert percent["avgPriceMins"] == 0
    highest, lowest = 50000 * Decimal(percent["bidMultiplierUp"]), 50000 * Decimal(percent["bidMultiplierDown"])
    for edge, step in ((highest, Decimal("0.01")), (lowest, Decimal("-0.01"))):
        assert await failure(LIMIT, price=str(edge)) is None
        assert await failure(LIMIT, price=str(edge + step)) == "PERCENT_PRICE_BY_SIDE"
    assert await failure(MARKET, quantity="0.00009") == "NOTIONAL"

    # Iceberg, trailing and algorithmic orders and order lists do not exist here, so that their filters cannot fail.
    for name in ("icebergQty", "trailingDelta", "stopPrice"):
        status, reply, _ = await alice.signed("POST", "order", **LIMIT | {name: "1"})
        assert (status, reply["code"]) == (400, -1106)
    assert (await alice.signed("POST", "order", **LIMIT | {"type": "STOP_LOSS_LIMIT"}))[1]["code"] == -1116


async def test_no_more_open_orders_than_the_filter_says(quiet_config, client):
    config = quiet_config.model_copy(update={"rate_limits": RateLimits(orders_per_10_seconds=1_000)})
    async with MockExchange(config) as exchange:
        alice = client(exchange)
        _, info, _ = await alice.public("GET", "exchangeInfo")
        rules = {line["filterType"]: line for line in info["symbols"][0]["filters"]}
        for number in range(rules["MAX_NUM_ORDERS"]["maxNumOrders"]):
            last = await alice.place("BUY", str(20_000 + number), "0.001")
        refused = await alice.signed("POST", "order", **LIMIT)
        assert refused[:2] == (400, {"code": -1013, "msg": "Filter failure: MAX_NUM_ORDERS"})
        # A cancelReplace checks the filters before it cancels.
        change = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": last["orderId"]}
        refused = await alice.signed("POST", "order/cancelReplace", **LIMIT, **change)
        assert refused[1]["msg"] == "Filter failure: MAX_NUM_ORDERS"
        status, gone, _ = await alice.signed("DELETE", "openOrders", symbol="BTCUSDT")
        assert (status, len(gone)) == (200, 200)


async def test_amends_are_listed_and_numbered(alice, api):
    placed = await alice.place("BUY", "50000", "0.2", newClientOrderId="n0")
    for number in range(10):
        change = {"origClientOrderId": f"n{number}", "newClientOrderId": f"n{number + 1}", "newQty": f"0.{19 - number}"}
        status, reply, _ = await alice.signed("PUT", "order/amend/keepPriority", symbol="BTCUSDT", **change)
        assert status == 200, reply
    refused = await alice.signed("PUT", "order/amend/keepPriority", symbol="BTCUSDT", origClientOrderId="n10", newQty="0.05")
    assert refused[:2] == (400, {"code": -2038, "msg": "Filter failure: MAX_NUM_ORDER_AMENDS"})
    _, amends, _ = await alice.signed("GET", "order/amendments", symbol="BTCUSDT", orderId=placed["orderId"])
    assert [(line["origClientOrderId"], line["newClientOrderId"], line["origQty"], line["newQty"]) for line in amends[:2]] == [
        ("n0", "n1", "0.20000000", "0.19000000"),
        ("n1", "n2", "0.19000000", "0.18000000"),
    ]
    assert len(amends) == 10
    later = await api.signed(
        "order.amendments", symbol="BTCUSDT", orderId=placed["orderId"], fromExecutionId=amends[3]["executionId"], limit=2
    )
    assert later["result"] == amends[3:5]
    for change, message in (
        ({"newQty": "0.3"}, "Order amend (quantity increase) is not supported."),
        ({"newQty": "0.1", "origClientOrderId": "gone"}, "Unknown order sent."),
    ):
        params = {"symbol": "BTCUSDT", "origClientOrderId": "other", **change}
        await alice.place("BUY", "50000", "0.2", newClientOrderId="other") if "gone" not in change.values() else None
        status, reply, _ = await alice.signed("PUT", "order/amend/keepPriority", **params)
        assert (status, reply) == (400, {"code": -2038, "msg": message})


async def test_every_way_to_send_parameters(alice):
    def signed(payload: str) -> str:
        return hmac.new(b"S1", payload.encode(), hashlib.sha256).hexdigest()

    now = f"timestamp={time.time_ns() // 1_000_000}"
    order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=50000&quantity=0.01&newClientOrderId=w"
    # POST with everything in the query, and with everything in the body.
    status, first, _ = await alice.raw("POST", "order", f"{order}1&{now}&signature={signed(f'{order}1&{now}')}")
    assert (status, first["clientOrderId"]) == (200, "w1")
    status, second, _ = await alice.raw("POST", "order", f"{order}2&{now}&signature={signed(f'{order}2&{now}')}", in_body=True)
    assert (status, second["clientOrderId"]) == (200, "w2")
    # The body is signed behind the query, and the query wins.
    body = "quantity=7&newClientOrderId=w3"
    query = f"{order.removesuffix('&newClientOrderId=w')}&{now}"
    status, third, _ = await alice.raw("POST", "order", f"{query}&signature={signed(query + body)}", body=body)
    assert (status, third["origQty"], third["clientOrderId"]) == (200, "0.01000000", "w3")
    # DELETE with a form body, and with both ids together.
    cancel = f"symbol=BTCUSDT&orderId={first['orderId']}&origClientOrderId=w1&{now}"
    status, gone, _ = await alice.raw("DELETE", "order", f"{cancel}&signature={signed(cancel)}", in_body=True)
    assert (status, gone["origClientOrderId"], gone["status"]) == (200, "w1", "CANCELED")
    status, error, _ = await alice.signed("DELETE", "order", symbol="BTCUSDT", orderId=second["orderId"], origClientOrderId="w3")
    assert (status, error) == (400, {"code": -2011, "msg": "Unknown order sent."})
    status, gone, _ = await alice.signed("DELETE", "order", symbol="BTCUSDT", orderId=second["orderId"], origClientOrderId="w2")
    assert (status, gone["orderId"]) == (200, second["orderId"])
    status, found, _ = await alice.signed("GET", "order", in_body=False, symbol="BTCUSDT", origClientOrderId="w3")
    assert found["orderId"] == third["orderId"]


async def test_rsa_keys_sign_on_every_api():
    private = generate_private_key(65537, 2048)
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def signed(payload: str) -> str:
        return base64.b64encode(private.sign(payload.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

    config = MockConfig(market="none", public_keys={"R1": pem})
    async with MockExchange(config) as exchange, aiohttp.ClientSession(headers={"X-MBX-APIKEY": "R1"}) as session:
        query = f"timestamp={time.time_ns() // 1_000_000}"
        url = f"{exchange.rest_url}/api/v3/account?{query}&signature="
        async with session.get(aiohttp.client.URL(url + quote(signed(query), safe=""), encoded=True)) as response:
            assert response.status == 200
        async with session.get(aiohttp.client.URL(url + quote(signed(query + "1"), safe=""), encoded=True)) as response:
            assert (await response.json())["code"] == -1022
        async with websockets.connect(exchange.websocket_api_url) as socket:
            for method, status in (("account.status", 200), ("session.logon", 400)):
                params = {"apiKey": "R1", "signature": signed(f"apiKey=R1&{query}"), "timestamp": int(query.partition("=")[2])}
                await socket.send(json.dumps({"id": 1, "method": method, "params": params}))
                reply = json.loads(await socket.recv())
                assert reply["status"] == status
        assert reply["error"] == {"code": -4056, "msg": "RSA API key is not supported."}


async def test_times_in_microseconds_for_those_who_ask(exchange, alice, bob, http, api):
    await bob.place("SELL", "50000", "0.1")
    await alice.place("BUY", "50000", "0.05")
    header = {"X-MBX-TIME-UNIT": "microsecond", "X-MBX-APIKEY": "K1"}

    async def asked(path: str) -> object:
        async with http.get(f"{exchange.rest_url}/api/v3/{path}", headers=header) as response:
            return await response.json()

    micro = 10**15
    assert (await asked("time"))["serverTime"] > micro
    trade = (await asked("trades?symbol=BTCUSDT"))[0]
    assert (trade["time"] > micro, trade["id"]) == (True, 1)
    aggregate = (await asked("aggTrades?symbol=BTCUSDT"))[0]
    assert (aggregate["T"] > micro, aggregate["l"]) == (True, 1)
    row = (await asked("klines?symbol=BTCUSDT&interval=1m"))[0]
    assert (row[0] > micro, row[6] > micro, row[8]) == (True, True, 1)
    assert (await alice.public("GET", "time"))[1]["serverTime"] < micro
    header["X-MBX-TIME-UNIT"] = "HOUR"
    assert (await asked("time"))["code"] == -1194

    async with websockets.connect(f"{exchange.stream_url}/stream?streams=btcusdt@trade&timeUnit=MICROSECOND") as socket:
        await alice.place("BUY", "50000", "0.01")
        event = json.loads(await socket.recv())["data"]
        assert (event["E"] > micro, event["T"] > micro, event["t"]) == (True, True, 2)
    async with websockets.connect(f"{exchange.websocket_api_url}?timeUnit=MICROSECOND&returnRateLimits=false") as socket:
        other = type(api)(socket, "K1", "S1")
        reply = await other.signed("userDataStream.subscribe.signature")
        assert "rateLimits" not in reply
        placed = await other.signed("order.place", **LIMIT | {"price": "40000"})
        assert placed["result"]["transactTime"] > micro
        report, position = (await other.event())["event"], (await other.event())["event"]
        assert all(report[name] > micro for name in "ETOW")
        assert (report["i"], report["C"], position["u"] > micro) == (placed["result"]["orderId"], "", True)
