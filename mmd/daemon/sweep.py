"""Clear the market of our orders from outside the core, again and again, until the venue has long said that there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import msgspec
import structlog

from mmd.exchanges.adapter import AuditError, VenueOrder

log = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
LOOK_SECONDS = 0.1
"""Between two looks at whether the sweep is still wanted."""


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
        """Go on until the market is clear (True), or `give_up` says so (False), whatever is being waited for.

        Never raises for the venue's sake.
        """
        pause = FIRST_PAUSE_SECONDS
        quiet_since: float | None = None
        while not give_up():
            answer = await _unless(give_up, self._round())
            if answer is None:
                break
            listed, wait_seconds = answer
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
            await _unless(give_up, asyncio.sleep(pause))
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


async def _unless(give_up: Callable[[], bool], work: Coroutine[Any, Any, T]) -> T | None:
    """The work's result; None, and the work broken off, where `give_up` says so before or as it ends."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        while not task.done() and not give_up():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
        return None if give_up() or not task.done() else task.result()
    finally:
        if not task.done():
            task.cancel()
        await asyncio.wait({task})
