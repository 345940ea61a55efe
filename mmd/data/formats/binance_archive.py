"""Binance's public archives (data.binance.vision): trades, aggTrades, bookTicker, bookDepth; CSV, zipped or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from mmd.data.formats.instruments import instrument_for
from mmd.data.lines import CsvShape, csv_frames, first_line, has_header, stamp_ns
from mmd.data.schema import BOOK, DEPTH_BANDS, ROW, TRADES
from mmd.data.source import Chunk, Format, ImportFailed, Options, SeriesKey, Source, SourceLog
from mmd.recording.instruments import SPOT, USD_M

_NAME = re.compile(
    r"^(?P<symbol>[A-Z0-9_]+)-(?P<kind>trades|aggTrades|bookTicker|bookDepth)-\d{4}-\d{2}(-\d{2})?\.(zip|csv|csv\.gz)$"
)
_FOLDER_MARKETS = {"spot": SPOT, "um": USD_M, "cm": "coinm"}
_COLUMNS: dict[str, dict[int, tuple[str, ...]]] = {
    "trades": {
        6: ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker"),
        7: ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match"),
    },
    "aggTrades": {
        7: ("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker"),
        8: (
            "agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker",
            "is_best_match",
        ),
    },
    "bookTicker": {
        7: (
            "update_id", "best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty", "transaction_time", "event_time",
        ),
    },
    "bookDepth": {4: ("timestamp", "percentage", "depth", "notional")},
}  # fmt: skip
"""Columns by their number, for files without a header. Spot has one column more than the futures."""
_SPOT_COLUMNS = {"trades": 7, "aggTrades": 8}
_Reader = Callable[[Path, SeriesKey, Sequence[str], bool, SourceLog], Iterator[Chunk]]
_NO_RECEIVE_TIME = "no receive times: the exchange's times stand for them"


def find(paths: Sequence[Path], options: Options) -> list[Source]:
    """One source a file, in the order of their names, which is that of their days."""
    sources = []
    for path in sorted(paths, key=lambda path: path.name):
        match = _NAME.match(path.name)
        if match is None:
            continue
        kind, line = match["kind"], first_line(path)
        columns = tuple(name.strip() for name in line.split(",")) if has_header(line) else _COLUMNS[kind].get(line.count(",") + 1)
        if columns is None:
            expected = " or ".join(", ".join(names) for names in _COLUMNS[kind].values())
            raise ImportFailed(f"{path}: has {line.count(',') + 1} columns; {kind} files have {expected}")
        key = SeriesKey(options.market or _market(path, kind, len(columns)), match["symbol"])
        read = partial(_READERS[kind], path, key, columns, has_header(line))
        sources.append(Source(BINANCE_ARCHIVE.name, (path,), key, instrument_for(path, key, options), read))
    return sources


def _market(path: Path, kind: str, columns: int) -> str:
    for part in path.parts:
        if part in _FOLDER_MARKETS:
            return _FOLDER_MARKETS[part]
    return SPOT if _SPOT_COLUMNS.get(kind) == columns else USD_M


def _frames(
    path: Path, key: SeriesKey, columns: Sequence[str], header: bool, log: SourceLog, kept: dict[str, type[pl.DataType]], table: str
) -> Iterator[pl.DataFrame]:
    missing = [name for name in kept if name not in columns]
    if missing:
        raise ImportFailed(f"{path}: has no column {', '.join(missing)}; it has {', '.join(columns)}")
    yield from csv_frames(path, CsvShape(columns, kept, tuple(kept)), log, key, table, header=header)


def _trades_reader(identity: str, size: str, time: str) -> _Reader:
    def read(path: Path, key: SeriesKey, columns: Sequence[str], header: bool, log: SourceLog) -> Iterator[Chunk]:
        log.note(_NO_RECEIVE_TIME)
        if identity != "id":
            log.note("aggregated trades: one row for the fills of one order at one price")
        kept: dict[str, type[pl.DataType]] = {
            identity: pl.Int64, "price": pl.Float64, size: pl.Float64, time: pl.Int64, "is_buyer_maker": pl.String,
        }  # fmt: skip
        for frame in _frames(path, key, columns, header, log, kept, TRADES):
            maker = pl.col("is_buyer_maker").str.to_lowercase()
            stamp = stamp_ns(time)
            yield Chunk(
                key,
                TRADES,
                frame.select(
                    stamp.alias("ts_ns"),
                    pl.lit(key.symbol).alias("symbol"),
                    stamp.alias("exch_ts_ns"),
                    pl.col(identity).alias("trade_id"),
                    pl.col("price").alias("px"),
                    pl.col(size).alias("sz"),
                    pl.when(maker == "true").then(-1).when(maker == "false").then(1).alias("side"),
                    ROW,
                ),
            )

    return read


def _book_ticker(path: Path, key: SeriesKey, columns: Sequence[str], header: bool, log: SourceLog) -> Iterator[Chunk]:
    log.note(_NO_RECEIVE_TIME + ", those of the events")
    kept: dict[str, type[pl.DataType]] = {
        name: pl.Int64 if name in ("update_id", "transaction_time", "event_time") else pl.Float64
        for name in _COLUMNS["bookTicker"][7]
    }
    for frame in _frames(path, key, columns, header, log, kept, BOOK):
        yield Chunk(
            key,
            BOOK,
            frame.select(
                stamp_ns("event_time").alias("ts_ns"),
                pl.lit(key.symbol).alias("symbol"),
                stamp_ns("transaction_time").alias("exch_ts_ns"),
                "update_id",
                pl.col("best_bid_price").alias("bid_px_1"),
                pl.col("best_bid_qty").alias("bid_sz_1"),
                pl.col("best_ask_price").alias("ask_px_1"),
                pl.col("best_ask_qty").alias("ask_sz_1"),
                ROW,
            ),
        )


def _book_depth(path: Path, key: SeriesKey, columns: Sequence[str], header: bool, log: SourceLog) -> Iterator[Chunk]:
    """Orders summed by distance from the mid: no book, a table of its own."""
    log.note(_NO_RECEIVE_TIME)
    kept: dict[str, type[pl.DataType]] = {
        "timestamp": pl.String, "percentage": pl.Float64, "depth": pl.Float64, "notional": pl.Float64,
    }  # fmt: skip
    for frame in _frames(path, key, columns, header, log, kept, DEPTH_BANDS):
        when = pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ns", strict=False).cast(pl.Int64)
        yield Chunk(
            key,
            DEPTH_BANDS,
            frame.select(when.alias("ts_ns"), pl.lit(key.symbol).alias("symbol"), "percentage", "depth", "notional", ROW),
        )


_READERS: dict[str, _Reader] = {
    "trades": _trades_reader("id", "qty", "time"),
    "aggTrades": _trades_reader("agg_trade_id", "quantity", "transact_time"),
    "bookTicker": _book_ticker,
    "bookDepth": _book_depth,
}

BINANCE_ARCHIVE = Format(
    "binance-archive",
    "files of data.binance.vision, SYMBOL-KIND-DATE.zip or .csv: trades, aggTrades, bookTicker, bookDepth; Spot and futures",
    "; ".join(f"{kind}: {', '.join(next(reversed(by_count.values())))}" for kind, by_count in _COLUMNS.items()),
    find,
)
