"""Binance Spot as one `ExchangeAdapter`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from mmd.exchanges.adapter import OrderCommand
from mmd.exchanges.binance.account_view import AccountView
from mmd.exchanges.binance.base import BinanceAdapter
from mmd.exchanges.binance.decode import FrameDecoder
from mmd.exchanges.binance.encode import RequestEncoder
from mmd.exchanges.binance.exchange_info import instruments_of
from mmd.exchanges.binance.order_entry import OrderEntry
from mmd.exchanges.binance.rehearsal import BinanceWireRehearsal
from mmd.exchanges.binance.replies import ReplyDecoder
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.exchanges.binance.user_data import UserDataDecoder
from mmd.exchanges.capabilities import Capabilities
from mmd.types.instrument import Instrument

CAPABILITIES = Capabilities()


class BinanceSpotAdapter(BinanceAdapter):
    """See `BinanceAdapter`."""

    api = "/api/v3"
    settings_class: ClassVar[type[BinanceSettings]] = BinanceSettings

    @property
    def capabilities(self) -> Capabilities:
        """Of Binance Spot: all over streams, nothing that stops us when we fall silent."""
        return CAPABILITIES

    def rehearsal(self) -> BinanceWireRehearsal:
        """This wire without the venue."""
        return BinanceWireRehearsal(self._instruments, recv_window_ms=self._settings.recv_window_ms)

    @classmethod
    def unsigned_encoder(
        cls, instruments: Mapping[str, Instrument], recv_window_ms: int
    ) -> Callable[[OrderCommand, int, int], bytes]:
        """From command, request id and timestamp (ms) to the request without key and signature."""
        return RequestEncoder(instruments, api_key="", recv_window_ms=recv_window_ms, signer=None).encode

    async def _read_instruments(self) -> Mapping[str, Instrument]:
        listed = ",".join(f'"{symbol}"' for symbol in self._streamed)
        body = await self._rest.get(f"{self.api}/exchangeInfo", {"symbols": f"[{listed}]"})
        return instruments_of(body, self._streamed)

    def _assemble(self, decoder: FrameDecoder) -> tuple[OrderEntry, AccountView]:
        settings = self._settings
        encoder = RequestEncoder(
            self._instruments,
            api_key=settings.api_key,
            recv_window_ms=settings.recv_window_ms,
            signer=None if settings.uses_ed25519 else self._signer,
        )
        order_entry = OrderEntry(
            settings,
            self._surroundings,
            self._backoff(),
            encoder=encoder,
            signer=self._signer,
            replies=ReplyDecoder(self._instruments, self._names),
            user_data=UserDataDecoder(self._instruments, self._names),
            clock=self._clock,
        )
        traded = {symbol: self._instruments[symbol] for symbol in self._symbols}
        return order_entry, AccountView(self._rest, self._signer, self._clock, traded, self._names)
