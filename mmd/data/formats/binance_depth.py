"""Binance's historical depth files: SYMBOL_T_DEPTH_DATE_depth_snap.csv and …_depth_update.csv, one price level a row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

import polars as pl

from mmd.data.formats.instruments import FINEST_PER_UNIT, instrument_for
from mmd.data.lines import CsvShape, csv_frames, first_line, has_header, stamp_ns
from mmd.data.order_books import BookRows
from mmd.data.schema import BOOK, ROW
from mmd.data.source import Chunk, Format, Options, SeriesKey, Source, SourceLog
from mmd.recording.instruments import USD_M
from mmd.types.instrument import Instrument
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, Level

_NAME = re.compile(r"^(?P<stem>(?P<symbol>[A-Z0-9]+)_T_DEPTH_\d{4}-\d{2}-\d{2})_depth_(?P<kind>snap|update)\.csv(\.gz)?$")
_COLUMNS = ("symbol", "timestamp", "trans_id", "first_update_id", "last_update_id", "side", "update_type", "price", "qty")
_TYPES: dict[str, type[pl.DataType]] = {
    "timestamp": pl.Int64, "first_update_id": pl.Int64, "last_update_id": pl.Int64, "side": pl.String, "price": pl.Float64,
    "qty": pl.Float64,
}  # fmt: skip

_Line = tuple[int, int, int, int, str, int, int, int]
"""Row, ns, first and last update id, side, ticks, lots, previous id."""


def find(paths: Sequence[Path], options: Options) -> list[Source]:
    """A snapshot and the updates of the same day are one source."""
    days: dict[tuple[Path, str], dict[str, Path]] = {}
    for path in paths:
        match = _NAME.match(path.name)
        if match is not None:
            days.setdefault((path.parent, match["stem"]), {})[match["kind"]] = path
    sources = []
    for (_, stem), files in sorted(days.items(), key=lambda day: day[0][1]):
        key = SeriesKey(options.market or USD_M, stem.partition("_")[0])
        ordered = tuple(files[kind] for kind in ("snap", "update") if kind in files)
        instrument = instrument_for(ordered[0], key, options)
        read = partial(_read, files, key, instrument)
        sources.append(Source(BINANCE_DEPTH.name, ordered, key, instrument, read))
    return sources


def _read(files: dict[str, Path], key: SeriesKey, instrument: Instrument | None, log: SourceLog) -> Iterator[Chunk]:
    log.note("no receive times: the exchange's times stand for them")
    ticks = instrument.ticks_per_unit if instrument else FINEST_PER_UNIT
    lots = instrument.lots_per_unit if instrument else FINEST_PER_UNIT
    rows = BookRows(key, ticks, lots, log)
    if "snap" not in files:
        log.note("no snapshot file beside the updates: nothing tells the levels that did not change")
    for kind in ("snap", "update"):
        if kind not in files:
            continue
        lines = _lines(files[kind], key, ticks, lots, log)
        for _, group in groupby(lines, key=lambda line: (line[1], line[3])):
            message = list(group)
            _row, ns, first_id, last_id = message[0][:4]
            sides = [tuple((line[5], line[6]) for line in message if line[4] == side) for side in ("b", "a")]
            rows.on_event(_event(kind, key.symbol, ns, first_id, last_id, message[0][7], sides), message[-1][0], len(message))
            if rows.full:
                yield from rows.take()
    yield from rows.take()


def _event(
    kind: str, symbol: str, ns: int, first_id: int, last_id: int, previous_id: int, sides: list[tuple[Level, ...]]
) -> DepthSnapshot | DepthUpdate:
    if kind == "snap":
        bids, asks = tuple(sorted(sides[0], reverse=True)), tuple(sorted(sides[1]))
        return DepthSnapshot(symbol, ns, last_id, bids, asks)
    return DepthUpdate(symbol, ns, ns, first_id, last_id, previous_id, sides[0], sides[1])


def _lines(path: Path, key: SeriesKey, ticks: float, lots: float, log: SourceLog) -> Iterator[_Line]:
    line = first_line(path)
    header = has_header(line) and line.split(",")[0].strip() == "symbol"
    columns = tuple(name.strip() for name in line.split(",")) if header else (*_COLUMNS, "pu")[: line.count(",") + 1]
    types: dict[str, type[pl.DataType]] = {**_TYPES, "pu": pl.Int64} if "pu" in columns else _TYPES
    for frame in csv_frames(path, CsvShape(columns, types, tuple(_TYPES)), log, key, BOOK, header=header):
        odd = frame.filter(~pl.col("side").is_in(["a", "b"]) | (pl.col("price") <= 0) | (pl.col("qty") < 0))
        if odd.height:
            log.set_aside(((row[0], path.name, "side or price", str(row[1:])) for row in odd.iter_rows()), key, BOOK)
            frame = frame.filter(pl.col("side").is_in(["a", "b"]) & (pl.col("price") > 0) & (pl.col("qty") >= 0))
        previous = pl.col("pu").fill_null(NO_UPDATE_ID) if "pu" in columns else pl.lit(NO_UPDATE_ID)
        yield from frame.select(
            ROW,
            stamp_ns("timestamp"),
            "first_update_id",
            "last_update_id",
            "side",
            (pl.col("price") * ticks).round().cast(pl.Int64),
            (pl.col("qty") * lots).round().cast(pl.Int64).alias("lots"),
            previous.cast(pl.Int64).alias("pu"),
        ).iter_rows()


BINANCE_DEPTH = Format(
    "binance-depth",
    "Binance's historical order books, SYMBOL_T_DEPTH_DATE_depth_snap.csv with …_depth_update.csv beside it",
    ", ".join(_COLUMNS) + "[, pu]",
    find,
)
