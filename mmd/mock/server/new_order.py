"""The parameters of a new order, read and checked as far as they can be without the engine."""

from __future__ import annotations

import secrets
from decimal import Decimal

from mmd.mock.engine import NewOrder, OrderType, SelfTradePrevention, TimeInForce
from mmd.mock.server import errors
from mmd.mock.server.errors import WireError
from mmd.mock.server.operations import Caller, names
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument, InstrumentError
from mmd.types.market import Side

_RESPONSE_TYPES = ("ACK", "RESULT", "FULL")
_UNWANTED = ("stopPrice", "trailingDelta", "icebergQty")
NEW_ORDER_PARAMETERS = names(
    "symbol",
    "side",
    "type",
    "timeInForce",
    "quantity",
    "quoteOrderQty",
    "price",
    "newClientOrderId",
    "newOrderRespType",
    "strategyId",
    "strategyType",
    "stopPrice",
    "trailingDelta",
    "icebergQty",
    "selfTradePreventionMode",
)


def parse_new_order(venue: Venue, caller: Caller, parameters: Parameters) -> NewOrder:
    """The order that the parameters describe, in ticks, lots and atoms. Raises `WireError`."""
    symbol = venue.symbol(parameters.symbol_text())
    instrument = venue.engine.instruments[symbol]
    side_text = parameters.required("side")
    if side_text not in ("BUY", "SELL"):
        raise WireError(-1117, "Invalid side.")
    order_type = _order_type(parameters.required("type"))
    for name in _UNWANTED:
        if name in parameters:
            raise errors.unwanted_parameter(name)
    prevention = _prevention(venue, parameters)
    time_in_force = _time_in_force(parameters, order_type)
    price_ticks = _price_ticks(instrument, parameters, order_type)
    lots, quote_atoms = _quantity(instrument, parameters, order_type)
    client_order_id = parameters.client_order_id("newClientOrderId") or generated_id()
    return NewOrder(
        caller.account,
        symbol,
        Side[side_text],
        order_type,
        time_in_force,
        price_ticks,
        lots,
        quote_atoms,
        client_order_id,
        prevention,
    )


def _prevention(venue: Venue, parameters: Parameters) -> SelfTradePrevention:
    text = parameters.optional("selfTradePreventionMode")
    if text is None:
        return venue.config.self_trade_prevention
    try:
        return SelfTradePrevention(text)
    except ValueError as error:
        if text in ("DECREMENT", "TRANSFER"):
            raise WireError(-1013, "This symbol does not allow the specified self-trade prevention mode.") from error
        raise errors.bad_value("selfTradePreventionMode") from error


def _order_type(text: str) -> OrderType:
    try:
        return OrderType(text)
    except ValueError as error:
        raise WireError(-1116, "Invalid orderType.") from error


def _time_in_force(parameters: Parameters, order_type: OrderType) -> TimeInForce | None:
    if order_type is not OrderType.LIMIT:
        if "timeInForce" in parameters:
            raise errors.unwanted_parameter("timeInForce")
        return None
    try:
        return TimeInForce(parameters.required("timeInForce"))
    except ValueError as error:
        raise WireError(-1115, "Invalid timeInForce.") from error


def _price_ticks(instrument: Instrument, parameters: Parameters, order_type: OrderType) -> int:
    if order_type is OrderType.MARKET:
        if "price" in parameters:
            raise errors.unwanted_parameter("price")
        return 0
    price = parameters.required_decimal("price")
    if price == 0:
        raise WireError(-1013, "Invalid price.")
    try:
        return instrument.ticks(price)
    except InstrumentError as error:
        raise errors.filter_failure("PRICE_FILTER") from error


def _quantity(instrument: Instrument, parameters: Parameters, order_type: OrderType) -> tuple[int, int]:
    if order_type is not OrderType.MARKET:
        if "quoteOrderQty" in parameters:
            raise errors.unwanted_parameter("quoteOrderQty")
        return parse_lots(instrument, parameters.required_decimal("quantity"), "LOT_SIZE"), 0
    quantity, quote_quantity = parameters.decimal("quantity"), parameters.decimal("quoteOrderQty")
    if quantity is not None and quote_quantity is not None:
        raise errors.unwanted_parameter("quoteOrderQty")
    if quantity is not None:
        return parse_lots(instrument, quantity, "LOT_SIZE"), 0
    if quote_quantity is None:
        raise errors.missing_either("quantity", "quoteOrderQty")
    if quote_quantity == 0:
        raise WireError(-1013, "Invalid quote quantity.")
    return 0, int(quote_quantity * ATOMS_PER_UNIT)


def parse_lots(instrument: Instrument, quantity: Decimal, filter_name: str) -> int:
    """Lots of a quantity. Raises -1013 where it is zero or off the grid."""
    if quantity == 0:
        raise WireError(-1013, "Invalid quantity.")
    try:
        return instrument.lots(quantity)
    except InstrumentError as error:
        raise errors.filter_failure(filter_name) from error


def response_type(parameters: Parameters, order_type: OrderType) -> str:
    """ACK, RESULT or FULL. Raises -1130."""
    value = parameters.optional("newOrderRespType")
    if value is None:
        return "ACK" if order_type is OrderType.LIMIT_MAKER else "FULL"
    if value not in _RESPONSE_TYPES:
        raise errors.bad_value("newOrderRespType")
    return value


def generated_id() -> str:
    """A client id for a request that brought none."""
    return secrets.token_hex(11)
