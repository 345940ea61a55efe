"""Market features: the past only, free of units, sane on what is missing, and one schema hash for one meaning."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pandas as pd
import pytest

from mmd.market.feature_settings import FeatureSettings, schema_hash
from mmd.market.feature_table import FEATURES, INVENTORY_NAMES, feature_rows
from mmd.market.features import MarketFeatures
from tests.unit.market.feature_reference import recorded_steps

Step = tuple[int, int, int, int, int, int, int, int, int, int, int]
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


@pytest.fixture(scope="module")
def steps(market_data_folder: Path) -> pd.DataFrame:
    name = "binance_l2/BTCUSDT-usdm-20240718"
    return recorded_steps(
        market_data_folder / f"{name}.book.parquet", market_data_folder / f"{name}.trades.parquet", 0.1, 0.001, 5_000
    )


def rows_of(steps: pd.DataFrame) -> list[list[float]]:
    features = MarketFeatures()
    return [features.update(*step) for step in steps.itertuples(index=False, name=None)]


def step(at_ns: int, bid: int = 1_000, bid_lots: int = 5, ask: int = 1_002, ask_lots: int = 5, **more: int) -> Step:
    depth = more.get("bid_lots_5", bid_lots), more.get("ask_lots_5", ask_lots)
    buy, sell, price = more.get("buy_lots", 0), more.get("sell_lots", 0), more.get("price", ask)
    count = int(buy > 0) + int(sell > 0)
    return (START + at_ns, bid, bid_lots, ask, ask_lots, *depth, buy, sell, count, price * (buy + sell))


def named(row: list[float]) -> dict[str, float]:
    return dict(zip(MarketFeatures.NAMES, row, strict=True))


def test_there_are_thirty_two_and_five_and_each_is_documented() -> None:
    assert len(MarketFeatures.NAMES) == len(set(MarketFeatures.NAMES)) == 32
    assert len(INVENTORY_NAMES) == 5
    documented = feature_rows()
    assert [row.name for row in documented] == [*MarketFeatures.NAMES, *INVENTORY_NAMES]
    assert all(row.formula and row.unit and row.source for row in documented)
    assert sum("article" in row.source for row in FEATURES) == 8


def test_no_row_moves_when_the_future_changes(steps: pd.DataFrame) -> None:
    """At several cuts everything after the cut is replaced: shuffled, scaled, delayed, its trades turned over."""
    before = rows_of(steps)
    draw = np.random.default_rng(7)
    for cut in (1, 19, 20, 21, 500, 4_321):
        changed = steps.copy()
        future = changed.iloc[cut:].sample(frac=1.0, random_state=cut)
        future[["bid_ticks", "ask_ticks"]] *= int(draw.integers(2, 9))
        future[["bid_lots", "bid_lots_5"]] *= int(draw.integers(2, 9))
        future[["buy_lots", "sell_lots"]] = future[["sell_lots", "buy_lots"]].to_numpy()
        future["receive_ns"] = np.sort(future["receive_ns"].to_numpy()) + int(draw.integers(0, 100 * SECOND))
        changed.iloc[cut:] = future.to_numpy()
        after = rows_of(changed)
        assert after[:cut] == before[:cut]
        assert after[cut:] != before[cut:], "the change must be one that features can see"


def test_a_row_once_given_out_never_changes(steps: pd.DataFrame) -> None:
    features = MarketFeatures()
    first = features.update(*next(steps.itertuples(index=False, name=None)))
    copy = list(first)
    for later in steps.iloc[1:100].itertuples(index=False, name=None):
        features.update(*later)
    assert first == copy
    assert features.values != first


def test_units_of_tick_and_lot_do_not_matter(steps: pd.DataFrame) -> None:
    for tick, lot in ((10, 1), (1, 1_000), (7, 13)):
        other = steps.copy()
        other[["bid_ticks", "ask_ticks"]] *= tick
        other[["bid_lots", "ask_lots", "bid_lots_5", "ask_lots_5", "buy_lots", "sell_lots"]] *= lot
        other["traded_ticks_lots"] *= tick * lot
        np.testing.assert_allclose(rows_of(other), rows_of(steps), rtol=0, atol=1e-9)


def test_sigma_scales_with_the_root_of_the_horizon_and_the_tick(steps: pd.DataFrame) -> None:
    features, finer = MarketFeatures(), MarketFeatures()
    for receive_ns, bid, bid_lots, ask, ask_lots, *rest in steps.itertuples(index=False, name=None):
        features.update(receive_ns, bid, bid_lots, ask, ask_lots, *rest)
        finer.update(receive_ns, 10 * bid, bid_lots, 10 * ask, ask_lots, *rest)
    assert features.sigma_ticks(40.0) == pytest.approx(2.0 * features.sigma_ticks(10.0))
    assert finer.sigma_ticks(10.0) == pytest.approx(10.0 * features.sigma_ticks(10.0))


def test_sigma_of_a_random_walk_is_its_volatility_however_finely_it_steps() -> None:
    for steps_per_second in (2, 50):
        features, draw, mid = MarketFeatures(), Random(3), 100_000
        for number in range(600 * steps_per_second):
            mid += draw.choice((-1, 1)) * (5 if steps_per_second == 2 else 1)
            features.update(*step(number * SECOND // steps_per_second, bid=mid - 1, ask=mid + 1))
        assert features.sigma_ticks(10.0) == pytest.approx((50 * 10) ** 0.5, rel=0.25)


def test_a_market_that_stands_still_has_the_floor_for_volatility_and_no_extreme_row() -> None:
    features = MarketFeatures()
    for second in range(100):
        row = features.update(*step(second * SECOND, bid_lots=5 + second % 2))
    assert features.sigma_ticks(10.0) == features.settings.sigma_floor_ticks
    assert max(map(abs, row)) < 8.0


def test_locked_and_crossed_markets_have_no_spread() -> None:
    features = MarketFeatures()
    for second in range(50):
        features.update(*step(second * SECOND))
    locked = named(features.update(*step(50 * SECOND, bid=1_001, ask=1_001, bid_lots=9)))
    crossed = named(features.update(*step(51 * SECOND, bid=1_003, ask=1_001, bid_lots=9)))
    assert locked["spread_to_average_10"] == crossed["spread_to_average_10"] == -1.0
    assert locked["microprice_deviation"] == crossed["microprice_deviation"] == 0.0
    assert -3.0 < crossed["relative_spread"] < 3.0


def test_sizes_and_trades_that_are_not_there_give_zeros() -> None:
    features = MarketFeatures()
    for second in range(50):
        row = named(features.update(*step(second * SECOND, bid=1_000 + second % 3, bid_lots=0, ask_lots=0)))
    for name in ("trade_imbalance", "vwap_deviation_20", "volume", "touch_imbalance", "depth_imbalance_5", "microprice_deviation"):
        assert row[name] == 0.0
    for name in ("order_flow_20", "trade_intensity", "signed_volume", "time_since_trade"):
        assert row[name] == 0.0
    assert row["mid_return"] != 0.0


def test_a_missing_side_holds_the_prices_before() -> None:
    features = MarketFeatures()
    features.update(*step(0))
    row = named(features.update(*step(SECOND, bid=0, bid_lots=0)))
    assert row["mid_return"] == 0.0
    row = named(features.update(*step(2 * SECOND)))
    assert row["mid_return"] == 0.0


def test_signs_say_who_pushes() -> None:
    features = MarketFeatures()
    for number in range(30):
        features.update(*step(number * SECOND, ask=1_002, ask_lots=9, bid_lots=9, sell_lots=number % 2, price=1_000))
    for number in range(30, 40):
        bid = 1_000 + number - 30
        row = named(features.update(*step(number * SECOND, bid=bid, bid_lots=20, ask=bid + 2, ask_lots=2, buy_lots=8)))
    for name in ("trade_imbalance", "mid_return", "return_mean_20", "vwap_deviation_20", "touch_imbalance", "depth_imbalance_5"):
        assert row[name] > 0.0, name
    for name in ("microprice_deviation", "order_flow_20", "signed_volume", "trend"):
        assert row[name] > 0.0, name


def test_warm_needs_steps_and_time() -> None:
    many_at_once, few_in_long = MarketFeatures(), MarketFeatures()
    for number in range(200):
        many_at_once.update(*step(number, bid_lots=number + 1))
    for number in range(50):
        few_in_long.update(*step(number * 60 * SECOND, bid_lots=number + 1))
    assert not many_at_once.warm
    assert not few_in_long.warm
    for number in range(200, 300):
        many_at_once.update(*step(number * SECOND, bid_lots=number))
    assert many_at_once.warm
    assert many_at_once.steps == 300


def test_after_a_reset_it_is_as_good_as_new(steps: pd.DataFrame) -> None:
    features = MarketFeatures()
    for row in steps.iloc[:3_000].itertuples(index=False, name=None):
        features.update(*row)
    features.reset()
    assert (features.steps, features.warm, features.values) == (0, False, [0.0] * 32)
    again = [features.update(*row) for row in steps.iloc[3_000:4_000].itertuples(index=False, name=None)]
    assert again == rows_of(steps.iloc[3_000:4_000])


def test_the_schema_hash_knows_every_setting() -> None:
    plain = FeatureSettings()
    assert MarketFeatures().schema_hash() == schema_hash(plain) == schema_hash(FeatureSettings())
    others = {
        "step_min_interval_ns": 1_000_000,
        "window_steps": 30,
        "spread_window_steps": 12,
        "average_half_life_steps": 100.0,
        "half_lives_seconds": (1.0, 15.0, 120.0, 1200.0),
        "recent_half_lives_seconds": (0.1, 0.5, 3.0),
        "reference_seconds": 5.0,
        "sigma_sample_seconds": 0.5,
        "sigma_half_life_seconds": 30.0,
        "sigma_floor_ticks": 1.0,
        "sigma_floor_spreads": 0.05,
        "limit": 20.0,
        "warm_steps": 200,
        "warm_seconds": 30.0,
        "ring_steps": 100,
    }
    assert set(others) == set(FeatureSettings.__struct_fields__)
    hashes = {schema_hash(msgspec.structs.replace(plain, **{name: value})) for name, value in others.items()}
    assert len(hashes | {schema_hash(plain)}) == len(others) + 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"step_min_interval_ns": -1},
        {"window_steps": 5},
        {"spread_window_steps": 1},
        {"half_lives_seconds": (2.0, 2.0, 3.0, 4.0)},
        {"half_lives_seconds": (0.0, 1.0, 2.0, 3.0)},
        {"reference_seconds": 0.0},
        {"sigma_floor_ticks": float("nan")},
        {"sigma_sample_seconds": 100.0},
        {"average_half_life_steps": 20_000.0},
        {"limit": 1.0},
        {"warm_steps": 10},
        {"ring_steps": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FeatureSettings(**wrong)  # type: ignore[arg-type]
