"""The wire without the venue: frames as it would send them, decoded as they would be; requests signed with a key that is none."""

from __future__ import annotations

from collections.abc import Mapping

from mmd.exchanges.adapter import Event, OrderCommand
from mmd.exchanges.binance.decode import FrameDecoder
from mmd.exchanges.binance.encode import RequestEncoder
from mmd.exchanges.binance.market_frames import depth_frame, touch_frame, trade_frame
from mmd.exchanges.binance.signing import HmacSigner
from mmd.types.instrument import Instrument
from mmd.types.market import DepthUpdate, MarketTrade, TouchUpdate

NO_KEY = "rehearsal"


class BinanceWireRehearsal:
    """See `WireRehearsal`. The venue would refuse what is encoded here, were it ever sent."""

    def __init__(self, instruments: Mapping[str, Instrument], *, recv_window_ms: int) -> None:
        self._instruments = instruments
        self._decoder = FrameDecoder(instruments)
        self._encoder = RequestEncoder(instruments, api_key=NO_KEY, recv_window_ms=recv_window_ms, signer=HmacSigner(NO_KEY))

    def frame(self, event: TouchUpdate | MarketTrade | DepthUpdate) -> bytes:
        """The frame that would bring this event."""
        instrument = self._instruments[event.symbol]
        if isinstance(event, TouchUpdate):
            return touch_frame(instrument, event)
        return trade_frame(instrument, event) if isinstance(event, MarketTrade) else depth_frame(instrument, event)

    def decode(self, frame: bytes, receive_ns: int) -> Event | None:
        """As the market stream does."""
        return self._decoder.decode(frame, receive_ns)

    def encode(self, command: OrderCommand, request_id: int, timestamp_ms: int) -> bytes:
        """As order entry does, but for the key."""
        return self._encoder.encode(command, request_id, timestamp_ms)
