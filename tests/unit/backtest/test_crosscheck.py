"""Two matchers, written apart, given the same orders on the same recording: the same fills, or a difference that has a name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmd.backtest.crosscheck import cross_check
from mmd.backtest.errors import BacktestError
from mmd.backtest.options import parse_options

FILES = ("usdm__btcusdt_20240718.gz", "usdm__btcusdt_20240719.gz")


def real(names: tuple[str, ...]) -> list[Path]:
    folder = Path(os.environ.get("MMD_DATA_DIR", "../shared/data")) / "binance_raw"
    paths = [folder / name for name in names]
    missing = [str(path) for path in paths if not path.exists()]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{', '.join(missing)}: not there; set MMD_DATA_DIR")
    if missing:
        pytest.skip(f"no real data at {', '.join(missing)}")
    return paths


def test_hftbacktest_and_our_matcher_fill_the_same_orders_on_a_real_recording() -> None:
    near = ("quoting.skew_factor=1", "quoting.min_half_spread_ticks=1")
    found = cross_check(real(FILES), parse_options(strategy="fixed", latency="5ms", assignments=near))
    assert len(found.verdicts) > 50
    assert set(found.verdicts) == {*found.theirs, *found.ours}, "every order that either filled has a verdict"
    same = sum(count for verdict, count in found.counts.items() if verdict.startswith("same lots"))
    assert same / len(found.verdicts) >= 0.95
    theirs, ours = (sum(lots for fills in side.values() for _, lots in fills) for side in (found.theirs, found.ours))
    assert ours == pytest.approx(theirs, rel=0.03)


def test_they_are_compared_at_a_constant_latency_alone() -> None:
    with pytest.raises(BacktestError, match="constant latency"):
        cross_check([Path("anything")], parse_options(strategy="fixed", latency="recorded"))
