"""Who may ask: signatures, clocks, parameters in query and body, rate limits and bans."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmd.mock.server import MockConfig, MockExchange, RateLimits

_ORDER = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC"


def _hmac(payload: str, secret: str = "S1") -> str:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


async def test_signature_over_query_and_body_joined_with_nothing(alice):
    now = alice.clock() // 1_000_000
    body = f"quantity=0.01&price=50000&timestamp={now}"
    signature = _hmac(_ORDER + body)
    status, reply, _ = await alice.raw("POST", "order", _ORDER, body=f"{body}&signature={signature.upper()}")
    assert status == 200, reply
    status, reply, _ = await alice.raw("POST", "order", _ORDER, body=f"{body}&signature={_hmac(_ORDER + '&' + body)}")
    assert (status, reply) == (400, {"code": -1022, "msg": "Signature for this request is not valid."})


async def test_query_wins_over_body_and_the_text_is_signed_as_sent(alice):
    now = alice.clock() // 1_000_000
    query = f"symbol=BTCUSDT&timestamp={now}&newClientOrderId=a%2Db"
    body = "symbol=NOPE&side=BUY&type=LIMIT&timeInForce=GTC&price=50000&quantity=0.01"
    status, reply, _ = await alice.raw("POST", "order", f"{query}&signature={_hmac(query + body)}", body=body)
    assert (status, reply["clientOrderId"]) == (200, "a-b")


@pytest.mark.parametrize(
    ("key", "query", "status", "code"),
    [
        ("", "timestamp=1", 401, -2014),
        ("nobody", "timestamp=1", 401, -2015),
        ("K1", "timestamp=1", 400, -1102),
        ("K1", "signature=00", 400, -1102),
        ("K1", "timestamp=later&signature=00", 400, -1100),
        ("K1", "timestamp=1&timestamp=2", 400, -1101),
        ("K1", "timestamp=1&recvWindow=60001&signature=00", 400, -1131),
    ],
)
async def test_bad_credentials(alice, key, query, status, code):
    alice.key = key
    got_status, error, _ = await alice.raw("GET", "account", query)
    assert (got_status, error["code"]) == (status, code)


@pytest.mark.parametrize(
    ("offset_ms", "window", "message"),
    [
        (999, None, None),
        (1000, None, "Timestamp for this request was 1000ms ahead of the server's time."),
        (-5000, None, None),
        (-5001, None, "Timestamp for this request is outside of the recvWindow."),
        (-101, 100, "Timestamp for this request is outside of the recvWindow."),
        (-60000, 60000, None),
    ],
)
@pytest.mark.parametrize("unit", [1, 1000])
async def test_clock(quiet_config, client, manual_clock, offset_ms, window, message, unit):
    async with MockExchange(quiet_config, clock=manual_clock) as exchange:
        asker = client(exchange, clock=manual_clock)
        params = {"timestamp": (manual_clock.ms + offset_ms) * unit} | ({} if window is None else {"recvWindow": window})
        status, reply, _ = await asker.signed("GET", "account", **params)
        if message is None:
            assert status == 200
        else:
            assert (status, reply) == (400, {"code": -1021, "msg": message})


async def test_ed25519_over_rest(client):
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    config = MockConfig(market="none", public_keys={"E1": pem}, key_accounts={"E1": "K1"})
    async with MockExchange(config) as exchange:
        asker = client(exchange, "E1", "")
        query = f"timestamp={asker.clock() // 1_000_000}"
        signature = quote(base64.b64encode(private.sign(query.encode())).decode(), safe="")
        status, reply, _ = await asker.raw("GET", "account", f"{query}&signature={signature}")
        assert status == 200, reply
        # Two keys, one account: an order of the first is seen through the second.
        placed = await client(exchange).place("BUY", "50000", "0.01")
        status, reply, _ = await asker.raw("GET", "openOrders", f"{query}&signature={signature}")
        assert [line["orderId"] for line in reply] == [placed["orderId"]]
        status, reply, _ = await asker.raw("GET", "account", f"{query}1&signature={signature}")
        assert status == 400


async def test_public_requests(alice):
    assert (await alice.public("GET", "ping"))[1] == {}
    assert abs((await alice.public("GET", "time"))[1]["serverTime"] - alice.clock() // 1_000_000) < 1000
    status, error, _ = await alice.public("GET", "time", "symbol=BTCUSDT")
    assert (status, error["code"]) == (400, -1101)
    assert (await alice.public("GET", "nothing"))[0] == 404
    _, info, _ = await alice.public("GET", "exchangeInfo", 'symbols=["BTCUSDT"]')
    symbol = info["symbols"][0]
    assert symbol["permissionSets"] == [["SPOT"]]
    assert [line["filterType"] for line in symbol["filters"]][:4] == ["PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "NOTIONAL"]
    assert symbol["filters"][0]["tickSize"] == "0.01000000"
    _, ticker, _ = await alice.public("GET", "ticker/bookTicker", "symbol=BTCUSDT")
    assert ticker["bidPrice"] == "0.00000000"


async def test_unfilled_orders_are_counted_and_forgiven(quiet_config, client, manual_clock):
    config = quiet_config.model_copy(update={"rate_limits": RateLimits(orders_per_10_seconds=3)})
    async with MockExchange(config, clock=manual_clock) as exchange:
        alice, bob = client(exchange, clock=manual_clock), client(exchange, "K2", "S2", clock=manual_clock)
        for price in ("50000", "50001", "50002"):
            await alice.place("BUY", price, "0.01")
        status, error, headers = await alice.signed("POST", "order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.01")
        assert (status, error["code"]) == (429, -1015)
        assert error["msg"] == "Too many new orders; current limit is 3 orders per 10 SECOND."
        assert headers["Retry-After"] == "10"
        await bob.place("SELL", "50002", "0.01")
        _, counts, _ = await alice.signed("GET", "rateLimit/order")
        assert [line["count"] for line in counts] == [0, 0]  # the first fill as a maker forgives five
        manual_clock.now_ns += 10_000_000_000
        await alice.place("BUY", "50000", "0.01")
        _, counts, _ = await alice.signed("GET", "rateLimit/order")
        assert [line["count"] for line in counts] == [1, 1]


async def test_too_much_weight_then_a_ban(quiet_config, client, manual_clock):
    limits = RateLimits(weight_per_minute=10, refusals_before_ban=2)
    async with MockExchange(quiet_config.model_copy(update={"rate_limits": limits}), clock=manual_clock) as exchange:
        asker = client(exchange)
        manual_clock.now_ns += 15_000_000_000
        assert (await asker.public("GET", "depth", "symbol=BTCUSDT"))[0] == 200
        answers = [await asker.public("GET", "depth", "symbol=BTCUSDT") for _ in range(4)]
        assert [status for status, _, _ in answers] == [200, 429, 429, 418]
        assert answers[1][2]["Retry-After"] == "45"
        assert "current limit is 10 request weight per 1 MINUTE" in answers[1][1]["msg"]
        assert answers[3][2]["Retry-After"] == "120"
        manual_clock.now_ns += 60_000_000_000
        assert (await asker.public("GET", "ping"))[0] == 418
        manual_clock.now_ns += 60_000_000_000
        assert (await asker.public("GET", "ping"))[0] == 200


def test_settings_are_checked():
    assert MockConfig(accounts=["A:B", "C:D:E"]).accounts == {"A": "B", "C": "D:E"}
    with pytest.raises(ValueError, match="KEY:SECRET"):
        MockConfig(accounts=["A"])
    with pytest.raises(ValueError, match="unknown key"):
        MockConfig(key_accounts={"guard": "K1"})
    with pytest.raises(ValueError, match="colour"):
        MockConfig(colour="red")
