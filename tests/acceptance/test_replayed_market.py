"""A recorded session traded from beginning to end: every frame arrives, quotes stand throughout, nothing is left behind."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import MMD, clean_environment

pytestmark = pytest.mark.timeout(240)

TWO_DAYS = tuple(f"usdm__{symbol}usdt_{day}.gz" for symbol in ("btc", "eth") for day in ("20240718", "20240719"))


def replay(folder: Path, tmp_path: Path, names: tuple[str, ...], speed: str) -> tuple[dict[str, Any], int, str]:
    """The demo's summary, the frames that the exchange says it played, and its log."""
    files = ",".join(str(folder / "binance_raw" / name) for name in names)
    finished = subprocess.run(
        [*MMD, "demo", "--replay", files, "--speed", speed, "--json", "--state", "state", "--set", "quoting.strategy=fixed"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    log = (tmp_path / "state" / "mock.log").read_text()
    assert finished.returncode == 0, finished.stderr[-4000:] + log[-2000:]
    played = re.search(r"replay ended.*frames=(\d+)", log)
    assert played, log[-2000:]
    return json.loads(finished.stdout), int(played[1]), log


def test_two_symbols_over_two_days_arrive_whole(tmp_path: Path, market_data_folder: Path) -> None:
    summary, played, log = replay(market_data_folder, tmp_path, TWO_DAYS, "20")
    assert summary["ticks"] == played
    assert played == 141_895
    assert summary["sequence_gaps"] == 0
    assert summary["halted"] is False
    assert summary["open_orders_at_exit"] == 0
    assert summary["quotes"] > 1_000
    assert summary["fills"] > 0
    assert set(summary["position"]) == {"BTCUSDT", "ETHUSDT"}
    assert log.count("book begins with the recorded snapshot") == 2


def test_a_spot_recording_without_a_snapshot_is_learned(tmp_path: Path, market_data_folder: Path) -> None:
    summary, played, log = replay(market_data_folder, tmp_path, ("spot__btcusdt_20230405.dat.gz",), "30")
    assert summary["ticks"] == played == 15_088
    assert summary["sequence_gaps"] == 0
    assert summary["halted"] is False
    assert summary["quotes"] > 500
    assert "levels are learned as they are seen" in log
