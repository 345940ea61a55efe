"""The WebSocket API: requests, sessions, and the user data events of orders."""

from __future__ import annotations

import base64
import json
import time
from decimal import Decimal

import pytest
import websockets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmd.mock.server import MockConfig, MockExchange

_LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}


async def test_order_life_with_user_data(api, bob):
    subscribed = await api.signed("userDataStream.subscribe.signature")
    assert subscribed["result"] == {"subscriptionId": 0}
    again = await api.signed("userDataStream.subscribe.signature")
    assert (again["status"], again["error"]) == (400, {"code": -2035, "msg": "User Data Stream subscription already active."})

    placed = await api.signed("order.place", **_LIMIT, price="50000.00", quantity="0.2", newClientOrderId="first")
    assert placed["status"] == 200
    assert [(line["rateLimitType"], line["intervalNum"], line["count"]) for line in placed["rateLimits"]] == [
        ("ORDERS", 10, 1),
        ("ORDERS", 1, 1),
        ("REQUEST_WEIGHT", 1, 6),  # the connection and two subscriptions; a placed order weighs nothing
    ]
    new, position = await api.event(), await api.event()
    assert new["subscriptionId"] == 0
    report = new["event"]
    assert (report["e"], report["x"], report["X"], report["c"], report["C"]) == ("executionReport", "NEW", "NEW", "first", "")
    assert (report["q"], report["p"], report["i"], report["w"]) == (
        "0.20000000",
        "50000.00000000",
        placed["result"]["orderId"],
        True,
    )
    assert (report["N"], report["t"], report["V"]) == (None, -1, "NONE")
    assert position["event"]["e"] == "outboundAccountPosition"
    assert position["event"]["B"] == [{"a": "USDT", "f": "90000.00000000", "l": "10000.00000000"}]

    await bob.place("SELL", "50000", "0.05")
    trade, position = (await api.event())["event"], (await api.event())["event"]
    assert (trade["x"], trade["X"], trade["l"], trade["L"], trade["z"]) == (
        "TRADE",
        "PARTIALLY_FILLED",
        "0.05000000",
        "50000.00000000",
        "0.05000000",
    )
    assert (trade["m"], trade["n"], trade["N"], trade["t"]) == (True, "0.00000000", "BTC", 1)
    assert {line["a"]: line["f"] for line in position["B"]} == {"BTC": "10.05000000", "USDT": "90000.00000000"}

    amended = await api.signed("order.amend.keepPriority", symbol="BTCUSDT", origClientOrderId="first", newQty="0.1")
    report = (await api.event())["event"]
    await api.event()
    assert (report["x"], report["C"], report["q"]) == ("REPLACED", "first", "0.10000000")
    assert report["c"] == amended["result"]["amendedOrder"]["clientOrderId"]
    assert report["I"] == amended["result"]["executionId"]

    replaced = await api.signed(
        "order.cancelReplace",
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT_MAKER",
        price="49000",
        quantity="0.1",
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrigClientOrderId=report["c"],
        newClientOrderId="second",
    )
    assert replaced["result"]["newOrderResult"] == "SUCCESS"
    reports = [event["event"] for event in [await api.event() for _ in range(4)] if event["event"]["e"] == "executionReport"]
    assert [(event["x"], event["C"] or event["c"]) for event in reports] == [("CANCELED", report["c"]), ("NEW", "second")]

    status = await api.signed("order.status", symbol="BTCUSDT", origClientOrderId="second")
    assert status["result"]["status"] == "NEW"
    open_orders = await api.signed("openOrders.status", symbol="BTCUSDT")
    assert [order["clientOrderId"] for order in open_orders["result"]] == ["second"]
    everything = await api.signed("openOrders.cancelAll", symbol="BTCUSDT")
    assert [order["status"] for order in everything["result"]] == ["CANCELED"]
    trades = await api.signed("myTrades", symbol="BTCUSDT", fromId=0)
    assert [trade["id"] for trade in trades["result"]] == [1]
    account = await api.signed("account.status", omitZeroBalances="true")
    assert {line["asset"]: line["locked"] for line in account["result"]["balances"]} == {"BTC": "0.00000000", "USDT": "0.00000000"}


