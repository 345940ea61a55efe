"""Events to rows: book and feature stream as they run live, and beside each row what labels need (touch, volatility, trades).

A session is an unbroken run of rows. It ends where the book becomes invalid (gap, resync) or where nothing was received for too
long, and features begin anew then, as they do live; no row ever looks, backwards or forwards, across such an end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from mmd.learning.sources import SECOND_NS, EventSource
from mmd.market.book import OrderBook
from mmd.market.feature_settings import FeatureSettings
from mmd.market.feature_stream import Depth, FeatureStream
from mmd.market.features import MarketFeatures
from mmd.recording.events import MarketEvent
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, TouchUpdate

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

MAX_SILENCE_SECONDS = 5.0
"""Longer without any event, and it is another session."""
MIN_SESSION_ROWS = 200
"""Shorter sessions are left out."""


@dataclass(frozen=True)
class Session:
    """Row arrays of length n and trade arrays of length m. Prices in ticks, quantities in lots, times in UTC ns."""

    series: str
    market: Rows
    """[n, 20] the feature rows as the networks get them live (float32), warm ones only."""
    receive_ns: Integers
    bid_ticks: Integers
    bid_lots: Integers
    ask_ticks: Integers
    ask_lots: Integers
    sigma_ticks: Floats
    """Trailing volatility of the mid over the horizon, known at the row."""
    trade_row: Integers
    """[m] the last row before each trade, -1 before the first: the state of the world in which a quote would have been hit."""
    trade_price_ticks: Integers
    trade_sign: Integers
    """+1: the buyer was the aggressor."""
    trade_lots: Integers

    @property
    def rows(self) -> int:
        """n."""
        return len(self.receive_ns)

    @property
    def mid_ticks(self) -> Floats:
        """(bid + ask) / 2."""
        return np.asarray((self.bid_ticks + self.ask_ticks) / 2.0)

    @property
    def touch_imbalance(self) -> Floats:
        """(bid lots - ask lots) / (bid lots + ask lots)."""
        return np.asarray((self.bid_lots - self.ask_lots) / np.maximum(self.bid_lots + self.ask_lots, 1))

    @property
    def microprice_ticks(self) -> Floats:
        """Microprice less mid: half the spread times the imbalance of the touch."""
        return np.asarray((self.ask_ticks - self.bid_ticks) / 2.0 * self.touch_imbalance)

    @property
    def seconds(self) -> float:
        """From the first row to the last."""
        return float(self.receive_ns[-1] - self.receive_ns[0]) / SECOND_NS if self.rows else 0.0

    def add_to(self, digest: hashlib._Hash) -> None:
        """Into a hash of the data set."""
        for field in fields(self):
            value = getattr(self, field.name)
            digest.update(field.name.encode())
            digest.update(value.encode() if isinstance(value, str) else np.ascontiguousarray(value).tobytes())


class SessionRows:
    """The rows and trades of the session under way, and the feature stream that makes them."""

    def __init__(self, series: str, horizon_seconds: float, settings: FeatureSettings | None, min_rows: int) -> None:
        self.stream = FeatureStream(settings)
        self.short_sessions = 0
        """Sessions left out since they had fewer than `min_rows` rows."""
        self._series = series
        self._horizon_seconds = horizon_seconds
        self._min_rows = min_rows
        self._market: list[npt.NDArray[np.float32]] = []
        self._rows: list[tuple[int, int, int, int, int, float]] = []
        self._trades: list[tuple[int, int, int, int]] = []

    def on_touch(self, book: Depth, receive_ns: int) -> None:
        """After a change of the book."""
        if self.stream.on_book(book, receive_ns):
            self._add_row(book, receive_ns)

    def on_trade(self, trade: MarketTrade, book: Depth) -> None:
        """After a trade. Without a valid book it is nobody's step."""
        if not book.valid:
            return
        row = len(self._rows) - 1
        if self.stream.on_trade(trade, book):
            self._add_row(book, trade.receive_ns)
        if self.stream.features.warm:
            self._trades.append((row, trade.price_ticks, trade.aggressor.sign, trade.lots))

    def _add_row(self, book: Depth, receive_ns: int) -> None:
        features = self.stream.features
        if not features.warm:
            return
        self._market.append(np.array(features.values, dtype=np.float32))
        sigma = features.sigma_ticks(self._horizon_seconds)
        self._rows.append((receive_ns, book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots, sigma))

    def end(self) -> Session | None:
        """Everything begins anew; the session so far, if it was long enough."""
        market, rows, trades = self._market, self._rows, self._trades
        self._market, self._rows, self._trades = [], [], []
        self.stream.reset()
        if not rows:
            return None
        if len(rows) < self._min_rows:
            self.short_sessions += 1
            return None
        whole = np.array([row[:5] for row in rows], dtype=np.int64)
        traded = np.array(trades, dtype=np.int64).reshape(-1, 4)
        return Session(
            series=self._series,
            market=np.stack(market),
            receive_ns=np.ascontiguousarray(whole[:, 0]),
            bid_ticks=np.ascontiguousarray(whole[:, 1]),
            bid_lots=np.ascontiguousarray(whole[:, 2]),
            ask_ticks=np.ascontiguousarray(whole[:, 3]),
            ask_lots=np.ascontiguousarray(whole[:, 4]),
            sigma_ticks=np.array([row[5] for row in rows], dtype=np.float64),
            trade_row=np.ascontiguousarray(traded[:, 0]),
            trade_price_ticks=np.ascontiguousarray(traded[:, 1]),
            trade_sign=np.ascontiguousarray(traded[:, 2]),
            trade_lots=np.ascontiguousarray(traded[:, 3]),
        )


