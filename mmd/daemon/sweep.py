"""Clear the market of our orders from outside the core, again and again, until the venue has long said that there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from mmd.exchanges.adapter import AuditError, VenueOrder

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


class Canceller(Protocol):
    """What is needed of an adapter."""

    async def cancel_ours(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        """See `ExchangeAdapter`."""


class SweepCounts(msgspec.Struct):
    """Totals of a sweeper: rounds asked, orders that were listed in them, rounds that failed."""

    rounds: int = 0
    orders: int = 0
    failures: int = 0
    last_error: str = ""


class Sweeper:
    """Cancels what is ours. `quiet_seconds` is how long the venue must list none before it counts as clear.

    That is the longest time an order may still be on its way: the receive window it was signed for, and a second for the clocks.
    """

    def __init__(self, venue: Canceller, prefix: str, *, quiet_seconds: float, monotonic: Callable[[], float]) -> None:
        self._venue = venue
        self._prefix = prefix
        self._quiet_seconds = quiet_seconds
        self._monotonic = monotonic
        self.counts = SweepCounts()

    async def clear(self, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Go on until the market is clear (True), or `give_up` says so (False). Never raises for the venue's sake."""
        pause = FIRST_PAUSE_SECONDS
        quiet_since: float | None = None
        while not give_up():
            listed, wait_seconds = await self._round()
            now = self._monotonic()
            if listed is None:
                quiet_since = None
                pause = max(wait_seconds, min(pause * 2, LONGEST_PAUSE_SECONDS))
            elif listed:
                quiet_since, pause = None, FIRST_PAUSE_SECONDS
            else:
                quiet_since = now if quiet_since is None else quiet_since
                if now - quiet_since >= self._quiet_seconds:
                    return True
                pause = min(pause * 2, self._quiet_seconds / 4)
            await asyncio.sleep(pause)
        return False

    async def _round(self) -> tuple[int | None, float]:
        """How many orders were listed (and asked to go), None when that could not be had; and how long the venue bids us wait."""
        self.counts.rounds += 1
        try:
            orders = await self._venue.cancel_ours(self._prefix)
        except AuditError as error:
            self.counts.failures += 1
            self.counts.last_error = str(error)
            log.error("our orders could not be cancelled; it is tried again", error=str(error), wait_seconds=error.wait_seconds)
            return None, error.wait_seconds
        if orders:
            self.counts.orders += len(orders)
            log.warning("cancelling", orders=[f"{order.symbol} {order.side} {order.client_order_id}" for order in orders])
        return len(orders), 0.0
