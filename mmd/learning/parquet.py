"""Markets kept as parquet files: books of one or more levels, with or without sizes, and the trades beside them.

`NAME.book.parquet` holds `ts_ns, symbol, bid_px_1, ask_px_1` and, where known, `bid_sz_1, ask_sz_1`, further levels, `session`
(rows of one number are one session) and whatever else (ignored); `NAME.trades.parquet` beside it `ts_ns, symbol, px, sz` and `side`
(+1: the buyer was the aggressor, -1: the seller, 0 or missing: unknown). Times are UTC ns of receipt. The rows go through the step
builder and the features that run live.

What a file lacks is met in one way everywhere. Without sizes each side shows one lot, so that imbalances are 0. With fewer than
five levels the depth of five is that of the levels there are: of the touch alone in a file of the best bid and ask. A trade of
unknown side is the buyer's above the mid and the seller's below it; at the mid it has the side of the trade before. A crossed touch
and one with a missing side are passed over: the touch before them stands. Nothing is looked up ahead: where ticks and lots are not
known, they are the decimal grid of the first rows, those before anything is predicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmd.learning.errors import SourceError

BOOK_SUFFIX = ".book.parquet"
TRADES_SUFFIX = ".trades.parquet"
DEPTH_LEVELS = 5
GRID_ROWS = 20
"""Book rows that decide on ticks and lots: fewer than features need to be warm."""
MAX_DECIMALS = 8
BATCH_ROWS = 200_000

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BookRow = tuple[int, int, int, int, int, int, int, int]
"""Receive time ns, bid ticks and lots, ask ticks and lots, lots of up to five levels a side, the session's number (0: not told)."""


class TradeRow(NamedTuple):
    """A trade."""

    receive_ns: int
    price_ticks: int
    lots: int
    sign: int
    """Of the aggressor, 0: unknown."""


@dataclass(frozen=True)
class Grid:
    """Units of a file's prices and sizes."""

    tick: float
    lot: float


@dataclass(frozen=True)
class ParquetFile:
    """One symbol of a book file and, where there is one, of the trades file beside it. `grid` where it is known of the file."""

    book: Path
    trades: Path | None
    symbol: str
    grid: Grid | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return (self.book,) if self.trades is None else (self.book, self.trades)


def find_files(place: Path) -> list[ParquetFile]:
    """Of a folder (with its sub-folders) or of one book file, by name and symbol. A trades file without a book is left out: what it
    says of a market cannot be quoted on.

    Raises `SourceError` for a file that is no book.
    """
    books = [place] if place.is_file() else sorted(place.rglob(f"*{BOOK_SUFFIX}"))
    found = []
    for book in books:
        if not book.name.endswith(BOOK_SUFFIX):
            raise SourceError(f"{book}: expected NAME{BOOK_SUFFIX}, with NAME{TRADES_SUFFIX} beside it if there is one")
        trades = book.with_name(book.name.removesuffix(BOOK_SUFFIX) + TRADES_SUFFIX)
        for symbol in _symbols(book):
            found.append(ParquetFile(book, trades if trades.is_file() else None, symbol))
    return found


def _symbols(book: Path) -> list[str]:
    return [str(symbol) for symbol in _read(book, ["symbol"])["symbol"].unique(maintain_order=True).to_list()]


def _read(path: Path, columns: list[str]) -> Any:
    import polars

    try:
        return polars.read_parquet(path, columns=columns)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{path}: cannot be read as parquet with the columns {', '.join(columns)}: {error}") from error


