"""Funding payments as they happen: the stream says that one was made, the account's income says in which symbol."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mmd.exchanges.adapter import Event
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.decode import MalformedFrame
from mmd.exchanges.binance.rest import VenueError
from mmd.exchanges.binance_usdm.account import UsdmAccountView

WAITS_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""The venue writes its income list a moment after it tells; the next reconciliation brings what is later still."""


class FundingWatch:
    """Looks the payment up each time it is noticed, until one is found that is new."""

    def __init__(self, account: UsdmAccountView, symbols: Sequence[str], surroundings: Surroundings) -> None:
        self._account = account
        self._symbols = symbols
        self._surroundings = surroundings
        self._newest_ids = dict.fromkeys(symbols, -1)
        self._newest_ns = dict.fromkeys(symbols, 0)
        self._looking = False
        self._again = False

    def notice(self) -> None:
        """A payment was made."""
        if self._looking:
            self._again = True
            return
        self._looking = True
        self._surroundings.tasks.start(self._look(), "funding")

    async def _look(self) -> None:
        try:
            for wait_seconds in WAITS_SECONDS:
                await asyncio.sleep(wait_seconds)
                self._again = False
                if await self._found_new() and not self._again:
                    return
        finally:
            self._looking = False

    async def _found_new(self) -> bool:
        events: list[Event] = []
        for symbol in self._symbols:
            try:
                payments = await self._account.funding(symbol, self._newest_ns[symbol])
            except (VenueError, MalformedFrame) as error:
                self._surroundings.complaints("cannot look funding up", symbol=symbol, detail=str(error))
                continue
            for payment in payments:
                if payment.funding_id > self._newest_ids[symbol]:
                    self._newest_ids[symbol], self._newest_ns[symbol] = payment.funding_id, payment.exchange_ns
                    events.append(payment)
        if events:
            self._surroundings.outlet.batch(events, self._surroundings.clock_ns())
        return bool(events)
