"""The whole daemon on the futures mock, over real sockets: both sides, short, funding, the countdown, and kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from mmd.daemon.halt_file import HaltFile
from mmd.daemon.process import EXIT_CLEAN, run_daemon
from mmd.daemon.settings import Settings
from mmd.mock.futures.config import FuturesConfig
from mmd.mock.futures.venue import FuturesVenue
from mmd.mock.server import MockConfig, MockExchange
from mmd.testing.wire import Wire
from mmd.types.market import Side

SYMBOL = "BTCUSDT"
PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def futures_exchange(**futures: Any) -> AsyncIterator[MockExchange]:
    config = FuturesConfig(enabled=True, symbols=(SYMBOL,), **futures)
    async with MockExchange(MockConfig(symbols=(SYMBOL,), seed=5, futures=config)) as exchange:
        yield exchange


def settings_for(exchange: MockExchange, state_dir: Path, rest: Wire | None = None, **options: str) -> Settings:
    return Settings.model_validate(
        {
            "venue": "binance-usdm",
            "state_dir": state_dir,
            "exchange": {
                "rest_url": exchange.rest_url if rest is None else f"http://127.0.0.1:{rest.port}",
                "stream_url": exchange.futures_stream_url,
                "websocket_api_url": exchange.futures_websocket_api_url,
                "api_key": "K1",
                "api_secret": SecretStr("S1"),
                "rest_timeout_seconds": 1.0,
                "options": options,
            },
            "control": {"port": 0},
            "quoting": {"strategy": "fixed", "fixed_half_spread_bps": 1.0},
        }
    )


class Running:
    """A daemon at work, and what it says of itself."""

    def __init__(self, settings: Settings) -> None:
        self._url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(run_daemon(settings, on_ready=self._url.set_result))

    async def state(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{await self._url}/state") as response:
            document: dict[str, Any] = await response.json()
            return document["trader"]

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"{await self._url}/metrics") as response:
            return await response.text()

    async def until(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Asked again and again; each look is a request of its own."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not what(state := await self.state()):
                assert not self.task.done(), self.task.result()
            return state

    async def leave(self) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return await self.task


@asynccontextmanager
async def daemon_on(settings: Settings) -> AsyncIterator[Running]:
    running = Running(settings)
    try:
        yield running
    finally:
        if not running.task.done():
            running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)


def both_sides(state: dict[str, Any]) -> bool:
    return {order["side"] for order in state["open_orders"] if order["state"] == "live"} == {"BUY", "SELL"}


def sweep(venue: FuturesVenue, side: Side) -> None:
    """Somebody takes everything up to our order, and that with it."""
    now_ns = time.time_ns()
    ours = [order for order in venue.engine.open_orders("K1", SYMBOL) if order.side is not side]
    lots = sum(order.remaining_lots for order in ours)
    for price in list(venue.engine.resting_prices(SYMBOL, side.opposite)):
        queue = venue.engine.queue(SYMBOL, side.opposite, price)
        lots += sum(order.remaining_lots for order in queue if order.account != "K1")
        if any(order.account == "K1" for order in queue):
            break
    venue.publish(now_ns, SYMBOL, venue.engine.background_market(SYMBOL, side, lots, now_ns))


async def test_it_quotes_both_sides_goes_short_pays_funding_and_leaves_nothing_open(tmp_path: Path) -> None:
    async with futures_exchange(funding_interval=0.5) as exchange, daemon_on(settings_for(exchange, tmp_path)) as daemon:
        await daemon.until(both_sides)
        sweep(exchange.futures.venue, Side.BUY)
        short = await daemon.until(lambda state: state["symbols"][0]["position"] < 0)
        assert short["halt"]["halted"] is False
        funded = await daemon.until(lambda state: state["funding"] != 0)
        line = funded["symbols"][0]
        # Shorts are paid at a rate above zero; it is part of the PnL beside what was realised.
        assert line["funding"] > 0
        assert abs(line["pnl"] - (line["realised"] + line["unrealised"] - line["fees"] + line["funding"])) < 1e-9
        marked = await daemon.until(lambda state: state["symbols"][0]["mark"] is not None)
        assert marked["symbols"][0]["funding_rate"] == 0.0001
        assert f'mmd_funding_quote{{symbol="{SYMBOL}"}}' in await daemon.metrics()
        await daemon.until(both_sides)
        summary = await daemon.leave()
        assert (summary.exit_code, summary.open_orders_at_exit, summary.halted) == (EXIT_CLEAN, 0, False)
        assert summary.funding > 0
        assert summary.rejections == {} or set(summary.rejections) == {"-5022"}
        assert exchange.futures.engine.open_orders("K1") == []
        position = exchange.futures.venue.contracts.position("K1", SYMBOL)
        assert summary.position == pytest.approx(position.lots * 0.001)


async def test_a_restart_finds_its_position_again(tmp_path: Path) -> None:
    async with futures_exchange() as exchange:
        async with daemon_on(settings_for(exchange, tmp_path)) as first:
            await first.until(both_sides)
            sweep(exchange.futures.venue, Side.BUY)
            await first.until(lambda state: state["symbols"][0]["position"] < 0)
            left = await first.leave()
        async with daemon_on(settings_for(exchange, tmp_path)) as second:
            state = await second.until(both_sides)
            held = exchange.futures.venue.contracts.position("K1", SYMBOL).lots
            assert state["halt"]["halted"] is False
            assert left.position < 0
            assert abs(state["symbols"][0]["position"] - left.position) < 0.1
            assert held != 0
            await second.leave()


async def test_a_dead_mans_switch_that_lapses_halts_for_good(tmp_path: Path) -> None:
    async with futures_exchange() as exchange, wire_to(exchange.rest_url) as wire:
        settings = settings_for(exchange, tmp_path, wire, countdown_seconds="2", heartbeat_seconds="0.4")
        async with daemon_on(settings) as daemon:
            await daemon.until(both_sides)
            wire.refusing = True
            wire.cut()
            state = await daemon.until(lambda state: state["halt"]["halted"])
            assert "dead-man's switch has lapsed" in state["halt"]["reason"]
            await daemon.until(lambda state: not state["open_orders"])
            assert exchange.futures.engine.open_orders("K1") == []
            wire.refusing = False
            await daemon.leave()
        record = HaltFile(tmp_path).read(time.time_ns())
        assert record is not None
        assert record.halted


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[Wire]:
    wire = Wire(url)
    await wire.start()
    yield wire
    await wire.stop()


async def test_kill_9_leaves_no_order_behind(tmp_path: Path) -> None:
    async with futures_exchange() as exchange:
        environment = {
            "PATH": os.environ["PATH"],
            "MMD_VENUE": "binance-usdm",
            "MMD_STATE_DIR": str(tmp_path),
            "MMD_EXCHANGE__REST_URL": exchange.rest_url,
            "MMD_EXCHANGE__STREAM_URL": exchange.futures_stream_url,
            "MMD_EXCHANGE__WEBSOCKET_API_URL": exchange.futures_websocket_api_url,
            "MMD_EXCHANGE__API_KEY": "K1",
            "MMD_EXCHANGE__API_SECRET": "S1",
            "MMD_EXCHANGE__OPTIONS__COUNTDOWN_SECONDS": "2",
            "MMD_EXCHANGE__OPTIONS__HEARTBEAT_SECONDS": "0.5",
            "MMD_CONTROL__PORT": "0",
            "MMD_QUOTING__STRATEGY": "fixed",
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "mmd.cli", "run", env=environment, cwd=tmp_path)
        try:
            await open_orders(exchange, 2)
        finally:
            process.kill()
            await process.wait()
        assert exchange.futures.engine.open_orders("K1")
        await open_orders(exchange, 0)


async def open_orders(exchange: MockExchange, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(exchange.futures.engine.open_orders("K1")) != count:
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {count} open orders"
        await asyncio.sleep(0.02)
