"""The whole daemon on a mock exchange, both in this process, over real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from mmd.daemon import process
from mmd.daemon.checkpoint import CheckpointError
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.process import EXIT_CLEAN, EXIT_FAILED, EXIT_ORDERS_LEFT, Daemon, run_daemon
from mmd.daemon.settings import Settings
from mmd.daemon.state_lock import StateLockError
from mmd.daemon.summary import Summary
from mmd.exchanges.adapter import AdapterError, AuditError, ExchangeAdapter
from mmd.exchanges.binance.adapter import BinanceSpotAdapter
from mmd.mock.server import MockConfig, MockExchange
from mmd.trader import Trader
from mmd.types.control import Timer

PATIENCE_SECONDS = 20.0


def settings_for(venue: MockExchange, state_dir: Path, **changes: Any) -> Settings:
    return Settings.model_validate(
        {
            "state_dir": state_dir,
            "exchange": {
                "rest_url": venue.rest_url,
                "stream_url": venue.stream_url,
                "websocket_api_url": venue.websocket_api_url,
                "api_key": "K1",
                "api_secret": SecretStr("S1"),
            },
            "control": {"port": 0},
            "quoting": {"strategy": "fixed"},
            **changes,
        }
    )


class Running:
    """A daemon at work, and the way to its control port."""

    def __init__(self, settings: Settings, venue: MockExchange) -> None:
        self.settings = settings
        self.venue = venue
        self._url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(run_daemon(settings, on_ready=self._url.set_result))

    async def url(self) -> str:
        await asyncio.wait({self.task, self._url}, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            self.task.result()
        return await self._url

    async def ask(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        async with aiohttp.ClientSession(await self.url()) as session, session.request(method, path, json=body or None) as answer:
            return answer.status, await answer.json()

    async def until(self, what: str, check: Callable[[], Any]) -> None:
        """Real sockets and a real market: there is no event to wait on, so it is looked at until the deadline."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not check():
            assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}"
            assert not self.task.done(), f"the daemon left while waiting for {what}: {self.task.result()}"
            await asyncio.sleep(0.02)

    def open_orders(self) -> int:
        return len(self.venue.engine.open_orders("K1", None))

    async def quoting(self) -> None:
        await self.url()
        await self.until("two quotes", lambda: self.open_orders() >= 2)

    async def leave(self) -> Summary:
        os.kill(os.getpid(), signal.SIGTERM)
        return await asyncio.wait_for(self.task, PATIENCE_SECONDS)


@asynccontextmanager
async def mock_exchange() -> AsyncIterator[MockExchange]:
    async with MockExchange(MockConfig(symbols=("BTCUSDT",), speed=3.0)) as venue:
        yield venue


@asynccontextmanager
async def daemon_on(venue: MockExchange, state_dir: Path, **changes: Any) -> AsyncIterator[Running]:
    running = Running(settings_for(venue, state_dir, **changes), venue)
    try:
        yield running
    finally:
        if not running.task.done():
            running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)


async def test_it_quotes_and_leaves_nothing_behind_on_sigterm(tmp_path: Path) -> None:
    async with mock_exchange() as venue, daemon_on(venue, tmp_path) as running:
        await running.quoting()
        status, why = await running.ask("GET", "/readyz")
        assert (status, why) == (200, {"ready": True, "why": []})
        summary = await running.leave()
        assert running.open_orders() == 0
    assert summary.exit_code == EXIT_CLEAN
    assert summary.open_orders_at_exit == 0
    assert summary.quotes > 0
    assert summary.tick_to_quote_us.n > 0
    assert not summary.halted
    assert not isinstance(summary.position, dict)


async def test_a_halt_clears_the_market_and_holds_until_a_resume(tmp_path: Path) -> None:
    async with mock_exchange() as venue:
        async with daemon_on(venue, tmp_path) as running:
            await running.quoting()
            status, answer = await running.ask("POST", "/halt", reason="drill")
            assert status == 200
            assert answer["open_orders"] >= 1
            assert running.open_orders() == 0
            assert (await running.leave()).halted
        async with daemon_on(venue, tmp_path) as running:
            status, state = await running.ask("GET", "/state")
            assert state["trader"]["halt"]["reason"] == "drill"
            status, answer = await running.ask("POST", "/resume", reason="over")
            assert status == 200, answer
            await running.quoting()
            assert (await running.leave()).exit_code == EXIT_CLEAN


async def test_sigusr1_and_a_halt_file_halt(tmp_path: Path) -> None:
    async with mock_exchange() as venue:
        async with daemon_on(venue, tmp_path / "one") as running:
            await running.quoting()
            os.kill(os.getpid(), signal.SIGUSR1)
            await running.until("no order", lambda: running.open_orders() == 0)
            assert (await running.ask("GET", "/state"))[1]["trader"]["halt"]["actor"] == "signal"
            await running.leave()
        async with daemon_on(venue, tmp_path / "two") as running:
            await running.quoting()
            (tmp_path / "two" / "HALT").write_text("moving house")
            await running.until("no order", lambda: running.open_orders() == 0)
            assert (await running.ask("GET", "/state"))[1]["trader"]["halt"]["reason"] == "file HALT: moving house"
            assert (await running.ask("POST", "/resume", reason="moved"))[0] == 409
            await running.leave()


async def test_a_latch_that_cannot_be_read_starts_halted(tmp_path: Path) -> None:
    (tmp_path / "halt.json").write_text("{")
    async with mock_exchange() as venue, daemon_on(venue, tmp_path) as running:
        _, state = await running.ask("GET", "/state")
        assert state["trader"]["halt"]["halted"] is True
        summary = await running.leave()
    assert summary.orders_sent == 0


