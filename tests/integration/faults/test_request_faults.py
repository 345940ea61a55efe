"""Each fault of requests, orders and the server as a whole over real sockets: exactly its effect, and nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal

import aiohttp
import pytest
import websockets

from mmd.mock.server import MockConfig, MockExchange
from mmd.types.market import Side
from tests.integration.faults.conftest import BID_TICKS, PATIENCE, Stage, closed_with, received

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "49000", "quantity": "0.1"}


async def open_ids(stage: Stage) -> list[str]:
    """Client ids of Alice's open orders, asked while no fault is on."""
    _, orders, _ = await stage.alice.signed("GET", "openOrders", symbol="BTCUSDT")
    return [order["clientOrderId"] for order in orders]


async def test_a_lost_acknowledgement_leaves_the_order_alive(stage: Stage) -> None:
    api = await stage.api()
    await api.signed("userDataStream.subscribe.signature")
    stage.on("lose_acknowledgements", operations=["order.place"], count=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(api.signed("order.place", newClientOrderId="lives", **ORDER), 0.3)
    # User data tells of it all the same: only the answer is lost.
    while (event := (await api.event())["event"])["e"] != "executionReport":
        pass
    assert event["c"] == "lives"
    assert await open_ids(stage) == ["lives"]
    assert (await api.signed("order.place", newClientOrderId="next", **ORDER))["status"] == 200


async def test_a_lost_acknowledgement_by_rest(stage: Stage) -> None:
    stage.on("lose_acknowledgements", channel="rest", count=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stage.alice.signed("POST", "order", newClientOrderId="lives", **ORDER), 0.3)
    assert await open_ids(stage) == ["lives"]


async def test_a_delayed_acknowledgement_comes_after_the_order_stands(stage: Stage) -> None:
    api = await stage.api()
    stage.on("delay_acknowledgements", milliseconds=1500, count=1)
    began = time.monotonic()
    answer = asyncio.create_task(api.signed("order.place", newClientOrderId="late", **ORDER))
    while await open_ids(stage) != ["late"]:
        assert not answer.done()
    assert not answer.done()
    assert (await answer)["status"] == 200
    assert time.monotonic() - began >= 1.5
    stage.on("delay_acknowledgements", milliseconds=200, channel="rest", count=1)
    began = time.monotonic()
    status, _, _ = await stage.alice.signed("DELETE", "order", symbol="BTCUSDT", origClientOrderId="late")
    assert status == 200
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(("executed", "stands"), [("yes", ["o-1", "o-2"]), ("no", [])])
@pytest.mark.parametrize(("kind", "status", "code"), [("server_errors", 502, -1000), ("backend_timeouts", 408, -1007)])
async def test_errors_that_say_nothing_of_the_outcome(
    stage: Stage, kind: str, status: int, code: int, executed: str, stands: list[str]
) -> None:
    api = await stage.api()
    stage.on(kind, status=status, executed=executed, operations=["order.place"], count=2)
    reply = await api.signed("order.place", newClientOrderId="o-1", **ORDER)
    assert (reply["status"], reply["error"]["code"]) == (status, code)
    told, body, _ = await stage.alice.signed("POST", "order", newClientOrderId="o-2", **ORDER)
    assert (told, body["code"]) == (status, code)
    assert await open_ids(stage) == stands
    assert stage.struck(kind) == 2


async def test_server_errors_befall_other_requests_too(stage: Stage) -> None:
    stage.on("server_errors", operations=["depth"], channel="rest", count=1)
    assert (await stage.alice.public("GET", "depth", "symbol=BTCUSDT"))[0] == 503
    assert (await stage.alice.public("GET", "depth", "symbol=BTCUSDT"))[0] == 200


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({}, -2010, "Account has insufficient balance for requested action."),
        ({"code": -1013}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"code": -9999, "message": "No."}, -9999, "No."),
    ],
)
async def test_orders_are_refused(stage: Stage, parameters: dict[str, object], code: int, message: str) -> None:
    stage.on("refuse_orders", accounts=["K1"], count=1, **parameters)
    status, body, _ = await stage.alice.signed("POST", "order", **ORDER)
    assert (status, body) == (400, {"code": code, "msg": message})
    await stage.alice.place("BUY", "49000", "0.1")


