"""What is really open: asked over a connection of its own, with a fresh signed request, whatever became of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from mmd.exchanges.adapter import AdapterCounters, AuditError, VenueOrder
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance.signing import Signer
from mmd.exchanges.settings import ExchangeSettings


class _OpenOrder(msgspec.Struct, frozen=True, rename="camel"):
    client_order_id: str
    symbol: str
    side: str
    price: str
    orig_qty: str
    executed_qty: str


_ORDERS = msgspec.json.Decoder(list[_OpenOrder])


async def open_orders_at_venue(
    settings: ExchangeSettings,
    symbols: Sequence[str],
    prefix: str,
    signer: Signer,
    clock_ns: Callable[[], int],
    *,
    api: str = "/api/v3",
) -> tuple[VenueOrder, ...]:
    """Our open orders of `symbols`, ours by client id prefix. Raises `AuditError`."""

    def on_failure(error: BaseException, where: str) -> None:
        raise AssertionError(f"nothing runs here that could fail: {where}") from error

    # An outlet that was never opened delivers nothing: this must not speak to the core.
    surroundings = Surroundings(clock_ns, EventOutlet(on_failure), Complaints(clock_ns), AdapterCounters(), Tasks(on_failure))
    rest = RestClient(settings, surroundings, time_path=f"{api}/time")
    listed: list[_OpenOrder] = []
    try:
        _, venue_ms, _ = await rest.server_time()
        offset_ms = venue_ms - clock_ns() // 1_000_000
        for symbol in symbols:
            body = await rest.get_signed(f"{api}/openOrders", {"symbol": symbol}, signer, clock_ns() // 1_000_000 + offset_ms)
            listed.extend(_ORDERS.decode(body))
    except (VenueError, msgspec.MsgspecError) as error:
        raise AuditError(f"the venue could not be asked for our open orders: {error}") from error
    finally:
        await rest.close()
    return tuple(
        VenueOrder(order.client_order_id, order.symbol, order.side, order.price, order.orig_qty, order.executed_qty)
        for order in listed
        if order.client_order_id.startswith(f"{prefix}-")
    )
