"""The market streams: a local book that always syncs, order of events, subscriptions, slow and silent readers."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket as sockets
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import pytest
import websockets

from mmd.mock.engine import EngineEvent
from mmd.mock.server import MockConfig, MockExchange
from mmd.mock.server.market import Market, MarketContext, NoMarket, market_from_config


class Pausable:
    """The simulated market, until it is told to stand still."""

    def __init__(self, inner: Market) -> None:
        self.inner = inner
        self.paused = False

    def advance(self, until_ns: int, sink: Callable[[int, str, Sequence[EngineEvent]], None]) -> None:
        if not self.paused:
            self.inner.advance(until_ns, sink)


class LocalBook:
    """Binance's six rules, from its documentation."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.id = -1
        self.applied = 0

    def start(self, snapshot: dict[str, Any]) -> None:
        self.bids, self.asks = dict(snapshot["bids"]), dict(snapshot["asks"])
        self.id = snapshot["lastUpdateId"]

    def apply(self, event: dict[str, Any]) -> None:
        if event["u"] <= self.id:
            return
        assert event["U"] <= self.id + 1, f"gap: at {self.id}, next {event['U']}"
        for side, changes in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, quantity in changes:
                if float(quantity) == 0:
                    side.pop(price, None)
                else:
                    side[price] = quantity
        self.id = event["u"]
        self.applied += 1


async def _depth(http: aiohttp.ClientSession, exchange: MockExchange) -> dict[str, Any]:
    async with http.get(f"{exchange.rest_url}/api/v3/depth?symbol=BTCUSDT&limit=5000") as response:
        return await response.json()


@pytest.mark.parametrize("stream", ["btcusdt@depth@100ms", "btcusdt@depth"])
async def test_a_local_book_syncs_and_equals_the_snapshot(http, stream):
    market: list[Pausable] = []

    def factory(context: MarketContext) -> Market:
        market.append(Pausable(market_from_config(context)))
        return market[0]

    config = MockConfig(symbols=("BTCUSDT",), speed=10.0)
    async with (
        MockExchange(config, market_factory=factory) as exchange,
        websockets.connect(f"{exchange.stream_url}/ws/{stream}") as socket,
    ):
        buffered = [json.loads(await socket.recv())]
        snapshot = await _depth(http, exchange)
        while snapshot["lastUpdateId"] < buffered[0]["U"]:
            snapshot = await _depth(http, exchange)
        book = LocalBook()
        book.start(snapshot)
        for event in buffered:
            book.apply(event)
        while book.applied < 8:
            book.apply(json.loads(await socket.recv()))
        market[0].paused = True
        final = await _depth(http, exchange)
        while book.id < final["lastUpdateId"]:
            book.apply(json.loads(await asyncio.wait_for(socket.recv(), 5)))
        assert book.id == final["lastUpdateId"]
        assert book.bids == dict(final["bids"])
        assert book.asks == dict(final["asks"])
        assert len(book.bids) > 20


async def test_trades_come_before_the_touch_they_leave(exchange, alice, bob):
    url = f"{exchange.stream_url}/stream?streams=btcusdt@trade/btcusdt@bookTicker/btcusdt@depth@100ms"
    async with websockets.connect(url) as socket:
        await alice.place("SELL", "50000", "0.1")
        await alice.place("SELL", "50001", "0.1")
        await bob.place("BUY", "50001", "0.15")
        frames = [json.loads(await socket.recv()) for _ in range(4)]
        while sum(frame["stream"] == "btcusdt@depth@100ms" for frame in frames) < 1 or len(frames) < 5:
            frames.append(json.loads(await socket.recv()))
    immediate = [frame for frame in frames if "depth" not in frame["stream"]]
    assert [frame["stream"].partition("@")[2] for frame in immediate] == ["bookTicker", "trade", "trade", "bookTicker"]
    first, trade, second_trade, last = (frame["data"] for frame in immediate)
    assert set(first) == {"u", "s", "b", "B", "a", "A"}
    assert (first["b"], first["a"], first["A"]) == ("0.00000000", "50000.00000000", "0.10000000")
    assert (trade["e"], trade["t"], trade["p"], trade["q"], trade["m"]) == ("trade", 1, "50000.00000000", "0.10000000", False)
    assert second_trade["q"] == "0.05000000"
    assert (last["a"], last["A"]) == ("50001.00000000", "0.05000000")
    assert last["u"] > first["u"]


async def test_partial_depth(exchange, alice):
    for price in ("50000", "49999", "49998", "49997", "49996", "49995"):
        await alice.place("BUY", price, "0.001")
    async with websockets.connect(f"{exchange.stream_url}/ws/btcusdt@depth5@100ms") as socket:
        frame = json.loads(await socket.recv())
    assert set(frame) == {"lastUpdateId", "bids", "asks"}
    assert [price for price, _ in frame["bids"]] == [f"{price}.00000000" for price in (50000, 49999, 49998, 49997, 49996)]