class SessionRecorder:
    """Feed it the events of one symbol in order; take the finished sessions out."""

    def __init__(
        self,
        series: str,
        symbol: str,
        horizon_seconds: float,
        settings: FeatureSettings | None = None,
        *,
        max_silence_seconds: float = MAX_SILENCE_SECONDS,
        min_rows: int = MIN_SESSION_ROWS,
    ) -> None:
        self.book = OrderBook(symbol)
        self._rows = SessionRows(series, horizon_seconds, settings, min_rows)
        self._max_silence_ns = round(max_silence_seconds * SECOND_NS)
        self._last_ns = 0

    @property
    def short_sessions(self) -> int:
        """Sessions left out since they had fewer than `min_rows` rows."""
        return self._rows.short_sessions

    def on_event(self, event: MarketEvent) -> Session | None:
        """The session that this event ended, if it did and was long enough."""
        finished = None
        if self._last_ns and event.receive_ns - self._last_ns > self._max_silence_ns:
            finished = self._rows.end()
        self._last_ns = event.receive_ns
        book = self.book
        if type(event) is MarketTrade:
            self._rows.on_trade(event, book)
            return finished
        if type(event) is TouchUpdate:
            book.on_touch_update(event)
        elif type(event) is DepthUpdate:
            book.on_depth_update(event)
        elif type(event) is DepthSnapshot:
            book.on_depth_snapshot(event)
        if not book.valid:
            # Rows of before and after never meet: the one session or the other is empty.
            return self._rows.end() or finished
        self._rows.on_touch(book, event.receive_ns)
        return finished

    def finish(self) -> Session | None:
        """The events are over."""
        return self._rows.end()


def record_sessions(
    source: EventSource,
    horizon_seconds: float,
    settings: FeatureSettings | None = None,
    *,
    min_rows: int = MIN_SESSION_ROWS,
) -> list[Session]:
    """Every session of a source, in order."""
    recorder = SessionRecorder(source.series, source.instrument.symbol, horizon_seconds, settings, min_rows=min_rows)
    return list(_sessions(recorder, source.events()))


def _sessions(recorder: SessionRecorder, events: Iterable[MarketEvent]) -> Iterator[Session]:
    for event in events:
        session = recorder.on_event(event)
        if session is not None:
            yield session
    last = recorder.finish()
    if last is not None:
        yield last


def feature_schema_hash(settings: FeatureSettings | None = None) -> str:
    """Of the running feature code with these settings."""
    return MarketFeatures(settings).schema_hash()
