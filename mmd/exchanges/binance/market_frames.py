"""Market events as combined-stream frames, as the venue would send them: what benchmarks measure with and rehearsals read."""

from __future__ import annotations

from collections.abc import Sequence

from mmd.types.instrument import Instrument
from mmd.types.market import DepthUpdate, Level, MarketTrade, Side, TouchUpdate

NS_PER_MS = 1_000_000


def touch_frame(instrument: Instrument, event: TouchUpdate) -> bytes:
    """A bookTicker frame."""
    price, quantity = instrument.price_text, instrument.quantity_text
    return (
        f'{{"stream":"{instrument.symbol.lower()}@bookTicker","data":{{"u":{event.update_id},"s":"{instrument.symbol}",'
        f'"b":"{price(event.bid_ticks)}","B":"{quantity(event.bid_lots)}",'
        f'"a":"{price(event.ask_ticks)}","A":"{quantity(event.ask_lots)}"}}}}'
    ).encode()


def trade_frame(instrument: Instrument, event: MarketTrade) -> bytes:
    """A trade frame."""
    time_ms = event.exchange_ns // NS_PER_MS
    maker = "true" if event.aggressor is Side.SELL else "false"
    return (
        f'{{"stream":"{instrument.symbol.lower()}@trade","data":{{"e":"trade","E":{time_ms},"s":"{instrument.symbol}",'
        f'"t":{event.trade_id},"p":"{instrument.price_text(event.price_ticks)}","q":"{instrument.quantity_text(event.lots)}",'
        f'"T":{time_ms},"m":{maker},"M":true}}}}'
    ).encode()


def depth_frame(instrument: Instrument, event: DepthUpdate) -> bytes:
    """A diff-depth frame."""
    return (
        f'{{"stream":"{instrument.symbol.lower()}@depth@100ms","data":{{"e":"depthUpdate","E":{event.exchange_ns // NS_PER_MS},'
        f'"s":"{instrument.symbol}","U":{event.first_update_id},"u":{event.final_update_id},'
        f'"b":[{_levels(instrument, event.bids)}],"a":[{_levels(instrument, event.asks)}]}}}}'
    ).encode()


def _levels(instrument: Instrument, levels: Sequence[Level]) -> str:
    return ",".join(f'["{instrument.price_text(ticks)}","{instrument.quantity_text(lots)}"]' for ticks, lots in levels)
