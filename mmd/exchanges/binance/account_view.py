"""The venue's view of the account by REST: balances, open orders and trades, gathered for one reconciliation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from mmd.exchanges.binance.clock import VenueClock
from mmd.exchanges.binance.decode import NANOSECONDS_PER_MILLISECOND, WIRE_ERRORS, MalformedFrame
from mmd.exchanges.binance.order_messages import OrderBody, OrderNames, order_update
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance.signing import Signer
from mmd.exchanges.binance.verdicts import BAD_TIMESTAMP
from mmd.types.instrument import Instrument, atoms
from mmd.types.market import Side
from mmd.types.orders import Balance, Fill, OrderUpdate, ReconciliationReport, RequestReconciliation

_TRADES_PER_PAGE = 1000
_MOST_PAGES = 50
_MOST_LOOKUPS = 100


class _BalanceBody(msgspec.Struct, gc=False):
    asset: str
    free: str
    locked: str


class _AccountBody(msgspec.Struct, gc=False):
    balances: list[_BalanceBody]


class _TradeBody(msgspec.Struct, gc=False):
    id: int
    orderId: int
    price: float
    qty: float
    time: int
    isBuyer: bool
    isMaker: bool
    commission: str
    commissionAsset: str


_ACCOUNT = msgspec.json.Decoder(_AccountBody)
_ORDERS = msgspec.json.Decoder(list[OrderBody], strict=False)
_ORDER = msgspec.json.Decoder(OrderBody, strict=False)
_TRADES = msgspec.json.Decoder(list[_TradeBody], strict=False)


class AccountView:
    """Asks for the account's state. Everything it raises is a `VenueError` or a `MalformedFrame`."""

    order_path = "/api/v3/order"
    open_orders_path = "/api/v3/openOrders"
    trades_path = "/api/v3/myTrades"

    def __init__(
        self, rest: RestClient, signer: Signer, clock: VenueClock, instruments: Mapping[str, Instrument], names: OrderNames
    ) -> None:
        self._rest = rest
        self._signer = signer
        self._clock = clock
        self._instruments = instruments
        self._names = names

    async def report(self, request: RequestReconciliation, requested_ns: int) -> ReconciliationReport:
        """Gather everything `request` asks for. `requested_ns` is our clock when the gathering began."""
        after = dict(request.after_trade_ids)
        symbols = list(self._instruments)
        try:
            async with asyncio.TaskGroup() as group:
                balances = group.create_task(self._balances())
                open_orders = [group.create_task(self._open_orders(symbol)) for symbol in symbols]
                found = [group.create_task(self._trades(symbol, after.get(symbol, -1))) for symbol in symbols]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        orders = [order for task in open_orders for order in task.result()]
        trades = [trade for task in found for trade in task.result()]
        trades = await self._named(trades)
        trades.sort(key=lambda trade: (trade.exchange_ns, trade.trade_id))
        return ReconciliationReport(self._rest.now_ns(), requested_ns, balances.result(), tuple(orders), tuple(trades))

    async def _balances(self) -> tuple[Balance, ...]:
        body = await self._signed("/api/v3/account", {"omitZeroBalances": "true"})
        try:
            account = _ACCOUNT.decode(body)
            return tuple([Balance(line.asset, atoms(line.free), atoms(line.locked)) for line in account.balances])
        except (*WIRE_ERRORS, ArithmeticError) as error:
            raise MalformedFrame("account", body, error) from error

    async def _open_orders(self, symbol: str) -> list[OrderUpdate]:
        body = await self._signed(self.open_orders_path, {"symbol": symbol})
        receive_ns = self._rest.now_ns()
        try:
            orders = _ORDERS.decode(body)
            updates = [order_update(o, self._instruments[symbol], receive_ns, client_order_id=o.clientOrderId) for o in orders]
        except WIRE_ERRORS as error:
            raise MalformedFrame(f"open orders of {symbol}", body, error) from error
        for order in orders:
            self._names.remember(order.orderId, order.clientOrderId)
        return updates

    async def _trades(self, symbol: str, after: int) -> list[Fill]:
        """Trades after an id, page by page; without one (-1) the venue's newest page."""
        if after < 0:
            return await self._trades_page(symbol, {})
        found: list[Fill] = []
        for _ in range(_MOST_PAGES):
            page = await self._trades_page(symbol, {"fromId": str(after + 1)})
            found.extend(page)
            if len(page) < _TRADES_PER_PAGE:
                return found
            after = page[-1].trade_id
        raise VenueError(self.trades_path, 200, 0, f"more than {_MOST_PAGES * _TRADES_PER_PAGE} trades of {symbol} to catch up on")

    async def _trades_page(self, symbol: str, parameters: Mapping[str, str]) -> list[Fill]:
        body = await self._signed(self.trades_path, {"symbol": symbol, "limit": str(_TRADES_PER_PAGE), **parameters})
        receive_ns = self._rest.now_ns()
        try:
            return self._fills(body, self._instruments[symbol], receive_ns)
        except (*WIRE_ERRORS, ArithmeticError) as error:
            raise MalformedFrame(f"trades of {symbol}", body, error) from error

    def _fills(self, body: bytes, instrument: Instrument, receive_ns: int) -> list[Fill]:
        """The trades of a page. Raises one of `WIRE_ERRORS`, `ArithmeticError`."""
        return [self._fill(trade, instrument, receive_ns) for trade in _TRADES.decode(body)]

    def _fill(self, trade: _TradeBody, instrument: Instrument, receive_ns: int) -> Fill:
        return Fill(
            receive_ns,
            instrument.symbol,
            trade.id,
            self._names.name(trade.orderId) or "",
            trade.orderId,
            Side.BUY if trade.isBuyer else Side.SELL,
            round(trade.price * instrument.ticks_per_unit),
            round(trade.qty * instrument.lots_per_unit),
            atoms(trade.commission),
            trade.commissionAsset,
            trade.isMaker,
            trade.time * NANOSECONDS_PER_MILLISECOND,
        )

    async def _named(self, trades: list[Fill]) -> list[Fill]:
        """Fill in client ids the cache lacked, newest orders first, as many look-ups as one report may cost."""
        nameless = {(trade.symbol, trade.exchange_order_id) for trade in trades if not trade.client_order_id}
        for symbol, order_id in sorted(nameless, key=lambda entry: -entry[1])[:_MOST_LOOKUPS]:
            await self._look_up(symbol, order_id)
        return [
            trade
            if trade.client_order_id
            else msgspec.structs.replace(trade, client_order_id=self._names.name(trade.exchange_order_id) or "")
            for trade in trades
        ]

    async def _look_up(self, symbol: str, order_id: int) -> None:
        body = await self._signed(self.order_path, {"symbol": symbol, "orderId": str(order_id)})
        try:
            order = _ORDER.decode(body)
        except WIRE_ERRORS as error:
            raise MalformedFrame(f"order {order_id} of {symbol}", body, error) from error
        self._names.remember(order_id, order.clientOrderId)

    async def _signed(self, path: str, parameters: Mapping[str, str]) -> bytes:
        """A signed request; on a timestamp the venue refused, the clock is measured and it is sent once more."""
        try:
            return await self._rest.get_signed(path, parameters, self._signer, self._clock.timestamp_ms(self._rest.now_ns()))
        except VenueError as error:
            if error.code != BAD_TIMESTAMP:
                raise
        await self._clock.measure()
        return await self._rest.get_signed(path, parameters, self._signer, self._clock.timestamp_ms(self._rest.now_ns()))
