"""A small recorded market as files, for tests that run many backtests on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from tests.unit.backtest.synthetic import SECOND, START


def write_quotes(folder: Path, seconds: int = 600, seed: int = 1) -> Path:
    """Quotes twice a second and trades now and then that reach the touch, of a mid that wanders."""
    random = np.random.default_rng(seed)
    count = seconds * 2
    mids = np.round(100.0 + np.cumsum(random.choice([-0.01, 0.0, 0.01], count)), 2)
    times = START + np.arange(count) * SECOND // 2
    rows = {
        "ts_ns": times,
        "symbol": ["COIN"] * count,
        "bid_px_1": np.round(mids - 0.02, 2),
        "bid_sz_1": 5.0 + random.integers(0, 3, count),
        "ask_px_1": np.round(mids + 0.02, 2),
        "ask_sz_1": 5.0 + random.integers(0, 3, count),
    }
    path = folder / "COIN.book.parquet"
    pl.DataFrame(rows).write_parquet(path)
    sides = random.choice([-1, 1], count)
    far = random.choice([0.02, 0.04], count)
    trades = {"ts_ns": times + SECOND // 4, "symbol": ["COIN"] * count, "px": np.round(mids + sides * far, 2),
              "sz": np.full(count, 10.0), "side": sides}  # fmt: skip
    pl.DataFrame(trades).write_parquet(folder / "COIN.trades.parquet")
    return path