async def test_a_refusal_within_a_cancel_replace_leaves_it_half_done(stage: Stage) -> None:
    await stage.alice.place("BUY", "49000", "0.1", newClientOrderId="old")
    stage.on("refuse_orders", count=1)
    status, body, _ = await stage.alice.signed(
        "POST", "order/cancelReplace", cancelReplaceMode="STOP_ON_FAILURE", cancelOrigClientOrderId="old", **ORDER
    )
    assert (status, body["code"]) == (409, -2021)
    assert (body["data"]["cancelResult"], body["data"]["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert await open_ids(stage) == []


async def test_orders_are_filled_in_part_wherever_they_stand(stage: Stage) -> None:
    api = await stage.api()
    await api.signed("userDataStream.subscribe.signature")
    trades = await stage.streams("trade")
    stage.on("partial_fills", fraction=0.25, count=1)
    await api.signed("order.place", newClientOrderId="deep", **ORDER)
    while True:
        event = (await api.event())["event"]
        if event["e"] == "executionReport" and event["x"] == "TRADE":
            break
    assert (event["c"], event["X"], event["l"], event["z"], event["L"], event["m"]) == (
        "deep", "PARTIALLY_FILLED", "0.02500000", "0.02500000", "49000.00000000", True,
    )  # fmt: skip
    told = json.loads(await asyncio.wait_for(trades.recv(), PATIENCE))
    assert (told["p"], told["q"], told["t"], told["m"]) == ("49000.00000000", "0.02500000", event["t"], True)
    assert await stage.alice.balance("BTC") == (Decimal("10.025"), 0)
    assert stage.exchange.engine.depth("BTCUSDT", 5)[1] == [(BID_TICKS, 1000), (4_900_000, 7_500)]
    await api.signed("order.cancel", symbol="BTCUSDT", origClientOrderId="deep")
    _, locked = await stage.alice.balance("USDT")
    assert locked == 0


async def test_the_clock_is_off(stage: Stage) -> None:
    stage.on("clock_offset", milliseconds=60_000, stamps=True)
    _, body, _ = await stage.alice.public("GET", "time")
    assert 59_000 < body["serverTime"] - time.time() * 1000 < 61_000
    status, body, _ = await stage.alice.signed("GET", "account")
    assert (status, body["code"]) == (400, -1021)
    status, _, _ = await stage.alice.signed("GET", "account", timestamp=int(time.time() * 1000) + 60_000)
    assert status == 200
    depth = await stage.streams("depth@100ms")
    stage.move()
    assert json.loads(await asyncio.wait_for(depth.recv(), PATIENCE))["E"] > time.time() * 1000 + 59_000
    stage.exchange.faults.clear()
    assert (await stage.alice.signed("GET", "account"))[0] == 200


@pytest.mark.parametrize("status", [418, 429])
async def test_a_ban_says_until_when(stage: Stage, status: int) -> None:
    api = await stage.api()
    stage.on("rate_limit_ban", status=status, seconds=7)
    told, body, headers = await stage.alice.public("GET", "depth", "symbol=BTCUSDT")
    assert (told, body["code"]) == (status, -1003)
    assert headers["Retry-After"] == "7"
    reply = await api.signed("order.place", **ORDER)
    assert (reply["status"], reply["error"]["code"]) == (status, -1003)
    assert 5_000 < reply["error"]["data"]["retryAfter"] - time.time() * 1000 <= 7_000
    assert stage.struck("rate_limit_ban") == 2
    stage.exchange.faults.clear()
    assert (await stage.alice.public("GET", "ping"))[0] == 200
    assert await open_ids(stage) == []


async def test_a_shutdown_is_announced_in_every_form_and_then_done(stage: Stage) -> None:
    raw, combined, api = await stage.streams("bookTicker"), await stage.streams("trade", combined=True), await stage.api()
    stage.on("server_shutdown", grace_seconds=0.3)
    told = [json.loads(await asyncio.wait_for(socket.recv(), PATIENCE)) for socket in (raw, combined, api.socket)]
    assert told[0]["e"] == told[1]["data"]["e"] == told[2]["event"]["e"] == "serverShutdown"
    newer = await stage.streams("bookTicker")
    for socket in (raw, combined, api.socket):
        end = await closed_with(socket)
        assert end.rcvd is not None
        assert end.rcvd.code == 1001
    sent = stage.move()
    assert await received(newer, sent) == [sent]


async def test_a_freeze_is_silence_on_an_open_line(stage: Stage) -> None:
    socket, api = await stage.streams("bookTicker"), await stage.api()
    began = time.monotonic()
    stage.on("freeze", seconds=1.5)
    sent = [stage.move() for _ in range(3)]
    ping, rest = asyncio.create_task(api.call("ping")), asyncio.create_task(stage.alice.public("GET", "time"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(socket.recv()), 0.2)
    assert not ping.done()
    assert not rest.done()
    assert (await ping)["status"] == 200
    assert (await rest)[0] == 200
    assert time.monotonic() - began >= 1.5
    assert stage.struck("freeze") == 1
    assert stage.exchange.sockets("all")
    last = stage.move()
    assert (await received(socket, last))[-2:] == [sent[-1], last]


async def test_a_freeze_ends_when_cleared_and_may_befall_one_channel(stage: Stage) -> None:
    socket, api = await stage.streams("bookTicker"), await stage.api()
    stage.on("freeze", seconds=60, channel="market")
    sent = stage.move()
    assert (await api.call("ping"))["status"] == 200
    assert (await stage.alice.public("GET", "ping"))[0] == 200
    stage.exchange.faults.clear()
    assert await received(socket, sent) == [sent]


@pytest.mark.parametrize("keep_state", [True, False])
@pytest.mark.parametrize("announce", [True, False])
async def test_restart(stage: Stage, keep_state: bool, announce: bool) -> None:
    port = stage.exchange.rest_url
    await stage.alice.place("BUY", "49000", "0.1", newClientOrderId="before")
    before_id = stage.exchange.engine.touch("BTCUSDT")[0]
    socket = await stage.streams("bookTicker")
    stage.on("restart", keep_state=keep_state, down_seconds=0.2, announce=announce)
    end = await closed_with(socket)
    assert (end.rcvd is not None and end.rcvd.code == 1001) is announce
    with pytest.raises(aiohttp.ClientError):
        await stage.alice.public("GET", "ping")
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await stage.alice.public("GET", "ping")
                break
            except aiohttp.ClientError:
                await asyncio.sleep(0.01)
    assert stage.exchange.rest_url == port
    assert await open_ids(stage) == (["before"] if keep_state else [])
    assert (stage.exchange.engine.touch("BTCUSDT")[0] > before_id) is keep_state
    assert stage.struck("restart") == 1
    stage.rest(Side.BUY, BID_TICKS, 1000)
    api = await stage.api()
    assert (await api.signed("order.place", newClientOrderId="after", **ORDER))["status"] == 200


async def test_a_restart_without_state_forgets_what_is_on_disk_too(tmp_path, http: aiohttp.ClientSession) -> None:
    config = MockConfig(market="none", symbols=("BTCUSDT",), state_dir=tmp_path)
    async with MockExchange(config) as exchange:
        stage = Stage(exchange, http)
        await stage.alice.place("BUY", "49000", "0.1", newClientOrderId="old")
        await exchange.restart(keep_state=True, down_seconds=0, announce=False)
        assert await open_ids(stage) == ["old"]
        await exchange.restart(keep_state=False, down_seconds=0, announce=False)
        assert await open_ids(stage) == []
    async with MockExchange(config) as exchange:
        assert exchange.engine.open_orders("K1") == []


async def test_the_scenario_of_a_file_runs_by_itself(tmp_path, http: aiohttp.ClientSession) -> None:
    scenario = tmp_path / "outage.toml"
    scenario.write_text(
        'clock = "market"\n[[fault]]\nat = 2.0\nkind = "rate_limit_ban"\nseconds = 3.0\n'
        '[[fault]]\nat = 4.0\nkind = "cut_connections"\ncode = 1012\n'
    )
    config = MockConfig(market="none", symbols=("BTCUSDT",), scenario=scenario, speed=10.0)
    began = time.monotonic()
    async with MockExchange(config) as exchange, websockets.connect(exchange.stream_url + "/ws/btcusdt@trade") as socket:
        end = await closed_with(socket)
        assert end.rcvd is not None
        assert end.rcvd.code == 1012
        stage = Stage(exchange, http)
        # Two market seconds in: a fifth of a wall second, and there for three tenths.
        assert 0.4 <= time.monotonic() - began < 5
        async with asyncio.timeout(PATIENCE):
            while (await stage.alice.public("GET", "ping"))[0] != 200:
                assert exchange.faults.active
        assert time.monotonic() - began >= 0.5
        assert exchange.faults.injected["cut_connections"] == 1
