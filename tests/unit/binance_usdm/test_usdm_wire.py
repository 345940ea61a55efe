"""The futures' wire without sockets: requests to the byte, replies, user data, contracts, and settings."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from mmd.exchanges.adapter import AdapterError
from mmd.exchanges.binance.decode import MalformedFrame
from mmd.exchanges.binance.order_messages import OrderNames
from mmd.exchanges.binance.replies import decode_envelope
from mmd.exchanges.binance.signing import HmacSigner
from mmd.exchanges.binance.verdicts import Verdict
from mmd.exchanges.binance_usdm.encode import UsdmRequestEncoder
from mmd.exchanges.binance_usdm.exchange_info import perpetuals_of
from mmd.exchanges.binance_usdm.rehearsal import UsdmWireRehearsal
from mmd.exchanges.binance_usdm.replies import UsdmReplyDecoder
from mmd.exchanges.binance_usdm.settings import BinanceUsdmSettings
from mmd.exchanges.binance_usdm.user_data import FUNDING, UsdmUserDataDecoder
from mmd.exchanges.binance_usdm.verdicts import verdict
from mmd.exchanges.settings import ExchangeSettings, specialised
from mmd.types.instrument import Instrument, Replacement, atoms
from mmd.types.market import DepthUpdate, Side
from mmd.types.orders import (
    AmendOrder,
    BalanceReport,
    CancelOrder,
    CancelRejected,
    ExternalBalanceChange,
    Fill,
    ForcedTrade,
    ModifyOrder,
    OrderAccepted,
    OrderNotFound,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
)

BTC = msgspec.structs.replace(
    Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.1", lot_size="0.001", min_notional="50"),
    perpetual=True,
    replacement=Replacement.MODIFY,
)
NOW_MS = 1_700_000_000_123
PLACE = PlaceOrder(1, "m-1", "BTCUSDT", Side.SELL, 600_005, 20)
MODIFY = ModifyOrder(1, "m-1", "BTCUSDT", Side.SELL, 600_010, 25)


def request(command: Any) -> dict[str, Any]:
    encoder = UsdmRequestEncoder({"BTCUSDT": BTC}, api_key="K", recv_window_ms=1500, signer=HmacSigner("S"))
    message: dict[str, Any] = json.loads(encoder.encode(command, 7, NOW_MS))
    params = message["params"]
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
    assert params["signature"] == hmac.new(b"S", payload.encode(), hashlib.sha256).hexdigest()
    assert dict(parse_qsl(encoder.payload(command, NOW_MS)))["symbol"] == "BTCUSDT"
    return message


def test_requests_are_signed_and_say_what_the_command_says() -> None:
    message = request(PLACE)
    assert (message["id"], message["method"]) == (7, "order.place")
    params = message["params"]
    assert (params["timeInForce"], params["type"], params["side"]) == ("GTX", "LIMIT", "SELL")
    assert (params["price"], params["quantity"], params["newClientOrderId"]) == ("60000.5", "0.020", "m-1")
    assert (params["timestamp"], params["recvWindow"]) == (NOW_MS, 1500)
    taker = request(msgspec.structs.replace(PLACE, post_only=False))
    assert taker["params"]["timeInForce"] == "IOC"
    modify = request(MODIFY)
    assert modify["method"] == "order.modify"
    wanted = {"origClientOrderId": "m-1", "side": "SELL", "price": "60001.0", "quantity": "0.025"}
    assert wanted.items() <= modify["params"].items()
    assert request(CancelOrder(1, "m-1", "BTCUSDT"))["method"] == "order.cancel"
    assert request(QueryOrder(1, "m-1", "BTCUSDT"))["method"] == "order.status"
    with pytest.raises(TypeError, match="AmendOrder"):
        request(AmendOrder(1, "m-1", "m-2", "BTCUSDT", 5))


def test_a_rehearsal_runs_the_same_code() -> None:
    rehearsal = UsdmWireRehearsal({"BTCUSDT": BTC}, recv_window_ms=1500)
    assert json.loads(rehearsal.encode(MODIFY, 1, NOW_MS))["method"] == "order.modify"
    event = DepthUpdate("BTCUSDT", 5, 1_000_000, 1, 2, -1, ((600_000, 3),), ())
    assert rehearsal.decode(rehearsal.frame(event), 5) == event


# ---- replies


def answer(command: Any, **reply: Any) -> list[Any]:
    envelope = decode_envelope(json.dumps({"id": 1, "status": 200, **reply}).encode())
    return UsdmReplyDecoder({"BTCUSDT": BTC}, OrderNames()).outcome(command, envelope, NOW_MS, 9)


def body(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": 5,
        "clientOrderId": "m-1",
        "side": "SELL",
        "status": "NEW",
        "price": "60001.0",
        "origQty": "0.025",
        "executedQty": "0.004",
        "updateTime": NOW_MS,
        **changes,
    }


def test_replies() -> None:
    assert answer(PLACE, result=body()) == [OrderAccepted(9, "BTCUSDT", "m-1", 5)]
    (update,) = answer(MODIFY, result=body(status="PARTIALLY_FILLED"))
    assert (update.price_ticks, update.lots, update.filled_lots, update.status) == (600_010, 25, 4, OrderStatus.PARTIALLY_FILLED)
    (gone,) = answer(MODIFY, result=body(status="CANCELED"))
    assert gone.status is OrderStatus.CANCELED


@pytest.mark.parametrize(
    ("command", "status", "code", "expected"),
    [
        (PLACE, 400, -5022, OrderRejected(9, "BTCUSDT", "m-1", -5022, "text", True)),
        (PLACE, 400, -2019, OrderRejected(9, "BTCUSDT", "m-1", -2019, "text", False)),
        (PLACE, 503, -1000, OutcomeUnknown(9, "BTCUSDT", "m-1", "503 -1000 text")),
        (PLACE, 400, -4116, OutcomeUnknown(9, "BTCUSDT", "m-1", "400 -4116 text")),
        (MODIFY, 400, -5027, CancelRejected(9, "BTCUSDT", "m-1", -5027, "text")),
        (MODIFY, 400, -2013, CancelRejected(9, "BTCUSDT", "m-1", -2013, "text")),
        (MODIFY, 408, -1007, OutcomeUnknown(9, "BTCUSDT", "m-1", "408 -1007 text")),
        (QueryOrder(1, "m-1", "BTCUSDT"), 400, -2013, OrderNotFound(9, "BTCUSDT", "m-1", NOW_MS)),
        (CancelOrder(1, "m-1", "BTCUSDT"), 400, -2011, CancelRejected(9, "BTCUSDT", "m-1", -2011, "text")),
    ],
)
def test_errors(command: Any, status: int, code: int, expected: Any) -> None:
    assert answer(command, status=status, error={"code": code, "msg": "text"}) == [expected]


def test_a_server_error_is_unknown_whatever_its_code() -> None:
    assert verdict(500, -2019, "") is Verdict.UNKNOWN
    assert verdict(400, -5028, "") is Verdict.REFUSED


# ---- user data


def order_event(**changes: Any) -> bytes:
    order = {
        "s": "BTCUSDT",
        "c": "m-1",
        "S": "SELL",
        "o": "LIMIT",
        "f": "GTX",
        "q": "0.025",
        "p": "60001.0",
        "x": "NEW",
        "X": "NEW",
        "i": 5,
        "l": "0",
        "z": "0",
        "L": "0",
        "T": NOW_MS,
        "t": 0,
        "m": False,
        **changes,
    }
    return json.dumps({"e": "ORDER_TRADE_UPDATE", "E": NOW_MS, "T": NOW_MS, "o": order}).encode()


def decoded(frame: bytes) -> tuple[str, tuple[Any, ...]]:
    return UsdmUserDataDecoder({"BTCUSDT": BTC}, OrderNames()).decode(frame, 9)


def test_a_modified_order_shows_its_new_price_and_quantity() -> None:
    _, (update,) = decoded(order_event(x="AMENDMENT", X="PARTIALLY_FILLED", z="0.004", p="60002.0"))
    assert isinstance(update, OrderUpdate)
    assert (update.price_ticks, update.lots, update.filled_lots, update.status) == (600_020, 25, 4, OrderStatus.PARTIALLY_FILLED)


def test_a_trade_is_a_fill_and_an_update_with_the_fee_in_whatever_asset() -> None:
    trade = {
        "x": "TRADE",
        "X": "FILLED",
        "l": "0.010",
        "z": "0.025",
        "L": "60001.5",
        "t": 77,
        "m": True,
        "n": "0.00012",
        "N": "BNB",
    }
    _, (fill, update) = decoded(order_event(**trade))
    assert isinstance(fill, Fill)
    assert (fill.trade_id, fill.price_ticks, fill.lots, fill.is_maker) == (77, 600_015, 10, True)
    assert (fill.fee_atoms, fill.fee_asset) == (atoms("0.00012"), "BNB")
    assert update.status is OrderStatus.FILLED


@pytest.mark.parametrize(
    "changes", [{"c": "autoclose-5"}, {"c": "adl_autoclose"}, {"c": "settlement_autoclose-1"}, {"x": "CALCULATED"}]
)
def test_what_the_venue_trades_for_us(changes: dict[str, Any]) -> None:
    _, (forced,) = decoded(order_event(**changes))
    assert isinstance(forced, ForcedTrade)


def account_event(reason: str, change: str = "0") -> bytes:
    balance = {"a": "USDT", "wb": "100.5", "cw": "100.5", "bc": change}
    return json.dumps({"e": "ACCOUNT_UPDATE", "E": NOW_MS, "T": NOW_MS, "a": {"m": reason, "B": [balance], "P": []}}).encode()


def test_account_updates_by_their_reason() -> None:
    kind, events = decoded(account_event("ORDER"))
    assert (kind, [type(event) for event in events]) == ("ACCOUNT_UPDATE", [BalanceReport])
    kind, events = decoded(account_event("FUNDING_FEE", "-0.06"))
    assert (kind, [type(event) for event in events]) == (FUNDING, [BalanceReport])
    _, events = decoded(account_event("WITHDRAW", "-3"))
    assert events[1] == ExternalBalanceChange(9, "USDT", atoms("-3"))
    _, events = decoded(account_event("MARGIN_TYPE_CHANGE"))
    assert [type(event) for event in events] == [BalanceReport]


def test_bytes_that_are_no_event() -> None:
    for frame in (b"{", b'{"e":"ORDER_TRADE_UPDATE"}', order_event(S="LONG"), order_event(q="NaN")):
        with pytest.raises(MalformedFrame):
            decoded(frame)
    assert decoded(b'{"e":"TRADE_LITE"}') == ("TRADE_LITE", ())
    assert decoded(order_event(s="ETHUSDT")) == ("ORDER_TRADE_UPDATE", ())


# ---- contracts and settings


def contract(**changes: Any) -> bytes:
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "50"},
    ]
    line = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "contractType": "PERPETUAL",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "filters": filters,
        **changes,
    }
    return json.dumps({"symbols": [line]}).encode()


def test_contracts() -> None:
    (btc,) = perpetuals_of(contract(), ["BTCUSDT"]).values()
    assert (btc.perpetual, btc.replacement) == (True, Replacement.MODIFY)
    assert (btc.min_price_ticks, btc.max_lots, btc.min_notional_atoms) == (5_568, 1_000_000, atoms("50"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"symbol": "ETHUSDT"}, "does not list BTCUSDT"),
        ({"contractType": "CURRENT_QUARTER"}, "only linear perpetuals"),
        ({"marginAsset": "BTC"}, "margin in BTC"),
        ({"status": "SETTLING"}, "status SETTLING"),
        ({"filters": []}, "no filter"),
    ],
)
def test_contracts_that_cannot_be_traded(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(AdapterError, match=words):
        perpetuals_of(contract(**changes), ["BTCUSDT"])


def test_settings_of_each_profile_and_options() -> None:
    live = BinanceUsdmSettings(profile="live")
    assert live.public_stream_url == "wss://fstream.binance.com/public"
    assert live.private_stream_url == "wss://fstream.binance.com/private"
    unrouted = BinanceUsdmSettings(profile="testnet", options={"routed_streams": "false", "countdown_seconds": "60"})
    assert unrouted.public_stream_url == unrouted.private_stream_url == "wss://fstream.binancefuture.com"
    assert unrouted.usdm.countdown_seconds == 60
    with pytest.raises(ValueError, match="at most a third of countdown_seconds"):
        specialised(BinanceUsdmSettings, ExchangeSettings(options={"countdown_seconds": "12"}))
    with pytest.raises(ValueError, match="no option of this venue's adapter"):
        specialised(BinanceUsdmSettings, ExchangeSettings(options={"countdown": "12"}))
