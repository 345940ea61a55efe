from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from mmd.daemon.guard import GuardState
from mmd.daemon.guard_port import GUARD_METRICS, guard_metrics
from mmd.daemon.metric_table import METRICS
from mmd.daemon.metrics import render_metrics
from tests.unit.daemon.tiny_core import Desk


async def scrape(directory: Path) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    desk = Desk(directory)
    desk.core.add_order("mmd-a-1")
    desk.core.pauses = ("data_stale:BTCUSDT", "reconciling:all")
    desk.stages.tick_to_quote.record(7_000)
    desk.stages.tick_to_quote.record(70_000)
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(render_metrics(desk.sources).decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return samples


async def test_values_reach_the_scrape(tmp_path: Path) -> None:
    samples = await scrape(tmp_path)
    symbol = (("symbol", "BTCUSDT"),)
    assert samples["mmd_position_base"][symbol] == -0.25
    assert samples["mmd_pnl_quote"][symbol] == 0.75
    assert samples["mmd_halted"][()] == 0
    assert samples["mmd_orders_sent_total"][()] == 40
    assert samples["mmd_risk_denials_total"][(("reason", "data_age"),)] == 5
    assert samples["mmd_feed_lag_seconds"][symbol] == 0.002
    assert samples["mmd_paused"][(("reason", "data_stale"), ("symbol", "BTCUSDT"))] == 1
    assert samples["mmd_open_orders"][(("side", "buy"), *symbol)] == 1
    assert samples["mmd_open_orders"][(("side", "sell"), *symbol)] == 0
    assert samples["mmd_adapter_frames_total"][()] == 11
    assert samples["mmd_tick_to_quote_seconds_count"][()] == 2
    assert samples["mmd_tick_to_quote_seconds_bucket"][(("le", "1e-05"),)] == 1
    assert samples["mmd_tick_to_quote_seconds_bucket"][(("le", "+Inf"),)] == 2
    assert samples["mmd_resident_memory_bytes"][()] > 1e6


async def test_quotes_orders_and_money_reach_it_too(tmp_path: Path) -> None:
    samples = await scrape(tmp_path)
    symbol = ("symbol", "BTCUSDT")
    assert samples["mmd_quote_spread_bps"][(symbol,)] == 100.0
    assert samples["mmd_quote_distance_bps"][(("side", "sell"), symbol)] == 50.0
    assert samples["mmd_presence_seconds_total"][(("sides", "both"), symbol)] == 94.0
    assert samples["mmd_adverse_fills_ratio"][(("horizon", "1s"), symbol)] == 0.6
    assert samples["mmd_pnl_part_quote"][(("part", "adverse_selection"), symbol)] == -1.0
    assert samples["mmd_order_commands_total"][(("kind", "replace"),)] == 10
    assert samples["mmd_order_commands_total"][(("kind", "query"),)] == 0
    assert samples["mmd_orders_acknowledged_total"][()] == 38
    assert samples["mmd_orders"][(("state", "live"),)] == 1
    assert samples["mmd_orders"][(("state", "unknown"),)] == 0
    assert samples["mmd_limit_quote"][(("limit", "daily_loss"),)] == 10.0
    assert samples["mmd_loss_budget_left_quote"][()] == 7.0
    assert samples["mmd_gross_exposure_quote"][()] == 50.0
    assert samples["mmd_open_file_descriptors"][()] > 3
    assert "mmd_halt_info" not in samples


async def test_a_halt_tells_its_reason_in_a_bounded_label(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.dispatcher.halt("daily loss of 512.25 passes max_daily_loss 500" + " and more" * 50, "cli")
    text = render_metrics(desk.sources).decode()
    [line] = [line for line in text.splitlines() if line.startswith("mmd_halt_info{")]
    assert 'actor="cli"' in line
    assert 'reason="daily loss of N passes max_daily_loss N and more' in line
    assert len(line) < 200


async def test_every_metric_of_the_table_is_exported_and_none_beside(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    families = {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(render_metrics(desk.sources).decode())
    }
    assert set(families) == {metric.name for metric in METRICS}
    for metric in METRICS:
        family = families[metric.name]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), metric.name


def test_the_guard_exports_what_its_table_says() -> None:
    state = GuardState(daemon="lost", silent_seconds=4.5, market_clear=False, rescues=2)
    state.sweep.orders = 3
    families = {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(guard_metrics(state).decode())
    }
    assert {name: family.type for name, family in families.items()} == {metric.name: metric.kind for metric in GUARD_METRICS}
    values = {name: family.samples[0].value for name, family in families.items() if len(family.samples) == 1}
    assert values["mmd_guard_rescues_total"] == 2
    assert values["mmd_guard_sweep_orders_total"] == 3
    assert values["mmd_guard_market_clear"] == 0
    assert {s.labels["state"] for s in families["mmd_guard_daemon"].samples if s.value == 1} == {"lost"}


def test_names_follow_the_convention() -> None:
    for metric in (*METRICS, *GUARD_METRICS):
        assert re.fullmatch(r"mmd_[a-z_]+[a-z]", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.help.endswith(".")
    assert len({metric.name for metric in METRICS}) == len(METRICS)
