"""The adapter on a real `mmd mock` with every fault at random: its book is the exchange's own whenever it claims to be valid.

Seconds of wall time at a raised market speed. What the exchange's own books were is told by a witness on a spared connection.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import aiohttp
from pydantic import SecretStr

from mmd.exchanges.adapter import Event
from mmd.exchanges.binance.adapter import BinanceSpotAdapter
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.market.book import OrderBook
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedStatus, TouchUpdate
from mmd.types.orders import RequestDepthSnapshot
from tests.integration.faults.witness import Life, Touch, Witness

SYMBOL = "BTCUSDT"
SECONDS = 20.0
LATEST_SECONDS = 5.0
SCENARIO = """
seed = 11
clock = "wall"
[random]
start = 1.0
every = 0.5
longest = 1.2
"""


class Claim(NamedTuple):
    """What the book said when it was valid."""

    at: float
    update_id: int
    touch_id: int
    touch: Touch
    bids: dict[int, int] | None
    asks: dict[int, int] | None
    horizons: tuple[int, int]


class Keeper:
    """Keeps a book as the core does, and writes down what it claims."""

    def __init__(self, adapter: BinanceSpotAdapter) -> None:
        self.adapter = adapter
        self.book = OrderBook(SYMBOL)
        self.claims: list[Claim] = []
        self._written_id = -1

    def __call__(self, event: Event) -> None:
        book = self.book
        if isinstance(event, FeedStatus):
            book.invalidate(f"feed {event.state.value}")
            return
        if isinstance(event, TouchUpdate):
            book.on_touch_update(event)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        elif isinstance(event, DepthSnapshot):
            book.on_depth_snapshot(event)
        else:
            return
        if book.valid:
            self.claims.append(self._claim())
        elif book.needs_snapshot and book.snapshot_due(event.receive_ns):
            book.snapshot_requested(event.receive_ns)
            self.adapter.send(RequestDepthSnapshot(event.receive_ns, SYMBOL))

    def _claim(self) -> Claim:
        book: Any = self.book
        is_new, self._written_id = book.update_id != self._written_id, book.update_id
        return Claim(
            time.time(),
            book.update_id,
            book.touch_update_id,
            (book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots),
            dict(book._bids.lots_at) if is_new else None,
            dict(book._asks.lots_at) if is_new else None,
            (book._bids.horizon, book._asks.horizon),
        )


def touch_of(life: Life, claim: Claim) -> Touch | None:
    if claim.touch_id in life.touches:
        return life.touches[claim.touch_id]
    if claim.touch_id in life.books:
        bids, asks = life.books[claim.touch_id]
        return max(bids), bids[max(bids)], min(asks), asks[min(asks)]
    return None


def is_true(life: Life, claim: Claim) -> bool | None:
    """Whether what was claimed is what the witness saw in that life; None where the witness saw no such update."""
    touch = touch_of(life, claim)
    if touch is None or (claim.bids is not None and claim.update_id not in life.books):
        return None
    if touch != claim.touch:
        return False
    if claim.bids is None or claim.asks is None:
        return True
    bids, asks = life.books[claim.update_id]
    known_bids = {price: lots for price, lots in bids.items() if price >= claim.horizons[0]}
    known_asks = {price: lots for price, lots in asks.items() if -price >= claim.horizons[1]}
    claimed = claim.bids.items() | claim.asks.items()
    return (
        claimed <= (bids.items() | asks.items())
        and known_bids.keys() <= claim.bids.keys()
        and known_asks.keys() <= claim.asks.keys()
    )


async def test_the_book_is_the_exchanges_own_whenever_it_is_valid(tmp_path: Path) -> None:
    scenario = tmp_path / "everything.toml"
    scenario.write_text(SCENARIO)
    mock = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mmd.cli", "mock", "--port", "0", "--speed", "3", "--scenario", str(scenario),
        "--rate-limits", "off", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert mock.stdout is not None
        line = (await asyncio.wait_for(mock.stdout.readline(), 30)).decode()
        urls = dict(word.split("=", 1) for word in line.split() if "=" in word)
        keeper, witness, told = await session(urls)
    finally:
        if mock.returncode is None:
            mock.terminate()
        await mock.wait()
    checked = whole = 0
    for claim in keeper.claims:
        lives = [
            life for life in witness.lives if life.began - LATEST_SECONDS <= claim.at <= (life.ended or claim.at) + LATEST_SECONDS
        ]
        verdicts = [verdict for life in lives if (verdict := is_true(life, claim)) is not None]
        assert not verdicts or any(verdicts), claim
        checked += bool(verdicts)
        whole += bool(verdicts) and claim.bids is not None
    struck = told["injected"]
    print(f"claims {len(keeper.claims)}, checked {checked}, whole books {whole}, lives {len(witness.lives)}, struck {struck}")
    assert checked > 200
    assert whole > 30
    assert len(struck) > 6
    assert keeper.adapter.counters.reconnects > 3


async def session(urls: dict[str, str]) -> tuple[Keeper, Witness, dict[str, Any]]:
    """Run adapter and witness side by side."""
    failures: list[tuple[BaseException, str]] = []
    settings = BinanceSettings(
        rest_url=urls["rest"],
        stream_url=urls["stream"],
        websocket_api_url=urls["websocket_api"],
        api_key="K1",
        api_secret=SecretStr("S1"),
        backoff_first_seconds=0.05,
        backoff_cap_seconds=0.5,
        market_data_idle_seconds=3.0,
        rest_timeout_seconds=2.0,
    )
    adapter = BinanceSpotAdapter(
        settings, (SYMBOL,), clock_ns=time.time_ns, on_failure=lambda *failure: failures.append(failure), random=Random(1)
    )
    keeper = Keeper(adapter)
    witness = Witness(urls["rest"], urls["stream"], SYMBOL)
    watching = asyncio.create_task(witness.run())
    try:
        await asyncio.wait_for(witness.watching.wait(), 20)
        await adapter.start(keeper)
        await asyncio.sleep(SECONDS)
        told: dict[str, Any] = {}
        async with aiohttp.ClientSession() as http, asyncio.timeout(20):
            while not told:
                try:
                    async with http.get(urls["rest"] + "/mock/faults") as answer:
                        told = json.loads(await answer.read())
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
    finally:
        await adapter.close()
        watching.cancel()
    assert not failures
    return keeper, witness, told