async def test_subscriptions(exchange, alice):
    async with websockets.connect(f"{exchange.stream_url}/ws/7") as socket:

        async def ask(text: str) -> Any:
            await socket.send(text)
            return json.loads(await socket.recv())

        assert await ask('{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@bookTicker"],"id":1}') == {
            "result": None,
            "id": 1,
        }
        listed = await ask('{"method":"LIST_SUBSCRIPTIONS","id":"two"}')
        assert listed == {"result": ["btcusdt@trade", "btcusdt@bookTicker"], "id": "two"}
        assert await ask('{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":null}') == {"result": None, "id": None}
        assert await ask('{"method":"SET_PROPERTY","params":["combined",true],"id":4}') == {"result": None, "id": 4}
        await alice.place("BUY", "50000", "0.1")
        assert json.loads(await socket.recv())["stream"] == "btcusdt@bookTicker"
    async with websockets.connect(f"{exchange.stream_url}/ws") as socket:
        for text, code in (
            ("{", 3),
            ('{"method":"SHOUT","id":1}', 2),
            ('{"method":"SUBSCRIBE","params":["a@b"],"id":1.5}', 2),
            ('{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0),
        ):
            assert (await ask(text))["code"] == code


async def test_too_many_messages_end_the_connection(exchange):
    async with websockets.connect(f"{exchange.stream_url}/ws") as socket:
        for number in range(6):
            await socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert (socket.close_code, socket.close_reason) == (1008, "Too many requests")


async def test_a_slow_reader_is_dropped_and_no_other(quiet_config):
    config = quiet_config.model_copy(update={"max_send_buffer": 200_000, "close_grace": 0.2})
    frame = b'"' + b"x" * 20_000 + b'"'
    async with MockExchange(config) as exchange, websockets.connect(f"{exchange.stream_url}/ws/btcusdt@trade") as healthy:
        port = int(exchange.rest_url.rpartition(":")[2])
        with sockets.socket() as raw:
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 8192)
            raw.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(raw, ("127.0.0.1", port))
            key = base64.b64encode(os.urandom(16)).decode()
            request = (
                f"GET /ws/btcusdt@trade HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await loop.sock_sendall(raw, request.encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += await loop.sock_recv(raw, 256)
            sent = 0
            while len(exchange.connections) == 2:
                assert sent < 5_000, "the slow reader was never dropped"
                exchange.venue.streams.broadcast("btcusdt@trade", frame)
                sent += 1
                await healthy.recv()
            taken = 0
            try:
                while chunk := await asyncio.wait_for(loop.sock_recv(raw, 1 << 20), 5):
                    taken += len(chunk)
            except ConnectionError:
                pass
            assert taken < sent * len(frame)
        exchange.venue.streams.broadcast("btcusdt@trade", b'"still here"')
        assert json.loads(await healthy.recv()) == "still here"


async def test_pings_are_sent_and_must_be_answered(http, quiet_config):
    config = quiet_config.model_copy(update={"ping_interval": 0.05, "pong_timeout": 0.2})
    async with MockExchange(config) as exchange:
        async with http.ws_connect(f"{exchange.stream_url}/ws", autoping=False) as silent:
            message = await silent.receive(5)
            assert message.type is aiohttp.WSMsgType.PING
            while message.type is aiohttp.WSMsgType.PING:
                message = await silent.receive(5)
            assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 1008, "no pong in time")
        async with http.ws_connect(exchange.websocket_api_url, autoping=False) as polite:
            for _ in range(8):
                message = await polite.receive(5)
                assert message.type is aiohttp.WSMsgType.PING
                await polite.pong(message.data)


async def test_the_end_is_announced(quiet_config):
    exchange = MockExchange(quiet_config)
    await exchange.start()
    async with (
        websockets.connect(f"{exchange.stream_url}/stream") as combined,
        websockets.connect(f"{exchange.stream_url}/ws") as raw,
        websockets.connect(exchange.websocket_api_url) as api,
    ):
        await exchange.stop()
        assert json.loads(await combined.recv())["stream"] == "!serverShutdown"
        assert json.loads(await raw.recv())["e"] == "serverShutdown"
        assert json.loads(await api.recv())["event"]["e"] == "serverShutdown"
        with pytest.raises(websockets.ConnectionClosedOK):
            await raw.recv()


async def test_a_market_may_show_recorded_frames_as_they_are(quiet_config):
    contexts: list[MarketContext] = []

    def factory(context: MarketContext) -> Market:
        context.streams_from_engine = False
        contexts.append(context)
        return NoMarket()

    async with (
        MockExchange(quiet_config, market_factory=factory) as exchange,
        websockets.connect(f"{exchange.stream_url}/stream?streams=btcusdt@depth") as socket,
    ):
        contexts[0].broadcast("btcusdt@depth", b'{"e":"depthUpdate","recorded":1}')
        assert json.loads(await socket.recv()) == {"stream": "btcusdt@depth", "data": {"e": "depthUpdate", "recorded": 1}}


async def test_a_market_that_fails_is_heard_of(quiet_config):
    class Broken:
        def advance(self, until_ns: int, sink: object) -> None:
            raise RuntimeError("the market broke")

    exchange = MockExchange(quiet_config, market_factory=lambda context: Broken())
    await exchange.start()
    await asyncio.wait_for(exchange.wait_failed(), 5)
    with pytest.raises(RuntimeError, match="the market broke"):
        await exchange.stop()
