"""The futures' wire without the venue: what the daemon's shadow ticks run through."""

from __future__ import annotations

from collections.abc import Mapping

from mmd.exchanges.binance.decode import FrameDecoder
from mmd.exchanges.binance.rehearsal import NO_KEY, BinanceWireRehearsal
from mmd.exchanges.binance.signing import HmacSigner
from mmd.exchanges.binance_usdm.encode import UsdmRequestEncoder
from mmd.types.instrument import Instrument


class UsdmWireRehearsal(BinanceWireRehearsal):
    """See `WireRehearsal`."""

    def __init__(self, instruments: Mapping[str, Instrument], *, recv_window_ms: int) -> None:
        super().__init__({}, recv_window_ms=recv_window_ms)
        self._instruments = instruments
        self._decoder = FrameDecoder(instruments)
        signer = HmacSigner(NO_KEY)
        self._encoder = UsdmRequestEncoder(instruments, api_key=NO_KEY, recv_window_ms=recv_window_ms, signer=signer)