def _columns(path: Path) -> list[str]:
    import polars

    try:
        return list(polars.read_parquet_schema(path))
    except (polars.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{path}: not a parquet file: {error}") from error


def _table(path: Path, symbol: str, wanted: list[str], needed: tuple[str, ...]) -> Any:
    """Rows of a symbol in order of receive time, those of one moment as they stand."""
    import polars

    there = _columns(path)
    missing = [name for name in needed if name not in there]
    if missing:
        raise SourceError(f"{path}: has no column {', '.join(missing)}; expected at least {', '.join(needed)}")
    table = _read(path, [name for name in wanted if name in there]).filter(polars.col("symbol").cast(polars.String) == symbol)
    table = table.filter(polars.col("ts_ns").is_not_null())
    return table if table["ts_ns"].is_sorted() else table.sort("ts_ns", maintain_order=True)


def _floats(table: Any, name: str) -> Floats:
    """NaN where there is no number."""
    import polars

    column = table[name].cast(polars.Float64, strict=False)
    return np.asarray(column.fill_null(float("nan")).to_numpy(), dtype=np.float64)


# ---- ticks and lots


def decimal_grid(values: Floats) -> float:
    """The coarsest power of ten of which all the numbers are multiples, within rounding; 1 where there are none."""
    known = values[np.isfinite(values) & (values > 0)]
    for decimals in range(MAX_DECIMALS):
        scaled = known * 10.0**decimals
        if (np.abs(scaled - np.round(scaled)) <= 1e-6 * np.maximum(1.0, 1e-6 * scaled)).all():
            return float(10.0**-decimals)
    return float(10.0**-MAX_DECIMALS)


def _grid(table: Any, sizes: list[str], known: Grid | None) -> Grid:
    if known is not None:
        return known
    head = table.head(GRID_ROWS)
    tick = decimal_grid(np.concatenate([_floats(head, "bid_px_1"), _floats(head, "ask_px_1")]))
    return Grid(tick, decimal_grid(np.concatenate([_floats(head, name) for name in sizes])) if sizes else 1.0)


def _units(values: Floats, unit: float) -> Integers:
    """Nearest multiples; 0 for what is no number or is not above 0."""
    known = np.isfinite(values) & (values > 0)
    return np.asarray(np.round(np.where(known, values, 0.0) / unit), dtype=np.int64)


# ---- rows


def book_rows(file: ParquetFile, known: Grid | None = None) -> tuple[Grid, Iterator[BookRow]]:
    """The grid, and the rows with both sides there and not crossed."""
    there = _columns(file.book)
    levels = [level for level in range(1, DEPTH_LEVELS + 1) if f"bid_sz_{level}" in there and f"ask_sz_{level}" in there]
    sizes = [f"{side}_sz_{level}" for level in levels for side in ("bid", "ask")]
    table = _table(
        file.book,
        file.symbol,
        ["ts_ns", "symbol", "session", "bid_px_1", "ask_px_1", *sizes],
        ("ts_ns", "symbol", "bid_px_1", "ask_px_1"),
    )
    grid = _grid(table, [name for name in ("bid_sz_1", "ask_sz_1") if name in sizes], known or file.grid)
    return grid, _book_rows(table, grid, levels)


def _book_rows(table: Any, grid: Grid, levels: list[int]) -> Iterator[BookRow]:
    for start in range(0, len(table), BATCH_ROWS):
        batch = table.slice(start, BATCH_ROWS)
        times = np.asarray(batch["ts_ns"].to_numpy(), dtype=np.int64)
        prices = [_units(_floats(batch, f"{side}_px_1"), grid.tick) for side in ("bid", "ask")]
        touch, depth = [], []
        for side in ("bid", "ask"):
            lots = [_units(_floats(batch, f"{side}_sz_{level}"), grid.lot) for level in levels]
            shown = np.maximum(lots[0], 1) if lots and levels[0] == 1 else np.ones(len(times), dtype=np.int64)
            touch.append(shown)
            depth.append(np.maximum(np.sum(lots, axis=0), shown) if len(lots) > 1 else shown)
        good = (prices[0] > 0) & (prices[1] >= prices[0])
        session = np.asarray(batch["session"].to_numpy(), dtype=np.int64) if "session" in batch.columns else np.zeros_like(times)
        columns = (times, prices[0], touch[0], prices[1], touch[1], depth[0], depth[1], session)
        yield from zip(*(column[good].tolist() for column in columns), strict=True)


def trade_rows(file: ParquetFile, grid: Grid) -> Iterator[TradeRow]:
    """The trades that have a price and a size; none where there is no file."""
    if file.trades is None:
        return
    table = _table(file.trades, file.symbol, ["ts_ns", "symbol", "px", "sz", "side"], ("ts_ns", "symbol", "px"))
    for start in range(0, len(table), BATCH_ROWS):
        batch = table.slice(start, BATCH_ROWS)
        times = np.asarray(batch["ts_ns"].to_numpy(), dtype=np.int64)
        price = _units(_floats(batch, "px"), grid.tick)
        lots = (
            np.maximum(_units(_floats(batch, "sz"), grid.lot), 1) if "sz" in batch.columns else np.ones(len(times), dtype=np.int64)
        )
        side = np.sign(np.nan_to_num(_floats(batch, "side"))).astype(np.int64) if "side" in batch.columns else np.zeros_like(lots)
        good = price > 0
        yield from map(TradeRow, *(column[good].tolist() for column in (times, price, lots, side)))


class LevelRow(NamedTuple):
    """One row of a book file with its levels, best first; what is missing or without a price ends them."""

    receive_ns: int
    exchange_ns: int
    """0 where the file has no stamp."""
    session: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


def level_rows(file: ParquetFile, known: Grid | None = None, most: int = 10) -> tuple[Grid, int, Iterator[LevelRow]]:
    """The grid, how many levels a side the file has (at most `most`), and its rows as they stand, crossed ones too."""
    there = _columns(file.book)
    levels = [level for level in range(1, most + 1) if f"bid_px_{level}" in there and f"ask_px_{level}" in there]
    prices = [f"{side}_px_{level}" for level in levels for side in ("bid", "ask")]
    sizes = [f"{side}_sz_{level}" for level in levels for side in ("bid", "ask") if f"{side}_sz_{level}" in there]
    wanted = ["ts_ns", "symbol", "session", "exch_ts_ns", *prices, *sizes]
    table = _table(file.book, file.symbol, wanted, ("ts_ns", "symbol", "bid_px_1", "ask_px_1"))
    grid = _grid(table, [name for name in ("bid_sz_1", "ask_sz_1") if name in sizes], known or file.grid)
    return grid, len(levels), _level_rows(table, grid, levels)


def _level_rows(table: Any, grid: Grid, levels: list[int]) -> Iterator[LevelRow]:
    for start in range(0, len(table), BATCH_ROWS):
        batch = table.slice(start, BATCH_ROWS)
        times = batch["ts_ns"].to_list()
        stamps = batch["exch_ts_ns"].fill_null(0).to_list() if "exch_ts_ns" in batch.columns else [0] * len(times)
        sessions = batch["session"].fill_null(0).to_list() if "session" in batch.columns else [0] * len(times)
        sides = []
        for side in ("bid", "ask"):
            prices = [_units(_floats(batch, f"{side}_px_{level}"), grid.tick).tolist() for level in levels]
            lots = [
                np.maximum(_units(_floats(batch, f"{side}_sz_{level}"), grid.lot), 1).tolist()
                if f"{side}_sz_{level}" in batch.columns
                else [1] * len(times)
                for level in levels
            ]
            by_row = zip(zip(*prices, strict=True), zip(*lots, strict=True), strict=True)
            sides.append([tuple((price, size) for price, size in zip(row, held, strict=True) if price) for row, held in by_row])
        yield from map(LevelRow, times, stamps, sessions, sides[0], sides[1])
