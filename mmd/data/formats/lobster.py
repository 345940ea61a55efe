"""LOBSTER's message and orderbook files: the N-th row of the one shows the book after the N-th message of the other."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from mmd.data.formats.instruments import instrument_for
from mmd.data.lines import CsvShape, line_batches, parse_lines
from mmd.data.schema import BOOK, BREAK, LEVELS, ROW, TRADES
from mmd.data.source import Chunk, Format, ImportFailed, Options, SeriesKey, Source, SourceLog

_NAME = re.compile(
    r"^(?P<stem>(?P<symbol>[A-Za-z0-9.]+)_(?P<date>\d{4}-\d{2}-\d{2})_\d+_\d+)_(?P<kind>message|orderbook)_(?P<levels>\d+)\.csv(\.gz)?$"
)
MARKET = "nasdaq"
EXCHANGE_ZONE = "America/New_York"
_PRICE_UNITS = 10_000
_NO_LEVEL = 9_999_999_999
_MESSAGE = ("time", "type", "order_id", "size", "price", "direction")
_MESSAGE_TYPES: dict[str, type[pl.DataType]] = {
    "time": pl.Float64, "type": pl.Int64, "order_id": pl.Int64, "size": pl.Int64, "price": pl.Int64, "direction": pl.Int64,
}  # fmt: skip
_VISIBLE, _HIDDEN, _CROSS, _HALT = 4, 5, 6, 7


def find(paths: Sequence[Path], options: Options) -> list[Source]:
    """A message file and its orderbook file are one source. Raises `ImportFailed` where one of them is missing."""
    pairs: dict[tuple[Path, str, str], dict[str, Path]] = {}
    for path in paths:
        match = _NAME.match(path.name)
        if match is not None:
            pairs.setdefault((path.parent, match["stem"], match["levels"]), {})[match["kind"]] = path
    sources = []
    for (folder, stem, levels), files in sorted(pairs.items(), key=lambda pair: pair[0][1]):
        if len(files) < 2:
            there = next(iter(files.values()))
            other = "orderbook" if "message" in files else "message"
            raise ImportFailed(
                f"{there}: {stem}_{other}_{levels}.csv must be beside it, and be named too (or name the folder {folder})"
            )
        match = _NAME.match(files["message"].name)
        assert match is not None
        key = SeriesKey(options.market or MARKET, match["symbol"])
        read = partial(_read, files["message"], files["orderbook"], key, match["date"], int(levels))
        ordered = (files["message"], files["orderbook"])
        sources.append(Source(LOBSTER.name, ordered, key, instrument_for(ordered[0], key, options), read))
    return sources


def midnight_ns(date: str) -> int:
    """Of the exchange's day, UTC ns."""
    day = datetime.date.fromisoformat(date)
    at = pl.Series([datetime.datetime(day.year, day.month, day.day)]).dt.replace_time_zone(EXCHANGE_ZONE)
    return int(at.dt.epoch("ns")[0])


def _read(messages: Path, books: Path, key: SeriesKey, date: str, levels: int, log: SourceLog) -> Iterator[Chunk]:
    log.note("no receive times: the exchange's times stand for them")
    if levels > LEVELS:
        log.note(f"{levels} levels in the file, {LEVELS} kept")
    columns = [f"{side}_{what}_{level}" for level in range(1, levels + 1) for side in ("ask", "bid") for what in ("px", "sz")]
    book_shape = CsvShape(columns, dict.fromkeys(columns, pl.Int64), ())
    message_shape = CsvShape(_MESSAGE, _MESSAGE_TYPES, _MESSAGE)
    begin_ns, before, halted = midnight_ns(date), None, False
    for first, ours, theirs in _together(messages, books, log):
        message = parse_lines(ours, first, message_shape, log, key, TRADES)
        book = parse_lines(theirs, first, book_shape, log, key, BOOK)
        both = message.join(book, on=ROW, how="inner", maintain_order="left")
        lone = message.height + book.height - 2 * both.height
        log.leave_unused("a row whose counterpart was set aside", lone)
        both = both.with_columns((begin_ns + (pl.col("time") * 1e9).round().cast(pl.Int64)).alias("ts_ns"))
        yield Chunk(key, TRADES, _trades(both, key))
        shown, before, halted, unchanged = _books(both, key, min(levels, LEVELS), before, halted)
        log.leave_unused("no visible change", unchanged)
        is_trade = both["type"].is_in([_VISIBLE, _HIDDEN, _CROSS])
        log.leave_unused("a message that is no trade", both.height - int(is_trade.sum()))
        yield Chunk(key, BOOK, shown)


