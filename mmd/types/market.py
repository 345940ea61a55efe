"""What a market-data feed can say. Prices in ticks, quantities in lots, times in UTC nanoseconds.

`receive_ns` is when our process had the bytes, `exchange_ns` what the venue stamped (0 where it stamps nothing, as Binance Spot's
bookTicker does). Data age is measured on the first alone.
"""

from __future__ import annotations

from enum import Enum

import msgspec

Level = tuple[int, int]
"""Price in ticks, quantity in lots; quantity 0 removes the level."""

NO_UPDATE_ID = -1


class Side(Enum):
    """Side of an order, or the side that aggressed in a trade."""

    BUY = 1
    SELL = -1

    sign: int
    """+1 for a buyer, -1 for a seller."""

    def __init__(self, sign: int) -> None:
        self.sign = sign

    # The enumeration's own hash is a Python call, and dictionaries by side lie on the way of every order.
    __hash__ = object.__hash__

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class DepthUpdate(msgspec.Struct, frozen=True, gc=False):
    """One diff of the book. `previous_final_update_id` is -1 on venues that sequence by U and u alone (Spot)."""

    symbol: str
    receive_ns: int
    exchange_ns: int
    first_update_id: int
    final_update_id: int
    previous_final_update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class DepthSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The book as a REST reply gives it, best level first."""

    symbol: str
    receive_ns: int
    last_update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class TouchUpdate(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask (Binance bookTicker)."""

    symbol: str
    receive_ns: int
    exchange_ns: int
    update_id: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int


class MarketTrade(msgspec.Struct, frozen=True, gc=False):
    """One public trade."""

    symbol: str
    receive_ns: int
    exchange_ns: int
    trade_id: int
    price_ticks: int
    lots: int
    aggressor: Side


class MarkPrice(msgspec.Struct, frozen=True, gc=False):
    """The venue's mark of a perpetual, and what longs pay shorts of it at the next funding (a fraction; below zero: receive)."""

    symbol: str
    receive_ns: int
    exchange_ns: int
    mark_ticks: int
    funding_rate: float
    next_funding_ns: int


class FeedState(Enum):
    """State of the market-data connection."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class FeedStatus(msgspec.Struct, frozen=True, gc=False):
    """The market-data connection of these symbols came up or went down. Down: every book of them is invalid."""

    receive_ns: int
    state: FeedState
    symbols: tuple[str, ...]
    detail: str = ""


class BatchEnd(msgspec.Struct, frozen=True, gc=False):
    """All frames that one read of the socket brought have been handed over: now quote once for the newest state."""

    receive_ns: int


class FeedAnnouncement(msgspec.Struct, frozen=True, gc=False):
    """A replaying venue says where in the recording it stands and how fast it plays; `ended` when the recording is over."""

    receive_ns: int
    epoch_ns: int
    speed: float
    ended: bool
