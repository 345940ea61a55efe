"""What is really open, and away with it: asked with fresh signed requests over a connection of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec

from mmd.exchanges.adapter import AdapterCounters, AuditError, VenueOrder
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance.signing import Signer
from mmd.exchanges.binance.verdicts import NO_SUCH_ORDER, UNKNOWN_ORDER
from mmd.exchanges.settings import ExchangeSettings
from mmd.types.decoding import UNREADABLE

_GONE = (UNKNOWN_ORDER, NO_SUCH_ORDER)


class _OpenOrder(msgspec.Struct, frozen=True, rename="camel"):
    client_order_id: str
    symbol: str
    side: str
    price: str
    orig_qty: str
    executed_qty: str


_ORDERS = msgspec.json.Decoder(list[_OpenOrder])


class OpenOrders:
    """Lists and cancels our open orders of `symbols`, ours by client id prefix. Each call opens and closes its own connection."""

    def __init__(
        self, settings: ExchangeSettings, symbols: Sequence[str], signer: Signer, clock_ns: Callable[[], int], *, api: str
    ) -> None:
        self._settings = settings
        self._symbols = symbols
        self._signer = signer
        self._clock_ns = clock_ns
        self._api = api

    async def listed(self, prefix: str) -> tuple[VenueOrder, ...]:
        """What the venue lists of ours. Raises `AuditError`."""
        async with self._requests("could not be asked for our open orders") as requests:
            return await requests.open_orders(prefix)

    async def cancel(self, prefix: str) -> tuple[VenueOrder, ...]:
        """Ask for the cancel of each that is listed; returns those. All are tried before `AuditError` tells of a failure."""
        async with self._requests("could not be asked to cancel our orders") as requests:
            orders = await requests.open_orders(prefix)
            failed: VenueError | None = None
            for order in orders:
                try:
                    await requests.cancel(order)
                except VenueError as error:
                    failed = error
            if failed is not None:
                raise failed
            return orders

    @asynccontextmanager
    async def _requests(self, what_failed: str) -> AsyncIterator[_Requests]:
        # An outlet that was never opened delivers nothing: this must not speak to the core.
        surroundings = Surroundings(
            self._clock_ns, EventOutlet(_never), Complaints(self._clock_ns), AdapterCounters(), Tasks(_never)
        )
        rest = RestClient(self._settings, surroundings, time_path=f"{self._api}/time")
        try:
            _, venue_ms, _ = await rest.server_time()
            offset_ms = venue_ms - self._clock_ns() // 1_000_000
            yield _Requests(rest, self._symbols, self._signer, lambda: self._clock_ns() // 1_000_000 + offset_ms, self._api)
        except (VenueError, *UNREADABLE) as error:
            raise AuditError(f"the venue {what_failed}: {error}", wait_seconds=rest.silent_seconds) from error
        finally:
            await rest.close()


class _Requests:
    """The signed requests of one call."""

    def __init__(self, rest: RestClient, symbols: Sequence[str], signer: Signer, venue_ms: Callable[[], int], api: str) -> None:
        self._rest = rest
        self._symbols = symbols
        self._signer = signer
        self._venue_ms = venue_ms
        self._api = api

    async def open_orders(self, prefix: str) -> tuple[VenueOrder, ...]:
        """Raises `VenueError`, `msgspec.MsgspecError`."""
        listed: list[_OpenOrder] = []
        for symbol in self._symbols:
            body = await self._rest.get_signed(f"{self._api}/openOrders", {"symbol": symbol}, self._signer, self._venue_ms())
            listed.extend(_ORDERS.decode(body))
        return tuple(
            VenueOrder(order.client_order_id, order.symbol, order.side, order.price, order.orig_qty, order.executed_qty)
            for order in listed
            if order.client_order_id.startswith(f"{prefix}-")
        )

    async def cancel(self, order: VenueOrder) -> None:
        """One order; that it is gone already is well. Raises `VenueError`."""
        parameters = {"symbol": order.symbol, "origClientOrderId": order.client_order_id}
        try:
            await self._rest.send_signed("DELETE", f"{self._api}/order", parameters, self._signer, self._venue_ms())
        except VenueError as error:
            if error.code not in _GONE:
                raise


def _never(error: BaseException, where: str) -> None:
    raise AssertionError(f"nothing runs here that could fail: {where}") from error
