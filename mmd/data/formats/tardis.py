"""Tardis' downloadable CSV files, told by their header: trades, quotes, book_snapshot_5 and _25, incremental_book_L2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

import polars as pl

from mmd.data.formats.instruments import FINEST_PER_UNIT, instrument_for
from mmd.data.lines import CsvShape, csv_frames, first_line, line_batches, stamp_ns
from mmd.data.order_books import BookRows
from mmd.data.schema import BOOK, LEVELS, ROW, TRADES
from mmd.data.source import Chunk, Format, ImportFailed, Options, SeriesKey, Source, SourceLog
from mmd.types.instrument import Instrument
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate

_COMMON = ("exchange", "symbol", "timestamp", "local_timestamp")
_MARKETS = {"binance": "spot", "binance-futures": "usdm", "binance-delivery": "coinm"}
_TIMES: dict[str, type[pl.DataType]] = {"timestamp": pl.Int64, "local_timestamp": pl.Int64}
_KINDS = {
    "trades": (*_COMMON, "id", "side", "price", "amount"),
    "quotes": (*_COMMON, "ask_amount", "ask_price", "bid_price", "bid_amount"),
    "incremental_book_L2": (*_COMMON, "is_snapshot", "side", "price", "amount"),
}
_SNAPSHOT_START = (*_COMMON, "asks[0].price", "asks[0].amount", "bids[0].price", "bids[0].amount")

_Reader = Callable[[Path, SeriesKey, Sequence[str], Instrument | None, SourceLog], Iterator[Chunk]]


def find(paths: Sequence[Path], options: Options) -> list[Source]:
    """One source a file, in the order of their names, which is that of their days."""
    sources = []
    for path in sorted(paths, key=lambda path: path.name):
        if not path.name.endswith((".csv", ".csv.gz")):
            continue
        columns = tuple(first_line(path).split(","))
        reader = _reader(columns)
        if reader is None:
            continue
        exchange, symbol = _first_row(path)
        key = SeriesKey(options.market or _MARKETS.get(exchange, exchange), symbol)
        instrument = instrument_for(path, key, options)
        sources.append(Source(TARDIS.name, (path,), key, instrument, partial(reader, path, key, columns, instrument)))
    return sources


def _reader(columns: tuple[str, ...]) -> _Reader | None:
    if columns == _KINDS["trades"]:
        return _trades
    if columns == _KINDS["quotes"] or set(columns) == set(_KINDS["quotes"]):
        return _quotes
    if columns == _KINDS["incremental_book_L2"]:
        return _incremental
    return _snapshots if columns[: len(_SNAPSHOT_START)] == _SNAPSHOT_START else None


def _first_row(path: Path) -> tuple[str, str]:
    for batch in line_batches(path, 65_536):
        if len(batch.lines) > 1:
            fields = batch.lines[1].split(",")
            if len(fields) > 1 and fields[0] and fields[1]:
                return fields[0], fields[1]
    raise ImportFailed(f"{path}: has no rows behind its header")


def _frames(
    path: Path, key: SeriesKey, columns: Sequence[str], kept: dict[str, type[pl.DataType]], optional: Sequence[str], log: SourceLog,
    table: str,
) -> Iterator[pl.DataFrame]:  # fmt: skip
    """Rows of the file's first symbol: a file of several (such as a group of perpetuals) is to be split."""
    required = [name for name in kept if name not in optional]
    shape = CsvShape(columns, {**kept, "symbol": pl.String}, required)
    for frame in csv_frames(path, shape, log, key, table, header=True):
        others = frame.filter(pl.col("symbol") != key.symbol)
        if others.height:
            log.set_aside(
                ((row, table, "another symbol", name) for row, name in others.select(ROW, "symbol").iter_rows()), key, table
            )
            frame = frame.filter(pl.col("symbol") == key.symbol)
        yield frame.with_columns(stamp_ns("local_timestamp").alias("ts_ns"), stamp_ns("timestamp").alias("exch_ts_ns"))


def _trades(path: Path, key: SeriesKey, columns: Sequence[str], _: Instrument | None, log: SourceLog) -> Iterator[Chunk]:
    kept: dict[str, type[pl.DataType]] = {
        **_TIMES, "id": pl.String, "side": pl.String, "price": pl.Float64, "amount": pl.Float64,
    }  # fmt: skip
    for frame in _frames(path, key, columns, kept, ("id",), log, TRADES):
        side = pl.col("side")
        yield Chunk(
            key,
            TRADES,
            frame.with_columns(
                pl.col("id").cast(pl.Int64, strict=False).alias("trade_id"),
                pl.col("price").alias("px"),
                pl.col("amount").alias("sz"),
                pl.when(side == "buy").then(1).when(side == "sell").then(-1).when(side == "unknown").then(0).alias("side"),
            ),
        )


