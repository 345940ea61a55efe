"""Orders over REST: their life, what is refused and how, cancelReplace, amend, lists."""

from __future__ import annotations

from decimal import Decimal

import pytest


async def test_an_order_lives_and_dies(alice, bob):
    placed = await alice.place("BUY", "50000.00", "0.2", newClientOrderId="mine-1")
    assert placed["status"] == "NEW"
    assert placed["fills"] == []
    assert placed["price"] == "50000.00000000"
    assert placed["origQty"] == "0.20000000"
    assert await alice.balance("USDT") == (Decimal("90000"), Decimal("10000"))

    status, sold, headers = await bob.signed("POST", "order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.05")
    assert status == 200
    assert sold["status"] == "FILLED"
    assert sold["fills"] == [
        {"price": "50000.00000000", "qty": "0.05000000", "commission": "1.25000000", "commissionAsset": "USDT", "tradeId": 1}
    ]
    assert headers["X-MBX-ORDER-COUNT-10S"] == "0"  # placed, and filled at once as a taker
    assert headers["X-MBX-USED-WEIGHT-1M"] == "20"  # the account query; placed orders weigh nothing

    _, order, _ = await alice.signed("GET", "order", symbol="BTCUSDT", origClientOrderId="mine-1")
    assert (order["status"], order["executedQty"], order["cummulativeQuoteQty"]) == (
        "PARTIALLY_FILLED",
        "0.05000000",
        "2500.00000000",
    )
    status, cancelled, _ = await alice.signed("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"], newClientOrderId="bye")
    assert status == 200
    assert (cancelled["status"], cancelled["clientOrderId"], cancelled["origClientOrderId"]) == ("CANCELED", "bye", "mine-1")
    assert await alice.balance("USDT") == (Decimal("97500"), Decimal("0"))
    assert await alice.balance("BTC") == (Decimal("10.05"), Decimal("0"))
    _, trades, _ = await alice.signed("GET", "myTrades", symbol="BTCUSDT")
    assert [(trade["id"], trade["isMaker"], trade["isBuyer"], trade["commission"]) for trade in trades] == [
        (1, True, True, "0.00000000")
    ]
    _, public, _ = await alice.public("GET", "trades", "symbol=BTCUSDT")
    assert public[0]["isBuyerMaker"] is True


async def test_response_types(alice):
    base = {"symbol": "BTCUSDT", "side": "BUY", "price": "40000", "quantity": "0.01"}
    _, full, _ = await alice.signed("POST", "order", **base, type="LIMIT", timeInForce="GTC")
    _, ack, _ = await alice.signed("POST", "order", **base, type="LIMIT_MAKER")
    _, result, _ = await alice.signed("POST", "order", **base, type="LIMIT_MAKER", newOrderRespType="RESULT")
    assert "fills" in full
    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert "fills" not in result
    assert result["status"] == "NEW"


@pytest.mark.parametrize(
    ("change", "status", "code", "message"),
    [
        ({"symbol": "NOPE"}, 400, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, 400, -1117, "Invalid side."),
        ({"type": "LIMITED"}, 400, -1116, "Invalid orderType."),
        ({"timeInForce": "GTX"}, 400, -1115, "Invalid timeInForce."),
        ({"timeInForce": None}, 400, -1102, "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed."),
        ({"type": "LIMIT_MAKER"}, 400, -1106, "Parameter 'timeInForce' sent when not required."),
        ({"price": "50000.123456789"}, 400, -1111, "Parameter 'price' has too much precision."),
        ({"price": "50000.001"}, 400, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.000001"}, 400, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00001"}, 400, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "many"}, 400, -1100, None),
        ({"quantity": "9"}, 400, -2010, "Account has insufficient balance for requested action."),
        ({"newClientOrderId": "taken"}, 400, -2010, "Duplicate order sent."),
        ({"newClientOrderId": "with space"}, 400, -1100, None),
        ({"colour": "red"}, 400, -1104, "Not all sent parameters were read; read '9' parameter(s) but was sent '10'."),
    ],
)
async def test_refusals(alice, change, status, code, message):
    await alice.place("BUY", "50000", "0.01", newClientOrderId="taken")
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "50000", "quantity": "0.1"}
    params = {name: value for name, value in (params | {"recvWindow": "5000"} | change).items() if value is not None}
    got_status, error, _ = await alice.signed("POST", "order", **params)
    assert (got_status, error["code"]) == (status, code)
    assert message is None or error["msg"] == message


async def test_post_only_order_that_would_take_is_refused(alice, bob):
    await bob.place("SELL", "50000", "0.1")
    status, error, _ = await alice.signed(
        "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT_MAKER", price="50000", quantity="0.1"
    )
    assert (status, error) == (400, {"code": -2010, "msg": "Order would immediately match and take."})
    assert (await alice.signed("GET", "openOrders", symbol="BTCUSDT"))[1] == []


async def test_unknown_orders(alice):
    refused = await alice.signed("DELETE", "order", symbol="BTCUSDT", orderId=5, origClientOrderId="x")
    assert refused[:2] == (400, {"code": -2011, "msg": "Unknown order sent."})
    asked = await alice.signed("GET", "order", symbol="BTCUSDT", orderId=5)
    assert asked[:2] == (400, {"code": -2013, "msg": "Order does not exist."})
    nothing = await alice.signed("DELETE", "openOrders", symbol="BTCUSDT")
    assert nothing[:2] == (400, {"code": -2011, "msg": "Unknown order sent."})
    neither = await alice.signed("DELETE", "order", symbol="BTCUSDT")
    assert neither[1]["code"] == -1102


