"""Binance USD-M futures as one `ExchangeAdapter`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import ClassVar

from mmd.exchanges.adapter import AdapterError, EventSink, FailureHandler, OrderCommand
from mmd.exchanges.binance.base import BinanceAdapter
from mmd.exchanges.binance.decode import FrameDecoder
from mmd.exchanges.binance.rest import VenueError
from mmd.exchanges.binance_usdm.account import API, SignedRequests, UsdmAccountView, require_one_way_mode
from mmd.exchanges.binance_usdm.dead_mans_switch import DeadMansSwitch
from mmd.exchanges.binance_usdm.encode import UsdmRequestEncoder
from mmd.exchanges.binance_usdm.exchange_info import perpetuals_of
from mmd.exchanges.binance_usdm.funding_watch import FundingWatch
from mmd.exchanges.binance_usdm.mark_prices import MarkPrices
from mmd.exchanges.binance_usdm.order_channel import OrderChannel
from mmd.exchanges.binance_usdm.order_entry import PART as ORDER_ENTRY
from mmd.exchanges.binance_usdm.order_entry import UsdmOrderEntry
from mmd.exchanges.binance_usdm.rehearsal import UsdmWireRehearsal
from mmd.exchanges.binance_usdm.replies import UsdmReplyDecoder
from mmd.exchanges.binance_usdm.settings import BinanceUsdmSettings
from mmd.exchanges.binance_usdm.user_data import UsdmUserDataDecoder
from mmd.exchanges.binance_usdm.user_stream import PART as USER_DATA
from mmd.exchanges.binance_usdm.user_stream import UserStream
from mmd.exchanges.capabilities import Capabilities
from mmd.types.instrument import Instrument

CAPABILITIES = Capabilities(countdown_cancel=True, short_positions=True)


class BinanceUsdmAdapter(BinanceAdapter):
    """See `BinanceAdapter`. Needs an account in one-way mode, and one of its own: the countdown cancels others' orders too."""

    api = API
    settings_class: ClassVar[type[BinanceUsdmSettings]] = BinanceUsdmSettings

    def __init__(
        self,
        settings: BinanceUsdmSettings,
        symbols: Iterable[str],
        *,
        clock_ns: Callable[[], int],
        on_failure: FailureHandler,
        random: Random,
        on_market_frame: Callable[[int, bytes], None] | None = None,
        on_depth_snapshot: Callable[[int, str, bytes], None] | None = None,
        reference_symbols: Iterable[str] = (),
        market_data_only: bool = False,
    ) -> None:
        # The market streams lie under a path of their own; everything else is where the settings say.
        routed = settings.model_copy(update={"stream_url": settings.public_stream_url})
        super().__init__(
            routed,
            symbols,
            clock_ns=clock_ns,
            on_failure=on_failure,
            random=random,
            on_market_frame=on_market_frame,
            on_depth_snapshot=on_depth_snapshot,
            reference_symbols=reference_symbols,
            market_data_only=market_data_only,
        )
        self._usdm_settings = settings
        self._requests = SignedRequests(self._rest, self._signer, self._clock)
        options = settings.usdm
        self.switch = DeadMansSwitch(
            self._requests,
            self._surroundings,
            self._symbols,
            countdown_seconds=options.countdown_seconds,
            heartbeat_seconds=options.heartbeat_seconds,
        )
        self._user_stream: UserStream | None = None
        self._mark_prices: MarkPrices | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Of Binance USD-M: orders modified in place, short positions, a dead-man's switch."""
        return CAPABILITIES

    async def start(self, sink: EventSink) -> None:
        """As every adapter. Raises `AdapterError` also where the account is in hedge mode, or its mode cannot be read."""
        if not self._instruments:
            await self.load_instruments()
        if self._market_data_only:
            await super().start(sink)
            return
        try:
            await self._clock.measure()
            await require_one_way_mode(self._requests)
        except VenueError as error:
            raise AdapterError(f"cannot read the account's position mode from {self._settings.rest_url}: {error}") from error
        # Orders wait for a measurement that the core has heard of, and nobody has heard of this one.
        self._clock.measured.clear()
        await super().start(sink)

    def rehearsal(self) -> UsdmWireRehearsal:
        """This wire without the venue."""
        return UsdmWireRehearsal(self._instruments, recv_window_ms=self._settings.recv_window_ms)

    async def close(self) -> None:
        """Close every connection and end every task. The countdown goes on and cancels whatever is left."""
        await super().close()
        for channel in (self._user_stream, self._mark_prices):
            if channel is not None:
                await channel.close()

    @classmethod
    def unsigned_encoder(
        cls, instruments: Mapping[str, Instrument], recv_window_ms: int
    ) -> Callable[[OrderCommand, int, int], bytes]:
        """From command, request id and timestamp (ms) to the request without key and signature."""
        return UsdmRequestEncoder(instruments, api_key="", recv_window_ms=recv_window_ms, signer=None).encode

    async def _read_instruments(self) -> Mapping[str, Instrument]:
        return perpetuals_of(await self._rest.get(f"{API}/exchangeInfo"), self._streamed)

    def _assemble(self, decoder: FrameDecoder) -> tuple[UsdmOrderEntry, UsdmAccountView]:
        settings, surroundings = self._usdm_settings, self._surroundings
        traded = {symbol: self._instruments[symbol] for symbol in self._symbols}
        account = UsdmAccountView(self._rest, self._signer, self._clock, traded, self._names)
        user_data = UsdmUserDataDecoder(traded, self._names)
        encoder = UsdmRequestEncoder(
            self._instruments,
            api_key=settings.api_key,
            recv_window_ms=settings.recv_window_ms,
            signer=None if settings.uses_ed25519 else self._signer,
        )
        order_entry = UsdmOrderEntry(
            settings,
            surroundings,
            self._backoff(),
            encoder=encoder,
            signer=self._signer,
            replies=UsdmReplyDecoder(self._instruments, self._names),
            user_data=None,
            clock=self._clock,
        )
        channel = OrderChannel(surroundings, ORDER_ENTRY, USER_DATA)
        order_entry.join(channel, self.switch)
        watch = FundingWatch(account, self._symbols, surroundings)
        self._user_stream = UserStream(
            settings,
            surroundings,
            self._backoff(),
            rest=self._rest,
            decoder=user_data,
            channel=channel,
            on_funding=watch.notice,
        )
        self._mark_prices = MarkPrices(settings, traded, surroundings, self._backoff())
        return order_entry, account

    def _start_services(self) -> None:
        assert self._user_stream is not None
        assert self._mark_prices is not None
        self._tasks.start(self._user_stream.run(), "user data")
        self._tasks.start(self._mark_prices.run(), "mark prices")
        self._tasks.start(self._user_stream.keep_key_alive(), "listen key")
        self._tasks.start(self.switch.run(), "dead-man's switch")
