"""The whole daemon in paper mode on the mock's live market: it quotes and trades, and the venue never hears of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mmd.daemon.trading_modes import PromotionRefused
from mmd.inference.bundle import content_digest, load_bundle
from mmd.learning.promotion import promoted
from mmd.mock.server import MockConfig, MockExchange
from tests.integration.daemon.test_daemon_on_mock import Running, daemon_on
from tests.integration.daemon.test_network_switch import renamed, settings_for


async def trading_on_paper(running: Running) -> None:
    """Until it has two quotes and a fill in its own books."""
    await running.url()
    while True:
        trader = (await running.ask("GET", "/state"))[1]["trader"]
        if len(trader["open_orders"]) >= 2 and trader["fills"] > 0:
            return
        assert not running.task.done(), running.task.result()


async def test_a_paper_session_trades_and_is_evidence_for_its_bundle(tmp_path: Path) -> None:
    folder = renamed(tmp_path, "candidate", "paper")
    async with MockExchange(MockConfig(symbols=("BTCUSDT",), speed=10.0)) as venue:
        exchange = settings_for(venue, tmp_path).exchange.model_dump(exclude_unset=True)
        keyless = {**exchange, "profile": "mock", "api_key": "", "api_secret": ""}
        changes = {"mode": "paper", "quoting": {"strategy": "neural"}, "networks": {"bundle": str(folder)}}
        async with daemon_on(venue, tmp_path / "state", exchange=keyless, **changes) as running:
            await trading_on_paper(running)
            summary = await running.leave()
        assert venue.engine.open_orders("K1", None) == []
        assert venue.engine.trades("K1", "BTCUSDT") == []
    assert (summary.exit_code, summary.open_orders_at_exit) == (0, 0)
    assert summary.fills > 0
    bundle = load_bundle(folder, feature_schema_hash=None)
    assert (summary.report, summary.bundle_content) == ("paper", content_digest(bundle.card))
    report = tmp_path / "paper.json"
    report.write_bytes(msgspec.json.encode(summary))
    assert promoted(bundle, "live", report, "2030-01-01T00:00:00Z").stage == "live"


async def test_paper_refuses_what_has_not_passed_a_backtest(tmp_path: Path) -> None:
    folder = renamed(tmp_path, "candidate", "backtest")
    async with MockExchange(MockConfig(symbols=("BTCUSDT",))) as venue:
        exchange = settings_for(venue, tmp_path).exchange.model_dump(exclude_unset=True)
        changes = {"mode": "paper", "quoting": {"strategy": "neural"}, "networks": {"bundle": str(folder)}}
        async with daemon_on(venue, tmp_path / "state", exchange={**exchange, "profile": "mock"}, **changes) as running:
            with pytest.raises(PromotionRefused, match="is at stage backtest, but mode paper asks for stage paper"):
                await running.task
