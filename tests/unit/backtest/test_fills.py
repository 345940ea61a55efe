"""The model of fills for data without trades: its shares and probabilities, its seed, and that every result names it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from mmd.backtest.command import backtest_app
from mmd.backtest.errors import BacktestError
from mmd.backtest.figures import Terms
from mmd.backtest.fills import WHOLE_LOTS, FillModel, modelled_trades, parse_fill_model, with_trades
from mmd.backtest.options import parse_options
from mmd.backtest.report import document
from mmd.backtest.runner import Run, run_backtest
from mmd.backtest.statistics import Calendar
from mmd.types.market import MarketTrade, Side
from tests.unit.backtest.synthetic import SECOND, START, HandMadeMarket

HALF = 10
"""Half of the market's spread in ticks."""


def rising(seconds: int) -> list[Any]:
    """A mid that rises by one tick every half second, its spread 20 ticks."""
    market = HandMadeMarket().snapshot(0, [(9_990, 1)], [(10_010, 1)])
    for step in range(1, seconds * 2):
        at = 500 * step
        market.levels(at, bids=[(9_990 + step - 1, 0), (9_990 + step, 1)], asks=[(10_010 + step - 1, 0), (10_010 + step, 1)])
    return market.events


def distances(trades: list[MarketTrade]) -> np.ndarray[Any, Any]:
    """Of each trade from the mid of its moment, in halves of the spread."""
    seconds = np.asarray([(trade.receive_ns - START - 2_000_000) / SECOND for trade in trades])
    mids = 10_000 + np.floor(seconds * 2)
    return np.abs(np.asarray([trade.price_ticks for trade in trades]) - mids) / HALF


def test_arrivals_come_at_the_rate_and_reach_as_far_as_the_decay_says() -> None:
    trades = modelled_trades(rising(4_000), "COINUSD", FillModel(arrivals_per_second=1.0, decay=1.0, adverse_share=0.0, seed=3))
    assert len(trades) == pytest.approx(4_000, abs=4 * math.sqrt(4_000))
    assert all(trade.lots == WHOLE_LOTS for trade in trades)
    far = distances(trades)
    for distance in (0.5, 1.0, 2.0):
        # Prices are whole ticks: what reached is rounded towards the mid.
        share, expected = float(np.mean(far >= distance)), math.exp(-distance)
        assert share == pytest.approx(expected, abs=4 * math.sqrt(expected / len(far)))


@pytest.mark.parametrize(("adverse", "buyers"), [(0.0, 0.5), (0.4, 0.7), (1.0, 1.0)])
def test_the_share_that_knows_takes_the_side_of_the_coming_move(adverse: float, buyers: float) -> None:
    trades = modelled_trades(rising(2_000), "COINUSD", FillModel(arrivals_per_second=1.0, adverse_share=adverse, seed=5))
    # In the last second nobody can know.
    share = np.mean([trade.aggressor is Side.BUY for trade in trades])
    assert share == pytest.approx(buyers, abs=0.045)


def test_the_same_seed_gives_the_same_orders_and_another_seed_others() -> None:
    events = rising(100)
    model = FillModel(arrivals_per_second=1.0)
    assert modelled_trades(events, "COINUSD", model) == modelled_trades(events, "COINUSD", model)
    assert modelled_trades(events, "COINUSD", model) != modelled_trades(events, "COINUSD", FillModel(1.0, seed=2))


def test_nobody_trades_while_the_market_rests() -> None:
    market = HandMadeMarket().snapshot(0, [(9_990, 1)], [(10_010, 1)])
    market.levels(1_000, bids=[(9_990, 2)]).levels(3_600_000, bids=[(9_990, 1)])
    trades = modelled_trades(market.events, "COINUSD", FillModel(arrivals_per_second=10.0))
    assert max(trade.receive_ns for trade in trades) <= START + 62 * SECOND


