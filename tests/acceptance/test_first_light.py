"""The whole system in real processes: a session that ends clean, a halt that holds, a venue that dies and returns."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.processes import MMD, clean_environment, wait_until, world

pytestmark = pytest.mark.timeout(180)

QUICK = ("--speed", "4")
"""A market that fills us sooner."""


def test_a_demo_session_quotes_fills_leaves_nothing_behind_and_comes_out_of_its_journal_again(tmp_path: Path) -> None:
    finished = subprocess.run(
        [*MMD, "demo", "--seconds", "25", "--speed", "2", "--json", "--state", "state"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    summary = json.loads(finished.stdout)
    assert summary["quotes"] > 100, summary
    assert summary["fills"] > 0, summary
    assert summary["sequence_gaps"] == 0
    assert summary["open_orders_at_exit"] == 0
    assert summary["halted"] is False
    assert summary["tick_to_quote_us"]["n"] > 20
    for key in ("ticks", "steps", "orders_sent", "markout_1s_bps", "position", "pnl", "fees", "resyncs", "risk_denials", "pauses"):
        assert key in summary
    verdict = json.loads(run("replay", "last", "--verify", "--json", "--state", "state", folder=tmp_path))
    assert verdict["matches"] is True, verdict
    assert verdict["incomplete"] == ""
    assert verdict["requests"] >= summary["orders_sent"]
    assert verdict["evaluations"] >= summary["steps"] > 0
    records = run("replay", "last", "--records", "--state", "state", folder=tmp_path).splitlines()
    filled = next(json.loads(line)["record"] for line in records if '"kind":"Fill"' in line)
    why = run("explain", filled["client_order_id"], "--state", "state", "--picture", "why.html", folder=tmp_path)
    for told in ("where the price came from", "the networks evaluated again", "the limits", f"trade {filled['trade_id']}"):
        assert told in why
    assert (tmp_path / "why.html").read_text().count("<svg") == 2


def run(*arguments: str, folder: Path) -> str:
    finished = subprocess.run(
        [*MMD, *arguments], cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=100, check=False
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    return finished.stdout


def test_a_halt_by_http_clears_the_market_and_holds_over_a_restart(tmp_path: Path) -> None:
    with world(tmp_path) as system:
        system.start_mock()
        daemon = system.start_daemon()
        wait_until("two-sided quotes", system.quoting)
        answer = system.control("POST", "/halt", {"reason": "drill"})
        assert "drill" in json.dumps(answer)
        wait_until("no order of ours", lambda: system.open_orders() == [])
        daemon.kill()
        system.start_daemon()
        halt = system.report()["halt"]
        assert halt["halted"] is True
        assert halt["reason"] == "drill"
        wait_until("a first reconciliation", lambda: system.report()["reconciliations"].get("made", 0) > 0)
        assert system.open_orders() == []
        assert system.report()["orders_sent"] == 0
        refused = system.command("resume")
        assert refused.returncode != 0
        resumed = system.command("resume", "--reason", "drill is over")
        assert resumed.returncode == 0, resumed.stderr
        wait_until("quotes after resume", system.quoting)


def test_sigterm_cancels_everything_and_leaves(tmp_path: Path) -> None:
    with world(tmp_path) as system:
        system.start_mock()
        daemon = system.start_daemon()
        wait_until("two-sided quotes", system.quoting)
        assert daemon.terminate() == 0
        assert system.open_orders() == []


def test_an_exchange_that_dies_and_returns_with_its_state_is_quoted_again(tmp_path: Path) -> None:
    with world(tmp_path) as system:
        mock = system.start_mock(*QUICK)
        system.start_daemon()
        wait_until("two-sided quotes", system.quoting)
        wait_until("a fill", lambda: system.report()["fills"] > 0, 90)
        mock.kill()
        wait_until("a pause", lambda: system.report()["pauses"])
        assert system.report()["halt"]["halted"] is False
        system.start_mock(*QUICK)
        before = system.report()["orders_sent"]

        def back() -> bool:
            report = system.report()
            return report["resyncs"] > 0 and not report["pauses"] and report["orders_sent"] > before and system.quoting()

        wait_until("a resync, a clean reconciliation and new quotes", back, 60)
        assert system.report()["halt"]["halted"] is False


def test_an_exchange_that_returns_without_its_state_is_a_halt(tmp_path: Path) -> None:
    with world(tmp_path) as system:
        mock = system.start_mock(*QUICK, keep_state=False)
        system.start_daemon()
        wait_until("a fill", lambda: system.report()["fills"] > 0, 90)
        mock.kill()
        wait_until("a pause", lambda: system.report()["pauses"])
        system.start_mock(*QUICK, keep_state=False)
        wait_until("a halt", lambda: system.report()["halt"]["halted"], 90)
        assert system.open_orders() == []
