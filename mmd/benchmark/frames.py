"""Market-data frames for benchmarks, drawn from the simulated market, as bytes that look as a venue's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mmd.exchanges.binance.market_frames import depth_frame, touch_frame, trade_frame
from mmd.mock.engine import EngineEvent, MatchingEngine, TradePrint
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.types.instrument import Instrument
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, MarketTrade, Side, TouchUpdate

SYMBOL = "BTCUSDT"
START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
MS = 1_000_000


class Frames(msgspec.Struct, frozen=True):
    """A stretch of one symbol's market: its opening book, and (receive time ns, frame) in order."""

    instrument: Instrument
    snapshot: DepthSnapshot
    frames: tuple[tuple[int, bytes], ...]


def simulated_frames(seconds: float, seed: int = 1) -> Frames:
    """bookTicker, trade and depth frames of so many virtual seconds."""
    engine = MatchingEngine(listed((SYMBOL, "ETHUSDT")))
    market = SimulatedMarket(engine, SimulationParameters(), seed=seed, start_ns=START_NS)
    instrument = engine.instruments[SYMBOL]
    engine.take_depth_changes(SYMBOL)
    update_id, bids, asks = engine.depth(SYMBOL, 1000)
    snapshot = DepthSnapshot(SYMBOL, START_NS, update_id, tuple(bids), tuple(asks))
    frames: list[tuple[int, bytes]] = []
    last: list[tuple[int, ...]] = [()]

    def sink(time_ns: int, symbol: str, events: Sequence[EngineEvent]) -> None:
        if symbol != SYMBOL:
            return
        for event in events:
            if isinstance(event, TradePrint):
                aggressor = Side.SELL if event.buyer_is_maker else Side.BUY
                trade = MarketTrade(symbol, time_ns, time_ns, event.trade_id, event.price_ticks, event.lots, aggressor)
                frames.append((time_ns, trade_frame(instrument, trade)))
        touch = engine.touch(SYMBOL)
        if touch[1:] != last[0]:
            last[0] = touch[1:]
            frames.append((time_ns, touch_frame(instrument, TouchUpdate(symbol, time_ns, 0, *touch))))

    end_ns = START_NS + round(seconds * SECOND_NS)
    while market.now_ns < end_ns:
        market.advance(market.now_ns + 100 * MS, sink)
        changes = engine.take_depth_changes(SYMBOL)
        if changes is not None:
            diff = DepthUpdate(
                SYMBOL,
                market.now_ns,
                market.now_ns,
                changes.first_update_id,
                changes.final_update_id,
                NO_UPDATE_ID,
                tuple(changes.bids),
                tuple(changes.asks),
            )
            frames.append((market.now_ns, depth_frame(instrument, diff)))
    return Frames(instrument, snapshot, tuple(frames))
