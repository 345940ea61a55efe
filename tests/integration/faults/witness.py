"""A witness of an exchange's own books: a spared connection, raw frames, dictionaries; shares no code with our adapter or book."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import websockets

TICKS, LOTS = 100, {"BTCUSDT": 100_000, "ETHUSDT": 10_000}
Touch = tuple[int, int, int, int]
Sides = tuple[dict[int, int], dict[int, int]]


@dataclass
class Life:
    """What was seen on one connection, by update id; the exchange may restart its ids in another."""

    began: float
    ended: float = 0.0
    touches: dict[int, Touch] = field(default_factory=dict)
    books: dict[int, Sides] = field(default_factory=dict)


class Witness:
    """Watches one symbol until cancelled, connecting anew as often as it must."""

    def __init__(self, rest_url: str, stream_url: str, symbol: str) -> None:
        self.symbol = symbol
        self.lives: list[Life] = []
        self.watching = asyncio.Event()
        self._rest, self._stream = rest_url, stream_url

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while True:
                with contextlib.suppress(
                    OSError, TimeoutError, aiohttp.ClientError, websockets.WebSocketException, ValueError, KeyError
                ):
                    await self._watch(http)
                await asyncio.sleep(0.02)

    async def _watch(self, http: aiohttp.ClientSession) -> None:
        # The number in the path is the client's own: by it the connection is found again among all.
        mark = str(time.monotonic_ns())
        names = f"{self.symbol.lower()}@depth@100ms/{self.symbol.lower()}@bookTicker"
        async with websockets.connect(f"{self._stream}/ws/{mark}/{names}", ping_interval=None, open_timeout=2) as socket:
            await self._spare(http, mark)
            life = Life(time.time())
            # Nothing is trusted that came before the connection was spared.
            book = await self._snapshot(http, socket, life)
            self.lives.append(life)
            self.watching.set()
            try:
                while True:
                    book = self._take(json.loads(await asyncio.wait_for(socket.recv(), 10)), life, book)
            finally:
                life.ended = time.time()

    async def _spare(self, http: aiohttp.ClientSession, mark: str) -> None:
        async with http.get(f"{self._rest}/mock/faults") as answer:
            connections = (await answer.json())["connections"]
        (own,) = [line["id"] for line in connections if mark in line["path"]]
        async with http.post(f"{self._rest}/mock/faults/connections/{own}") as answer:
            assert answer.status == 200

    async def _snapshot(self, http: aiohttp.ClientSession, socket: Any, life: Life) -> tuple[int, Sides]:
        await asyncio.sleep(0.2)
        while True:
            async with http.get(f"{self._rest}/api/v3/depth?symbol={self.symbol}&limit=5000") as answer:
                if answer.status == 200:
                    snapshot = await answer.json()
                    break
            await asyncio.sleep(0.1)
        sides = self._levels(snapshot["bids"]), self._levels(snapshot["asks"])
        life.books[snapshot["lastUpdateId"]] = sides[0].copy(), sides[1].copy()
        return snapshot["lastUpdateId"], sides

    def _take(self, frame: dict[str, Any], life: Life, book: tuple[int, Sides]) -> tuple[int, Sides]:
        update_id, sides = book
        if "A" in frame:
            numbers = [self._ticks(frame["b"]), self._lots(frame["B"]), self._ticks(frame["a"]), self._lots(frame["A"])]
            life.touches[frame["u"]] = (numbers[0], numbers[1], numbers[2], numbers[3])
        elif frame["u"] > update_id:
            if frame["U"] > update_id + 1:
                raise ValueError("a gap: what came before the connection was spared")
            for side, changes in zip(sides, (frame["b"], frame["a"]), strict=True):
                for price, lots in self._levels(changes).items():
                    side[price] = lots
                    if not lots:
                        del side[price]
            update_id = frame["u"]
            life.books[update_id] = sides[0].copy(), sides[1].copy()
        return update_id, sides

    def _levels(self, rows: list[list[str]]) -> dict[int, int]:
        return {self._ticks(price): self._lots(quantity) for price, quantity in rows}

    def _ticks(self, text: str) -> int:
        return round(float(text) * TICKS)

    def _lots(self, text: str) -> int:
        return round(float(text) * LOTS[self.symbol])
