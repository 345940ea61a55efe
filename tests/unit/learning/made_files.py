"""Parquet markets drawn from a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars

START_NS = 1_400_000_000_000_000_000
Columns = dict[str, list[Any]]


def made_book(rows: int, seed: int = 0, levels: int = 3, symbol: str = "AAA") -> Columns:
    """A walk of a book with whole cents, ten rows a second."""
    rng = np.random.default_rng(seed)
    mid = 5_000 + np.cumsum(rng.integers(-1, 2, rows))
    columns: Columns = {"ts_ns": (START_NS + np.arange(rows) * 100_000_000).tolist(), "symbol": [symbol] * rows}
    for level in range(1, levels + 1):
        columns[f"bid_px_{level}"] = ((mid - level) / 100).tolist()
        columns[f"bid_sz_{level}"] = rng.integers(1, 50, rows).astype(float).tolist()
        columns[f"ask_px_{level}"] = ((mid + level) / 100).tolist()
        columns[f"ask_sz_{level}"] = rng.integers(1, 50, rows).astype(float).tolist()
    return columns


def made_trades(book: Columns, every: int = 3) -> Columns:
    """Each at the touch, in the middle between two rows of the book."""
    rows = range(0, len(book["ts_ns"]), every)
    signs = [1 if row % 2 else -1 for row in rows]
    return {
        "ts_ns": [book["ts_ns"][row] + 50_000_000 for row in rows],
        "symbol": [book["symbol"][row] for row in rows],
        "px": [book["ask_px_1" if sign > 0 else "bid_px_1"][row] for sign, row in zip(signs, rows, strict=True)],
        "sz": [float(1 + row % 7) for row in rows],
        "side": signs,
    }


def written(folder: Path, book: Columns, trades: Columns | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "AAA.book.parquet"
    polars.DataFrame(book).write_parquet(path)
    if trades is not None:
        polars.DataFrame(trades).write_parquet(folder / "AAA.trades.parquet")
    return path
