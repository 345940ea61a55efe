"""Tuning, ablation and the page of results: on a small market, on figures made by hand, and on the shipped card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from mmd.backtest.evidence.ablation import NONE, WHOLE, alone_name, gains, variants
from mmd.backtest.evidence.kept import KeptRuns, Line
from mmd.backtest.evidence.markets import MARKETS, RealMarket
from mmd.backtest.evidence.results_page import DEFAULT, results_page
from mmd.backtest.evidence.tuning import NO_NETWORK, SPACES, STRATEGIES, base_experiment, tune
from mmd.backtest.experiment import Experiment
from mmd.backtest.options import parse_options
from mmd.backtest.statistics import paired_bootstrap
from mmd.backtest.sweep.space import applied, grid, parse_axes
from mmd.backtest.sweep.study import Window
from mmd.cli import app
from mmd.daemon.bundles import find_bundle
from mmd.inference.bundle import Bundle, load_bundle, networks_digest, weighed
from mmd.inference.heads import HEADS, NO_HEADS, HeadWeights
from mmd.inference.shipped import DEFAULT_BUNDLE
from mmd.quoting.settings import QuotingSettings
from mmd.trader.desk import quote_model
from tests.unit.backtest.quotes import write_quotes
from tests.unit.backtest.test_sweep import Here

pytestmark = pytest.mark.timeout(300)
"""Whoever comes first compiles the fast speed, which takes a minute on a busy machine."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(find_bundle(DEFAULT_BUNDLE), feature_schema_hash=None)


def figures(pnl: list[float], volume: float = 100.0, markout: float = 0.0) -> dict[str, Any]:
    blocks = {"pnl": pnl, "volume": [volume] * len(pnl), "markout_sum": [markout] * len(pnl), "markouts": [1.0] * len(pnl)}
    interval = {"low": -1.0, "high": 1.0, "blocks": len(pnl)}
    total = volume * len(pnl)
    return {
        "pnl": sum(pnl), "volume": total, "fills": 7, "blocks": blocks, "pnl_per_volume_bps": sum(pnl) / total * 1e4,
        "pnl_per_volume_bps_interval": interval, "markouts_bps": {"1s": {"mean": markout, **interval}}, "quote_uptime": 0.9,
        "split": {"unexplained_share": 0.0, "funding": -0.25}, "halt": None, "modelled_fills": False, "funding": [],
        "trials": 9, "deflated_sharpe_probability": 0.625,
    }  # fmt: skip


def line(pnl: list[float], volume: float = 100.0, markout: float = 0.0) -> Line:
    return Line("key", Experiment(places=("x",)), figures(pnl, volume, markout))


def test_a_paired_interval_cancels_what_both_met() -> None:
    random = np.random.default_rng(1)
    shared, volume = random.normal(0, 100, 60), np.full(60, 10.0)
    ours, theirs = shared + 1.0, shared
    value, interval = paired_bootstrap((ours, volume), (theirs, volume), 1)
    assert value == pytest.approx(0.1)
    assert interval.low == pytest.approx(0.1)
    assert interval.high == pytest.approx(0.1)
    apart, wide = paired_bootstrap((ours, volume), (random.permutation(theirs), volume), 1)
    assert apart == pytest.approx(0.1)
    assert wide.low is not None
    assert wide.low < -1


def test_a_head_keeps_its_weight_only_where_its_interval_excludes_harm() -> None:
    noise = np.random.default_rng(2).normal(0, 0.02, 40).tolist()
    without = [0.10 + each for each in noise]
    lines = {("p", NONE): line(without), ("p", WHOLE): line([0.2] * 40)}
    for head in HEADS:
        lines["p", alone_name(head)] = line(without)
    lines["p", alone_name("price")] = line([0.15 + each for each in noise])
    lines["p", alone_name("spread")] = line([0.05 + each for each in noise])
    lines["p", alone_name("position")] = line([0.10 - each for each in noise])
    found = gains(lines)
    # 0.05 of 100 a block is 5 bps.
    assert found["price"]["gain_bps"] == pytest.approx(5.0)
    assert [found[head]["weight"] for head in ("price", "spread", "position", "risk")] == [1.0, 0.0, 0.0, 0.0]
    assert found["risk"]["moves_nothing"]
    assert not found["price"]["moves_nothing"]
    assert found[NONE]["gain_bps"] == pytest.approx(10.0, abs=1.0)