def _together(messages: Path, books: Path, log: SourceLog) -> Iterator[tuple[int, list[str], list[str]]]:
    """Lines of both files by the same numbers. Raises `ImportFailed` where one has more."""
    ours, theirs, first, position = line_batches(messages), line_batches(books), 1, 0
    left: list[str] = []
    right: list[str] = []
    while True:
        if not left:
            left = next((batch.lines for batch in ours), [])
        if not right:
            batch = next(theirs, None)
            right = batch.lines if batch is not None else []
            if batch is not None:
                log.advance(batch.position - position)
                position = batch.position
        count = min(len(left), len(right))
        if not count:
            break
        log.read += 2 * count
        yield first, left[:count], right[:count]
        left, right, first = left[count:], right[count:], first + count
    if left or right:
        longer = messages if left else books
        raise ImportFailed(
            f"{longer}: goes on after line {first - 1}, where the other file of the pair ends: they do not belong together"
        )


def _trades(both: pl.DataFrame, key: SeriesKey) -> pl.DataFrame:
    """Executions. The direction is that of the resting order, so the aggressor's is the other one; of a cross it is nobody's."""
    side = pl.when(pl.col("type") == _CROSS).then(0).otherwise(-pl.col("direction"))
    return both.filter(pl.col("type").is_in([_VISIBLE, _HIDDEN, _CROSS])).select(
        "ts_ns",
        pl.lit(key.symbol).alias("symbol"),
        pl.col("ts_ns").alias("exch_ts_ns"),
        (pl.col("price") / _PRICE_UNITS).round(4).alias("px"),
        pl.col("size").cast(pl.Float64).alias("sz"),
        side.alias("side"),
        ROW,
    )


def _books(
    both: pl.DataFrame, key: SeriesKey, levels: int, before: pl.DataFrame | None, halted: bool
) -> tuple[pl.DataFrame, pl.DataFrame | None, bool, int]:
    """Rows in which something visible changed; the newest of all; whether a halt awaits the next row; how many were left out."""
    names = [f"{side}_{what}_{level}" for level in range(1, levels + 1) for side in ("bid", "ask") for what in ("px", "sz")]
    columns = []
    for level in range(1, levels + 1):
        for side in ("bid", "ask"):
            price, size = f"{side}_px_{level}", f"{side}_sz_{level}"
            there = pl.col(price).abs() != _NO_LEVEL
            columns.append(pl.when(there).then((pl.col(price) / _PRICE_UNITS).round(4)).alias(price))
            columns.append(pl.when(there).then(pl.col(size).cast(pl.Float64)).alias(size))
    halts = (pl.col("type") == _HALT).cast(pl.Int32).cum_sum() + int(halted)
    frame = both.select(
        "ts_ns", pl.lit(key.symbol).alias("symbol"), pl.col("ts_ns").alias("exch_ts_ns"), *columns, ROW, halts.alias("_halts")
    )
    whole = frame if before is None else pl.concat([before.with_columns(pl.lit(0, pl.Int32).alias("_halts")), frame])
    changed = pl.any_horizontal([pl.col(name).ne_missing(pl.col(name).shift(1)) for name in names])
    marked = whole.with_columns(changed.alias("_changed"))
    if before is None:
        marked = marked.with_columns(
            pl.when(pl.int_range(pl.len()) == 0).then(True).otherwise(pl.col("_changed")).alias("_changed")
        )
    else:
        marked = marked.slice(1)
    kept = marked.filter("_changed")
    kept = kept.with_columns((pl.col("_halts") > pl.col("_halts").shift(1, fill_value=0)).alias(BREAK)).drop("_changed")
    last_halts = int(frame["_halts"][-1]) if frame.height else int(halted)
    waiting = last_halts > (int(kept["_halts"][-1]) if kept.height else 0)
    newest = frame.tail(1).drop("_halts") if frame.height else before
    return kept.drop("_halts"), newest, waiting, frame.height - kept.height


LOBSTER = Format(
    "lobster",
    "LOBSTER's TICKER_DATE_START_END_message_N.csv with …_orderbook_N.csv beside it (times are New York's)",
    f"message: {', '.join(_MESSAGE)}; orderbook: ask price, ask size, bid price, bid size for each level, prices times 10000",
    find,
)
