"""The demo of two symbols on the bundle that was fitted on simulated markets: every network of it moves quotes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.processes import MMD, clean_environment

BUNDLE = Path(__file__).resolve().parents[2] / "models" / "simulated-v1"
NETWORKS = ("price_head", "spread_head", "position_head", "order_flow", "adverse_selection", "risk", "cross_asset")


@pytest.mark.timeout(180)
def test_attribution_shows_each_network_moving_quotes_in_the_demo_of_two_symbols(tmp_path: Path) -> None:
    command = [*MMD, "demo", "--symbols", "BTCUSDT,ETHUSDT", "--set", f"networks.bundle={BUNDLE}"]
    finished = subprocess.run(
        [*command, "--seconds", "20", "--speed", "4", "--json", "--state", "state"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    by_symbol = json.loads(finished.stdout)["attribution"]
    assert set(by_symbol) == {"BTCUSDT", "ETHUSDT"}
    for symbol, attribution in by_symbol.items():
        for network in NETWORKS:
            share = attribution[network]
            assert share["quotes"] > 50, (symbol, network)
            assert share["moved_share"] > 0, (symbol, network, attribution)
            assert share["note"] == "", (symbol, network)
