from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from mmd.daemon.metrics import METRICS, render_metrics
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


def test_names_follow_the_convention() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"mmd_[a-z_]+[a-z]", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.help.endswith(".")
    assert len({metric.name for metric in METRICS}) == len(METRICS)
