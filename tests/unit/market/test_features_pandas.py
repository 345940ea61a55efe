"""Every feature against a second computation with pandas, over recorded markets, row by row (how: see feature_reference.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmd.market.features import MarketFeatures
from tests.unit.market.feature_reference import recorded_steps, reference, sigma_ticks

MARKETS = {
    "five levels and trades": ("binance_l2/BTCUSDT-usdm-20240718", "binance_l2/BTCUSDT-usdm-20240718", 0.1, 0.001, 1_000_000),
    "the same of ETH": ("binance_l2/ETHUSDT-usdm-20240718", "binance_l2/ETHUSDT-usdm-20240718", 0.01, 0.001, 1_000_000),
    "every bookTicker": ("binance_bbo/BTCUSDT-usdm-20240718", "binance_l2/BTCUSDT-usdm-20240718", 0.1, 0.001, 1_000_000),
    "spot": ("binance_bbo/BTCUSDT-spot-20230405", "binance_bbo/BTCUSDT-spot-20230405", 0.01, 0.00001, 1_000_000),
    "a share, partly locked and crossed": ("us_equity/BAC", "us_equity/BAC", 0.01, 1.0, 65_000),
    "gold without sizes": ("fx/XAUUSD.oanda", None, 0.001, 1.0, 30_000),
}
LONG = "a share, partly locked and crossed"


def steps_of(folder: Path, market: str) -> pd.DataFrame:
    book, trades, tick, lot, rows = MARKETS[market]
    return recorded_steps(folder / f"{book}.book.parquet", folder / f"{trades}.trades.parquet" if trades else None, tick, lot, rows)


@pytest.mark.parametrize("market", MARKETS)
def test_every_feature_equals_its_recomputation_with_pandas(market_data_folder: Path, market: str) -> None:
    steps = steps_of(market_data_folder, market)
    assert len(steps) > (100_000 if market == LONG else 10_000), "long enough for a drifting sum to show"
    features = MarketFeatures()
    rows, sigmas = [], []
    for step in steps.itertuples(index=False, name=None):
        rows.append(features.update(*step))
        sigmas.append(features.sigma_ticks(10.0))
    expected = reference(steps)
    assert tuple(expected.columns) == MarketFeatures.NAMES
    difference = np.abs(np.array(rows) - expected.to_numpy()).max(axis=0)
    wrong = {name: worst for name, worst in zip(MarketFeatures.NAMES, difference, strict=True) if not worst <= 1e-9}
    assert not wrong
    np.testing.assert_allclose(sigmas, sigma_ticks(steps, 10.0), rtol=1e-9)


def test_features_vary_where_the_data_has_something_to_say(market_data_folder: Path) -> None:
    expected = reference(steps_of(market_data_folder, "five levels and trades"))
    assert (expected.iloc[100:].std() > 0.01).all()
