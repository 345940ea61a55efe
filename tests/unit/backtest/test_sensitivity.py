"""Sensitivities: a fee's cost is exactly its share of the volume, a latency is a run of its own, and both are on the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mmd.backtest.command import backtest_app
from mmd.backtest.errors import BacktestError
from mmd.backtest.sensitivity import fee_sensitivity, parse_latencies
from tests.unit.backtest.quotes import write_quotes


def run(path: Path, *more: str) -> dict[str, Any]:
    done = CliRunner().invoke(backtest_app, ["--data", str(path), "--strategy", "fixed", "--json", *more])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_another_fee_would_leave_is_what_a_run_with_it_leaves(tmp_path: Path) -> None:
    path = write_quotes(tmp_path)
    # With no budget to lose, no size depends on what was lost.
    far = ("--set", "risk.max_daily_loss=1000000", "--set", "quoting.order_notional=640")
    free, dear = run(path, *far), run(path, "--maker-fee", "2bps", *far)
    told = {row["maker_fee_bps"]: row["pnl_per_volume_bps"] for row in free["fee_sensitivity"]}
    assert free["figures"]["fills"] > 10
    assert told[2.0] == pytest.approx(dear["figures"]["pnl_per_volume_bps"], abs=1e-5)
    back = {row["maker_fee_bps"]: row["pnl_per_volume_bps"] for row in dear["fee_sensitivity"]}
    assert back[0.0] == pytest.approx(told[0.0], abs=1e-5)


def test_a_run_that_halted_tells_of_its_own_fee_alone_and_one_without_volume_of_none() -> None:
    assert fee_sensitivity({"pnl": -1.0, "volume": 1e4}, 0.0002, True) == [{"maker_fee_bps": 2.0, "pnl_per_volume_bps": -1.0}]
    assert fee_sensitivity({"pnl": 0.0, "volume": 0.0}, 0.0, False) == []


def test_each_latency_is_the_run_with_it_and_the_page_shows_it_on_a_phone(tmp_path: Path) -> None:
    path, page = write_quotes(tmp_path), tmp_path / "out.html"
    found = run(path, "--latencies", "1ms,400ms", "--report", str(page))
    alone = run(path, "--latency", "400ms")
    slow = found["latency_sensitivity"][1]
    assert slow["latency_ms"] == 400
    assert slow["pnl_per_volume_bps"] == alone["figures"]["pnl_per_volume_bps"]
    assert slow["pnl"] != found["latency_sensitivity"][0]["pnl"]
    text = page.read_text()
    assert "Latency sensitivity" in text
    assert "Fee sensitivity" in text
    assert "name=viewport content='width=device-width, initial-scale=1'" in text
    assert '"responsive": true' in text
    assert page.with_suffix(".json").is_file()
    assert page.with_suffix(".trades.parquet").is_file()


@pytest.mark.parametrize("text", ["recorded", "soon", ",".join(["1ms"] * 21)])
def test_latencies_that_make_no_sense_are_an_error(text: str) -> None:
    with pytest.raises(BacktestError, match="latenc"):
        parse_latencies(text)
