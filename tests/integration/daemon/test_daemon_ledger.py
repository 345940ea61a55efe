"""A running daemon's ledger is the exchange's own account of us; its failure halts, and a lost one comes back."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mmd.daemon.halt_file import HaltFile
from mmd.ledger.store import FILE_NAME, LedgerError, LedgerStore
from mmd.mock.server import MockExchange
from mmd.types.market import Side
from tests.integration.daemon.test_daemon_on_futures import sweep
from tests.integration.daemon.test_daemon_on_mock import Running, daemon_on, mock_exchange

QUICK: dict[str, Any] = {
    "journal": {"min_free_bytes": 0},
    "ledger": {"busy_timeout_seconds": 0.05, "retry_seconds": 0.1},
    "quoting": {"strategy": "fixed", "fixed_half_spread_bps": 0.2},
}
pytestmark = pytest.mark.timeout(120)


def trades_at(venue: MockExchange) -> set[int]:
    """Of our account, as the exchange knows them."""
    return {trade.trade_id for trade in venue.engine.trades("K1", "BTCUSDT")}


def booked(state_dir: Path) -> set[int]:
    store = LedgerStore(state_dir / FILE_NAME, read_only=True)
    try:
        return {row["trade_id"] for row in store.rows("fills")}
    finally:
        store.close()


def lose(state_dir: Path) -> None:
    for path in state_dir.glob(f"{FILE_NAME}*"):
        path.unlink()


async def trade_until(running: Running, fills: int) -> None:
    for number in range(fills):
        await running.quoting()
        # Somebody takes everything up to our order, and that with it.
        sweep(running.venue.venue, (Side.SELL, Side.BUY)[number % 2])  # type: ignore[arg-type]
    assert len(trades_at(running.venue)) >= fills


async def test_every_trade_of_ours_is_booked_over_restarts_and_a_lost_file_comes_back_from_the_exchange(tmp_path: Path) -> None:
    async with mock_exchange() as venue:
        async with daemon_on(venue, tmp_path, **QUICK) as running:
            await trade_until(running, 2)
            await running.leave()
        assert booked(tmp_path) == trades_at(venue)
        lose(tmp_path)
        async with daemon_on(venue, tmp_path, **QUICK) as running:
            await running.quoting()
            await running.until("the trades from before", lambda: booked(tmp_path) == trades_at(venue))
            await running.leave()
        assert booked(tmp_path) == trades_at(venue)


async def test_a_ledger_that_somebody_locks_is_a_halt_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    async with mock_exchange() as venue, daemon_on(venue, tmp_path, **QUICK) as running:
        await trade_until(running, 1)
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await running.until("the halt", lambda: HaltFile(tmp_path).read(0) is not None)
        record = HaltFile(tmp_path).read(0)
        assert record is not None
        assert "database is locked" in record.reason
        await running.until("no order", lambda: running.open_orders() == 0)
        other.execute("ROLLBACK")
        await running.leave()
        store = LedgerStore(tmp_path / FILE_NAME)
        assert [row["reason"] for row in store.rows("halts")] == [record.reason]
    assert booked(tmp_path) == trades_at(venue)


async def test_a_corrupt_ledger_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 100)
    async with mock_exchange() as venue, daemon_on(venue, tmp_path, **QUICK) as running:
        with pytest.raises(LedgerError, match="mmd ledger rebuild"):
            await running.task
        assert running.open_orders() == 0