async def test_a_core_that_raises_leaves_a_latch_no_orders_and_a_bad_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = False
    handle = Trader.on_event

    def on_event(self: Trader, event: Any) -> Any:
        if broken and isinstance(event, Timer):
            raise ZeroDivisionError("a fault in the core")
        return handle(self, event)

    monkeypatch.setattr(Trader, "on_event", on_event)
    async with mock_exchange() as venue, daemon_on(venue, tmp_path) as running:
        await running.quoting()
        broken = True
        summary = await asyncio.wait_for(running.task, PATIENCE_SECONDS)
        assert running.open_orders() == 0
    assert summary.exit_code == EXIT_FAILED
    assert "ZeroDivisionError" in summary.exit_detail
    assert summary.open_orders_at_exit == 0
    record = HaltFile(tmp_path).read(0)
    assert record is not None
    assert record.halted


async def test_an_error_nobody_handles_halts(tmp_path: Path) -> None:
    async with mock_exchange() as venue, daemon_on(venue, tmp_path) as running:
        await running.quoting()

        def fail() -> None:
            raise RuntimeError("a callback failed")

        asyncio.get_running_loop().call_soon(fail)
        await running.until("no order", lambda: running.open_orders() == 0)
        _, state = await running.ask("GET", "/state")
        assert "a callback failed" in state["trader"]["halt"]["reason"]
        await running.leave()


async def test_an_adapter_task_that_dies_halts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Daemon] = []
    create = Daemon.__init__

    def remember(self: Daemon, settings: Settings) -> None:
        create(self, settings)
        made.append(self)

    monkeypatch.setattr(process.Daemon, "__init__", remember)
    async with mock_exchange() as venue, daemon_on(venue, tmp_path) as running:
        await running.quoting()
        made[0]._on_adapter_failure(ValueError("task died"), "task market data")
        await running.until("no order", lambda: running.open_orders() == 0)
        _, state = await running.ask("GET", "/state")
        assert state["trader"]["halt"]["reason"] == "adapter failure in task market data: ValueError: task died"
        assert (await running.leave()).exit_code == EXIT_CLEAN


async def test_orders_that_cannot_be_cancelled_are_named_and_the_exit_code_says_so(tmp_path: Path) -> None:
    limits = {"process": {"shutdown_deadline_seconds": 0.5}}
    async with mock_exchange() as venue, daemon_on(venue, tmp_path, **limits) as running:
        await running.quoting()
        venue.engine.cancel = deny  # type: ignore[method-assign]
        summary = await running.leave()
        assert summary.open_orders_at_exit == running.open_orders() > 0
    assert summary.exit_code == EXIT_ORDERS_LEFT
    assert "still open: " in summary.exit_detail
    assert "mmd-" in summary.exit_detail


def deny(*arguments: Any, **named: Any) -> Any:
    from mmd.mock.engine import Refusal

    raise Refusal(-1000, "An unknown error occurred while processing the request.")


async def test_a_venue_that_is_gone_at_exit_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    limits = {"process": {"shutdown_deadline_seconds": 0.5}}
    async with mock_exchange() as venue, daemon_on(venue, tmp_path, **limits) as running:
        await running.quoting()
        await venue.stop()
        summary = await running.leave()
    assert summary.exit_code == EXIT_ORDERS_LEFT
    assert summary.open_orders_at_exit is None


async def test_what_keeps_it_from_starting_is_raised_before_anything_is_sent(tmp_path: Path) -> None:
    async with mock_exchange() as venue:
        async with daemon_on(venue, tmp_path) as running:
            await running.quoting()
            with pytest.raises(StateLockError):
                await run_daemon(settings_for(venue, tmp_path))
            await running.leave()
        (tmp_path / "ledger.json").write_bytes(b"{")
        with pytest.raises(CheckpointError):
            await run_daemon(settings_for(venue, tmp_path))
        with pytest.raises(AdapterError):
            await run_daemon(settings_for(venue, tmp_path / "other", symbols=("NOSUCH",)))


async def test_the_ledger_survives_a_restart(tmp_path: Path) -> None:
    async with mock_exchange() as venue:
        async with daemon_on(venue, tmp_path) as running:
            await running.quoting()
            # Halted, so that nothing trades between the two looks.
            assert (await running.ask("POST", "/halt", reason="drill"))[0] == 200
            first = await running.leave()
        async with daemon_on(venue, tmp_path) as running:
            _, state = await running.ask("GET", "/state")
            assert state["trader"]["symbols"][0]["position"] == first.position
            assert state["trader"]["halt"]["reason"] == "drill"
            await running.leave()


async def test_the_audit_sees_only_ours_and_says_when_it_cannot(tmp_path: Path) -> None:
    failures: list[str] = []
    async with mock_exchange() as venue:
        # Never started: the audit needs none of the adapter's own connections.
        adapter: ExchangeAdapter = BinanceSpotAdapter(
            settings_for(venue, tmp_path).exchange,
            ("BTCUSDT",),
            clock_ns=time.time_ns,
            on_failure=lambda error, where: failures.append(where),
            random=Random(1),
        )
        async with daemon_on(venue, tmp_path) as running:
            await running.quoting()
            ours = await adapter.open_orders_audit("mmd")
            assert len(ours) >= 1
            assert all(order.client_order_id.startswith("mmd-") for order in ours)
            assert all(float(order.quantity) > 0 for order in ours)
            assert await adapter.open_orders_audit("other") == ()
            await running.leave()
    with pytest.raises(AuditError):
        await adapter.open_orders_audit("mmd")
    await adapter.close()
    assert failures == []
