"""Signed requests about the account, and the account's state gathered for a reconciliation: positions instead of balances."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from mmd.exchanges.adapter import AdapterError
from mmd.exchanges.binance.account_view import AccountView
from mmd.exchanges.binance.clock import VenueClock
from mmd.exchanges.binance.decode import NANOSECONDS_PER_MILLISECOND, WIRE_ERRORS, MalformedFrame
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance.signing import Signer
from mmd.exchanges.binance.verdicts import BAD_TIMESTAMP
from mmd.types.decoding import UNREADABLE
from mmd.types.instrument import Instrument, atoms
from mmd.types.market import Side
from mmd.types.orders import Balance, Fill, FundingPaid, Margin, Position, ReconciliationReport, RequestReconciliation

API = "/fapi/v1"
_MOST_INCOME = 1_000


class _Asset(msgspec.Struct, gc=False):
    asset: str
    walletBalance: str
    marginBalance: str
    availableBalance: str


class _Account(msgspec.Struct, gc=False):
    assets: list[_Asset]
    totalMarginBalance: str
    availableBalance: str


class _Position(msgspec.Struct, gc=False):
    symbol: str
    positionSide: str
    positionAmt: str
    markPrice: float
    leverage: int


class _Income(msgspec.Struct, gc=False):
    symbol: str
    income: str
    asset: str
    time: int
    tranId: int


class _Trade(msgspec.Struct, gc=False):
    id: int
    orderId: int
    price: float
    qty: float
    time: int
    side: str
    maker: bool
    commission: str
    commissionAsset: str


class _PositionMode(msgspec.Struct, gc=False):
    dualSidePosition: bool


_ACCOUNT = msgspec.json.Decoder(_Account)
_POSITIONS = msgspec.json.Decoder(list[_Position], strict=False)
_INCOME = msgspec.json.Decoder(list[_Income], strict=False)
_TRADES = msgspec.json.Decoder(list[_Trade], strict=False)
_MODE = msgspec.json.Decoder(_PositionMode, strict=False)


class SignedRequests:
    """Requests in the venue's time; one whose timestamp is refused is sent once more after a measurement."""

    def __init__(self, rest: RestClient, signer: Signer, clock: VenueClock) -> None:
        self.rest = rest
        self._signer = signer
        self._clock = clock

    async def __call__(self, method: str, path: str, parameters: Mapping[str, str]) -> bytes:
        """Returns the body. Raises `VenueError`."""
        try:
            return await self._send(method, path, parameters)
        except VenueError as error:
            if error.code != BAD_TIMESTAMP:
                raise
        await self._clock.measure()
        return await self._send(method, path, parameters)

    async def _send(self, method: str, path: str, parameters: Mapping[str, str]) -> bytes:
        timestamp_ms = self._clock.timestamp_ms(self.rest.now_ns())
        return await self.rest.send_signed(method, path, parameters, self._signer, timestamp_ms)


async def require_one_way_mode(requests: SignedRequests) -> None:
    """Raises `AdapterError` where the account is in hedge mode, and `VenueError` where that cannot be told."""
    body = await requests("GET", f"{API}/positionSide/dual", {})
    try:
        hedged = _MODE.decode(body).dualSidePosition
    except UNREADABLE as error:
        raise VenueError(f"{API}/positionSide/dual", 200, 0, f"{error}: {body[:200]!r}") from error
    if hedged:
        raise AdapterError(
            "the futures account is in hedge mode, in which a long and a short stand side by side; mmd keeps one signed position a "
            "symbol: close the positions and set one-way mode (Preferences, Position Mode; or POST /fapi/v1/positionSide/dual "
            "with dualSidePosition=false)"
        )


