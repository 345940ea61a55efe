"""Frames of the futures' market streams: the spot ones with the fields that futures add (`E`, `T`, `pu`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from mmd.mock.server.market_events import LevelText, SymbolTexts
from mmd.types.instrument import Instrument
from mmd.types.market import Level

_encode = msgspec.json.Encoder().encode


class FuturesTradeEvent(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@trade`. `X` tells prints of the market from those of the insurance fund, of which this venue has none."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    trade_time: int = msgspec.field(name="T")
    symbol: str = msgspec.field(name="s")
    trade_id: int = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    kind: str = msgspec.field(name="X")
    buyer_is_maker: bool = msgspec.field(name="m")


class FuturesBookTickerEvent(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@bookTicker`."""

    event_type: str = msgspec.field(name="e")
    update_id: int = msgspec.field(name="u")
    symbol: str = msgspec.field(name="s")
    bid_price: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask_price: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")
    trade_time: int = msgspec.field(name="T")
    event_time: int = msgspec.field(name="E")


class FuturesDepthEvent(msgspec.Struct, frozen=True):
    """`<symbol>@depth`: `pu` is the final update id of the frame before."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    trade_time: int = msgspec.field(name="T")
    symbol: str = msgspec.field(name="s")
    first_update_id: int = msgspec.field(name="U")
    final_update_id: int = msgspec.field(name="u")
    previous_update_id: int = msgspec.field(name="pu")
    bids: list[LevelText] = msgspec.field(name="b")
    asks: list[LevelText] = msgspec.field(name="a")


class MarkPriceEvent(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@markPrice@1s`."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    mark_price: str = msgspec.field(name="p")
    index_price: str = msgspec.field(name="i")
    settle_price: str = msgspec.field(name="P")
    funding_rate: str = msgspec.field(name="r")
    next_funding_time: int = msgspec.field(name="T")


class FuturesTexts(SymbolTexts):
    """See `SymbolTexts`. `market_ms` is where the market stands in its own time."""

    __slots__ = ("_market_ms",)

    def __init__(self, instrument: Instrument, market_ms: Callable[[], int]) -> None:
        super().__init__(instrument)
        self._market_ms = market_ms

    def trade_frame(self, trade_id: int, price_ticks: int, lots: int, buyer_is_maker: bool, time_ms: int) -> bytes:
        """The `@trade` frame of one print."""
        price, quantity = self.price(price_ticks), self.quantity(lots)
        return _encode(
            FuturesTradeEvent("trade", time_ms, time_ms, self.symbol, trade_id, price, quantity, "MARKET", buyer_is_maker)
        )

    def book_ticker_frame(self, touch: tuple[int, int, int, int, int]) -> bytes:
        """The `@bookTicker` frame of a touch."""
        update_id, bid_ticks, bid_lots, ask_ticks, ask_lots = touch
        time_ms = self._market_ms()
        return _encode(
            FuturesBookTickerEvent(
                "bookTicker",
                update_id,
                self.symbol,
                self.price(bid_ticks),
                self.quantity(bid_lots),
                self.price(ask_ticks),
                self.quantity(ask_lots),
                time_ms,
                time_ms,
            )
        )

    def depth_frame(self, first_id: int, final_id: int, bids: Sequence[Level], asks: Sequence[Level], time_ms: int) -> bytes:
        """The diff-depth frame of one interval; frames are contiguous."""
        levels = self.levels
        return _encode(
            FuturesDepthEvent(
                "depthUpdate", time_ms, time_ms, self.symbol, first_id, final_id, first_id - 1, levels(bids), levels(asks)
            )
        )
