"""Parquet files to sessions: their rows through the step builder and features that run live, one pass, the past only."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import itemgetter

from mmd.learning.parquet import BookRow, Grid, ParquetFile, TradeRow, book_rows, trade_rows
from mmd.learning.sessions import MIN_SESSION_ROWS, Session, SessionRows
from mmd.learning.sources import SECOND_NS
from mmd.market.feature_settings import FeatureSettings
from mmd.types.market import MarketTrade, Side

MAX_SILENCE_SECONDS = 900.0
"""Longer without a row of the book, and it is another session. Stocks and currencies may be quiet for minutes, and nothing says
that a feed was lost; nights, weekends and the hour at which currencies rest are longer."""


class FileBook:
    """The newest row of a book file, as a feature stream looks at it."""

    __slots__ = ("_depth", "ask_lots", "ask_ticks", "bid_lots", "bid_ticks", "valid")

    def __init__(self) -> None:
        self.bid_ticks = self.bid_lots = self.ask_ticks = self.ask_lots = 0
        self.valid = False
        self._depth = (0, 0)

    def best_lots(self, count: int) -> tuple[int, int]:
        """Lots of the best five levels, or of as many as the file has."""
        return self._depth

    def take(self, row: BookRow) -> None:
        """A newer row."""
        _, self.bid_ticks, self.bid_lots, self.ask_ticks, self.ask_lots, bid_lots_5, ask_lots_5, _ = row
        self._depth = (bid_lots_5, ask_lots_5)
        self.valid = True


class AggressorRule:
    """The side of a trade whose side is not known: the quote rule, at the mid the side of the trade before."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = Side.BUY

    def side(self, stated: int, price_ticks: int, book: FileBook) -> Side:
        """`stated` is +1, -1 or 0."""
        offset = stated or 2 * price_ticks - book.bid_ticks - book.ask_ticks
        if offset:
            self._last = Side.BUY if offset > 0 else Side.SELL
        return self._last


def parquet_sessions(
    file: ParquetFile,
    series: str,
    horizon_seconds: float,
    settings: FeatureSettings | None = None,
    *,
    grid: Grid | None = None,
    min_rows: int = MIN_SESSION_ROWS,
) -> Iterator[tuple[Grid, Session]]:
    """The sessions of a file in order, and its units. Of one moment, trades come before the book: the book shows what they left."""
    used, book = book_rows(file, grid)
    rows = SessionRows(series, horizon_seconds, settings, min_rows)
    for session in _sessions(rows, file.symbol, book, trade_rows(file, used)):
        yield used, session


def _sessions(rows: SessionRows, symbol: str, books: Iterable[BookRow], trades: Iterable[TradeRow]) -> Iterator[Session]:
    book, rule, last_ns, told = FileBook(), AggressorRule(), 0, 0
    silence_ns = round(MAX_SILENCE_SECONDS * SECOND_NS)
    rows_of_both: Iterator[BookRow | TradeRow] = heapq.merge(trades, books, key=itemgetter(0))
    for row in rows_of_both:
        receive_ns = row[0]
        begins = not isinstance(row, TradeRow) and row[7] != told
        if begins or receive_ns - last_ns > silence_ns:
            session = rows.end()
            book.valid = False
            if session is not None:
                yield session
        if isinstance(row, TradeRow):
            if book.valid:
                side = rule.side(row.sign, row.price_ticks, book)
                rows.on_trade(MarketTrade(symbol, receive_ns, receive_ns, 0, row.price_ticks, row.lots, side), book)
            continue
        last_ns, told = receive_ns, row[7]
        book.take(row)
        rows.on_touch(book, receive_ns)
    last = rows.end()
    if last is not None:
        yield last
