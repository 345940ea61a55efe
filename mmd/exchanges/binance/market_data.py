"""The market stream: one combined-stream connection for all symbols, decoded and handed on inside the read callback."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.connection import Channel, Link, Patience, Surroundings
from mmd.exchanges.binance.decode import ANNOUNCEMENT_STREAM, FrameDecoder, MalformedFrame, announces_shutdown
from mmd.exchanges.settings import ExchangeSettings
from mmd.types.market import BatchEnd, FeedState, FeedStatus, MarketTrade

STREAMS = ("bookTicker", "trade", "depth@100ms")


def stream_address(settings: ExchangeSettings, symbols: Iterable[str]) -> str:
    """The address of the combined stream."""
    names = [f"{symbol.lower()}@{stream}" for symbol in symbols for stream in STREAMS]
    if settings.subscribes_announcements:
        names.append(ANNOUNCEMENT_STREAM)
    return f"{settings.stream_url.rstrip('/')}/stream?streams={'/'.join(names)}"


class MarketData(Channel):
    """Delivers market events, `FeedStatus` when the stream comes up or goes down, and `BatchEnd` after each read."""

    def __init__(
        self,
        settings: ExchangeSettings,
        symbols: tuple[str, ...],
        decoder: FrameDecoder,
        surroundings: Surroundings,
        backoff: Backoff,
        on_frame: Callable[[int, bytes], None] | None = None,
    ) -> None:
        patience = Patience(
            connect=settings.connect_timeout_seconds,
            idle=settings.market_data_idle_seconds,
            ping_idle=None,
            max_age=settings.max_connection_age_seconds,
            overlap=settings.renewal_overlap_seconds,
        )
        super().__init__("market data", stream_address(settings, symbols), surroundings, backoff, patience)
        self._symbols = symbols
        self._decoder = decoder
        self._decode = decoder.decode
        self._clock_ns = surroundings.clock_ns
        self._outlet = surroundings.outlet
        self._counters = surroundings.counters
        self._newest_trade_ids = dict.fromkeys(symbols, -1)
        self._batch_ns = 0
        self._on_frame = on_frame

    def receive(self, link: Link, message: bytes) -> None:
        """Decode one frame and hand the event over."""
        if link.given_up:
            return
        receive_ns = self._clock_ns()
        counters = self._counters
        counters.frames += 1
        counters.bytes_received += len(message)
        if self._on_frame is not None:
            self._on_frame(receive_ns, message)
        try:
            event = self._decode(message, receive_ns)
        except MalformedFrame as error:
            self.malformed(link, str(error))
            return
        if event is None:
            counters.ignored += 1
            if announces_shutdown(message):
                link.leave("the venue announced a shutdown")
            return
        if type(event) is MarketTrade and self._is_repeated(event):
            return
        self._batch_ns = receive_ns
        self._outlet(event)

    def read_ended(self) -> None:
        """Close the batch, if this read brought anything."""
        if self._batch_ns:
            batch_ns, self._batch_ns = self._batch_ns, 0
            self._outlet(BatchEnd(batch_ns))

    def on_up(self) -> None:
        """Tell the core that data will come."""
        now_ns = self._clock_ns()
        self._outlet.batch([FeedStatus(now_ns, FeedState.CONNECTED, self._symbols)], now_ns)

    def on_down(self, detail: str) -> None:
        """Tell the core that every book is invalid."""
        now_ns = self._clock_ns()
        self._outlet.batch([FeedStatus(now_ns, FeedState.DISCONNECTED, self._symbols, detail)], now_ns)

    def _is_repeated(self, trade: MarketTrade) -> bool:
        """Two links at once bring each trade twice (books ignore what they have seen, volumes would not)."""
        if self.overlapping and trade.trade_id <= self._newest_trade_ids[trade.symbol]:
            return True
        self._newest_trade_ids[trade.symbol] = trade.trade_id
        return False
