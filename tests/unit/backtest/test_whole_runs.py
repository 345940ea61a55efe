"""Whole runs on the simulated market as parquet: every order comes to an end, ledgers agree, nothing is unexplained."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from mmd.backtest.attribution import split_pnl
from mmd.backtest.command import backtest_app
from mmd.backtest.latency import Latency
from mmd.backtest.runner import Options, Run, run_backtest
from mmd.inference.bundle import content_digest, load_bundle
from mmd.learning.promotion import promoted
from tests.unit.backtest.synthetic import write_simulated

pytestmark = pytest.mark.timeout(300)
"""Whoever comes first compiles the fast speed, which takes a minute on a busy machine."""

TICK = 0.01
MS = 1_000_000
SHIPPED = Path(__file__).resolve().parents[3] / "models" / "quote-v1"
RAW = "usdm__btcusdt_20240718.gz"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of the simulated market as a book and a trades file."""
    return write_simulated(tmp_path_factory.mktemp("simulated"), 120.0)


def check(run: Run) -> None:
    """What has to hold after every run."""
    assert run.halt is None
    for symbol, track in run.recorder.tracks.items():
        split = split_pnl(track)
        assert split.unexplained_share < 0.01
        booked = sum(fill.side.sign * fill.lots for fill in track.fills) * track.instrument.lot_atoms
        ledger = run.trader.desks[symbol].ledger
        assert ledger.position_atoms == booked
        assert not run.trader.tracker.all_open(), "every order came to an end"
        times = [fill.receive_ns for fill in track.fills]
        assert times == sorted(times)
        assert all(fill.receive_ns > fill.exchange_ns for fill in track.fills)


@pytest.mark.parametrize("strategy", ["fixed", "avellaneda-stoikov", "glft"])
@pytest.mark.parametrize("latency_ms", [1, 350])
def test_a_run_holds_together_at_any_latency(recorded: Path, strategy: str, latency_ms: int) -> None:
    latency = Latency(latency_ms * MS, latency_ms * MS, latency_ms * MS)
    run = run_backtest([recorded], [], Options(strategy=strategy, latency=latency, maker_fee=0.0001, calibrated=strategy == "glft"))
    check(run)
    assert run.venue.placed > 10
    assert run.recorder.tracks["BTCUSDT"].fills


def test_a_fee_moves_no_order_where_limits_on_loss_are_far(recorded: Path) -> None:
    from mmd.backtest.evidence.markets import LIFTED
    from mmd.backtest.options import parse_options

    free, dear = (
        run_backtest([recorded], [], parse_options(strategy="fixed", maker_fee=fee, assignments=LIFTED)) for fee in ("0", "2bps")
    )
    one, two = (
        [(fill.receive_ns, fill.side, fill.price_ticks, fill.lots) for fill in run.recorder.tracks["BTCUSDT"].fills]
        for run in (free, dear)
    )
    assert one
    assert one == two
    volume = sum(price * lots for _, _, price, lots in one) * TICK * 1e-5
    difference = split_pnl(free.recorder.tracks["BTCUSDT"]).total - split_pnl(dear.recorder.tracks["BTCUSDT"]).total
    assert difference == pytest.approx(volume * 0.0002, rel=1e-6)


def test_the_command_prints_a_report_that_a_promotion_takes(recorded: Path, tmp_path: Path) -> None:
    bundle = load_bundle(SHIPPED, feature_schema_hash=None)
    page = tmp_path / "run.html"
    arguments = ["--data", str(recorded), "--strategy", "neural", "--bundle", str(SHIPPED), "--json", "--report", str(page)]
    result = CliRunner().invoke(backtest_app, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["report"] == "backtest"
    assert report["bundle_content"] == content_digest(bundle.card)
    assert report["model"]["feed"]["BTCUSDT"]["least_ns"] == 3 * MS
    assert report["figures"]["split"]["unexplained_share"] < 0.01
    beside = page.with_suffix(".json")
    assert json.loads(beside.read_bytes()) == report
    if bundle.card.stage == "none":
        assert promoted(bundle, "backtest", beside, "2024-01-01T00:00:00Z").stage == "backtest"
    html = page.read_text()
    assert "width=device-width" in html
    assert "<script src" not in html, "nothing is fetched"
    trades = pl.read_parquet(page.with_suffix(".trades.parquet"))
    assert trades.height == report["figures"]["total_trades"]
    assert {"markout_1s_bps", "fee", "quote_half_spread_ticks"} <= set(trades.columns) or trades.height == 0


def test_two_reports_are_compared(recorded: Path, tmp_path: Path) -> None:
    for name, latency in (("a", "1ms"), ("b", "20ms")):
        result = CliRunner().invoke(backtest_app, ["-d", str(recorded), "-s", "fixed", "--latency", latency, "--json"])
        assert result.exit_code == 0, result.output
        (tmp_path / f"{name}.json").write_text(result.stdout)
    result = CliRunner().invoke(backtest_app, ["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found["differs"]) >= {"model.latency"}
    pnl = found["numbers"]["pnl"]
    assert pnl["difference"] == pytest.approx(pnl["second"] - pnl["first"])
    (tmp_path / "c.json").write_text("{}")
    refused = CliRunner().invoke(backtest_app, ["compare", str(tmp_path / "a.json"), str(tmp_path / "c.json")])
    assert refused.exit_code == 1
    assert "is no report of" in refused.output


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "name the data"),
        (["-d", "nowhere"], 1, "no such file or folder"),
        (["-d", ".", "-s", "magic"], 2, "no strategy 'magic'"),
        (["-d", ".", "-s", "fixed", "--latency", "fast"], 2, "is no duration"),
        (["-d", ".", "-s", "fixed", "--calendar", "always"], 2, "trading days a year"),
    ],
)
def test_mistakes_on_the_command_line(arguments: list[str], code: int, text: str) -> None:
    result = CliRunner().invoke(backtest_app, arguments)
    assert result.exit_code == code
    assert text in result.output


def test_a_real_recording_is_traded() -> None:
    folder = Path(os.environ.get("MMD_DATA_DIR", "../shared/data"))
    path = folder / "binance_raw" / RAW
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is not there; set MMD_DATA_DIR")
        pytest.skip(f"no real data at {path}")
    run = run_backtest([path], [], Options(strategy="avellaneda-stoikov", calibrated=False))
    check(run)
    times = run.markets[0].times
    assert times.clock_offset_ns < -1_200 * MS
    assert times.least_ns == run.latency.floor_ns
    assert run.recorder.tracks["BTCUSDT"].fills
