"""Public market data over REST and the WebSocket API, and the streams of statistics."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest
import websockets

from mmd.mock.server import MockConfig, MockExchange

TEN = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "LTCUSDT", "LINKUSDT", "AVAXUSDT"]


@pytest.fixture
async def traded(exchange, alice, bob):
    """Three trades at two prices, two of them of one order, and a touch of 49,999 to 50,001."""
    await alice.place("SELL", "50000", "0.1")
    await alice.place("SELL", "50000", "0.2")
    await alice.place("SELL", "50001", "0.5")
    await alice.place("BUY", "49999", "0.4")
    await bob.place("BUY", "50001", "0.4")
    return exchange


async def test_trades_and_aggregates(traded, alice, api):
    _, trades, _ = await alice.public("GET", "historicalTrades", "symbol=BTCUSDT&fromId=2&limit=2")
    assert [(each["id"], each["price"], each["qty"], each["isBuyerMaker"]) for each in trades] == [
        (2, "50000.00000000", "0.20000000", False),
        (3, "50001.00000000", "0.10000000", False),
    ]
    assert trades[1]["quoteQty"] == "5000.10000000"
    _, newest, _ = await alice.public("GET", "trades", "symbol=BTCUSDT&limit=1")
    assert [each["id"] for each in newest] == [3]
    _, aggregates, _ = await alice.public("GET", "aggTrades", "symbol=BTCUSDT")
    assert [(each["a"], each["f"], each["l"], each["q"], each["m"]) for each in aggregates] == [
        (1, 1, 2, "0.30000000", False),
        (2, 3, 3, "0.10000000", False),
    ]
    assert (await alice.public("GET", "aggTrades", "symbol=BTCUSDT&fromId=2"))[1] == aggregates[1:]
    assert (await alice.public("GET", "aggTrades", f"symbol=BTCUSDT&startTime={aggregates[0]['T'] + 60_000}"))[1] == []
    assert (await alice.public("GET", "aggTrades", "symbol=BTCUSDT&fromId=1&startTime=1"))[1]["code"] == -1128
    assert (await api.call("trades.aggregate", symbol="BTCUSDT"))["result"] == aggregates
    assert (await api.call("trades.historical", symbol="BTCUSDT", fromId=2, limit=2))["result"] == trades
    assert (await api.call("trades.recent", symbol="BTCUSDT", limit=1))["result"] == newest


async def test_tickers_and_averages(traded, alice, api):
    _, day, _ = await alice.public("GET", "ticker/24hr", "symbol=BTCUSDT")
    assert (day["openPrice"], day["highPrice"], day["lowPrice"], day["lastPrice"]) == tuple(
        f"{price}.00000000" for price in (50000, 50001, 50000, 50001)
    )
    assert (day["volume"], day["quoteVolume"], day["count"]) == ("0.40000000", "20000.10000000", 3)
    assert (day["priceChange"], day["priceChangePercent"], day["weightedAvgPrice"]) == ("1.00000000", "0.002", "50000.25000000")
    assert (day["bidPrice"], day["bidQty"], day["askPrice"], day["askQty"]) == (
        "49999.00000000",
        "0.40000000",
        "50001.00000000",
        "0.40000000",
    )
    assert (day["firstId"], day["lastId"], day["closeTime"] - day["openTime"]) == (1, 3, 86_400_000)
    everything = (await alice.public("GET", "ticker/24hr"))[1]
    assert [each["symbol"] for each in everything] == ["BTCUSDT"]
    assert (await api.call("ticker.24hr", symbol="BTCUSDT"))["result"]["volume"] == "0.40000000"
    _, mini, _ = await alice.public("GET", "ticker/24hr", 'symbols=["BTCUSDT"]&type=MINI')
    names = "symbol openPrice highPrice lowPrice lastPrice volume quoteVolume openTime closeTime firstId lastId count"
    assert set(mini[0]) == set(names.split())
    assert (await alice.public("GET", "ticker/24hr", "type=HUGE"))[1] == {"code": -1139, "msg": "Invalid ticker type."}

    for window in ("1m", "2h", "7d"):
        _, rolling, _ = await alice.public("GET", "ticker", f"symbol=BTCUSDT&windowSize={window}")
        assert (rolling["count"], rolling["lastPrice"]) == (3, "50001.00000000")
    assert (await alice.public("GET", "ticker", "symbol=BTCUSDT&windowSize=8d"))[1]["code"] == -1130
    assert (await alice.public("GET", "ticker"))[1]["code"] == -1102
    assert (await api.call("ticker", symbol="BTCUSDT", windowSize="1h"))["result"]["count"] == 3
    assert (await api.call("ticker.tradingDay", symbols=["BTCUSDT"]))["result"][0]["symbol"] == "BTCUSDT"

    price = {"symbol": "BTCUSDT", "price": "50001.00000000"}
    assert (await alice.public("GET", "ticker/price", "symbol=BTCUSDT"))[1] == price
    assert (
        (await alice.public("GET", "ticker/price"))[1] == (await api.call("ticker.price", symbols=["BTCUSDT"]))["result"] == [price]
    )
    assert (await api.call("ticker.book", symbol="BTCUSDT"))["result"]["askQty"] == "0.40000000"
    assert (await alice.public("GET", "ticker/bookTicker"))[1][0]["bidPrice"] == "49999.00000000"
    _, average, _ = await alice.public("GET", "avgPrice", "symbol=BTCUSDT")
    assert (average["mins"], average["price"]) == (5, "50000.25000000")
    assert (await api.call("avgPrice", symbol="BTCUSDT"))["result"] == average


async def test_klines(traded, alice, api):
    _, klines, headers = await alice.public("GET", "klines", "symbol=BTCUSDT&interval=1h")
    assert headers["X-MBX-USED-WEIGHT-1M"] == "4"  # 2 of them for the connection to the WebSocket API
    (row,) = klines
    assert len(row) == 12
    assert row[1:6] == ["50000.00000000", "50001.00000000", "50000.00000000", "50001.00000000", "0.40000000"]
    assert row[6] == row[0] + 3_599_999
    assert row[7:] == ["20000.10000000", 3, "0.40000000", "20000.10000000", "0"]
    assert (await alice.public("GET", "uiKlines", "symbol=BTCUSDT&interval=1h"))[1] == klines
    assert (await api.call("klines", symbol="BTCUSDT", interval="1h"))["result"] == klines
    assert (await alice.public("GET", "klines", f"symbol=BTCUSDT&interval=1h&startTime={row[0] + 1}"))[1] == []
    assert (await alice.public("GET", "klines", "symbol=BTCUSDT&interval=7m"))[1] == {"code": -1120, "msg": "Invalid interval."}


async def test_before_the_first_trade(exchange, alice):
    assert (await alice.public("GET", "klines", "symbol=BTCUSDT&interval=1m"))[1] == []
    _, day, _ = await alice.public("GET", "ticker/24hr", "symbol=BTCUSDT")
    assert (day["count"], day["lastPrice"], day["firstId"], day["weightedAvgPrice"]) == (0, "0.00000000", -1, "0.00000000")
    assert (await alice.public("GET", "avgPrice", "symbol=BTCUSDT"))[1]["price"] == "0.00000000"


async def test_streams_of_trades_and_statistics(exchange, alice, bob):
    kinds = ("aggTrade", "ticker", "miniTicker", "ticker_1h", "avgPrice", "kline_1s", "kline_1m")
    streams = [f"btcusdt@{kind}" for kind in kinds] + ["!miniTicker@arr", "!ticker@arr", "!ticker_4h@arr", "!bookTicker"]
    frames: dict[str, list] = {}
    async with websockets.connect(f"{exchange.stream_url}/stream?streams={'/'.join(streams)}") as socket:
        await alice.place("SELL", "50000", "0.1")
        await alice.place("SELL", "50000", "0.2")
        await bob.place("BUY", "50000", "0.25")
        while set(frames) != set(streams) or len(frames["btcusdt@kline_1s"]) < 2:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 5))
            frames.setdefault(frame["stream"], []).append(frame["data"])
    aggregate = frames["btcusdt@aggTrade"][0]
    assert (aggregate["e"], aggregate["a"], aggregate["q"], aggregate["f"], aggregate["l"]) == ("aggTrade", 1, "0.25000000", 1, 2)
    day = frames["btcusdt@ticker"][-1]
    assert set(day) == set("eEspPwxcQbBaAohlvqOCFLn")
    assert (day["e"], day["v"], day["n"], day["a"], day["A"]) == ("24hrTicker", "0.25000000", 2, "50000.00000000", "0.05000000")
    mini = frames["btcusdt@miniTicker"][-1]
    assert (set(mini), mini["e"], mini["c"]) == (set("eEscohlvq"), "24hrMiniTicker", "50000.00000000")
    assert (frames["btcusdt@ticker_1h"][-1]["e"], frames["!ticker_4h@arr"][0][0]["e"]) == ("1hTicker", "4hTicker")
    assert (frames["btcusdt@avgPrice"][-1]["w"], frames["btcusdt@avgPrice"][-1]["i"]) == ("50000.00000000", "5m")
    assert [each["s"] for each in frames["!ticker@arr"][0]] == ["BTCUSDT"]
    assert frames["!bookTicker"][0]["s"] == "BTCUSDT"
    first, second = (each["k"] for each in frames["btcusdt@kline_1s"][:2])
    assert (first["x"], second["x"]) == (True, True)
    assert (first["n"], first["v"], first["T"] - first["t"]) == (2, "0.25000000", 999)
    assert (second["t"], second["n"], second["o"], second["v"]) == (first["T"] + 1, 0, "50000.00000000", "0.00000000")
    minute = frames["btcusdt@kline_1m"][0]["k"]
    assert (minute["i"], minute["n"], minute["q"], minute["V"]) == ("1m", 2, "12500.00000000", "0.25000000")


async def test_ten_symbols_trade_at_once(http, client):
    config = MockConfig(symbols=tuple(TEN), speed=20.0)
    async with MockExchange(config) as exchange:
        alice = client(exchange)
        wanted = {f"{symbol.lower()}@trade" for symbol in TEN}
        async with websockets.connect(f"{exchange.stream_url}/stream?streams={'/'.join(wanted)}") as socket:
            while wanted:
                wanted.discard(json.loads(await asyncio.wait_for(socket.recv(), 10))["stream"])
        _, touches, _ = await alice.public("GET", "ticker/bookTicker")
        assert [each["symbol"] for each in touches] == TEN
        assert all(Decimal(0) < Decimal(each["bidPrice"]) < Decimal(each["askPrice"]) for each in touches)
        _, info, _ = await alice.public("GET", "exchangeInfo", 'symbols=["DOGEUSDT","SOLUSDT"]')
        assert [each["symbol"] for each in info["symbols"]] == ["DOGEUSDT", "SOLUSDT"]
        # Every asset that is traded is there to trade with.
        touch = touches[TEN.index("DOGEUSDT")]
        for side, price in (("SELL", touch["bidPrice"]), ("BUY", touch["askPrice"])):
            params = {"symbol": "DOGEUSDT", "side": side, "type": "LIMIT", "timeInForce": "IOC", "quantity": "100"}
            status, reply, _ = await alice.signed("POST", "order", **params, price=price)
            assert status == 200, reply
        twice = await alice.public("GET", "ticker/price", 'symbols=["DOGEUSDT","DOGEUSDT"]')
        assert twice[:2] == (400, {"code": -1151, "msg": "Symbol is present multiple times in the list."})


async def test_the_least_spread_is_kept(client):
    config = MockConfig(symbols=("SOLUSDT",), speed=50.0, min_spread_ticks=4)
    async with (
        MockExchange(config) as exchange,
        websockets.connect(f"{exchange.stream_url}/ws/solusdt@bookTicker") as socket,
    ):
        for _ in range(300):
            touch = json.loads(await asyncio.wait_for(socket.recv(), 5))
            if float(touch["b"]) and float(touch["a"]):
                assert Decimal(touch["a"]) - Decimal(touch["b"]) >= Decimal("0.04")


async def test_what_clients_ask_of_the_wallet_at_start(alice):
    status, coins, _ = await alice.signed("GET", "/sapi/v1/capital/config/getall")
    assert status == 200, coins
    assert {coin["coin"] for coin in coins} == {"BTC", "USDT"}
    assert coins[0]["networkList"][0]["depositEnable"] is False
    for path in ("margin/allPairs", "margin/isolated/allPairs"):
        assert (await alice.signed("GET", f"/sapi/v1/{path}"))[:2] == (200, [])
    _, fees, _ = await alice.signed("GET", "/sapi/v1/asset/tradeFee", symbol="BTCUSDT")
    assert fees == [{"symbol": "BTCUSDT", "makerCommission": "0.00000000", "takerCommission": "0.00050000"}]


async def test_exchange_info_can_be_narrowed(alice):
    for query, listed in (
        ("", ["BTCUSDT"]),
        ("permissions=SPOT", ["BTCUSDT"]),
        ('permissions=["SPOT","MARGIN"]', ["BTCUSDT"]),
        ("permissions=LEVERAGED", []),
        ("symbolStatus=TRADING", ["BTCUSDT"]),
        ("symbolStatus=HALT", []),
        ("showPermissionSets=false", ["BTCUSDT"]),
    ):
        _, info, _ = await alice.public("GET", "exchangeInfo", query)
        assert [each["symbol"] for each in info["symbols"]] == listed, query
    assert (await alice.public("GET", "exchangeInfo", "symbolStatus=SHUT"))[1]["code"] == -1122
    assert (await alice.public("GET", "exchangeInfo", "symbol=BTCUSDT&symbolStatus=HALT"))[1]["code"] == -1128
