"""The admin endpoint `/mock/transfers`: deposits and withdrawals, which the account hears of as `balanceUpdate`."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from aiohttp import web

from mmd.mock.engine import Refusal
from mmd.mock.server.admin_guard import AdminGuard
from mmd.mock.server.venue import Venue
from mmd.types.decoding import UNREADABLE
from mmd.types.instrument import InstrumentError, atoms, atoms_text

PATH = "/mock/transfers"
_EXAMPLE = '{"account": "K1", "asset": "USDT", "amount": "-250.5"}'


class _Transfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: str
    asset: str
    amount: Decimal


class TransferAdmin:
    """Serves the endpoint."""

    def __init__(self, venue: Venue, guard: AdminGuard) -> None:
        self._venue = venue
        self._guard = guard

    @property
    def routes(self) -> list[web.RouteDef]:
        """For the server's router."""
        return [web.post(PATH, self._guard.wrap(self._transfer))]

    async def _transfer(self, request: web.Request) -> web.Response:
        try:
            transfer = msgspec.json.decode(await request.read(), type=_Transfer)
            amount = atoms(transfer.amount)
        except (*UNREADABLE, InstrumentError) as error:
            return web.json_response({"error": f"the body must be as {_EXAMPLE}: {error}"}, status=400)
        accounts = self._venue.engine.accounts()
        if transfer.account not in accounts:
            text = f"there is no account {transfer.account!r}; there are {', '.join(accounts)}"
            return web.json_response({"error": text}, status=404)
        try:
            self._venue.transfer(transfer.account, transfer.asset, amount)
        except Refusal as refusal:
            return web.json_response({"error": refusal.message}, status=409)
        (held,) = (each for each in self._venue.engine.balances(transfer.account) if each.asset == transfer.asset)
        return web.json_response(
            {"asset": held.asset, "free": atoms_text(held.free_atoms), "locked": atoms_text(held.locked_atoms)}
        )