def test_modelled_trades_take_the_place_of_recorded_ones_in_order_of_time() -> None:
    market = HandMadeMarket().snapshot(0, [(9_990, 1)], [(10_010, 1)])
    events = market.trade(50, Side.BUY, 10_010, 1).levels(100, [(9_990, 2)]).events
    modelled = [MarketTrade("COINUSD", START + 60_000_000, 0, 1, 9_990, 1, Side.SELL)]
    merged = list(with_trades(events, modelled))
    assert [event.receive_ns for event in merged] == sorted(event.receive_ns for event in merged)
    assert [event for event in merged if isinstance(event, MarketTrade)] == modelled


@pytest.mark.parametrize("text", ["arrivals=0", "adverse=1.5", "rate=2", "arrivals", "decay=0"])
def test_a_model_that_makes_no_sense_is_an_error_that_says_what_would(text: str) -> None:
    with pytest.raises(BacktestError, match="fill model"):
        parse_fill_model(text, 1)


@pytest.fixture
def quotes_only(tmp_path: Path) -> Path:
    """Twenty minutes of quotes without sizes and trades, as they come for currencies."""
    random = np.random.default_rng(1)
    count = 2_400
    mids = 1_300.0 + np.cumsum(random.choice([-0.01, 0.0, 0.01], count))
    rows = {
        "ts_ns": START + np.arange(count) * SECOND // 2,
        "symbol": ["XAUUSD"] * count,
        "bid_px_1": np.round(mids - 0.05, 2),
        "ask_px_1": np.round(mids + 0.05, 2),
    }
    path = tmp_path / "XAUUSD.book.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def traded(path: Path, seed: int, **options: Any) -> Run:
    chosen = {"fill_model": "arrivals=0.5,adverse=0.2", "fill_seed": seed} | options
    return run_backtest([path], [], parse_options(strategy="fixed", assignments=["quoting.fixed_half_spread_bps=0.3"], **chosen))


def test_a_run_without_trades_is_filled_by_the_model_and_says_so_everywhere(quotes_only: Path, tmp_path: Path) -> None:
    runs = [traded(quotes_only, seed) for seed in (1, 1, 2)]
    fills = [run.recorder.tracks["XAUUSD"].fills for run in runs]
    assert len(fills[0]) > 10
    assert fills[0] == fills[1]
    assert fills[0] != fills[2]
    model = document(runs[0], Terms(5_000.0, Calendar(), 1, 1, 0.0))["model"]
    assert "PROBABILISTIC MODEL" in model["fills"]["XAUUSD"]
    assert model["modelled_fills"]["XAUUSD"]["adverse_share"] == 0.2
    page = tmp_path / "out.html"
    told = CliRunner().invoke(backtest_app, ["--data", str(quotes_only), "--strategy", "fixed", "--report", str(page)])
    assert told.exit_code == 0, told.output
    assert "PROBABILISTIC" in told.output
    assert "PROBABILISTIC" in page.read_text()


def test_recorded_fills_alone_can_be_asked_for(quotes_only: Path) -> None:
    modelled, recorded = traded(quotes_only, 1), traded(quotes_only, 1, fills="recorded")
    assert not recorded.options.modelled(recorded.sources[0])
    assert len(recorded.recorder.tracks["XAUUSD"].fills) < len(modelled.recorder.tracks["XAUUSD"].fills)


def test_more_who_know_cost_more(quotes_only: Path) -> None:
    def markout(adverse: float) -> float:
        run = traded(quotes_only, 1, fill_model=f"arrivals=2,adverse={adverse}")
        report = document(run, Terms(5_000.0, Calendar(), 1, 1, 0.0))
        return float(report["figures"]["markouts_bps"]["1s"]["mean"])

    assert markout(0.9) < markout(0.0)


def test_models_of_arrivals_are_calibrated_on_the_modelled_ones(quotes_only: Path) -> None:
    options = parse_options(strategy="glft", fill_model="arrivals=2", calibration_share=0.5)
    run = run_backtest([quotes_only], [], options)
    calibration = run.calibrations["XAUUSD"]
    # Per half-spread of five ticks the arrivals fall by e, of both sides together there are two a second.
    assert calibration.decay_per_tick == pytest.approx(1 / 5, rel=0.35)
    assert calibration.rate_per_second == pytest.approx(2.0, rel=0.35)
