"""Requests, letter by letter, and their signatures against reference implementations."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mmd.exchanges.adapter import OrderCommand
from mmd.exchanges.binance import encode
from mmd.exchanges.binance.decode import FrameDecoder
from mmd.exchanges.binance.encode import FixedPointText, RequestEncoder
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.exchanges.binance.signing import Ed25519Signer, HmacSigner, SigningKeyError, signer_of
from mmd.types.instrument import Instrument
from mmd.types.market import Side, TouchUpdate
from mmd.types.orders import AmendOrder, CancelOrder, PlaceOrder, QueryOrder, ReplaceOrder

SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@pytest.fixture
def encoder(instruments: dict[str, Instrument]) -> RequestEncoder:
    return RequestEncoder(instruments, api_key="K", recv_window_ms=1500, signer=HmacSigner("S"))


def signed(parameters: dict[str, Any], secret: str = "S") -> str:
    """The venue's rule: everything but the signature, sorted by name, joined raw."""
    payload = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if name != "signature")
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def test_the_example_of_the_documentation() -> None:
    payload = (
        f"apiKey={KEY}&newOrderRespType=ACK&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT"
        "&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
    )
    assert HmacSigner(SECRET).sign(payload.encode()) == "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"


@given(st.text(min_size=1), st.binary(max_size=300), st.binary(max_size=300))
def test_hmac_equals_the_reference_each_time(secret: str, first: bytes, second: bytes) -> None:
    signer = HmacSigner(secret)
    for payload in (first, second, first):
        assert signer.sign(payload) == hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def test_ed25519_signatures_verify() -> None:
    key = Ed25519PrivateKey.generate()
    signature = Ed25519Signer(pem(key)).sign(b"timestamp=1")
    key.public_key().verify(base64.b64decode(signature), b"timestamp=1")


def test_keys_that_cannot_sign_are_refused_without_being_shown() -> None:
    with pytest.raises(SigningKeyError, match="api_secret"):
        signer_of(BinanceSettings())
    with pytest.raises(SigningKeyError) as refused:
        signer_of(BinanceSettings(ed25519_private_key=SecretStr("-----BEGIN NONSENSE-----")))
    assert "NONSENSE" not in str(refused.value)
    with pytest.raises(SigningKeyError, match="another kind"):
        Ed25519Signer(pem(generate_private_key(65537, 2048)))


CASES: list[tuple[OrderCommand, str, dict[str, Any]]] = [
    (
        PlaceOrder(1, "m-1", "BTCUSDT", Side.BUY, 2816547, 100),
        "order.place",
        {"side": "BUY", "type": "LIMIT_MAKER", "newClientOrderId": "m-1", "price": "28165.47", "quantity": "0.00100"},
    ),
    (
        PlaceOrder(1, "m-2", "ETHUSDT", Side.SELL, 5, 12345, post_only=False),
        "order.place",
        {
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "newClientOrderId": "m-2",
            "price": "0.05",
            "quantity": "1.2345",
        },
    ),
    (CancelOrder(1, "m-1", "BTCUSDT"), "order.cancel", {"origClientOrderId": "m-1"}),
    (QueryOrder(1, "m-1", "BTCUSDT"), "order.status", {"origClientOrderId": "m-1"}),
    (
        ReplaceOrder(1, "m-1", "m-3", "BTCUSDT", Side.SELL, 2816600, 1),
        "order.cancelReplace",
        {
            "side": "SELL",
            "type": "LIMIT_MAKER",
            "cancelReplaceMode": "STOP_ON_FAILURE",
            "cancelOrigClientOrderId": "m-1",
            "newClientOrderId": "m-3",
            "price": "28166.00",
            "quantity": "0.00001",
        },
    ),
    (
        AmendOrder(1, "m-3", "m-4", "BTCUSDT", 50),
        "order.amend.keepPriority",
        {"origClientOrderId": "m-3", "newClientOrderId": "m-4", "newQty": "0.00050"},
    ),
]


