"""Between ccxt's words and ours: symbols, filters, ids, orders, trades and balances; amounts as decimal texts, exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from mmd.exchanges.adapter import AdapterError
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument, InstrumentError, Replacement
from mmd.types.market import Side
from mmd.types.orders import Balance, Fill, OrderStatus, OrderUpdate

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_NS_PER_MS = 1_000_000
_TICK_SIZE_MODE = 4
_LARGEST_ID = (1 << 63) - 1
_HASH_BITS = 20
_UNLIMITED = "1000000000"
STATUSES = {
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "cancelled": OrderStatus.CANCELED,
    "canceling": OrderStatus.NEW,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}


def markets_of(client: Any, symbols: Iterable[str]) -> dict[str, Any]:
    """ccxt's spot market by our symbol (letters and digits of base and quote). Raises `AdapterError`."""
    by_name = {f"{market['base']}{market['quote']}": market for market in client.markets.values() if market["spot"]}
    found = {}
    for symbol in symbols:
        if symbol not in by_name:
            raise AdapterError(
                f"{client.id} lists no spot market {symbol}: mend the setting of symbols (base and quote, as BTCUSDT)"
            )
        found[symbol] = by_name[symbol]
    return found


def instrument_of(client: Any, symbol: str, market: Mapping[str, Any]) -> Instrument:
    """Tick, lot and limits. Raises `AdapterError` where they cannot be used."""
    precision, limits = market["precision"], market["limits"]

    def step(name: str) -> str:
        value = precision[name]
        if value is None:
            raise AdapterError(f"{client.id} states no precision of {name} for {symbol}")
        return str(value) if client.precisionMode == _TICK_SIZE_MODE else str(Decimal(1).scaleb(-int(value)))

    def limit(name: str, bound: str, otherwise: str) -> str:
        value = (limits.get(name) or {}).get(bound)
        return otherwise if not value else str(value)

    lot = step("amount")
    try:
        instrument = Instrument.create(
            symbol,
            market["base"],
            market["quote"],
            tick_size=step("price"),
            lot_size=lot,
            min_notional=limit("cost", "min", "0"),
            min_quantity=limit("amount", "min", lot),
            max_quantity=limit("amount", "max", _UNLIMITED),
            max_price=limit("price", "max", _UNLIMITED),
        )
        # ccxt's `editOrder` is on some venues an amend, on others a cancel and a new order: what cannot be told apart is not used.
        return msgspec.structs.replace(instrument, replacement=Replacement.CANCEL_FIRST)
    except (InstrumentError, ArithmeticError, ValueError) as error:
        raise AdapterError(f"the filters of {symbol} at {client.id} cannot be used: {error}") from error


def whole_id(text: object, stamp_ms: int | None = None) -> int:
    """A venue's id as a number: itself, or made of its text; with a stamp such numbers grow with time, as trade ids must."""
    name = str(text)
    if name.isdecimal() and int(name) <= _LARGEST_ID:
        return int(name)
    digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    if stamp_ms is None:
        return digest & _LARGEST_ID
    return (stamp_ms << _HASH_BITS | digest & ((1 << _HASH_BITS) - 1)) & _LARGEST_ID


def amount_atoms(amount: object) -> int:
    """Atoms of a balance or fee, rounded towards zero: some venues count finer than we do."""
    try:
        return int(Decimal(str(amount or 0)) * ATOMS_PER_UNIT)
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is no amount") from error


def order_update(order: Mapping[str, Any], instrument: Instrument, receive_ns: int, *, client_order_id: str) -> OrderUpdate:
    """An order as ccxt unifies it. Raises `ValueError` (`InstrumentError` is one) for what makes no sense."""
    filled = instrument.lots(str(order.get("filled") or 0))
    status = STATUSES.get(order.get("status") or "open")
    lots = instrument.lots(str(order["amount"]))
    if status is None:
        status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW
    elif status is OrderStatus.FILLED and filled < lots:
        # Some venues call "closed" whatever is no longer open.
        status = OrderStatus.CANCELED
    stamp_ms = order.get("lastUpdateTimestamp") or order.get("lastTradeTimestamp") or order.get("timestamp") or 0
    return OrderUpdate(
        receive_ns,
        instrument.symbol,
        client_order_id,
        whole_id(order["id"]),
        SIDES[order["side"]],
        instrument.ticks(str(order.get("price") or 0)),
        lots,
        filled,
        status,
        int(stamp_ms) * _NS_PER_MS,
    )


def fill_of(trade: Mapping[str, Any], instrument: Instrument, receive_ns: int, *, client_order_id: str) -> Fill:
    """One trade of ours as ccxt unifies it. Raises `ValueError`."""
    stamp_ms = int(trade["timestamp"] or 0)
    fee = trade.get("fee") or {}
    return Fill(
        receive_ns,
        instrument.symbol,
        whole_id(trade["id"], stamp_ms),
        client_order_id,
        whole_id(trade["order"]),
        SIDES[trade["side"]],
        instrument.ticks(str(trade["price"])),
        instrument.lots(str(trade["amount"])),
        amount_atoms(fee.get("cost")),
        str(fee.get("currency") or ""),
        trade.get("takerOrMaker") == "maker",
        stamp_ms * _NS_PER_MS,
    )


def balances_of(document: Mapping[str, Any]) -> tuple[Balance, ...]:
    """Free and locked of every asset that is held. Raises `ValueError`."""
    free, used = document.get("free") or {}, document.get("used") or {}
    found = [Balance(asset, amount_atoms(free.get(asset)), amount_atoms(used.get(asset))) for asset in {*free, *used}]
    return tuple(balance for balance in found if balance.total_atoms)
