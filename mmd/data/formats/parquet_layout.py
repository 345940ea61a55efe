"""Parquet files `NAME.book.parquet` and `NAME.trades.parquet` with the columns that this dataset has too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from mmd.data.formats.instruments import instrument_for
from mmd.data.schema import BOOK, LEVELS, ROW, TRADES, schema_of
from mmd.data.source import BATCH_ROWS, Chunk, Format, ImportFailed, Options, SeriesKey, Source, SourceLog

_NEEDED = {BOOK: ("ts_ns", "symbol", "bid_px_1", "ask_px_1"), TRADES: ("ts_ns", "symbol", "px", "sz")}
_WITH_MARKET = re.compile(r"^(?P<symbol>[A-Za-z0-9]+)-(?P<market>spot|usdm|coinm)(-\d{8})?$")
_WITH_PLACE = re.compile(r"^(?P<symbol>[A-Za-z0-9]+)\.(?P<market>[a-z0-9_]+)$")
OTHER_MARKET = "other"


def series_of(name: str, market: str, folder: str) -> SeriesKey:
    """`BTCUSDT-usdm-20240718` is BTCUSDT of usdm, `XAUUSD.oanda` XAUUSD of oanda, anything else of its folder; `market` rules."""
    match = _WITH_MARKET.match(name) or _WITH_PLACE.match(name)
    if match is None:
        return SeriesKey(market or folder or OTHER_MARKET, name)
    return SeriesKey(market or match["market"], match["symbol"])


def find(paths: Sequence[Path], options: Options) -> list[Source]:
    """One source a file and symbol."""
    sources = []
    for path in paths:
        table = next((table for table in (BOOK, TRADES) if path.name.endswith(f".{table}.parquet")), None)
        if table is None:
            continue
        try:
            columns = list(pl.read_parquet_schema(path))
            missing = [name for name in _NEEDED[table] if name not in columns]
            if missing:
                raise ImportFailed(f"{path}: has no column {', '.join(missing)}; a {table} file has {', '.join(_NEEDED[table])}")
            names = (
                pl.scan_parquet(path).select(pl.col("symbol").cast(pl.String).unique()).collect()["symbol"].drop_nulls().to_list()
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            raise ImportFailed(f"{path}: cannot be read as parquet: {error}") from error
        for name in sorted(names):
            key = series_of(name, options.market, _folder_market(path))
            read = partial(_read, path, table, name if len(names) > 1 else "", key)
            sources.append(Source(PARQUET.name, (path,), key, instrument_for(path, key, options), read))
    return sources


def _folder_market(path: Path) -> str:
    """The market of a file in a folder of that name, such as us_equity; a day's folder is none."""
    name = path.absolute().parent.name
    return name if re.fullmatch(r"[a-z][a-z_]*", name) else ""


def _read(path: Path, table: str, only: str, key: SeriesKey, log: SourceLog) -> Iterator[Chunk]:
    schema = schema_of(table)
    there = list(pl.read_parquet_schema(path))
    ignored = [name for name in there if name not in schema]
    if ignored:
        log.note(f"columns that the dataset does not have: {', '.join(ignored)}")
    if table == BOOK and f"bid_px_{LEVELS + 1}" in there:
        log.note(f"levels beyond {LEVELS} are left out")
    wanted = pl.scan_parquet(path).select([name for name in there if name in schema and name != "session"]).with_row_index(ROW, 1)
    total = wanted.select(pl.len()).collect().item()
    size, told = path.stat().st_size, 0
    for start in range(0, total, BATCH_ROWS):
        frame = wanted.slice(start, BATCH_ROWS).collect()
        if only:
            frame = frame.filter(pl.col("symbol").cast(pl.String) == only)
        log.read += frame.height
        frame = frame.with_columns(pl.lit(key.symbol).alias("symbol"))
        if "exch_ts_ns" in frame.columns:
            frame = frame.with_columns(pl.when(pl.col("exch_ts_ns") > 0).then(pl.col("exch_ts_ns")).alias("exch_ts_ns"))
        if table == TRADES:
            side = pl.col("side").fill_null(0) if "side" in frame.columns else pl.lit(0)
            frame = frame.with_columns(side.alias("side"))
        yield Chunk(key, table, frame)
        done = size * min(total, start + BATCH_ROWS) // total
        log.advance(done - told)
        told = done


PARQUET = Format(
    "parquet",
    "books and trades as NAME.book.parquet and NAME.trades.parquet",
    "book: ts_ns, symbol, [exch_ts_ns,] bid_px_1, [bid_sz_1,] ask_px_1, [ask_sz_1,] …; trades: ts_ns, symbol, px, sz, [side]",
    find,
)
