"""The marks and coming funding rates, once a second over a stream of their own. Nothing is quoted by them; they are shown."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.connection import Channel, Link, Patience, Surroundings
from mmd.exchanges.binance.decode import NANOSECONDS_PER_MILLISECOND, WIRE_ERRORS, announces_shutdown
from mmd.exchanges.binance_usdm.settings import BinanceUsdmSettings
from mmd.types.instrument import Instrument
from mmd.types.market import BatchEnd, MarkPrice


class _Mark(msgspec.Struct, gc=False):
    s: str
    E: int
    p: float
    r: float
    T: int


class _Frame(msgspec.Struct, gc=False):
    data: _Mark


_FRAME = msgspec.json.Decoder(_Frame, strict=False)


class MarkPrices(Channel):
    """Delivers `MarkPrice`. Whether it is up is nobody's worry: it connects again, and what is shown grows old."""

    def __init__(
        self,
        settings: BinanceUsdmSettings,
        instruments: Mapping[str, Instrument],
        surroundings: Surroundings,
        backoff: Backoff,
    ) -> None:
        patience = Patience(
            connect=settings.connect_timeout_seconds,
            idle=settings.market_data_idle_seconds,
            ping_idle=None,
            max_age=settings.max_connection_age_seconds,
            overlap=settings.renewal_overlap_seconds,
        )
        names = "/".join(f"{symbol.lower()}@markPrice@1s" for symbol in instruments)
        url = f"{settings.mark_stream_url}/stream?streams={names}"
        super().__init__("mark prices", url, surroundings, backoff, patience)
        self._instruments = instruments
        self._batch_ns = 0

    def receive(self, link: Link, message: bytes) -> None:
        """One mark."""
        if announces_shutdown(message):
            link.leave("the venue announced a shutdown")
            return
        receive_ns = self.surroundings.clock_ns()
        try:
            mark = _FRAME.decode(message).data
            instrument = self._instruments[mark.s]
            mark_ticks = round(mark.p * instrument.ticks_per_unit)
        except (*WIRE_ERRORS, KeyError) as error:
            self.malformed(link, f"{type(error).__name__} {error}: {message[:200]!r}")
            return
        self._batch_ns = receive_ns
        scale = NANOSECONDS_PER_MILLISECOND
        self.surroundings.outlet(MarkPrice(mark.s, receive_ns, mark.E * scale, mark_ticks, mark.r, mark.T * scale))

    def read_ended(self) -> None:
        """Close the batch, if this read brought anything."""
        if self._batch_ns:
            batch_ns, self._batch_ns = self._batch_ns, 0
            self.surroundings.outlet(BatchEnd(batch_ns))

    def on_up(self) -> None:
        """Nobody is told."""

    def on_down(self, detail: str) -> None:
        """Nobody is told."""
