"""Frames of the market streams: trades, touch, diff and partial depth, encoded once for all their readers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mmd.mock.server.trade_history import AggregateTrade
from mmd.types.instrument import Instrument, atoms_text
from mmd.types.market import Level

LevelText = tuple[str, str]
_NS_PER_MS = 1_000_000

_encode = msgspec.json.Encoder().encode


class TradeEvent(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@trade`."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    trade_id: int = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    trade_time: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    ignored: bool = msgspec.field(name="M", default=True)


class AggregateTradeEvent(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@aggTrade`."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    aggregate_id: int = msgspec.field(name="a")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    first_trade_id: int = msgspec.field(name="f")
    last_trade_id: int = msgspec.field(name="l")
    trade_time: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    ignored: bool = msgspec.field(name="M", default=True)


class BookTickerEvent(msgspec.Struct, frozen=True, gc=False):
    """`<symbol>@bookTicker`, which names neither its type nor its time."""

    update_id: int = msgspec.field(name="u")
    symbol: str = msgspec.field(name="s")
    bid_price: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask_price: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")


class DepthEvent(msgspec.Struct, frozen=True):
    """`<symbol>@depth` and `@depth@100ms`."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    first_update_id: int = msgspec.field(name="U")
    final_update_id: int = msgspec.field(name="u")
    bids: list[LevelText] = msgspec.field(name="b")
    asks: list[LevelText] = msgspec.field(name="a")


class DepthReply(msgspec.Struct, frozen=True):
    """`GET depth`, and `<symbol>@depth5|10|20`."""

    lastUpdateId: int
    bids: list[LevelText]
    asks: list[LevelText]


class ServerShutdownEvent(msgspec.Struct, frozen=True):
    """The server is about to close: connect anew."""

    event_type: str = msgspec.field(name="e")
    event_time: int = msgspec.field(name="E")


class SymbolTexts:
    """Writes one instrument's integers as the venue's eight-decimal texts."""

    __slots__ = ("_lot_atoms", "_tick_atoms", "instrument", "stream_prefix", "symbol")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.stream_prefix = instrument.symbol.lower()
        self._tick_atoms = int(instrument.tick_size.scaleb(8))
        self._lot_atoms = instrument.lot_atoms

    def price(self, price_ticks: int) -> str:
        """A price of so many ticks."""
        return atoms_text(price_ticks * self._tick_atoms)

    def quantity(self, lots: int) -> str:
        """A quantity of so many lots."""
        return atoms_text(lots * self._lot_atoms)

    def quote_amount(self, price_ticks: int, lots: int) -> str:
        """What so many lots cost at that price."""
        return atoms_text(price_ticks * lots * self.instrument.notional_atoms)

    def levels(self, levels: Sequence[Level]) -> list[LevelText]:
        """Price and quantity of each level."""
        tick_atoms, lot_atoms = self._tick_atoms, self._lot_atoms
        return [(atoms_text(ticks * tick_atoms), atoms_text(lots * lot_atoms)) for ticks, lots in levels]

    def trade_frame(self, trade_id: int, price_ticks: int, lots: int, buyer_is_maker: bool, time_ms: int) -> bytes:
        """The `@trade` frame of one print."""
        return _encode(
            TradeEvent(
                "trade", time_ms, self.symbol, trade_id, self.price(price_ticks), self.quantity(lots), time_ms, buyer_is_maker
            )
        )

    def aggregate_frame(self, trade: AggregateTrade) -> bytes:
        """The `@aggTrade` frame of one aggregate."""
        time_ms = trade.time_ns // _NS_PER_MS
        return _encode(
            AggregateTradeEvent(
                "aggTrade",
                time_ms,
                self.symbol,
                trade.aggregate_id,
                self.price(trade.price_ticks),
                self.quantity(trade.lots),
                trade.first_trade_id,
                trade.last_trade_id,
                time_ms,
                trade.buyer_is_maker,
            )
        )

    def book_ticker_frame(self, touch: tuple[int, int, int, int, int]) -> bytes:
        """The `@bookTicker` frame of a touch (update id, bid ticks, bid lots, ask ticks, ask lots)."""
        update_id, bid_ticks, bid_lots, ask_ticks, ask_lots = touch
        return _encode(
            BookTickerEvent(
                update_id,
                self.symbol,
                self.price(bid_ticks),
                self.quantity(bid_lots),
                self.price(ask_ticks),
                self.quantity(ask_lots),
            )
        )

    def depth_frame(self, first_id: int, final_id: int, bids: Sequence[Level], asks: Sequence[Level], time_ms: int) -> bytes:
        """The diff-depth frame of one interval."""
        return _encode(DepthEvent("depthUpdate", time_ms, self.symbol, first_id, final_id, self.levels(bids), self.levels(asks)))

    def depth_reply(self, update_id: int, bids: Sequence[Level], asks: Sequence[Level]) -> DepthReply:
        """The book as `GET depth` gives it."""
        return DepthReply(update_id, self.levels(bids), self.levels(asks))

    def partial_depth_frame(self, update_id: int, bids: Sequence[Level], asks: Sequence[Level]) -> bytes:
        """The partial-depth frame."""
        return _encode(self.depth_reply(update_id, bids, asks))


def shutdown_frame(time_ms: int) -> bytes:
    """The raw `serverShutdown` event."""
    return _encode(ServerShutdownEvent("serverShutdown", time_ms))
