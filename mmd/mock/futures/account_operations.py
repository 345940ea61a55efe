"""Operations that ask about a futures account: orders, trades, collateral, positions, income, position mode, listen keys."""

from __future__ import annotations

from typing import Any

from mmd.mock.engine import Refusal
from mmd.mock.futures.instruments import COLLATERAL
from mmd.mock.futures.new_order import futures_of
from mmd.mock.futures.order_operations import REFERENCE
from mmd.mock.futures.replies import futures_error, order_body, trade_body
from mmd.mock.futures.venue import FuturesVenue
from mmd.mock.server.errors import WireError
from mmd.mock.server.operations import Caller, Operation, Security, names
from mmd.mock.server.order_operations import order_reference
from mmd.mock.server.order_replies import NS_PER_MS
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue
from mmd.types.instrument import atoms_text

_MAX_LIST = 1000


def _order(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    symbol = venue.symbol(parameters.symbol_text())
    order_id, client_order_id = order_reference(parameters)
    try:
        order = venue.engine.find_order(caller.account, symbol, order_id=order_id, client_order_id=client_order_id)
    except Refusal as refusal:
        raise futures_error(refusal, venue.engine.instruments[symbol]) from refusal
    return order_body(venue.texts[symbol], order)


def _open_orders(venue: Venue, caller: Caller, parameters: Parameters) -> list[dict[str, Any]]:
    symbol = venue.symbol(parameters.symbol_text()) if "symbol" in parameters else None
    return [order_body(venue.texts[order.symbol], order) for order in venue.engine.open_orders(caller.account, symbol)]


def _user_trades(venue: Venue, caller: Caller, parameters: Parameters) -> list[dict[str, Any]]:
    symbol = venue.symbol(parameters.symbol_text())
    from_id, order_id = parameters.integer("fromId"), parameters.integer("orderId")
    limit = parameters.limit(500, _MAX_LIST)
    trades = venue.engine.trades(caller.account, symbol, from_id=from_id, order_id=order_id, limit=limit)
    realised = futures_of(venue).contracts.margin.realised_by_trade
    return [trade_body(venue.texts[symbol], trade, realised.get((caller.account, symbol, trade.trade_id), 0)) for trade in trades]


def _assets(venue: FuturesVenue, account: str) -> list[dict[str, Any]]:
    equity, available = venue.equity_atoms(account), venue.available_atoms(account)
    lines: list[dict[str, Any]] = []
    for balance in venue.engine.balances(account):
        wallet = atoms_text(balance.total_atoms)
        in_margin = balance.asset == COLLATERAL
        lines.append(
            {
                "accountAlias": "mock",
                "asset": balance.asset,
                "balance": wallet,
                "walletBalance": wallet,
                "crossWalletBalance": wallet,
                "crossUnPnl": atoms_text(equity - balance.total_atoms) if in_margin else atoms_text(0),
                "marginBalance": atoms_text(equity) if in_margin else wallet,
                "availableBalance": atoms_text(available) if in_margin else wallet,
                "maxWithdrawAmount": atoms_text(available) if in_margin else wallet,
                "marginAvailable": True,
                "updateTime": venue.account_updated_ns(account) // NS_PER_MS,
            }
        )
    return lines


def _balance(venue: Venue, caller: Caller, parameters: Parameters) -> list[dict[str, Any]]:
    return _assets(futures_of(venue), caller.account)


def _account(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    futures = futures_of(venue)
    return {
        "totalInitialMargin": atoms_text(futures.contracts.margin.initial_margin_atoms(caller.account)),
        "totalWalletBalance": futures.wallet_text(caller.account, COLLATERAL),
        "totalMarginBalance": atoms_text(futures.equity_atoms(caller.account)),
        "availableBalance": atoms_text(futures.available_atoms(caller.account)),
        "assets": _assets(futures, caller.account),
        "positions": [_position(futures, caller.account, symbol) for symbol in venue.texts],
    }


def _position(venue: FuturesVenue, account: str, symbol: str) -> dict[str, Any]:
    position, text = venue.contracts.position(account, symbol), venue.texts[symbol]
    mark_ticks, unit = venue.contracts.mark_ticks(symbol), text.instrument.notional_atoms
    return {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": text.quantity(position.lots),
        "entryPrice": f"{position.entry_ticks(unit) * float(text.instrument.tick_size):.8f}",
        "markPrice": text.price(mark_ticks),
        "unRealizedProfit": atoms_text(position.unrealised_atoms(mark_ticks, unit)),
        "liquidationPrice": "0",
        "leverage": str(venue.contracts.margin.leverage),
        "marginType": "cross",
        "notional": atoms_text(position.lots * mark_ticks * unit),
        "marginAsset": text.instrument.quote_asset,
        "updateTime": position.updated_ns // NS_PER_MS,
    }


def _all_positions(venue: Venue, caller: Caller, parameters: Parameters) -> list[dict[str, Any]]:
    chosen = [venue.symbol(parameters.symbol_text())] if "symbol" in parameters else list(venue.texts)
    return [_position(futures_of(venue), caller.account, symbol) for symbol in chosen]


def _held_positions(venue: Venue, caller: Caller, parameters: Parameters) -> list[dict[str, Any]]:
    """Only of symbols with a position or open orders, and without the leverage."""
    lines = _all_positions(venue, caller, parameters)
    held = [
        line
        for line in lines
        if float(line["positionAmt"]) or any(True for _ in venue.engine.open_orders(caller.account, line["symbol"]))
    ]
    return [{name: value for name, value in line.items() if name not in ("leverage", "marginType")} for line in held]


def _symbol_config(venue: Venue, caller: Caller, parameters: Parameters) -> list[dict[str, Any]]:
    chosen = [venue.symbol(parameters.symbol_text())] if "symbol" in parameters else list(venue.texts)
    leverage = futures_of(venue).contracts.margin.leverage
    return [
        {"symbol": symbol, "marginType": "CROSSED", "isAutoAddMargin": False, "leverage": leverage, "maxNotionalValue": "100000000"}
        for symbol in chosen
    ]


def _income(venue: Venue, caller: Caller, parameters: Parameters) -> list[dict[str, Any]]:
    symbol = venue.symbol(parameters.symbol_text()) if "symbol" in parameters else None
    earliest_ms = parameters.integer("startTime") or 0
    limit = parameters.limit(100, _MAX_LIST)
    if parameters.optional("incomeType") not in (None, "FUNDING_FEE"):
        return []
    lines = [
        {
            "symbol": each.symbol,
            "incomeType": "FUNDING_FEE",
            "income": atoms_text(each.amount_atoms),
            "asset": each.asset,
            "info": "FUNDING_FEE",
            "time": each.time_ns // NS_PER_MS,
            "tranId": each.funding_id,
            "tradeId": "",
        }
        for each in futures_of(venue).income
        if each.account == caller.account and symbol in (None, each.symbol) and each.time_ns // NS_PER_MS >= earliest_ms
    ]
    return lines[:limit] if earliest_ms else lines[-limit:]


def _commission(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, str]:
    rates = venue.commission_rates()
    return {
        "symbol": venue.symbol(parameters.symbol_text()),
        "makerCommissionRate": rates["maker"],
        "takerCommissionRate": rates["taker"],
    }


def _position_mode(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, bool]:
    return {"dualSidePosition": futures_of(venue).dual_side}


def _open_key(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, str]:
    return {"listenKey": futures_of(venue).listeners.open_key(caller.account, venue.clock_ns())}


def _prolong_key(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, str]:
    return {"listenKey": futures_of(venue).listeners.prolong_key(caller.account, venue.clock_ns())}


def _close_key(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, str]:
    futures_of(venue).listeners.close_key(caller.account)
    return {}


def _set_position_mode(venue: Venue, caller: Caller, parameters: Parameters) -> dict[str, Any]:
    if parameters.flag("dualSidePosition", False):
        raise WireError(-4068, "This exchange knows one-way mode only: position side cannot be changed.")
    raise WireError(-4059, "No need to change position side.")


def _signed(handler: Any, summary: str, method: str, path: str, *parameters: str, weight: int = 5) -> Operation:
    return Operation(
        handler=handler,
        summary=summary,
        rest=(method, path),
        security=Security.SIGNED,
        parameters=names(*parameters),
        weight=weight,
    )


ACCOUNT_OPERATIONS = (
    Operation(
        handler=_order,
        summary="what became of an order",
        rest=("GET", "/fapi/v1/order"),
        websocket="order.status",
        security=Security.SIGNED,
        parameters=REFERENCE,
    ),
    _signed(_open_orders, "open orders", "GET", "/fapi/v1/openOrders", "symbol", weight=1),
    _signed(_user_trades, "trades of the account", "GET", "/fapi/v1/userTrades", "symbol", "orderId", "fromId", "limit"),
    *(_signed(_balance, "collateral by asset", "GET", f"/fapi/v{number}/balance") for number in (2, 3)),
    *(_signed(_account, "collateral and positions", "GET", f"/fapi/v{number}/account") for number in (2, 3)),
    _signed(_all_positions, "positions of every symbol", "GET", "/fapi/v2/positionRisk", "symbol"),
    _signed(_held_positions, "positions that are held", "GET", "/fapi/v3/positionRisk", "symbol"),
    _signed(_symbol_config, "leverage and margin type", "GET", "/fapi/v1/symbolConfig", "symbol"),
    _signed(
        _income, "funding paid and received", "GET", "/fapi/v1/income", "symbol", "incomeType", "startTime", "limit", weight=30
    ),
    _signed(_commission, "fees", "GET", "/fapi/v1/commissionRate", "symbol", weight=20),
    _signed(_position_mode, "one-way or hedge mode", "GET", "/fapi/v1/positionSide/dual", weight=30),
    _signed(_set_position_mode, "change the position mode", "POST", "/fapi/v1/positionSide/dual", "dualSidePosition", weight=1),
    *(
        Operation(
            handler=handler, summary=summary, rest=(method, "/fapi/v1/listenKey"), security=Security.KEY, parameters=frozenset()
        )
        for handler, summary, method in (
            (_open_key, "open a user data stream", "POST"),
            (_prolong_key, "keep it open", "PUT"),
            (_close_key, "close it", "DELETE"),
        )
    ),
)
