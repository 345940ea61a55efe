"""A venue's market data alone, as it is received: no account, no keys, nothing decoded but what a snapshot needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from random import Random

import msgspec
import structlog

from mmd.exchanges.adapter import AdapterCounters, AdapterError, FailureHandler
from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.connection import Channel, Link, Patience, Surroundings
from mmd.exchanges.binance.decode import announces_shutdown
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks
from mmd.exchanges.binance.exchange_info import instruments_of
from mmd.exchanges.binance.market_data import stream_address
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.exchanges.binance_usdm.exchange_info import perpetuals_of
from mmd.exchanges.binance_usdm.settings import BinanceUsdmSettings
from mmd.exchanges.settings import ExchangeSettings
from mmd.recording.instruments import SPOT, USD_M
from mmd.recording.writer import RecordingWriter
from mmd.types.decoding import UNREADABLE
from mmd.types.instrument import Instrument

log = structlog.get_logger(__name__)

SNAPSHOT_LEVELS = 1000
_HEAD_BYTES = 64
_WANTED_AGAIN_SECONDS = 0.5


class MarketWire(msgspec.Struct, frozen=True):
    """One of Binance's markets, as far as a recording needs it."""

    api: str
    settings: type[ExchangeSettings]
    instruments: Callable[[bytes, Iterable[str]], dict[str, Instrument]]
    lists_by_symbol: bool
    """Whether exchangeInfo can be asked for some symbols only."""

    def stream_url(self, settings: ExchangeSettings) -> str:
        """Base of its public streams."""
        return settings.public_stream_url if isinstance(settings, BinanceUsdmSettings) else settings.stream_url


MARKET_WIRES: Mapping[str, MarketWire] = {
    SPOT: MarketWire("/api/v3", BinanceSettings, instruments_of, True),
    USD_M: MarketWire("/fapi/v1", BinanceUsdmSettings, perpetuals_of, False),
}


class _Snapshot(msgspec.Struct):
    lastUpdateId: int


class _Diff(msgspec.Struct):
    U: int


class _Frame(msgspec.Struct):
    data: _Diff


class RecordedFeed:
    """Every frame of the symbols, and a depth snapshot after each connect, to a writer: `load_instruments`, `start`, `close`."""

    def __init__(
        self,
        settings: ExchangeSettings,
        market: str,
        symbols: tuple[str, ...],
        *,
        clock_ns: Callable[[], int],
        on_failure: FailureHandler,
        random: Random,
    ) -> None:
        self._settings = settings
        self._wire = MARKET_WIRES[market]
        self._symbols = symbols
        self._random = random
        self._tasks = Tasks(on_failure)
        self.counters = AdapterCounters()
        self._surroundings = Surroundings(clock_ns, EventOutlet(on_failure), Complaints(clock_ns), self.counters, self._tasks)
        self._rest = RestClient(settings, self._surroundings, time_path=f"{self._wire.api}/time")
        self._stream: _Stream | None = None

    async def load_instruments(self) -> dict[str, Instrument]:
        """The venue's filters. Raises `AdapterError`."""
        listed = ",".join(f'"{symbol}"' for symbol in self._symbols)
        parameters = {"symbols": f"[{listed}]"} if self._wire.lists_by_symbol else {}
        try:
            body = await self._rest.get(f"{self._wire.api}/exchangeInfo", parameters)
        except VenueError as error:
            raise AdapterError(
                f"cannot read the instruments {', '.join(self._symbols)} from {self._settings.rest_url}: {error}"
            ) from error
        return self._wire.instruments(body, self._symbols)

    def start(self, writer: RecordingWriter) -> None:
        """Connect, and again whenever the connection is lost, until `close`."""
        quiet = self._settings.model_copy(update={"stream_url": self._wire.stream_url(self._settings), "announcements": False})
        url = stream_address(quiet, self._symbols)
        self._stream = _Stream(self, url, self._symbols, writer, self._backoff())
        self._tasks.start(self._stream.run(), "market data")

    def want_snapshots(self) -> None:
        """Fetch a depth snapshot of every symbol, for a file that just began."""
        if self._stream is not None:
            self._stream.want_snapshots()

    @property
    def connected(self) -> bool:
        """Whether the stream stands."""
        return self._stream is not None and self._stream.current is not None

    async def close(self) -> None:
        """End everything; no frame comes afterwards."""
        await self._tasks.close()
        if self._stream is not None:
            await self._stream.close()
        await self._rest.close()

    def _backoff(self) -> Backoff:
        settings = self._settings
        return Backoff(
            self._random,
            first=settings.backoff_first_seconds,
            cap=settings.backoff_cap_seconds,
            reset_after=settings.backoff_reset_seconds,
        )

    # ---- for the stream

    @property
    def surroundings(self) -> Surroundings:
        """Shared with the stream."""
        return self._surroundings

    @property
    def patience(self) -> Patience:
        """Of the stream."""
        settings = self._settings
        return Patience(
            connect=settings.connect_timeout_seconds,
            idle=settings.market_data_idle_seconds,
            ping_idle=None,
            max_age=settings.max_connection_age_seconds,
            overlap=settings.renewal_overlap_seconds,
        )

    def fetch_snapshot(self, symbol: str, not_before: int, writer: RecordingWriter, on_done: Callable[[], None]) -> None:
        """One that reaches at least the update `not_before`; tried until it can be had."""
        self._tasks.start(self._fetch(symbol, not_before, writer, on_done), f"depth snapshot of {symbol}")

    async def _fetch(self, symbol: str, not_before: int, writer: RecordingWriter, on_done: Callable[[], None]) -> None:
        backoff = self._backoff()
        try:
            while True:
                try:
                    body = await self._rest.get(f"{self._wire.api}/depth", {"symbol": symbol, "limit": str(SNAPSHOT_LEVELS)})
                    if msgspec.json.decode(body, type=_Snapshot).lastUpdateId >= not_before:
                        break
                    detail = f"older than the first diff ({not_before})"
                except (VenueError, *UNREADABLE) as error:
                    detail = str(error)
                self._surroundings.complaints("cannot use a depth snapshot", symbol=symbol, detail=detail)
                await asyncio.sleep(backoff.next_delay())
        finally:
            on_done()
        writer.on_snapshot(self._surroundings.clock_ns(), symbol, body)


