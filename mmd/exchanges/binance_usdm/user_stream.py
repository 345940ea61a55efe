"""The user data stream: a websocket of its own under a listen key, which is kept alive and replaced when it expires."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.connection import Channel, HandshakeRefused, Link, Patience, Surroundings
from mmd.exchanges.binance.decode import MalformedFrame, announces_shutdown
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance_usdm.account import API
from mmd.exchanges.binance_usdm.order_channel import OrderChannel
from mmd.exchanges.binance_usdm.settings import BinanceUsdmSettings
from mmd.exchanges.binance_usdm.user_data import FUNDING, KEY_EXPIRED, UsdmUserDataDecoder
from mmd.types.decoding import UNREADABLE
from mmd.types.market import BatchEnd

PART = "user data"
_RETRY_SECONDS = 10.0


class _ListenKey(msgspec.Struct):
    listenKey: str


_LISTEN_KEY = msgspec.json.Decoder(_ListenKey)


class UserStream(Channel):
    """Delivers order updates, fills and collateral; `on_funding` hears that a funding payment was made."""

    def __init__(
        self,
        settings: BinanceUsdmSettings,
        surroundings: Surroundings,
        backoff: Backoff,
        *,
        rest: RestClient,
        decoder: UsdmUserDataDecoder,
        channel: OrderChannel,
        on_funding: Callable[[], None],
    ) -> None:
        patience = Patience(
            connect=settings.connect_timeout_seconds,
            idle=None,
            ping_idle=settings.order_entry_idle_seconds,
            max_age=settings.max_connection_age_seconds,
            overlap=settings.renewal_overlap_seconds,
        )
        super().__init__(PART, settings.private_stream_url, surroundings, backoff, patience)
        self._refresh_seconds = settings.usdm.listen_key_refresh_seconds
        self._rest = rest
        self._decoder = decoder
        self._channel = channel
        self._on_funding = on_funding
        self._base = settings.private_stream_url
        self._batch_ns = 0

    def receive(self, link: Link, message: bytes) -> None:
        """One event."""
        receive_ns = self.surroundings.clock_ns()
        counters = self.surroundings.counters
        counters.frames += 1
        counters.bytes_received += len(message)
        self._batch_ns = receive_ns
        try:
            kind, events = self._decoder.decode(message, receive_ns)
        except MalformedFrame as error:
            self.malformed(link, str(error))
            return
        for event in events:
            self.surroundings.outlet(event)
        if kind == FUNDING:
            self._on_funding()
        elif kind == KEY_EXPIRED:
            link.fail("the listen key has expired")
        elif not events:
            counters.ignored += 1
            if announces_shutdown(message):
                link.leave("the venue announced a shutdown")

    def read_ended(self) -> None:
        """Close the batch, if this read brought anything."""
        if self._batch_ns:
            batch_ns, self._batch_ns = self._batch_ns, 0
            self.surroundings.outlet(BatchEnd(batch_ns))

    async def keep_key_alive(self) -> None:
        """Prolong the key on a timer, until cancelled. A key that the venue has forgotten is replaced with its connection."""
        while True:
            await asyncio.sleep(self._refresh_seconds)
            while self.current is not None:
                try:
                    await self._rest.send_keyed("PUT", f"{API}/listenKey")
                    break
                except VenueError as error:
                    self.surroundings.complaints("cannot prolong the listen key", detail=str(error))
                    if error.status == 400 and self.current is not None:
                        self.current.fail(f"the listen key cannot be prolonged: {error}")
                        break
                await asyncio.sleep(min(_RETRY_SECONDS, self._refresh_seconds))

    async def _connect(self, link: Link) -> None:
        try:
            body = await self._rest.send_keyed("POST", f"{API}/listenKey")
            key = _LISTEN_KEY.decode(body).listenKey
        except VenueError as error:
            raise HandshakeRefused(f"no listen key: {error}") from error
        except UNREADABLE as error:
            raise HandshakeRefused(f"no listen key: {error}") from error
        self.url = f"{self._base}/ws/{key}"
        try:
            await super()._connect(link)
        finally:
            # What is logged names the stream, never the key.
            self.url = self._base

    def on_up(self) -> None:
        """Fates of orders will be told."""
        self._channel.up(PART)

    def on_down(self, detail: str) -> None:
        """They are not."""
        self._channel.down(PART, detail)

    def on_unreachable(self, detail: str) -> None:
        """The first attempt of all may fail too."""
        self._channel.down(PART, detail)
