"""Update streams to book rows, by the order book that runs live: a row for each change of what is visible."""

from __future__ import annotations

import polars as pl

from mmd.data.schema import BOOK, BREAK, LEVELS, ROW, TRADES, level_columns
from mmd.data.source import BATCH_ROWS, Chunk, SeriesKey, SourceLog
from mmd.market.book import OrderBook
from mmd.recording.events import MarketEvent
from mmd.types.market import DepthUpdate, Level, MarketTrade, Side, TouchUpdate

UNCHANGED = "no visible change"
NO_BOOK = "no valid book yet"


class BookRows:
    """Takes the market events of one symbol, gives chunks of book and trades. `ticks` and `lots` are units per tick and per lot."""

    def __init__(self, key: SeriesKey, ticks_per_unit: float, lots_per_unit: float, log: SourceLog) -> None:
        self._key = key
        self._ticks_per_unit = ticks_per_unit
        self._lots_per_unit = lots_per_unit
        self._log = log
        self._book = OrderBook(key.symbol)
        self._shown: tuple[list[Level], list[Level]] | None = None
        self._rows: list[tuple[object, ...]] = []
        self._trades: list[tuple[object, ...]] = []
        self._broken = False
        self._was_valid = False
        self.kept = 0

    def on_event(self, event: MarketEvent, row: int, events_of_line: int = 1) -> None:
        """One event; `row` is the source's line. `events_of_line` lines became this event."""
        if isinstance(event, MarketTrade):
            price, size = event.price_ticks / self._ticks_per_unit, event.lots / self._lots_per_unit
            self._trades.append(
                (event.receive_ns, event.exchange_ns or None, event.trade_id, price, size, event.aggressor.sign, row)
            )
            return
        book = self._book
        if isinstance(event, TouchUpdate):
            book.on_touch_update(event)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        else:
            book.on_depth_snapshot(event)
        if not book.valid:
            self._broken = self._broken or self._was_valid
            self._was_valid = False
            self._shown = None
            self._log.leave_unused(NO_BOOK, events_of_line)
            return
        self._was_valid = True
        shown = (book.levels(Side.BUY, LEVELS), book.levels(Side.SELL, LEVELS))
        if shown == self._shown:
            self._log.leave_unused(UNCHANGED, events_of_line)
            return
        self._log.leave_unused("further lines of one message", events_of_line - 1)
        self._shown = shown
        update_id = max(book.update_id, book.touch_update_id)
        exchange_ns = getattr(event, "exchange_ns", 0) or None
        self._rows.append((event.receive_ns, exchange_ns, update_id, *self._levels(shown), row, self._broken))
        self._broken = False

    def invalidate(self, reason: str) -> None:
        """What was known is not true any more: the next row begins a session."""
        self._book.invalidate(reason)
        self._broken = self._broken or self._was_valid
        self._was_valid = False
        self._shown = None

    @property
    def full(self) -> bool:
        """Whether it is time to take."""
        return len(self._rows) + len(self._trades) >= BATCH_ROWS

    def take(self) -> list[Chunk]:
        """The rows so far."""
        chunks = []
        if self._rows:
            names = ["ts_ns", "exch_ts_ns", "update_id", *level_columns(), ROW, BREAK]
            kinds = {"exch_ts_ns": pl.Int64, **dict.fromkeys(level_columns(), pl.Float64)}
            frame = pl.DataFrame(self._rows, schema=names, schema_overrides=kinds, orient="row")
            chunks.append(Chunk(self._key, BOOK, frame))
        if self._trades:
            names = ["ts_ns", "exch_ts_ns", "trade_id", "px", "sz", "side", ROW]
            frame = pl.DataFrame(self._trades, schema=names, schema_overrides={"exch_ts_ns": pl.Int64}, orient="row")
            chunks.append(Chunk(self._key, TRADES, frame))
        self._rows, self._trades = [], []
        return chunks

    def _levels(self, shown: tuple[list[Level], list[Level]]) -> list[float | None]:
        numbers: list[float | None] = []
        ticks, lots = self._ticks_per_unit, self._lots_per_unit
        for place in range(LEVELS):
            for levels in shown:
                if place < len(levels):
                    numbers += (levels[place][0] / ticks, levels[place][1] / lots)
                else:
                    numbers += (None, None)
        return numbers
