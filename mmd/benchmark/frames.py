"""Market-data frames for benchmarks, drawn from the simulated market, as bytes that look as a venue's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mmd.mock.engine import EngineEvent, MatchingEngine, TradePrint
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot

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
                frames.append((time_ns, trade_frame(instrument, event, time_ns)))
        touch = engine.touch(SYMBOL)
        if touch[1:] != last[0]:
            last[0] = touch[1:]
            frames.append((time_ns, touch_frame(instrument, *touch)))

    end_ns = START_NS + round(seconds * SECOND_NS)
    while market.now_ns < end_ns:
        market.advance(market.now_ns + 100 * MS, sink)
        changes = engine.take_depth_changes(SYMBOL)
        if changes is not None:
            levels = [
                ",".join(f'["{instrument.price_text(ticks)}","{instrument.quantity_text(lots)}"]' for ticks, lots in side)
                for side in (changes.bids, changes.asks)
            ]
            text = (
                f'{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{market.now_ns // MS},"s":"{SYMBOL}",'
                f'"U":{changes.first_update_id},"u":{changes.final_update_id},"b":[{levels[0]}],"a":[{levels[1]}]}}}}'
            )
            frames.append((market.now_ns, text.encode()))
    return Frames(instrument, snapshot, tuple(frames))


def touch_frame(instrument: Instrument, update_id: int, bid: int, bid_lots: int, ask: int, ask_lots: int) -> bytes:
    """A combined-stream bookTicker frame."""
    return (
        f'{{"stream":"btcusdt@bookTicker","data":{{"u":{update_id},"s":"{SYMBOL}","b":"{instrument.price_text(bid)}",'
        f'"B":"{instrument.quantity_text(bid_lots)}","a":"{instrument.price_text(ask)}","A":"{instrument.quantity_text(ask_lots)}"}}}}'
    ).encode()


def trade_frame(instrument: Instrument, print_: TradePrint, time_ns: int) -> bytes:
    """A combined-stream trade frame."""
    maker = "true" if print_.buyer_is_maker else "false"
    return (
        f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{time_ns // MS},"s":"{SYMBOL}","t":{print_.trade_id},'
        f'"p":"{instrument.price_text(print_.price_ticks)}","q":"{instrument.quantity_text(print_.lots)}","T":{time_ns // MS},'
        f'"m":{maker},"M":true}}}}'
    ).encode()
