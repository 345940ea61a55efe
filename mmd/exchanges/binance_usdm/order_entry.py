"""Order entry over the futures' WebSocket API; user data come by another connection."""

from __future__ import annotations

from mmd.exchanges.binance import encode
from mmd.exchanges.binance.connection import HandshakeRefused, Link
from mmd.exchanges.binance.order_entry import OrderEntry
from mmd.exchanges.binance.rest import VenueError
from mmd.exchanges.binance_usdm.dead_mans_switch import DeadMansSwitch
from mmd.exchanges.binance_usdm.order_channel import OrderChannel
from mmd.types.orders import AmendOrder, ReplaceOrder

PART = "order entry"


class UsdmOrderEntry(OrderEntry):
    """See `OrderEntry`. `join` must be called before it runs."""

    unsupported = (AmendOrder, ReplaceOrder)

    def join(self, channel: OrderChannel, switch: DeadMansSwitch) -> None:
        """Count as up only together with `channel`'s other part, and only while `switch` is armed."""
        self._channel = channel
        self._switch = switch

    async def prepare(self, link: Link) -> None:
        """Log on where the key allows it, and start the countdowns: from here on the venue cancels what we leave alone."""
        await self._clock.measured.wait()
        settings = self._settings
        if settings.uses_ed25519:
            request_id = self._own_request_id()
            message = encode.session_logon(
                request_id,
                api_key=settings.api_key,
                recv_window_ms=settings.recv_window_ms,
                signer=self._signer,
                timestamp_ms=self._clock.timestamp_ms(self._clock_ns()),
            )
            await self._ask(link, request_id, message)
        try:
            await self._switch.arm()
        except VenueError as error:
            raise HandshakeRefused(f"the dead-man's switch cannot be armed: {error}") from error

    def on_up(self) -> None:
        """Orders can be sent."""
        self._channel.up(PART)

    def on_down(self, detail: str) -> None:
        """They cannot."""
        self._channel.down(PART, detail)

    def on_unreachable(self, detail: str) -> None:
        """The first attempt of all may fail too."""
        self._channel.down(PART, detail)
