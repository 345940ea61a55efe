"""Where market events come from: the simulated market in virtual time, and recordings of Binance frames.

A source is a *series* (one instrument, one market, one period) and the events that a live adapter would have delivered for it,
in order of receive time. What a recording lacks is never invented: without a snapshot, its first diffs stand for one.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmd.exchanges.binance.decode import FrameDecoder, is_depth_snapshot
from mmd.learning.errors import SourceError
from mmd.mock.engine import EngineEvent, MatchingEngine, TradePrint
from mmd.mock.instruments import INSTRUMENTS, listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.types.instrument import Instrument
from mmd.types.market import (
    NO_UPDATE_ID,
    DepthSnapshot,
    DepthUpdate,
    FeedAnnouncement,
    Level,
    MarketTrade,
    Side,
    TouchUpdate,
)

MarketEvent = DepthUpdate | DepthSnapshot | TouchUpdate | MarketTrade

SECOND_NS = 1_000_000_000
SIMULATION_START_NS = 1_700_000_000 * SECOND_NS
DEPTH_INTERVAL_NS = 100_000_000
SNAPSHOT_LEVELS = 1_000
SNAPSHOT_SECONDS = 30.0
"""A recording without a snapshot spends so many seconds on learning its levels from diffs."""
SIMULATED_SYMBOLS = tuple(INSTRUMENTS)

_NANOSECOND_DIGITS = 19
_MICROSECOND_DIGITS = 16

RECORDED_INSTRUMENTS: dict[tuple[str, str], Instrument] = {
    ("spot", "btcusdt"): Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001"),
    ("usdm", "btcusdt"): Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.1", lot_size="0.001"),
    ("usdm", "ethusdt"): Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="0.01", lot_size="0.001"),
}
"""Filters that held when the recordings were made, by market and symbol as the file names spell them."""


@dataclass(frozen=True)
class EventSource:
    """One instrument's events. `events()` starts anew at each call; `describe` is what the manifest says about it."""

    series: str
    instrument: Instrument
    describe: str
    events: Callable[[], Iterator[MarketEvent]]


# ---- the simulated market


def simulated_sources(
    seed: int,
    seconds: float,
    symbols: Sequence[str] = SIMULATED_SYMBOLS,
    parameters: SimulationParameters | None = None,
) -> list[EventSource]:
    """One source a symbol; all symbols of a seed live in one market (they share a common factor), which is run once for each."""
    described = f"simulated market, seed {seed}, {seconds:g} s"

    def source(symbol: str) -> EventSource:
        return EventSource(
            series=f"sim {symbol}",
            instrument=INSTRUMENTS[symbol],
            describe=described,
            events=lambda: simulated_events(seed, seconds, symbol, parameters),
        )

    return [source(symbol) for symbol in symbols]


def simulated_events(
    seed: int, seconds: float, symbol: str, parameters: SimulationParameters | None = None
) -> Iterator[MarketEvent]:
    """What a feed without latency would show of `symbol`: trades, the touch after each operation, diffs each 100 ms, a snapshot."""
    chosen = parameters or SimulationParameters.model_validate({})
    engine = MatchingEngine(listed([each.symbol for each in chosen.symbols]))
    market = SimulatedMarket(engine, chosen, seed=seed, start_ns=SIMULATION_START_NS)
    feed = _SimulatedFeed(engine, symbol)
    for other in engine.instruments:
        engine.take_depth_changes(other)
    yield feed.snapshot(SIMULATION_START_NS)
    end_ns = SIMULATION_START_NS + round(seconds * SECOND_NS)
    while market.now_ns < end_ns:
        until_ns = min(end_ns, market.now_ns + DEPTH_INTERVAL_NS)
        market.advance(until_ns, feed.on_operation)
        yield from feed.take()
        update = feed.diff(until_ns)
        for other in engine.instruments:
            engine.take_depth_changes(other)
        if update is not None:
            yield update


class _SimulatedFeed:
    """Turns the engine's operations into market events, receive time equal to the time of the operation."""

    def __init__(self, engine: MatchingEngine, symbol: str) -> None:
        self._engine = engine
        self._symbol = symbol
        self._touch: tuple[int, ...] = ()
        self._batch: list[MarketEvent] = []

    def on_operation(self, time_ns: int, symbol: str, events: Sequence[EngineEvent]) -> None:
        """A participant did something."""
        if symbol != self._symbol:
            return
        for event in events:
            if isinstance(event, TradePrint):
                side = Side.SELL if event.buyer_is_maker else Side.BUY
                self._batch.append(MarketTrade(symbol, time_ns, time_ns, event.trade_id, event.price_ticks, event.lots, side))
        touch = self._engine.touch(symbol)
        if touch[1:] != self._touch and touch[1] and touch[3]:
            self._touch = touch[1:]
            self._batch.append(TouchUpdate(symbol, time_ns, time_ns, *touch))

    def take(self) -> list[MarketEvent]:
        batch, self._batch = self._batch, []
        return batch

    def diff(self, time_ns: int) -> DepthUpdate | None:
        changes = self._engine.take_depth_changes(self._symbol)
        if changes is None:
            return None
        first, final = changes.first_update_id, changes.final_update_id
        return DepthUpdate(self._symbol, time_ns, time_ns, first, final, NO_UPDATE_ID, changes.bids, changes.asks)

    def snapshot(self, time_ns: int) -> DepthSnapshot:
        update_id, bids, asks = self._engine.depth(self._symbol, SNAPSHOT_LEVELS)
        return DepthSnapshot(self._symbol, time_ns, update_id, tuple(bids), tuple(asks))