def _quotes(path: Path, key: SeriesKey, columns: Sequence[str], _: Instrument | None, log: SourceLog) -> Iterator[Chunk]:
    names = ("ask_amount", "ask_price", "bid_price", "bid_amount")
    kept: dict[str, type[pl.DataType]] = {**_TIMES, **dict.fromkeys(names, pl.Float64)}
    for frame in _frames(path, key, columns, kept, names, log, BOOK):
        renamed = {"bid_price": "bid_px_1", "bid_amount": "bid_sz_1", "ask_price": "ask_px_1", "ask_amount": "ask_sz_1"}
        yield Chunk(key, BOOK, frame.rename(renamed))


def _snapshots(path: Path, key: SeriesKey, columns: Sequence[str], _: Instrument | None, log: SourceLog) -> Iterator[Chunk]:
    there = sum(1 for name in columns if name.startswith("asks[") and name.endswith("].price"))
    if there > LEVELS:
        log.note(f"{there} levels in the file, {LEVELS} kept")
    renamed = {
        f"{side}s[{level}].{what}": f"{side}_{short}_{level + 1}"
        for level in range(min(there, LEVELS))
        for side in ("bid", "ask")
        for what, short in (("price", "px"), ("amount", "sz"))
    }
    kept: dict[str, type[pl.DataType]] = {**_TIMES, **dict.fromkeys(renamed, pl.Float64)}
    for frame in _frames(path, key, columns, kept, tuple(renamed), log, BOOK):
        yield Chunk(key, BOOK, frame.rename(renamed))


def _incremental(
    path: Path, key: SeriesKey, columns: Sequence[str], instrument: Instrument | None, log: SourceLog
) -> Iterator[Chunk]:
    """Rows of one message have one `local_timestamp`; a message of snapshot rows begins a book anew."""
    ticks = instrument.ticks_per_unit if instrument else FINEST_PER_UNIT
    lots = instrument.lots_per_unit if instrument else FINEST_PER_UNIT
    rows, in_snapshot = BookRows(key, ticks, lots, log), False
    messages = groupby(_level_rows(path, key, columns, ticks, lots, log), key=lambda row: (row[1], row[2]))
    for update_id, ((is_snapshot, ns), group) in enumerate(messages, 1):
        message = list(group)
        bids, asks = (tuple((row[5], row[6]) for row in message if row[4] == side) for side in ("bid", "ask"))
        if is_snapshot and not in_snapshot:
            rows.invalidate("a snapshot begins the book anew")
            event: DepthSnapshot | DepthUpdate = DepthSnapshot(
                key.symbol, ns, update_id, tuple(sorted(bids, reverse=True)), tuple(sorted(asks))
            )
        else:
            event = DepthUpdate(key.symbol, ns, message[0][3], update_id, update_id, NO_UPDATE_ID, bids, asks)
        in_snapshot = is_snapshot
        rows.on_event(event, message[-1][0], len(message))
        if rows.full:
            yield from _without_ids(rows)
    yield from _without_ids(rows)


def _without_ids(rows: BookRows) -> Iterator[Chunk]:
    """Update ids are ours here, not the exchange's."""
    for chunk in rows.take():
        yield chunk._replace(frame=chunk.frame.drop("update_id"))


def _level_rows(
    path: Path, key: SeriesKey, columns: Sequence[str], ticks: float, lots: float, log: SourceLog
) -> Iterator[tuple[int, bool, int, int, str, int, int]]:
    kept: dict[str, type[pl.DataType]] = {
        **_TIMES, "is_snapshot": pl.String, "side": pl.String, "price": pl.Float64, "amount": pl.Float64,
    }  # fmt: skip
    for frame in _frames(path, key, columns, kept, (), log, BOOK):
        sound = (
            pl.col("side").is_in(["bid", "ask"])
            & pl.col("is_snapshot").is_in(["true", "false"])
            & (pl.col("price") > 0)
            & (pl.col("amount") >= 0)
        )
        odd = frame.filter(~sound)
        if odd.height:
            log.set_aside(((row[0], BOOK, "side, flag or price", str(row[1:])) for row in odd.iter_rows()), key, BOOK)
        yield from (
            frame.filter(sound)
            .select(
                ROW,
                pl.col("is_snapshot") == "true",
                "ts_ns",
                "exch_ts_ns",
                "side",
                (pl.col("price") * ticks).round().cast(pl.Int64),
                (pl.col("amount") * lots).round().cast(pl.Int64),
            )
            .iter_rows()
        )


TARDIS = Format(
    "tardis",
    "CSV files of Tardis, plain or gzipped: trades, quotes, book_snapshot_5 and _25, incremental_book_L2; told by their header",
    "; ".join(f"{kind}: {', '.join(columns)}" for kind, columns in _KINDS.items())
    + f"; snapshots: {', '.join(_SNAPSHOT_START)}, …",
    find,
)