async def test_cancel_replace_outcomes(alice, bob):
    await bob.place("SELL", "51000", "0.1")
    first = await alice.place("BUY", "50000", "0.1")

    async def replace(mode: str, cancel: int, price: str, order_type: str = "LIMIT_MAKER") -> tuple[int, dict]:
        params = {"symbol": "BTCUSDT", "side": "BUY", "type": order_type, "price": price, "quantity": "0.1"}
        status, reply, _ = await alice.signed("POST", "order/cancelReplace", **params, cancelReplaceMode=mode, cancelOrderId=cancel)
        return status, reply

    status, reply = await replace("STOP_ON_FAILURE", first["orderId"], "49000")
    assert status == 200
    assert (reply["cancelResult"], reply["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert reply["cancelResponse"]["orderId"] == first["orderId"]
    second = reply["newOrderResponse"]["orderId"]

    status, reply = await replace("STOP_ON_FAILURE", first["orderId"], "49000")
    assert (status, reply["code"], reply["msg"]) == (400, -2022, "Order cancel-replace failed.")
    assert reply["data"]["newOrderResult"] == "NOT_ATTEMPTED"
    assert reply["data"]["newOrderResponse"] is None
    assert reply["data"]["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}

    status, reply = await replace("ALLOW_FAILURE", first["orderId"], "48000")
    assert (status, reply["code"]) == (409, -2021)
    assert (reply["data"]["cancelResult"], reply["data"]["newOrderResult"]) == ("FAILURE", "SUCCESS")

    status, reply = await replace("ALLOW_FAILURE", first["orderId"], "51000")
    assert (status, reply["code"]) == (400, -2022)
    assert reply["data"]["newOrderResponse"] == {"code": -2010, "msg": "Order would immediately match and take."}

    status, reply = await replace("STOP_ON_FAILURE", second, "51000")
    assert (status, reply["code"], reply["msg"]) == (409, -2021, "Order cancel-replace partially failed.")
    assert (reply["data"]["cancelResult"], reply["data"]["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert (await alice.signed("GET", "order", symbol="BTCUSDT", orderId=second))[1]["status"] == "CANCELED"

    # A filter is checked before anything is cancelled.
    third = await alice.place("BUY", "47000", "0.1")
    status, reply = await replace("STOP_ON_FAILURE", third["orderId"], "0.01")
    assert (status, reply["code"]) == (400, -1013)
    assert (await alice.signed("GET", "order", symbol="BTCUSDT", orderId=third["orderId"]))[1]["status"] == "NEW"


async def test_amend_reduces_and_keeps_the_order(alice):
    placed = await alice.place("BUY", "50000", "0.2", newClientOrderId="before")
    status, reply, _ = await alice.signed(
        "PUT", "order/amend/keepPriority", symbol="BTCUSDT", origClientOrderId="before", newQty="0.1", newClientOrderId="after"
    )
    assert status == 200
    amended = reply["amendedOrder"]
    assert (amended["orderId"], amended["qty"]) == (placed["orderId"], "0.10000000")
    assert (amended["origClientOrderId"], amended["clientOrderId"]) == ("before", "after")
    assert await alice.balance("USDT") == (Decimal("95000"), Decimal("5000"))
    status, reply, _ = await alice.signed(
        "PUT", "order/amend/keepPriority", symbol="BTCUSDT", origClientOrderId="after", newQty="0.3"
    )
    assert (status, reply["code"]) == (400, -2038)


async def test_lists_of_orders_and_trades(alice, bob):
    orders = [await alice.place("BUY", price, "0.01") for price in ("50000", "50001", "50002")]
    _, open_orders, _ = await alice.signed("GET", "openOrders")
    assert [line["orderId"] for line in open_orders] == [order["orderId"] for order in orders]
    await bob.place("SELL", "50001", "0.02")
    _, trades, _ = await alice.signed("GET", "myTrades", symbol="BTCUSDT", fromId=2)
    assert [(trade["id"], trade["price"]) for trade in trades] == [(2, "50001.00000000")]
    _, trades, _ = await alice.signed("GET", "myTrades", symbol="BTCUSDT", orderId=orders[2]["orderId"])
    assert [trade["id"] for trade in trades] == [1]
    _, everything, _ = await alice.signed("GET", "allOrders", symbol="BTCUSDT")
    assert [line["status"] for line in everything] == ["NEW", "FILLED", "FILLED"]
    _, later, _ = await alice.signed("GET", "allOrders", symbol="BTCUSDT", orderId=orders[1]["orderId"], limit=1)
    assert [line["orderId"] for line in later] == [orders[1]["orderId"]]
    status, cancelled, _ = await alice.signed("DELETE", "openOrders", in_body=True, symbol="BTCUSDT")
    assert (status, [line["status"] for line in cancelled]) == (200, ["CANCELED"])
    _, account, _ = await alice.signed("GET", "account", omitZeroBalances="true")
    assert [line["asset"] for line in account["balances"]] == ["BTC", "USDT"]
    _, commission, _ = await alice.signed("GET", "account/commission", symbol="BTCUSDT")
    assert commission["standardCommission"]["taker"] == "0.00050000"


async def test_a_test_order_changes_nothing(alice):
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "50000", "quantity": "0.1"}
    assert (await alice.signed("POST", "order/test", **params))[:2] == (200, {})
    assert (await alice.signed("GET", "openOrders", symbol="BTCUSDT"))[1] == []
    refused = await alice.signed("POST", "order/test", **(params | {"quantity": "0.00001"}))
    assert refused[1]["msg"] == "Filter failure: NOTIONAL"