@pytest.mark.parametrize(("command", "method", "expected"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_requests(encoder: RequestEncoder, command: OrderCommand, method: str, expected: dict[str, Any]) -> None:
    request = json.loads(encoder.encode(command, 17, 1700000000123))
    parameters = request["params"]
    common = {"symbol": command.symbol, "timestamp": 1700000000123, "recvWindow": 1500, "apiKey": "K"}
    if "newClientOrderId" in expected and not isinstance(command, AmendOrder):
        common["newOrderRespType"] = "ACK"
    assert parameters == {**common, **expected, "signature": signed(parameters)}
    assert (request["id"], request["method"]) == (17, method)
    unsigned = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if name != "signature")
    assert encoder.payload(command, 1700000000123) == unsigned


def test_bytes_of_one_request(encoder: RequestEncoder) -> None:
    assert encoder.encode(CancelOrder(1, "m-1", "BTCUSDT"), 3, 5) == (
        b'{"id":3,"method":"order.cancel","params":{"apiKey":"K","origClientOrderId":"m-1","recvWindow":1500,'
        b'"symbol":"BTCUSDT","timestamp":5,"signature":"'
        + signed({"apiKey": "K", "origClientOrderId": "m-1", "recvWindow": 1500, "symbol": "BTCUSDT", "timestamp": 5}).encode()
        + b'"}}'
    )


def test_a_logged_on_session_sends_neither_key_nor_signature(instruments: dict[str, Instrument]) -> None:
    encoder = RequestEncoder(instruments, api_key="K", recv_window_ms=1500, signer=None)
    request = json.loads(encoder.encode(CASES[0][0], 1, 5))
    assert not {"apiKey", "signature"} & request["params"].keys()


def test_session_requests() -> None:
    for build, method in (
        (encode.session_logon, "session.logon"),
        (encode.subscribe_user_data_signed, "userDataStream.subscribe.signature"),
    ):
        request = json.loads(build("s-1", api_key="100%", recv_window_ms=1500, signer=HmacSigner("S"), timestamp_ms=5))
        parameters = request["params"]
        assert (request["id"], request["method"]) == ("s-1", method)
        assert parameters == {"apiKey": "100%", "recvWindow": 1500, "timestamp": 5, "signature": signed(parameters)}
    assert json.loads(encode.subscribe_user_data("s-2")) == {"id": "s-2", "method": "userDataStream.subscribe"}


@st.composite
def any_instrument(draw: st.DrawFn) -> Instrument:
    tick_exponent = draw(st.integers(0, 4))
    lot_exponent = draw(st.integers(0, 8 - tick_exponent))
    tick = draw(st.sampled_from(("1", "5", "25"))) + f"e-{tick_exponent}"
    lot = draw(st.sampled_from(("1", "2"))) + f"e-{lot_exponent}"
    return Instrument.create("XUSDT", "X", "USDT", tick_size=tick, lot_size=lot)


@given(any_instrument(), st.integers(1, 10**9), st.integers(1, 10**10))
def test_numbers_survive_the_wire_exactly(instrument: Instrument, ticks: int, lots: int) -> None:
    """What we write is what the venue's filters want, and what the feed decoder makes of that text is what we meant."""
    price, quantity = FixedPointText(instrument, of_price=True)(ticks), FixedPointText(instrument, of_price=False)(lots)
    assert (price, quantity) == (instrument.price_text(ticks), instrument.quantity_text(lots))
    assert (instrument.ticks(price), instrument.lots(quantity)) == (ticks, lots)
    levels = f'"b":"{price}","B":"{quantity}","a":"{price}","A":"{quantity}"'
    frame = f'{{"stream":"xusdt@bookTicker","data":{{"u":1,"s":"XUSDT",{levels}}}}}'
    assert FrameDecoder([instrument]).decode(frame.encode(), 1) == TouchUpdate("XUSDT", 1, 0, 1, ticks, lots, ticks, lots)
