"""The numbers of a feature row are what they were when bundles were trained: who changes a formula raises the schema's version."""

from __future__ import annotations

from random import Random

import pytest

from mmd.market.feature_settings import (
    FEATURE_SCHEMA_VERSION,
    FIRST_SCHEMA_NAMES,
    FeatureSettings,
    first_schema_hash,
    served_schemas,
)
from mmd.market.features import MarketFeatures

FIRST_HASH = "3f37a799691edfaa2c688e57bcaaaf49e1c1e5cedb4963a1ddff1c66f6e39999"
"""In the cards of the bundles of version 1."""
ROOT_MEAN_SQUARES: dict[str, float] = {
    "trade_imbalance": 0.419280733,
    "mid_return": 0.907679415,
    "return_mean_20": 0.973692865,
    "return_std_20": 0.90434574,
    "vwap_deviation_20": 0.611003642,
    "relative_spread": 1.07642855,
    "spread_to_average_10": 0.312794863,
    "volume": 0.782561268,
    "touch_imbalance": 0.479395631,
    "depth_imbalance_5": 0.207625802,
    "microprice_deviation": 0.216730133,
    "order_flow_20": 2.01104308,
    "trade_intensity": 0.176722602,
    "signed_volume": 0.252577417,
    "volatility_short": 0.173291313,
    "volatility_medium": 0.0717764326,
    "volatility_long": 0.00556622017,
    "trend": 0.881899871,
    "time_since_trade": 0.540269346,
    "time_since_step": 3.78480542,
    "signed_flow_300ms": 0.16952776,
    "last_trade_offset": 1.64544103,
    "average_trade_offset": 1.50192421,
    "imbalance_change_300ms": 0.617301448,
    "imbalance_change_3s": 0.500542388,
    "order_flow_100ms": 1.23308808,
    "order_flow_300ms": 1.30219002,
    "move_100ms": 1.16858693,
    "move_300ms": 1.31625751,
    "thin_side": 1.37347985,
    "spread_to_usual": 0.340644825,
    "depletion": 0.228821936,
}


def root_mean_squares() -> dict[str, float]:
    """Of each feature over a market drawn by hand: flickers, trades, pauses."""
    draw, features, now, mid = Random(7), MarketFeatures(), 1_700_000_000_000_000_000, 20_000
    sums = [0.0] * len(MarketFeatures.NAMES)
    for _ in range(3_000):
        now += draw.choice([0, 1_000_000, 40_000_000, 700_000_000])
        mid += draw.choice([-2, -1, 0, 0, 0, 0, 0, 1, 2])
        half = draw.choice([1, 1, 2, 5])
        bid_lots, ask_lots = draw.randint(1, 900), draw.randint(1, 900)
        buy, sell = draw.choice([(0, 0), (0, 0), (draw.randint(1, 99), 0), (0, draw.randint(1, 99))])
        bid, ask = mid - half, mid + half
        depth = (bid_lots + 500, ask_lots + 700)
        row = features.update(now, bid, bid_lots, ask, ask_lots, *depth, buy, sell, (buy > 0) + (sell > 0), buy * ask + sell * bid)
        sums = [total + value * value for total, value in zip(sums, row, strict=True)]
    return {name: (total / 3_000) ** 0.5 for name, total in zip(MarketFeatures.NAMES, sums, strict=True)}


def test_rows_are_what_this_version_of_the_schema_means() -> None:
    assert FEATURE_SCHEMA_VERSION == 2
    assert root_mean_squares() == pytest.approx(ROOT_MEAN_SQUARES, rel=1e-6), "raise FEATURE_SCHEMA_VERSION and train again"


def test_the_first_schema_is_served_still() -> None:
    settings = FeatureSettings()
    assert first_schema_hash(settings) == FIRST_HASH
    assert FIRST_HASH in served_schemas(settings)
    assert MarketFeatures.NAMES[: len(FIRST_SCHEMA_NAMES)] == FIRST_SCHEMA_NAMES
