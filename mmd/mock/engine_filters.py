"""Binance's symbol filters and order parameter rules, with its error codes and exact texts.

The limits that are the same for every symbol stand here as constants: exchangeInfo announces them, the engine enforces them.
"""

from __future__ import annotations

import re

from mmd.mock.engine_events import NewOrder, Order, OrderType, Refusal
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument, InstrumentError

MAX_NUM_ORDERS = 200
"""Open orders of an account on one symbol."""
MAX_NUM_ORDER_AMENDS = 10
"""Amends of one order."""
MAX_NOTIONAL_ATOMS = 9_000_000 * ATOMS_PER_UNIT
"""Largest value of a limit order, in quote atoms."""
MARKET_LOT_DIVISOR = 2
"""The largest market order is the largest order divided by this (MARKET_LOT_SIZE)."""
PERCENT_PRICE_FACTOR = 5
"""A limit price may be up to this many times the last price, or the last price this many times it (PERCENT_PRICE_BY_SIDE)."""

WOULD_MATCH = "Order would immediately match and take."
INSUFFICIENT_BALANCE = "Account has insufficient balance for requested action."
DUPLICATE_ORDER = "Duplicate order sent."
UNKNOWN_ORDER = "Unknown order sent."
NO_SUCH_ORDER = "Order does not exist."
NO_LIQUIDITY = "Order book liquidity is less than symbol minimum quantity."
AMEND_INCREASE = "Order amend (quantity increase) is not supported."
AMEND_NO_CHANGE = "The requested action would change no state; rejecting."
AMEND_EXECUTED = "Order amend (quantity at or below the executed quantity) is not supported."

_MAX_DECIMALS = 8
_DECIMAL = re.compile(r"([0-9]{1,20})(\.[0-9]{1,20})?")


def filter_failure(name: str) -> Refusal:
    """The refusal of a filter."""
    return Refusal(-1013, f"Filter failure: {name}")


def missing_parameter(name: str) -> Refusal:
    """The refusal of a request that lacks a parameter."""
    return Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def unwanted_parameter(name: str) -> Refusal:
    """The refusal of a request with a parameter that its order type does not take."""
    return Refusal(-1106, f"Parameter '{name}' sent when not required.")


def parse_price(instrument: Instrument, text: str) -> int:
    """Ticks of a price as a client wrote it. Raises `Refusal`: -1100, -1111, or PRICE_FILTER off the grid."""
    _require_decimal(text, "price")
    try:
        return instrument.ticks(text)
    except InstrumentError as error:
        raise filter_failure("PRICE_FILTER") from error


def parse_quantity(instrument: Instrument, text: str) -> int:
    """Lots of a quantity as a client wrote it. Raises `Refusal`: -1100, -1111, or LOT_SIZE off the grid."""
    _require_decimal(text, "quantity")
    try:
        return instrument.lots(text)
    except InstrumentError as error:
        raise filter_failure("LOT_SIZE") from error


def check_parameters(new: NewOrder) -> None:
    """Raise `Refusal` where the parameters do not suit the order type."""
    if new.order_type is OrderType.LIMIT:
        if new.time_in_force is None:
            raise missing_parameter("timeInForce")
    elif new.time_in_force is not None:
        raise unwanted_parameter("timeInForce")
    if new.order_type is OrderType.MARKET:
        if new.price_ticks:
            raise unwanted_parameter("price")
        if new.lots and new.quote_atoms:
            raise unwanted_parameter("quoteOrderQty")
        if not new.lots and not new.quote_atoms:
            raise missing_parameter("quantity")
    elif new.quote_atoms:
        raise unwanted_parameter("quoteOrderQty")


def check_filters(instrument: Instrument, new: NewOrder, *, reference_ticks: int, open_orders: int) -> None:
    """Raise the `Refusal` of the first filter that fails, in the order of exchangeInfo.

    `reference_ticks` is the last price (before the first trade the touch; 0 without either, which waives what depends on it).
    """
    if new.order_type is OrderType.MARKET:
        if new.quote_atoms:
            check_notional(instrument, new.quote_atoms, limit_order=False)
        else:
            check_lots(instrument, new.lots)
            if new.lots > max_market_lots(instrument):
                raise filter_failure("MARKET_LOT_SIZE")
            if reference_ticks:
                check_notional(instrument, reference_ticks * new.lots * instrument.notional_atoms, limit_order=False)
        return
    price_ticks = new.price_ticks
    if not instrument.min_price_ticks <= price_ticks <= instrument.max_price_ticks:
        raise filter_failure("PRICE_FILTER")
    check_lots(instrument, new.lots)
    check_notional(instrument, price_ticks * new.lots * instrument.notional_atoms, limit_order=True)
    if reference_ticks and not reference_ticks <= price_ticks * PERCENT_PRICE_FACTOR <= reference_ticks * PERCENT_PRICE_FACTOR**2:
        raise filter_failure("PERCENT_PRICE_BY_SIDE")
    if open_orders >= MAX_NUM_ORDERS:
        raise filter_failure("MAX_NUM_ORDERS")


def max_market_lots(instrument: Instrument) -> int:
    """The largest market order, in lots."""
    return max(instrument.min_lots, instrument.max_lots // MARKET_LOT_DIVISOR)


def check_lots(instrument: Instrument, lots: int) -> None:
    """Raise `Refusal` where the quantity is outside LOT_SIZE."""
    if not instrument.min_lots <= lots <= instrument.max_lots:
        raise filter_failure("LOT_SIZE")


def check_notional(instrument: Instrument, notional_atoms: int, *, limit_order: bool) -> None:
    """Raise `Refusal` where the value (quote atoms) is outside NOTIONAL; its maximum is for limit orders only."""
    if notional_atoms < instrument.min_notional_atoms or (limit_order and notional_atoms > MAX_NOTIONAL_ATOMS):
        raise filter_failure("NOTIONAL")


def check_amend(instrument: Instrument, order: Order, lots: int) -> None:
    """Raise `Refusal` where an open order's total quantity cannot become `lots`: -2038, or -1013 of a filter."""
    if order.amends >= MAX_NUM_ORDER_AMENDS:
        raise Refusal(-2038, "Filter failure: MAX_NUM_ORDER_AMENDS")
    if lots > order.lots:
        raise Refusal(-2038, AMEND_INCREASE)
    if lots == order.lots:
        raise Refusal(-2038, AMEND_NO_CHANGE)
    check_lots(instrument, lots)
    if lots <= order.executed_lots:
        raise Refusal(-2038, AMEND_EXECUTED)
    check_notional(instrument, order.price_ticks * lots * instrument.notional_atoms, limit_order=True)


def _require_decimal(text: str, name: str) -> None:
    if not _DECIMAL.fullmatch(text):
        raise Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^{_DECIMAL.pattern}$'.")
    if len(text.partition(".")[2].rstrip("0")) > _MAX_DECIMALS:
        raise Refusal(-1111, f"Parameter '{name}' has too much precision.")