def test_each_part_counts_alike_whatever_its_currency() -> None:
    lines = {("a", NONE): line([0.0] * 20), ("a", "price alone"): line([0.1] * 20)}
    lines |= {("b", NONE): line([300.0] * 20, 1e6), ("b", "price alone"): line([0.0] * 20, 1e6)}
    found = gains(lines)["price"]
    assert found["parts"] == 2
    assert found["gain_bps"] == pytest.approx((10.0 - 3.0) / 2)


def test_a_part_that_failed_is_left_out() -> None:
    lines = {("a", NONE): line([0.1] * 20), ("a", "price alone"): Line("k", Experiment(places=()), None, "torn")}
    found = gains(lines)["price"]
    assert (found["parts"], found["gain_bps"], found["weight"]) == (0, None, 0.0)


def test_without_any_head_the_network_moves_no_quote(bundle: Bundle) -> None:
    settings = QuotingSettings()
    model = quote_model(weighed(bundle, NO_HEADS), settings)
    assert model.price_head_weight == model.max_target == model.order_flow_weight == model.cross_asset_weight == 0
    assert model.adverse_slope == 0
    assert not model.risk_sizes
    assert model.spread_weight == 0
    whole, wide = (quote_model(bundle, settings.model_copy(update={"network_half_spread_factor": each})) for each in (1.0, 2.0))
    assert wide.spread_max == pytest.approx(2 * whole.spread_max)
    assert variants(bundle)[NONE] == NO_HEADS
    assert all(each in (NO_HEADS, msgspec.structs.replace(NO_HEADS, **{head: 1.0}))
               for head, each in zip(HEADS, list(variants(bundle).values())[1:-1], strict=True))  # fmt: skip


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_of_0_to_1_is_an_error(weight: float) -> None:
    with pytest.raises(ValueError, match="price"):
        HeadWeights(price=weight)


def test_every_space_holds_settings_that_are_allowed() -> None:
    assert set(SPACES) == set(STRATEGIES)
    for strategy, axes in SPACES.items():
        for axis in parse_axes(axes):
            ends = axis.values or (str(axis.low), str(axis.high))
            for end in ends:
                name = "neural" if strategy == NO_NETWORK else strategy
                parse_options(strategy=name, assignments=[f"{axis.key}={end}"])


def test_what_is_judged_begins_after_what_was_chosen_on() -> None:
    for market in MARKETS:
        ends = [window.end for window in market.earlier]
        assert ends == sorted(ends)
        assert market.last.begin == "" or market.last.begin > ends[-1]


def test_runs_are_kept_and_made_once(tmp_path: Path) -> None:
    path = write_quotes(tmp_path, seconds=120)
    base = Experiment(places=(str(path),), strategy="fixed", calibration_share=0.0)
    axes = parse_axes(["quoting.fixed_half_spread_bps=1,2"])
    wanted = {str(number): applied(base, point) for number, point in enumerate(grid(axes))}
    first, again, more = Here(), Here(), Here()
    found = KeptRuns(tmp_path / "runs.jsonl").all_of(wanted, lambda: first, lambda _name: None)
    assert len(first.ran) == 2
    assert KeptRuns(tmp_path / "runs.jsonl").all_of(wanted, lambda: again, lambda _name: None) == found
    assert again.ran == []
    changed = {"new": msgspec.structs.replace(base, latency="20ms"), **wanted}
    KeptRuns(tmp_path / "runs.jsonl").all_of(changed, lambda: more, lambda _name: None)
    assert len(more.ran) == 1