# ---- recordings


def recorded_sources(folder: Path) -> list[EventSource]:
    """One source for each market, symbol and month of a folder of `MARKET__SYMBOL_DATE[.dat].gz` files.

    Files of one series are one stream: where the second does not go on from the first, the gap in receive time parts the sessions.
    """
    by_series: dict[tuple[str, str, str], list[Path]] = {}
    for path in sorted(folder.glob("*.gz")):
        market, _, rest = path.name.split(".")[0].partition("__")
        symbol, _, date = rest.rpartition("_")
        if (market, symbol) not in RECORDED_INSTRUMENTS:
            known = ", ".join(f"{market}__{symbol}_DATE.gz" for market, symbol in RECORDED_INSTRUMENTS)
            raise SourceError(f"{path}: no instrument for this name; known are {known} (mmd/learning/sources.py)")
        by_series.setdefault((market, symbol, date[:6]), []).append(path)
    if not by_series:
        raise SourceError(f"{folder}: no recordings (*.gz) in it")

    def source(market: str, symbol: str, month: str, paths: tuple[Path, ...]) -> EventSource:
        instrument = RECORDED_INSTRUMENTS[market, symbol]
        return EventSource(
            series=f"{market} {instrument.symbol} {month}",
            instrument=instrument,
            describe="recording " + ", ".join(path.name for path in paths),
            events=lambda: recorded_events(paths, instrument),
        )

    return [source(*key, tuple(paths)) for key, paths in by_series.items()]


def recorded_events(paths: Sequence[Path], instrument: Instrument) -> Iterator[MarketEvent]:
    """Decode the frames of files that follow each other. A recording without a depth snapshot gets one made of its first diffs.

    Raises `SourceError` for a line without a receive time, `MalformedFrame` for one that is no frame.
    """
    decoder = FrameDecoder([instrument])
    events = [event for path in paths for event in _decoded(path, decoder, instrument.symbol)]
    if not any(isinstance(event, DepthSnapshot) for event in events):
        _insert_snapshot(events, instrument.symbol)
    yield from events


def _decoded(path: Path, decoder: FrameDecoder, symbol: str) -> Iterator[MarketEvent]:
    with gzip.open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            stamp, _, frame = line.rstrip(b"\n").partition(b" ")
            receive_ns = _nanoseconds(stamp, path, number)
            if is_depth_snapshot(frame):
                yield decoder.decode_snapshot(symbol, frame, receive_ns)
                continue
            event = decoder.decode(frame, receive_ns)
            if event is not None and not isinstance(event, FeedAnnouncement):
                yield event


def _nanoseconds(stamp: bytes, path: Path, line: int) -> int:
    """Receive times are written in microseconds (2023) or nanoseconds (2024)."""
    if stamp.isdigit() and len(stamp) == _NANOSECOND_DIGITS:
        return int(stamp)
    if stamp.isdigit() and len(stamp) == _MICROSECOND_DIGITS:
        return int(stamp) * 1_000
    raise SourceError(f"{path}, line {line}: expected a receive time in micro- or nanoseconds, got {stamp[:30]!r}")


def _insert_snapshot(events: list[MarketEvent], symbol: str) -> None:
    """Put a snapshot of the levels that moved in the first seconds where those end. Levels that never moved stay unknown."""
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    last_id, begin_ns = NO_UPDATE_ID, events[0].receive_ns
    for index, event in enumerate(events):
        if last_id != NO_UPDATE_ID and event.receive_ns - begin_ns >= SNAPSHOT_SECONDS * SECOND_NS:
            bids, asks = (_levels(side) for side in sides)
            snapshot = DepthSnapshot(symbol, event.receive_ns, last_id, tuple(reversed(bids)), tuple(asks))
            events.insert(index, snapshot)
            return
        if isinstance(event, DepthUpdate):
            last_id = event.final_update_id
            for side, levels in zip(sides, (event.bids, event.asks), strict=True):
                side.update(levels)
    raise SourceError(f"{symbol}: the recording has no depth snapshot and is too short to learn the levels from its diffs")


def _levels(side: dict[int, int]) -> list[Level]:
    return sorted((price, lots) for price, lots in side.items() if lots)
