"""A recording on the wire: frames as they were, the book at the replay's position, and where it stands."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from mmd.mock.server import MockConfig, MockExchange

BASE = 1_721_347_020_000_000_000
MS = 1_000_000


def frame(kind: str, **data: Any) -> bytes:
    # Odd spacing, so that a frame which was decoded and written anew would show.
    return b'{"stream":"btcusdt@%b","data": %b }' % (kind.encode(), msgspec.json.encode({"s": "BTCUSDT", **data}))


DIFFS = [
    frame("depth@0ms", e="depthUpdate", E=1, U=1, u=2, pu=0, b=[["100.0", "1.000"]], a=[["100.2", "2.000"]]),
    frame("depth@0ms", e="depthUpdate", E=1, U=3, u=4, pu=2, b=[["100.0", "3.000"], ["99.9", "1.500"]], a=[]),
]
TOUCH = frame("bookTicker", e="bookTicker", u=5, b="100.0", B="3.000", a="100.2", A="2.000", T=1, E=1)
TRADE = frame("trade", e="trade", E=1, T=1, t=7, p="100.0", q="0.500", X="MARKET", m=True)
MARK = frame("markPrice@1s", e="markPriceUpdate", E=1, p="100.05")


def recording(folder: Path) -> Path:
    path = folder / "made.gz"
    lines = [*DIFFS, MARK, TOUCH, TRADE]
    path.write_bytes(gzip.compress(b"".join(b"%d %b\n" % (BASE + index * MS, line) for index, line in enumerate(lines))))
    return path


async def read_until_end(socket: aiohttp.ClientWebSocketResponse) -> list[bytes]:
    frames = []
    while True:
        text = await socket.receive_str(timeout=10)
        frames.append(text.encode())
        if '"ended":true' in text:
            return frames


async def test_recorded_frames_go_out_as_they_were_to_whoever_reads_their_kind(tmp_path: Path) -> None:
    config = MockConfig(replay=(recording(tmp_path),), speed=1.0)
    async with MockExchange(config) as exchange, aiohttp.ClientSession() as session:
        announced = "mmd@announcement"
        names = f"btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade/{announced}"
        async with session.ws_connect(f"{exchange.stream_url}/stream?streams={names}") as combined:
            frames = await read_until_end(combined)
            recorded = [frame for frame in frames if announced.encode() not in frame]
            assert recorded == [*DIFFS, TOUCH, TRADE]
            first, last = (msgspec.json.decode(frame)["data"] for frame in (frames[0], frames[-1]))
            assert {"e": "announcement", "speed": 1.0, "ended": False}.items() <= first.items()
            assert last["epoch"] >= first["epoch"]
        # The mock keeps serving after the end, and says at once that it is over.
        async with session.ws_connect(f"{exchange.stream_url}/ws/{announced}") as late:
            assert msgspec.json.decode(await late.receive_str(timeout=5))["ended"] is True
        async with session.get(f"{exchange.rest_url}/api/v3/depth?symbol=BTCUSDT&limit=5") as reply:
            depth = await reply.json()
        assert depth["lastUpdateId"] == 4
        assert depth["bids"] == [["100.00000000", "3.00000000"], ["99.90000000", "1.50000000"]]
        assert depth["asks"] == [["100.20000000", "2.00000000"]]
        recorded = [msgspec.json.decode(frame)["data"] for frame in frames if b'"trade"' in frame]
        async with session.get(f"{exchange.rest_url}/api/v3/trades?symbol=BTCUSDT") as reply:
            trades = await reply.json()
        assert [(each["id"], float(each["price"]), each["isBuyerMaker"]) for each in trades] == [
            (each["t"], float(each["p"]), each["m"]) for each in recorded
        ]
        async with session.get(f"{exchange.rest_url}/api/v3/klines?symbol=BTCUSDT&interval=1h") as reply:
            assert sum(row[8] for row in await reply.json()) == len(recorded)
        async with session.get(f"{exchange.rest_url}/api/v3/exchangeInfo") as reply:
            listed = (await reply.json())["symbols"]
        filters = {each["filterType"]: each for each in listed[0]["filters"]}
        assert [each["symbol"] for each in listed] == ["BTCUSDT"]
        assert float(filters["PRICE_FILTER"]["tickSize"]) == 0.1
        assert float(filters["LOT_SIZE"]["stepSize"]) == 0.001


async def test_a_raw_connection_gets_the_inner_data(tmp_path: Path) -> None:
    async with (
        MockExchange(MockConfig(replay=(recording(tmp_path),))) as exchange,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{exchange.stream_url}/ws/btcusdt@depth/mmd@announcement") as raw,
    ):
        frames = await read_until_end(raw)
    diffs = [frame for frame in frames if b"depthUpdate" in frame]
    assert diffs == [recorded.partition(b'"data": ')[2].removesuffix(b" }") for recorded in DIFFS]
