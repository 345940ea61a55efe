"""Where market events come from: the simulated market in virtual time, and recordings of Binance frames.

A source is a *series* (one instrument, one market, one period) and the events that a live adapter would have delivered for it,
in order of receive time. What a recording lacks is never invented: without a snapshot, its first diffs stand for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmd.learning.errors import SourceError
from mmd.mock.engine import EngineEvent, MatchingEngine, TradePrint
from mmd.mock.instruments import INSTRUMENTS, listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.recording.events import MarketEvent, recorded_events
from mmd.recording.recording import RecordingError, known_instrument
from mmd.types.instrument import Instrument
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, MarketTrade, Side, TouchUpdate

SECOND_NS = 1_000_000_000
SIMULATION_START_NS = 1_700_000_000 * SECOND_NS
DEPTH_INTERVAL_NS = 100_000_000
SNAPSHOT_LEVELS = 1_000
SIMULATED_SYMBOLS = tuple(INSTRUMENTS)


@dataclass(frozen=True)
class EventSource:
    """One instrument's events. `events()` starts anew at each call; `describe` is what the manifest says about it."""

    series: str
    instrument: Instrument
    describe: str
    events: Callable[[], Iterator[MarketEvent]]
    group: str = ""
    """What was received together: sources of one group are references of each other. Empty: of none."""


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
            group=f"simulated market, seed {seed}",
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
        by_series.setdefault((market, symbol.upper(), date[:6]), []).append(path)
    if not by_series:
        raise SourceError(f"{folder}: no recordings (*.gz) in it")

    def source(market: str, symbol: str, month: str, paths: tuple[Path, ...]) -> EventSource:
        try:
            instrument = known_instrument(paths[0], market, symbol)
        except RecordingError as error:
            raise SourceError(f"{error}; recordings are named MARKET__SYMBOL_DATE.gz") from error
        return EventSource(
            series=f"{market} {instrument.symbol} {month}",
            instrument=instrument,
            describe="recording " + ", ".join(path.name for path in paths),
            events=lambda: recorded_events(paths, instrument),
            group=f"{folder} {market}",
        )

    return [source(*key, tuple(paths)) for key, paths in by_series.items()]
