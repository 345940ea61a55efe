"""Rows of books and trades as the events that a feed would have delivered: a snapshot where a session begins, then differences.

A row that is crossed or locked is passed over, and the one before it stands; rows out of order are sorted, repeated rows and trades
left out. Each is counted. Of one moment, trades come before the book: it shows what they left.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any

import polars as pl

from mmd.backtest.errors import BacktestError
from mmd.data.formats.parquet_layout import series_of
from mmd.learning.parquet import BOOK_SUFFIX, Grid, LevelRow, ParquetFile, TradeRow, level_rows, trade_rows
from mmd.learning.parquet_sessions import MAX_SILENCE_SECONDS, AggressorRule, FileBook
from mmd.recording.instruments import KNOWN_INSTRUMENTS
from mmd.types.instrument import Instrument
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, FeedState, FeedStatus, Level, MarketTrade

SECOND_NS = 1_000_000_000
UNSIZED_LOT = 0.01
"""Where nothing tells of sizes orders are in hundredths of a unit, so that a small quote in a dear metal is not rounded to none."""
_SILENCE_NS = round(MAX_SILENCE_SECONDS * SECOND_NS)


@dataclass(frozen=True)
class ParquetParts:
    """What a source is made of."""

    instrument: Instrument
    market: str
    events: Callable[[dict[str, int], int], Iterator[Any]]
    stamped: bool
    has_sizes: bool
    levels: int
    quiet_seconds: float


def parquet_source_parts(files: Sequence[ParquetFile]) -> ParquetParts:
    """Files of one symbol that follow each other. Raises `SourceError` or `BacktestError` for one without the columns or rows."""
    file = files[0]
    key = series_of(file.book.name.removesuffix(BOOK_SUFFIX), "", file.book.parent.name)
    stem = file.book.name.removesuffix(BOOK_SUFFIX)
    symbol = key.symbol if file.symbol == stem else file.symbol
    known = KNOWN_INSTRUMENTS.get((key.market, symbol))
    grid, levels, rows = level_rows(file, None if known is None else Grid(float(known.tick_size), float(known.lot_size)))
    if next(iter(rows), None) is None:
        raise BacktestError(f"{file.book}: holds no row of {file.symbol} with a time")
    columns = pl.read_parquet_schema(file.book)
    stamped = "exch_ts_ns" in columns and bool(
        pl.scan_parquet(file.book).select((pl.col("exch_ts_ns").fill_null(0) > 0).any()).collect().item()
    )
    has_sizes = "bid_sz_1" in columns
    instrument = known or _instrument(symbol, grid.tick, grid.lot if has_sizes else UNSIZED_LOT)

    def events(repairs: dict[str, int], begin_ns: int) -> Iterator[Any]:
        feed = _RowFeed(symbol, repairs)
        for each in files:
            _count_faults(each, repairs)
            _, _, book = level_rows(each, grid)
            merged: Iterator[LevelRow | TradeRow] = heapq.merge(trade_rows(each, grid), book, key=itemgetter(0))
            for row in merged:
                if row[0] < begin_ns:
                    continue
                yield from feed.trade(row) if isinstance(row, TradeRow) else feed.book(row)

    # A venue of its own stamps speaks all the time; of others nothing says that silence is a fault.
    quiet = 0.0 if stamped else MAX_SILENCE_SECONDS
    return ParquetParts(instrument, key.market, events, stamped, has_sizes, levels, quiet)


def _instrument(symbol: str, tick_size: float, lot_size: float) -> Instrument:
    tick, lot = (format(Decimal(str(step)), "f") for step in (tick_size, lot_size))
    return Instrument.create(
        symbol, symbol, "QUOTE", tick_size=tick, lot_size=lot, max_quantity="1000000000", max_price="100000000"
    )


def _count_faults(file: ParquetFile, repairs: dict[str, int]) -> None:
    for path in file.paths:
        mine = pl.scan_parquet(path).filter(pl.col("symbol").cast(pl.String) == file.symbol)
        time = pl.col("ts_ns")
        counted = mine.select(
            time.is_null().sum().alias("rows without a time, left out"),
            (time.drop_nulls().diff() < 0).sum().alias("rows out of order, sorted"),
        ).collect()
        for name in counted.columns:
            _count(repairs, name, int(counted[name].item() or 0))


def _count(repairs: dict[str, int], what: str, times: int = 1) -> None:
    if times:
        repairs[what] = repairs.get(what, 0) + times


class _RowFeed:
    """Numbers its updates itself, as the rows bear no ids."""

    def __init__(self, symbol: str, repairs: dict[str, int]) -> None:
        self._symbol = symbol
        self._repairs = repairs
        self._rule, self._touch = AggressorRule(), FileBook()
        self._levels: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._update_id = 0
        self._session: int | None = None
        self._last_ns = self._lag_ns = 0
        self._last_row: LevelRow | None = None

    def trade(self, row: TradeRow) -> Iterator[Any]:
        if not self._touch.valid:
            return
        side = self._rule.side(row.sign, row.price_ticks, self._touch)
        yield MarketTrade(self._symbol, row.receive_ns, row.receive_ns - self._lag_ns, 0, row.price_ticks, row.lots, side)

    def book(self, row: LevelRow) -> Iterator[Any]:
        if not row.bids or not row.asks:
            _count(self._repairs, "rows without a side, passed over")
            return
        if row.bids[0][0] >= row.asks[0][0]:
            _count(self._repairs, "crossed rows, passed over" if row.bids[0][0] > row.asks[0][0] else "locked rows, passed over")
            return
        if row == self._last_row:
            _count(self._repairs, "repeated rows, left out")
            return
        self._last_row = row
        if row.exchange_ns:
            self._lag_ns = row.receive_ns - row.exchange_ns
        began = self._session is None
        if began or row.session != self._session or row.receive_ns - self._last_ns > _SILENCE_NS:
            if not began:
                _count(self._repairs, "gaps, each the end of a session")
                yield FeedStatus(self._last_ns, FeedState.DISCONNECTED, (self._symbol,), "the data has a gap here")
                yield FeedStatus(row.receive_ns, FeedState.CONNECTED, (self._symbol,))
            self._update_id += 1
            yield DepthSnapshot(self._symbol, row.receive_ns, self._update_id, row.bids, row.asks)
        else:
            self._update_id += 1
            number = self._update_id
            bids, asks = self._difference(0, row.bids), self._difference(1, row.asks)
            stamp = row.exchange_ns or row.receive_ns - self._lag_ns
            yield DepthUpdate(self._symbol, row.receive_ns, stamp, number, number, NO_UPDATE_ID, bids, asks)
        self._levels = (dict(row.bids), dict(row.asks))
        self._session, self._last_ns = row.session, row.receive_ns
        touch = (row.receive_ns, *row.bids[0], *row.asks[0], row.bids[0][1], row.asks[0][1], row.session)
        self._touch.take(touch)

    def _difference(self, side: int, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        before = self._levels[side]
        now = dict(levels)
        gone = [(price, 0) for price in before if price not in now]
        return (*gone, *[(price, lots) for price, lots in levels if before.get(price) != lots])
