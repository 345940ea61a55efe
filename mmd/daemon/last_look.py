"""The last thing before leaving: what the venue still lists of ours is cancelled, one by one, until it lists nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from mmd.daemon.steady_clock import utc_ns
from mmd.exchanges.adapter import AuditError, ExchangeAdapter, VenueOrder
from mmd.journal.records import SentByShell
from mmd.types.orders import CancelOrder

log = structlog.get_logger(__name__)

CANCEL_ROUND_SECONDS = 0.25
"""Between two looks at the venue while the last orders are being cancelled."""


async def sweep(
    adapter: ExchangeAdapter, client_order_id_prefix: str, deadline_seconds: float, record: Callable[[Any], None]
) -> tuple[VenueOrder, ...] | None:
    """What is still open in the end, or at the deadline; None where the venue could not be asked. `record` hears of each cancel."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + deadline_seconds
    while True:
        try:
            orders = await adapter.open_orders_audit(client_order_id_prefix)
        except AuditError as error:
            log.error("what is still open is not known", error=str(error))
            return None
        if not orders or loop.time() > deadline:
            return orders
        log.warning("cancelling orders that the venue still lists", orders=[order.client_order_id for order in orders])
        for order in orders:
            cancel = CancelOrder(utc_ns(), order.client_order_id, order.symbol)
            record(SentByShell(cancel))
            adapter.send(cancel)
        await asyncio.sleep(CANCEL_ROUND_SECONDS)
