"""What is really open: asked of the venue itself, over a connection of its own, with a fresh signed request. Not our belief."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from mmd.exchanges.adapter import AdapterCounters
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.exchanges.binance.signing import signer_of


class AuditError(RuntimeError):
    """The venue could not be asked: what is open is not known."""


class VenueOrder(msgspec.Struct, frozen=True, rename="camel"):
    """One open order as the venue lists it."""

    client_order_id: str
    symbol: str
    side: str
    price: str
    orig_qty: str
    executed_qty: str


_ORDERS = msgspec.json.Decoder(list[VenueOrder])


async def open_orders_at_venue(
    settings: BinanceSettings, symbols: Sequence[str], prefix: str, clock_ns: Callable[[], int]
) -> list[VenueOrder]:
    """Our open orders of `symbols`, ours by client id prefix. Raises `AuditError`."""

    def on_failure(error: BaseException, where: str) -> None:
        raise AssertionError(f"nothing runs here that could fail: {where}") from error

    # An outlet that was never opened delivers nothing: this must not speak to the core.
    surroundings = Surroundings(clock_ns, EventOutlet(on_failure), Complaints(clock_ns), AdapterCounters(), Tasks(on_failure))
    rest = RestClient(settings, surroundings)
    signer = signer_of(settings)
    ours = re.compile(rf"{re.escape(prefix)}-")
    found: list[VenueOrder] = []
    try:
        _, venue_ms, _ = await rest.server_time()
        offset_ms = venue_ms - clock_ns() // 1_000_000
        for symbol in symbols:
            body = await rest.get_signed("/api/v3/openOrders", {"symbol": symbol}, signer, clock_ns() // 1_000_000 + offset_ms)
            found.extend(order for order in _ORDERS.decode(body) if ours.match(order.client_order_id))
    except (VenueError, msgspec.MsgspecError) as error:
        raise AuditError(f"the venue could not be asked for our open orders: {error}") from error
    finally:
        await rest.close()
    return found
