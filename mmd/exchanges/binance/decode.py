"""Market-data frames to events: the same decoder for the live stream, for replay and for the import of recordings.

The stream's name is peeked at in the raw bytes and chooses a typed decoder with the instrument's multipliers bound to it, so
that one frame costs one dictionary look-up and one pass of msgspec. USD-M frames differ in fields that Spot lacks and decode alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from mmd.exchanges.binance.wire_frames import ANNOUNCEMENT, DEPTH, NAME, SNAPSHOT, TOUCH, TRADE, TouchFrame
from mmd.types.decoding import UNREADABLE
from mmd.types.instrument import Instrument
from mmd.types.market import (
    DepthSnapshot,
    DepthUpdate,
    FeedAnnouncement,
    Level,
    MarketTrade,
    Side,
    TouchUpdate,
)

ANNOUNCEMENT_STREAM: Final = "mmd@announcement"
NANOSECONDS_PER_MILLISECOND: Final = 1_000_000

FrameEvent = DepthUpdate | TouchUpdate | MarketTrade | FeedAnnouncement
Handler = Callable[[bytes, int], "FrameEvent | None"]

_NAME_START: Final = len(b'{"stream":"')
_DEPTH_SUFFIXES = ("depth", "depth@100ms", "depth@0ms", "depth@250ms", "depth@500ms")
_SHOWN_BYTES: Final = 200


class MalformedFrame(ValueError):
    """Bytes that are no message of this venue; the text says which and why."""

    def __init__(self, what: str, frame: bytes, cause: object) -> None:
        super().__init__(f"{what}: {cause}: {frame[:_SHOWN_BYTES]!r}")


WIRE_ERRORS = (*UNREADABLE, ValueError, OverflowError)
"""What decoding of bytes from outside may raise: what cannot be read at all, and `round` of NaN and infinity."""


class FrameDecoder:
    """Combined-stream frames (`{"stream":…,"data":…}`) of the given instruments, Spot or USD-M.

    Holds no state but counters: the same frame always gives the same event.
    """

    def __init__(self, instruments: Mapping[str, Instrument] | Iterable[Instrument]) -> None:
        listed = instruments.values() if isinstance(instruments, Mapping) else instruments
        self._instruments = {instrument.symbol: instrument for instrument in listed}
        self._handlers: dict[bytes, Handler] = {ANNOUNCEMENT_STREAM.encode(): _announcement}
        for instrument in self._instruments.values():
            prefix = instrument.symbol.lower()
            self._handlers[f"{prefix}@bookTicker".encode()] = _touch_handler(instrument)
            self._handlers[f"{prefix}@trade".encode()] = _trade_handler(instrument)
            for suffix in _DEPTH_SUFFIXES:
                self._handlers[f"{prefix}@{suffix}".encode()] = _depth_handler(instrument)
        self.ignored = 0

    def decode(self, frame: bytes, receive_ns: int) -> FrameEvent | None:
        """The event a frame holds; None for replies, other streams and other symbols. Raises `MalformedFrame`."""
        end = frame.find(b'"', _NAME_START)
        handler = self._handlers.get(frame[_NAME_START:end]) if end > 0 else None
        try:
            if handler is not None:
                return handler(frame, receive_ns)
            return self._decode_unusual(frame, receive_ns)
        except WIRE_ERRORS as error:
            raise MalformedFrame("market data frame", frame, error) from error

    def decode_snapshot(self, symbol: str, body: bytes, receive_ns: int) -> DepthSnapshot:
        """A REST depth reply (`lastUpdateId`, `bids`, `asks`), which does not name its symbol. Raises `MalformedFrame`."""
        instrument = self._instruments[symbol]
        try:
            snapshot = SNAPSHOT.decode(body)
            bids = _levels(snapshot.bids, instrument.ticks_per_unit, instrument.lots_per_unit)
            asks = _levels(snapshot.asks, instrument.ticks_per_unit, instrument.lots_per_unit)
        except WIRE_ERRORS as error:
            raise MalformedFrame(f"depth snapshot of {symbol}", body, error) from error
        return DepthSnapshot(symbol, receive_ns, snapshot.lastUpdateId, bids, asks)

    def _decode_unusual(self, frame: bytes, receive_ns: int) -> FrameEvent | None:
        handler = self._handlers.get(NAME.decode(frame).stream.encode())
        if handler is None:
            self.ignored += 1
            return None
        return handler(frame, receive_ns)


def is_depth_snapshot(frame: bytes) -> bool:
    """Whether a line of a recording is a REST depth reply."""
    return frame.startswith(b'{"lastUpdateId"')


def announces_shutdown(frame: bytes) -> bool:
    """Whether the venue says that it will close this connection (raw, combined and WebSocket-API forms)."""
    return b'"serverShutdown"' in frame


def _levels(levels: list[tuple[float, float]], ticks_per_unit: float, lots_per_unit: float) -> tuple[Level, ...]:
    return tuple([(round(price * ticks_per_unit), round(quantity * lots_per_unit)) for price, quantity in levels])


def _check_touch(data: TouchFrame, symbol: str) -> None:
    """An empty side has neither price nor quantity. Raises `ValueError`."""
    if data.s != symbol:
        raise _foreign(data.s)
    if (data.B and not data.b) or (data.A and not data.a):
        raise ValueError("a quantity at a price of 0")


def _foreign(symbol: str) -> ValueError:
    return ValueError(f"a frame of {symbol!r} on another symbol's stream")


def _touch_handler(instrument: Instrument) -> Handler:
    decode, symbol = TOUCH.decode, instrument.symbol
    ticks_per_unit, lots_per_unit = instrument.ticks_per_unit, instrument.lots_per_unit

    def handle(frame: bytes, receive_ns: int) -> TouchUpdate:
        data = decode(frame).data
        bid_ticks, ask_ticks = round(data.b * ticks_per_unit), round(data.a * ticks_per_unit)
        if data.s != symbol or not (bid_ticks and ask_ticks):
            _check_touch(data, symbol)
        return TouchUpdate(
            symbol,
            receive_ns,
            data.E * NANOSECONDS_PER_MILLISECOND,
            data.u,
            bid_ticks,
            round(data.B * lots_per_unit),
            ask_ticks,
            round(data.A * lots_per_unit),
        )

    return handle


def _trade_handler(instrument: Instrument) -> Handler:
    decode, symbol = TRADE.decode, instrument.symbol
    ticks_per_unit, lots_per_unit = instrument.ticks_per_unit, instrument.lots_per_unit

    def handle(frame: bytes, receive_ns: int) -> MarketTrade | None:
        data = decode(frame).data
        if data.s != symbol:
            raise _foreign(data.s)
        if data.X != "MARKET":
            # USD-M prints of the insurance fund and of deleveraging never met the book.
            return None
        if not data.p:
            raise ValueError("a trade at a price of 0")
        return MarketTrade(
            symbol,
            receive_ns,
            data.E * NANOSECONDS_PER_MILLISECOND,
            data.t,
            round(data.p * ticks_per_unit),
            round(data.q * lots_per_unit),
            Side.SELL if data.m else Side.BUY,
        )

    return handle


def _depth_handler(instrument: Instrument) -> Handler:
    decode, symbol = DEPTH.decode, instrument.symbol
    ticks_per_unit, lots_per_unit = instrument.ticks_per_unit, instrument.lots_per_unit

    def handle(frame: bytes, receive_ns: int) -> DepthUpdate:
        data = decode(frame).data
        if data.s != symbol or data.u < data.U:
            raise _foreign(data.s) if data.s != symbol else ValueError(f"update ids from {data.U} to {data.u}")
        return DepthUpdate(
            symbol,
            receive_ns,
            data.E * NANOSECONDS_PER_MILLISECOND,
            data.U,
            data.u,
            data.pu,
            _levels(data.b, ticks_per_unit, lots_per_unit),
            _levels(data.a, ticks_per_unit, lots_per_unit),
        )

    return handle


def _announcement(frame: bytes, receive_ns: int) -> FeedAnnouncement:
    data = ANNOUNCEMENT.decode(frame).data
    return FeedAnnouncement(receive_ns, data.epoch, data.speed, data.ended)