class _Stream(Channel):
    """The combined stream; every frame goes to the writer as it is."""

    def __init__(self, feed: RecordedFeed, url: str, symbols: tuple[str, ...], writer: RecordingWriter, backoff: Backoff) -> None:
        super().__init__("market data", url, feed.surroundings, backoff, feed.patience)
        self._feed = feed
        self._symbols = symbols
        self._writer = writer
        self._clock_ns = feed.surroundings.clock_ns
        self._counters = feed.counters
        self._wanted: dict[bytes, str] = {}
        self._fetching: set[str] = set()

    def receive(self, link: Link, message: bytes) -> None:
        """Hand one frame over."""
        if link.given_up:
            return
        receive_ns = self._clock_ns()
        self._counters.frames += 1
        self._counters.bytes_received += len(message)
        if announces_shutdown(message[:_HEAD_BYTES]):
            link.leave("the venue announced a shutdown")
            return
        self._writer.on_frame(receive_ns, message)
        if self._wanted:
            self._look_for_diff(link, message)

    def read_ended(self) -> None:
        """Nothing is batched here."""

    def on_up(self) -> None:
        """What stood before the first diff is asked for as soon as that has come: an earlier snapshot would not join it."""
        self.want_snapshots()

    def on_down(self, detail: str) -> None:
        """The file shows a hole; the next snapshot mends it."""

    def want_snapshots(self) -> None:
        """With the next diff of each symbol."""
        self._wanted = {f"{symbol.lower()}@depth".encode(): symbol for symbol in self._symbols}

    def _look_for_diff(self, link: Link, message: bytes) -> None:
        name = message[len(b'{"stream":"') : _HEAD_BYTES].partition(b'"')[0]
        prefix = name[: name.find(b"@depth") + len(b"@depth")] if b"@depth" in name else b""
        symbol = self._wanted.get(prefix)
        if symbol is None or symbol in self._fetching:
            return
        try:
            first_update_id = msgspec.json.decode(message, type=_Frame).data.U
        except UNREADABLE as error:
            self.malformed(link, str(error))
            return
        del self._wanted[prefix]
        self._fetching.add(symbol)
        self._feed.fetch_snapshot(symbol, first_update_id - 1, self._writer, lambda: self._fetching.discard(symbol))