def test_tuning_is_resumable_and_says_where_its_settings_come_from(tmp_path: Path) -> None:
    write_quotes(tmp_path)
    window = Window("", "2023-11-14T22:18:20", 0.1)
    market = RealMarket(
        "coin", ("COIN.book.parquet",), (window,), Window("2023-11-14T22:18:20", "", 0.1), "the rest", least_fills=1
    )
    first, again = Here(), Here()
    found = tune(market, "fixed", tmp_path, tmp_path / "sweep", 3, first)
    assert found is not None
    assert (found.trials, found.data) == (3, ("COIN.book.parquet",))
    assert {each.partition("=")[0] for each in found.settings} == {axis.key for axis in parse_axes(SPACES["fixed"])}
    assert base_experiment(market, "fixed", tmp_path, "").begin == "2023-11-14T22:18:20"
    repeated = tune(market, "fixed", tmp_path, tmp_path / "sweep", 3, again)
    assert repeated is not None
    assert (repeated.settings, again.ran) == (found.settings, [])


def test_the_page_shows_losers_failures_and_what_is_not_explained() -> None:
    name = MARKETS[1].name
    lines = {(name, DEFAULT, "5ms"): line([-0.2] * 20), (name, "glft, tuned", "5ms"): line([0.1] * 20)}
    lines[name, "fixed, tuned", "5ms"] = line([-0.3] * 20)
    lines[name, "fixed, tuned", "1ms"] = Line("k", Experiment(places=()), None, "the data has ended")
    page = results_page(lines, 4, "nets 7", {}, None)
    assert f"| {name} | {DEFAULT} | 7 | -20 [-1, 1] | -30 [-30, -30]: **worse** |" in page
    assert f"| {name} | glft, tuned |" in page
    assert "| fixed, tuned | 1ms | the data has ended |" in page
    assert "| fixed, tuned | 5ms | 7 | -32 | -30 | -29.5 |" in page
    assert "| -6.00 | 0.62 (9) | 90 % |" in page
    assert "Networks: nets 7. 4 runs, 1 of them failed. Largest" in page
    assert "not explained: 0.00%." in page
    assert "**2 of 6 runs have not been made" in results_page(lines, 6, "nets 7", {}, None).replace("\n", " ")
    lucky = line([0.9] * 20)
    lucky.figures["fills"] = 4  # type: ignore[index]
    lines[name, "fixed, tuned", "5ms"] = lucky
    page = results_page(lines, 4, "nets 7", {}, None)
    assert f"| {name} | glft, tuned |" in page, "a handful of fills is no best baseline, but stands on the page"
    assert "| fixed, tuned | 5ms | 4 | 88 | 90 |" in page
    lines[name, DEFAULT, "5ms"].figures["split"]["unexplained_share"] = 0.02  # type: ignore[index]
    assert "**above 1 %**" in results_page(lines, 4, "nets 7", {}, None)


def test_weights_come_into_the_card_from_evidence_about_these_networks_alone(tmp_path: Path, bundle: Bundle) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(find_bundle(DEFAULT_BUNDLE), folder)
    report = {"report": "ablation", "bundle": "x", "networks": networks_digest(bundle)}
    report["heads"] = {head: {"weight": float(head == "price")} for head in HEADS}
    path = tmp_path / "ablation.json"
    path.write_text(json.dumps(report))
    done = CliRunner().invoke(app, ["models", "weigh", str(folder), "--evidence", str(path)])
    assert done.exit_code == 0, done.output
    card = load_bundle(folder, feature_schema_hash=None).card
    assert card.head_weights == msgspec.structs.replace(NO_HEADS, price=1.0)
    assert card.head_evidence["report"] == "ablation.json"
    assert networks_digest(load_bundle(folder, feature_schema_hash=None)) == networks_digest(bundle)
    path.write_text(json.dumps({**report, "networks": "others"}))
    refused = CliRunner().invoke(app, ["models", "weigh", str(folder), "--evidence", str(path)])
    assert refused.exit_code == 1
    assert "other networks" in refused.output