async def test_half_done_cancel_replace_reports_the_rejection(api, bob):
    await bob.place("SELL", "51000", "0.1")
    await api.signed("userDataStream.subscribe.signature")
    placed = await api.signed("order.place", **_LIMIT, price="50000", quantity="0.1")
    reply = await api.signed(
        "order.cancelReplace",
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT_MAKER",
        price="51000",
        quantity="0.1",
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrderId=placed["result"]["orderId"],
    )
    assert (reply["status"], reply["error"]["code"]) == (409, -2021)
    assert reply["error"]["data"]["newOrderResponse"]["code"] == -2010
    kinds = [event["event"].get("x") for event in api.events]
    assert kinds[-3:] in (["CANCELED", None, "REJECTED"], ["CANCELED", "REJECTED", None])


async def test_numbers_keep_the_text_they_were_sent_with(api):
    # 0.10 as a JSON number is signed as the three digits and the point that were sent.
    params = {**_LIMIT, "price": "50000", "apiKey": "K1", "timestamp": str(time.time_ns() // 1_000_000), "quantity": "0.10"}
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    params["signature"] = __import__("hmac").new(b"S1", payload.encode(), "sha256").hexdigest()
    text = json.dumps({"id": "x", "method": "v3/order.place", "params": params})
    text = text.replace('"quantity": "0.10"', '"quantity": 0.10').replace(
        f'"timestamp": "{params["timestamp"]}"', f'"timestamp": {params["timestamp"]}'
    )
    await api.socket.send(text)
    reply = json.loads(await api.socket.recv())
    assert (reply["id"], reply["status"]) == ("x", 200), reply
    assert reply["result"]["origQty"] == "0.10000000"


async def test_plain_requests_and_refusals(api):
    assert (await api.call("ping"))["result"] == {}
    assert "serverTime" in (await api.call("time"))["result"]
    quiet = await api.call("depth", symbol="BTCUSDT", limit=5, returnRateLimits=False)
    assert quiet["result"]["bids"] == []
    assert "rateLimits" not in quiet
    assert (await api.call("exchangeInfo", symbols=["BTCUSDT"], whatever=1))["result"]["symbols"][0]["symbol"] == "BTCUSDT"
    assert (await api.call("no.such"))["error"]["code"] == -1020
    assert (await api.call("order.status", symbol="BTCUSDT"))["error"]["code"] == -2014
    stale = await api.signed("account.status", timestamp=1)
    assert (stale["status"], stale["error"]["code"]) == (400, -1021)
    forged = await api.call("account.status", apiKey="K1", timestamp=time.time_ns() // 1_000_000, signature="00")
    assert forged["error"]["code"] == -1022
    test_order = await api.signed("order.test", **_LIMIT, price="50000", quantity="0.1")
    assert test_order["result"] == {}
    missing = await api.signed("order.cancel", symbol="BTCUSDT", orderId=1)
    assert missing["error"] == {"code": -2011, "msg": "Unknown order sent."}
    await api.socket.send("{not json")
    assert json.loads(await api.socket.recv())["error"]["code"] == -1135
    assert (await api.call("userDataStream.unsubscribe"))["error"]["code"] == -2036


async def test_unsubscribing_ends_the_events(api):
    await api.signed("userDataStream.subscribe.signature")
    reply = await api.call("userDataStream.unsubscribe", subscriptionId=0)
    assert reply["result"] == {}
    assert [event["event"]["e"] for event in api.events] == ["eventStreamTerminated"]
    await api.signed("order.place", **_LIMIT, price="50000", quantity="0.1")
    assert len(api.events) == 1
    assert (await api.signed("userDataStream.subscribe.signature"))["result"] == {"subscriptionId": 1}


async def test_a_session_needs_ed25519(api):
    reply = await api.signed("session.logon")
    assert reply["error"] == {"code": -4056, "msg": "HMAC_SHA256 API key is not supported."}
    assert (await api.call("session.status"))["result"]["apiKey"] is None
    assert (await api.call("userDataStream.subscribe"))["status"] == 401


@pytest.fixture
def private_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


async def test_logged_on_session(private_key, client):
    pem = private_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    config = MockConfig(market="none", public_keys={"E1": pem.decode()})
    async with MockExchange(config) as exchange, websockets.connect(exchange.websocket_api_url) as socket:

        async def call(method: str, **params: object) -> dict:
            await socket.send(json.dumps({"id": method, "method": method, "params": params}))
            while True:
                message = json.loads(await socket.recv())
                if message.get("id") == method:
                    return message

        now = time.time_ns() // 1_000_000
        signature = base64.b64encode(private_key.sign(f"apiKey=E1&timestamp={now}".encode())).decode()
        wrong = await call("session.logon", apiKey="E1", timestamp=now + 1, signature=signature)
        assert wrong["error"]["code"] == -1022
        logon = await call("session.logon", apiKey="E1", timestamp=now, signature=signature)
        assert logon["result"]["apiKey"] == "E1"
        assert (await call("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
        assert (await call("session.status"))["result"]["userDataStream"] is True
        # No key, no signature: the session vouches.
        placed = await call("order.place", **_LIMIT, price="50000", quantity="0.1", timestamp=now)
        assert placed["status"] == 200
        assert (await call("account.status", timestamp=now - 70_000))["error"]["code"] == -1021
        assert (await call("session.logout"))["result"]["apiKey"] is None
        assert (await call("account.status", timestamp=now))["error"]["code"] == -2014
        assert (await call("session.status"))["result"]["userDataStream"] is False


async def test_too_many_orders_tell_when_to_come_again(quiet_config, manual_clock):
    from mmd.mock.server import RateLimits

    config = quiet_config.model_copy(update={"rate_limits": RateLimits(weight_per_minute=3)})
    async with MockExchange(config, clock=manual_clock) as exchange, websockets.connect(exchange.websocket_api_url) as socket:
        for _ in range(2):
            await socket.send('{"id":1,"method":"ping"}')
            reply = json.loads(await socket.recv())
        assert (reply["status"], reply["error"]["code"]) == (429, -1003)
        assert reply["error"]["data"] == {"serverTime": manual_clock.ms, "retryAfter": manual_clock.ms + 60_000}


async def test_self_trades_and_their_prevention(api, alice):
    await api.signed("userDataStream.subscribe.signature")
    resting = await alice.place("SELL", "50000", "0.1")
    base = {**_LIMIT, "price": "50000", "quantity": "0.04"}
    # The account's mode is NONE: it may trade with itself.
    traded = await api.signed("order.place", **base)
    assert (traded["result"]["status"], traded["result"]["selfTradePreventionMode"]) == ("FILLED", "NONE")
    _, trades, _ = await alice.signed("GET", "myTrades", symbol="BTCUSDT")
    assert [(trade["id"], trade["isBuyer"], trade["isMaker"]) for trade in trades] == [(1, True, False), (1, False, True)]
    expired = (await api.signed("order.place", **base, selfTradePreventionMode="EXPIRE_TAKER"))["result"]
    assert (expired["status"], expired["preventedQuantity"], expired["preventedMatchId"]) == ("EXPIRED_IN_MATCH", "0.04000000", 1)
    assert (await alice.signed("GET", "order", symbol="BTCUSDT", orderId=resting["orderId"]))[1]["status"] == "PARTIALLY_FILLED"
    status, both, _ = await alice.signed("POST", "order", **base, selfTradePreventionMode="EXPIRE_BOTH")
    assert (status, both["status"]) == (200, "EXPIRED_IN_MATCH")
    _, maker, _ = await alice.signed("GET", "order", symbol="BTCUSDT", orderId=resting["orderId"])
    assert (maker["status"], maker["executedQty"], maker["preventedQuantity"]) == ("EXPIRED_IN_MATCH", "0.04000000", "0.06000000")
    assert await alice.balance("BTC") == (10 - Decimal("0.00002"), 0)  # the taker's fee, and nothing locked
    reports: list[dict] = []
    while len(reports) < 3:
        event = (await api.event())["event"]
        reports += [event] if event.get("x") == "TRADE_PREVENTION" else []
    first, _, last = reports
    assert (first["X"], first["A"], first["B"], first["v"], first["u"], first["V"]) == (
        "EXPIRED_IN_MATCH",
        "0.04000000",
        "0.04000000",
        1,
        -1,
        "EXPIRE_TAKER",
    )
    assert (first["U"], first["Cs"], first["pl"], first["pL"], first["pY"]) == (
        resting["orderId"],
        "BTCUSDT",
        "0.04000000",
        "50000.00000000",
        "2000.00000000",
    )
    assert last["U"] == resting["orderId"]
    refused = await alice.signed("POST", "order", **base, selfTradePreventionMode="DECREMENT")
    assert refused[1] == {"code": -1013, "msg": "This symbol does not allow the specified self-trade prevention mode."}
    assert (await alice.signed("POST", "order", **base, selfTradePreventionMode="SOME"))[1]["code"] == -1130
