"""The benchmark runs, over its real sockets, and says everything it promises. How fast it is, is not a test's business."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.acceptance.processes import clean_environment

TIMES = ("inference_us", "networks_us", "features_us", "hot_tick_to_quote_us", "live_tick_to_quote_us", "wire_to_wire_us")
OTHERS = (
    "ratio_to_echo",
    "ratio_to_article",
    "messages_per_second",
    "machine",
    "python",
    "load_average",
    "rss_mb",
    "start_seconds",
)


@pytest.mark.timeout(180)
def test_a_quick_run_gives_every_figure() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmd.cli", "bench", "--json", "--quick"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    for name in TIMES:
        assert set(figures[name]) == {"p50", "p99", "p999", "n"}
        assert figures[name]["n"] > 50, name
        assert 0 < figures[name]["p50"] <= figures[name]["p99"] <= figures[name]["p999"]
    for name in OTHERS:
        assert name in figures
    assert figures["ratio_to_echo"] == pytest.approx(figures["wire_to_wire_us"]["p50"] / figures["echo_us"]["p50"], rel=1e-2)
    assert {"book", "features", "inference", "quote", "risk"} <= set(figures["stage_us"])


def test_a_missing_bundle_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmd.cli", "bench", "--bundle", "no/such/bundle", "--quick"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "no/such/bundle" in done.stderr