class UsdmAccountView(AccountView):
    """See `AccountView`."""

    order_path = f"{API}/order"
    open_orders_path = f"{API}/openOrders"
    trades_path = f"{API}/userTrades"

    async def report(self, request: RequestReconciliation, requested_ns: int) -> ReconciliationReport:
        """Gather everything `request` asks for. `requested_ns` is our clock when the gathering began."""
        after, since = dict(request.after_trade_ids), dict(request.funding_since_ns)
        symbols = list(self._instruments)
        try:
            async with asyncio.TaskGroup() as group:
                account = group.create_task(self._account())
                open_orders = [group.create_task(self._open_orders(symbol)) for symbol in symbols]
                found = [group.create_task(self._trades(symbol, after.get(symbol, -1))) for symbol in symbols]
                paid = [group.create_task(self.funding(symbol, since.get(symbol, 0))) for symbol in symbols]
                positions = [group.create_task(self._position(symbol)) for symbol in symbols]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        trades = await self._named([trade for task in found for trade in task.result()])
        trades.sort(key=lambda trade: (trade.exchange_ns, trade.trade_id))
        balances, margin = account.result()
        return ReconciliationReport(
            self._rest.now_ns(),
            requested_ns,
            balances,
            tuple(order for task in open_orders for order in task.result()),
            tuple(trades),
            tuple(task.result() for task in positions),
            tuple(payment for task in paid for payment in task.result()),
            margin,
        )

    async def funding(self, symbol: str, since_ns: int) -> list[FundingPaid]:
        """Funding payments of a symbol from a time on, oldest first; without one (0) the venue's newest."""
        parameters = {"symbol": symbol, "incomeType": "FUNDING_FEE", "limit": str(_MOST_INCOME)}
        if since_ns:
            parameters["startTime"] = str(since_ns // NANOSECONDS_PER_MILLISECOND)
        body = await self._signed(f"{API}/income", parameters)
        receive_ns = self._rest.now_ns()
        try:
            payments = [
                FundingPaid(
                    receive_ns, symbol, line.tranId, atoms(line.income), line.asset, line.time * NANOSECONDS_PER_MILLISECOND
                )
                for line in _INCOME.decode(body)
                if line.symbol == symbol
            ]
        except (*WIRE_ERRORS, ArithmeticError) as error:
            raise MalformedFrame(f"funding of {symbol}", body, error) from error
        return sorted(payments, key=lambda payment: (payment.exchange_ns, payment.funding_id))

    async def _account(self) -> tuple[tuple[Balance, ...], Margin]:
        body = await self._signed("/fapi/v3/account", {})
        try:
            account = _ACCOUNT.decode(body)
            balances = tuple([Balance(line.asset, atoms(line.walletBalance), 0) for line in account.assets])
            return balances, Margin(atoms(account.totalMarginBalance), atoms(account.availableBalance))
        except (*WIRE_ERRORS, ArithmeticError) as error:
            raise MalformedFrame("account", body, error) from error

    async def _position(self, symbol: str) -> Position:
        body = await self._signed("/fapi/v2/positionRisk", {"symbol": symbol})
        try:
            (line,) = [each for each in _POSITIONS.decode(body) if each.symbol == symbol and each.positionSide == "BOTH"]
            mark_ticks = round(line.markPrice * self._instruments[symbol].ticks_per_unit)
            held = atoms(line.positionAmt)
            if held and mark_ticks <= 0:
                raise ValueError("a position without a mark price: what it is worth is not known")
            return Position(symbol, held, mark_ticks, line.leverage)
        except (*WIRE_ERRORS, ArithmeticError) as error:
            raise MalformedFrame(f"position of {symbol}", body, error) from error

    def _fills(self, body: bytes, instrument: Instrument, receive_ns: int) -> list[Fill]:
        return [
            Fill(
                receive_ns,
                instrument.symbol,
                trade.id,
                self._names.name(trade.orderId) or "",
                trade.orderId,
                Side[trade.side],
                round(trade.price * instrument.ticks_per_unit),
                round(trade.qty * instrument.lots_per_unit),
                atoms(trade.commission),
                trade.commissionAsset,
                trade.maker,
                trade.time * NANOSECONDS_PER_MILLISECOND,
            )
            for trade in _TRADES.decode(body)
        ]
