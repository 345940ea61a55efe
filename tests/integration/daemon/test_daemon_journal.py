"""The daemon keeps its journal over real sockets: it comes out again, holds no secret, and its failure is a halt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmd.daemon.dispatcher import Dispatcher
from mmd.daemon.halt_file import HaltFile
from mmd.journal.reader import SessionJournal, session_summaries
from mmd.mock.server import MockExchange
from mmd.replay.session import ReplayedSession
from mmd.replay.verification import Verdict, Verification
from mmd.types.market import BatchEnd
from tests.integration.daemon import test_daemon_on_futures as futures
from tests.integration.daemon.test_daemon_on_futures import futures_exchange
from tests.integration.daemon.test_daemon_on_mock import daemon_on, mock_exchange
from tests.unit.daemon.tiny_core import Desk

ROOMY = {"journal": {"min_free_bytes": 0}}


def newest(state_dir: Path) -> SessionJournal:
    return SessionJournal(Path(session_summaries(state_dir / "journal")[-1].folder))


def verify(journal: SessionJournal) -> Verdict:
    return Verification(journal, ReplayedSession(journal.begin)).run()


async def test_a_session_with_a_halt_a_resume_and_a_restart_comes_out_again_and_holds_no_secret(tmp_path: Path) -> None:
    async with mock_exchange() as venue:
        async with daemon_on(venue, tmp_path, **ROOMY) as running:
            await running.quoting()
            await running.ask("POST", "/signals", news_sentiment=0.25, life_seconds=60)
            await running.ask("POST", "/halt", reason="drill")
            await running.ask("POST", "/resume", reason="over")
            await running.quoting()
            await running.leave()
        first = newest(tmp_path)
        async with daemon_on(venue, tmp_path, **ROOMY) as running:
            await running.quoting()
            await running.leave()
        second = newest(tmp_path)
    assert first.begin.session != second.begin.session
    # The second begins with what the first left: neutral base, budgets, the latch.
    assert first.begin.checkpoint is None
    assert second.begin.checkpoint is not None
    assert second.begin.halt is not None
    for journal in (first, second):
        verdict = verify(journal)
        assert verdict.matches, verdict.difference
        assert verdict.incomplete == ""
        assert verdict.requests > 0
    held = b"".join(bytes(str(record), "utf-8") for record in first.records())
    assert b"drill" in held
    for secret in (b"S1", b"'K1'", b'"K1"', b"signature"):
        assert secret not in held


async def test_a_session_of_futures_comes_out_again(tmp_path: Path) -> None:
    async with futures_exchange() as venue:
        running = futures.Running(futures.settings_for(venue, tmp_path))
        await running.until(lambda state: state["orders_sent"] >= 2)
        await running.leave()
    verdict = verify(newest(tmp_path))
    assert verdict.matches, verdict.difference
    assert verdict.requests > 0


async def test_a_journal_that_cannot_be_kept_is_a_halt_with_its_reason(tmp_path: Path) -> None:
    journal: dict[str, Any] = {"min_free_bytes": 0, "segment_bytes": 10_000, "retry_seconds": 0.1, "flush_seconds": 0.05}
    async with mock_exchange() as venue, daemon_on(venue, tmp_path, journal=journal) as running:
        await running.quoting()
        (folder,) = (tmp_path / "journal").iterdir()
        folder.rename(tmp_path / "away")
        await running.until("the halt", lambda: HaltFile(tmp_path).read(0) is not None)
        record = HaltFile(tmp_path).read(0)
        assert record is not None
        assert "the journal cannot be written" in record.reason
        await running.until("no order", lambda: running.open_orders() == 0)
        (tmp_path / "away").rename(folder)
        # The disk takes it again: nothing was lost, and the session goes on once somebody says so.
        status, _ = await running.ask("POST", "/resume", reason="disk mended")
        assert status == 200
        await running.quoting()
        await running.leave()
    verdict = verify(newest(tmp_path))
    assert verdict.matches, verdict.difference
    assert verdict.incomplete == ""


def moved(venue: MockExchange) -> Callable[[], bool]:
    """Whether the market has gone on by a hundred updates since now."""
    before = venue.engine.touch("BTCUSDT")[0]
    return lambda: venue.engine.touch("BTCUSDT")[0] > before + 100


async def test_a_session_in_which_networks_were_swapped_and_challenged_comes_out_again(tmp_path: Path) -> None:
    models = Path(__file__).parents[3] / "models"
    changes: dict[str, Any] = {"quoting": {"strategy": "neural"}, "networks": {"bundle": models / "quote-v1"}}
    async with mock_exchange() as venue, daemon_on(venue, tmp_path, **changes, **ROOMY) as running:
        await running.url()
        await running.until("a market", lambda: venue.engine.touch("BTCUSDT")[1] > 0)
        status, answer = await running.ask("POST", "/models", challenger=str(models / "quote-v2"))
        assert status == 200, answer
        await running.until("the market to move on", moved(venue))
        status, answer = await running.ask("POST", "/models", use=str(models / "quote-v2"))
        assert status == 200, answer
        await running.until("the market to move on", moved(venue))
        await running.leave()
    journal = newest(tmp_path)
    kinds = {type(record).__name__ for record in journal.records()}
    assert {"NetworksSwapped", "NetworksChallenged"} <= kinds
    verdict = verify(journal)
    assert verdict.matches, verdict.difference
    assert verdict.evaluations > 0


async def test_a_daemon_can_do_without(tmp_path: Path) -> None:
    async with mock_exchange() as venue, daemon_on(venue, tmp_path, journal={"enabled": False}) as running:
        await running.quoting()
        await running.leave()
    assert not (tmp_path / "journal").exists()


class CrowdedJournal:
    """More waits than may."""

    crowded = True

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.append = self.records.append
        self.extend = self.records.extend

    def check(self) -> str:
        return "9 records wait for the disk"


async def test_too_much_that_waits_halts_at_the_end_of_the_batch_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    journal = CrowdedJournal()
    dispatcher = Dispatcher(desk.core, desk.sent.append, desk.halt_file, desk.checkpoint, desk.stages, lambda: 5, journal)
    for moment in (1, 2, 3):
        dispatcher(BatchEnd(moment))
    await asyncio.sleep(0)
    record = desk.halt_file.read(0)
    assert record is not None
    assert record.reason == "9 records wait for the disk"
    kinds = [type(one).__name__ for one in journal.records]
    assert kinds == ["BatchEnd", "HaltRequest", "PersistHalt", "BatchEnd", "BatchEnd"]


async def test_a_core_that_raised_is_on_record(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    journal = CrowdedJournal()
    dispatcher = Dispatcher(desk.core, desk.sent.append, desk.halt_file, desk.checkpoint, desk.stages, lambda: 5, journal)
    desk.core.add_order("mmd-a-1")

    def fail(_event: Any) -> Any:
        raise KeyError("nothing")

    desk.core.answers[BatchEnd] = fail
    dispatcher(BatchEnd(1))
    kinds = [type(one).__name__ for one in journal.records]
    assert kinds == ["BatchEnd", "CoreFailed", "SentByShell"]


pytestmark = pytest.mark.timeout(120)
