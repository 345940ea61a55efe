"""Operations that ask about an account: balances, fees, orders, trades, the count of unfilled orders."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from mmd.mock.server import errors
from mmd.mock.server.operations import Caller, Operation, Security, names
from mmd.mock.server.order_operations import order_reference
from mmd.mock.server.order_replies import NS_PER_MS, OrderLine, TradeLine, order_line, trade_line
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.rate_limits import RateLimitLine
from mmd.mock.server.venue import Venue
from mmd.types.instrument import atoms_text

_MAX_LIST = 1000
_NO_COMMISSION = {"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"}


class AssetBalance(msgspec.Struct, frozen=True):
    """One asset of an account."""

    asset: str
    free: str
    locked: str


class AccountReply(msgspec.Struct, frozen=True, kw_only=True):
    """`account`."""

    makerCommission: int
    takerCommission: int
    buyerCommission: int = 0
    sellerCommission: int = 0
    commissionRates: dict[str, str]
    canTrade: bool = True
    canWithdraw: bool = True
    canDeposit: bool = True
    brokered: bool = False
    requireSelfTradePrevention: bool = False
    preventSor: bool = False
    updateTime: int
    accountType: str = "SPOT"
    balances: list[AssetBalance]
    permissions: tuple[str, ...] = ("SPOT",)
    uid: int


def _account(venue: Venue, caller: Caller, parameters: Parameters) -> AccountReply:
    omit_zero = parameters.flag("omitZeroBalances", False)
    balances = [
        AssetBalance(balance.asset, atoms_text(balance.free_atoms), atoms_text(balance.locked_atoms))
        for balance in venue.engine.balances(caller.account)
        if balance.total_atoms or not omit_zero
    ]
    return AccountReply(
        makerCommission=round(venue.config.maker_fee * 10_000),
        takerCommission=round(venue.config.taker_fee * 10_000),
        commissionRates={**_NO_COMMISSION, **venue.commission_rates()},
        updateTime=venue.account_updated_ns(caller.account) // NS_PER_MS,
        balances=balances,
        uid=zlib.crc32(caller.account.encode()),
    )


def _commission(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, object]:
    return {
        "symbol": venue.symbol(parameters.symbol_text()),
        "standardCommission": {**_NO_COMMISSION, **venue.commission_rates()},
        "specialCommission": _NO_COMMISSION,
        "taxCommission": _NO_COMMISSION,
        "discount": {"enabledForAccount": False, "enabledForSymbol": False, "discountAsset": "BNB", "discount": "0.00000000"},
    }


def _order(venue: Venue, caller: Caller, parameters: Parameters) -> OrderLine:
    symbol = venue.symbol(parameters.symbol_text())
    order_id, client_order_id = order_reference(parameters)
    order = venue.engine.find_order(caller.account, symbol, order_id=order_id, client_order_id=client_order_id)
    return order_line(venue.texts[symbol], order)


def _open_orders(venue: Venue, caller: Caller, parameters: Parameters) -> list[OrderLine]:
    symbol = venue.symbol(parameters.symbol_text()) if "symbol" in parameters else None
    return [order_line(venue.texts[order.symbol], order) for order in venue.engine.open_orders(caller.account, symbol)]


def _all_orders(venue: Venue, caller: Caller, parameters: Parameters) -> list[OrderLine]:
    symbol = venue.symbol(parameters.symbol_text())
    first_id = parameters.integer("orderId")
    earliest, latest = _time_range(parameters)
    limit = parameters.limit(500, _MAX_LIST)
    orders = sorted(venue.engine.orders(caller.account, symbol), key=lambda order: order.order_id)
    lines = [
        order_line(venue.texts[symbol], order)
        for order in orders
        if (first_id is None or order.order_id >= first_id) and earliest <= order.created_ns // NS_PER_MS <= latest
    ]
    from_the_start = first_id is not None or "startTime" in parameters
    return lines[:limit] if from_the_start else lines[-limit:]


def _my_trades(venue: Venue, caller: Caller, parameters: Parameters) -> Sequence[TradeLine]:
    symbol = venue.symbol(parameters.symbol_text())
    from_id, order_id = parameters.integer("fromId"), parameters.integer("orderId")
    limit = parameters.limit(500, _MAX_LIST)
    text = venue.texts[symbol]
    if "startTime" not in parameters and "endTime" not in parameters:
        trades = venue.engine.trades(caller.account, symbol, from_id=from_id, order_id=order_id, limit=limit)
        return [trade_line(text, trade) for trade in trades]
    if from_id is not None:
        raise errors.bad_combination()
    earliest, latest = _time_range(parameters)
    trades = venue.engine.trades(caller.account, symbol, from_id=0, order_id=order_id, limit=venue.history_limit)
    chosen = [trade for trade in trades if earliest <= trade.time_ns // NS_PER_MS <= latest]
    chosen = chosen[:limit] if "startTime" in parameters else chosen[-limit:]
    return [trade_line(text, trade) for trade in chosen]


def _order_counts(venue: Venue, caller: Caller, parameters: Parameters) -> list[RateLimitLine]:
    return venue.limiter.order_lines(caller.account, venue.server_ms())


def _time_range(parameters: Parameters) -> tuple[int, int]:
    earliest, latest = parameters.integer("startTime"), parameters.integer("endTime")
    return earliest or 0, 2**63 if latest is None else latest


ACCOUNT_OPERATIONS = (
    Operation(
        handler=_account,
        summary="balances, fees and permissions",
        rest=("GET", "account"),
        websocket="account.status",
        security=Security.SIGNED,
        parameters=names("omitZeroBalances"),
        weight=20,
    ),
    Operation(
        handler=_commission,
        summary="fees of a symbol",
        rest=("GET", "account/commission"),
        websocket="account.commission",
        security=Security.SIGNED,
        parameters=names("symbol"),
        weight=20,
    ),
    Operation(
        handler=_order,
        summary="one order",
        rest=("GET", "order"),
        websocket="order.status",
        security=Security.SIGNED,
        parameters=names("symbol", "orderId", "origClientOrderId"),
        weight=4,
    ),
    Operation(
        handler=_open_orders,
        summary="open orders, of one symbol or of all",
        rest=("GET", "openOrders"),
        websocket="openOrders.status",
        security=Security.SIGNED,
        parameters=names("symbol"),
        weight=lambda parameters: 6 if "symbol" in parameters else 80,
        weight_note="6; 80 without symbol",
    ),
    Operation(
        handler=_all_orders,
        summary="orders of a symbol, open and closed",
        rest=("GET", "allOrders"),
        websocket="allOrders",
        security=Security.SIGNED,
        parameters=names("symbol", "orderId", "startTime", "endTime", "limit"),
        weight=20,
    ),
    Operation(
        handler=_my_trades,
        summary="the account's trades of a symbol",
        rest=("GET", "myTrades"),
        websocket="myTrades",
        security=Security.SIGNED,
        parameters=names("symbol", "orderId", "startTime", "endTime", "fromId", "limit"),
        weight=lambda parameters: 5 if "orderId" in parameters else 20,
        weight_note="20; 5 with orderId",
    ),
    Operation(
        handler=_order_counts,
        summary="the account's count of unfilled orders",
        rest=("GET", "rateLimit/order"),
        websocket="account.rateLimits.orders",
        security=Security.SIGNED,
        weight=40,
    ),
)
