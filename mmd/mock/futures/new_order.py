"""The parameters of a futures order, read and checked as far as they can be without the engine."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import cast

from mmd.mock.engine import NewOrder, OrderType, Refusal, TimeInForce
from mmd.mock.futures.replies import futures_error
from mmd.mock.futures.venue import FuturesVenue
from mmd.mock.server import errors
from mmd.mock.server.errors import WireError
from mmd.mock.server.new_order import generated_id
from mmd.mock.server.operations import Caller, names
from mmd.mock.server.parameters import Parameters
from mmd.mock.server.venue import Venue
from mmd.types.instrument import Instrument, InstrumentError
from mmd.types.market import Side

POSITION_SIDE_MISMATCH = "Order's position side does not match user's setting."
REDUCE_ONLY_REJECTED = "ReduceOnly Order is rejected."
NEW_ORDER_PARAMETERS = names(
    "symbol",
    "side",
    "positionSide",
    "type",
    "timeInForce",
    "quantity",
    "reduceOnly",
    "price",
    "newClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
    "priceMatch",
    "goodTillDate",
    "workingType",
)


def futures_of(venue: Venue) -> FuturesVenue:
    """Operations of this table are only ever given a futures venue."""
    return cast("FuturesVenue", venue)


def parse_side(parameters: Parameters) -> Side:
    """Raises -1117."""
    text = parameters.required("side")
    if text not in ("BUY", "SELL"):
        raise WireError(-1117, "Invalid side.")
    return Side[text]


def parse_new_order(venue: FuturesVenue, caller: Caller, parameters: Parameters) -> tuple[NewOrder, bool]:
    """The order that the parameters describe, and whether it is reduce-only. Raises `WireError`."""
    symbol = venue.symbol(parameters.symbol_text())
    instrument = venue.engine.instruments[symbol]
    side = parse_side(parameters)
    if parameters.optional("positionSide") not in (None, "BOTH"):
        raise WireError(-4061, POSITION_SIDE_MISMATCH)
    order_type, time_in_force = _kind(parameters)
    price_ticks = 0 if order_type is OrderType.MARKET else parse_price(instrument, parameters)
    lots = parse_quantity(instrument, parameters)
    name = parameters.client_order_id("newClientOrderId") or generated_id()
    reduce_only = parameters.flag("reduceOnly", False)
    if reduce_only and lots > venue.reducible_lots(caller.account, symbol, side):
        raise WireError(-2022, REDUCE_ONLY_REJECTED)
    new = NewOrder(caller.account, symbol, side, order_type, time_in_force, price_ticks, lots, 0, name)
    return new, reduce_only


def parse_price(instrument: Instrument, parameters: Parameters) -> int:
    """Ticks. Raises -4014 off the grid."""
    price = parameters.required_decimal("price")
    if price == 0:
        raise WireError(-4001, "Price less than 0.")
    return _whole(instrument, instrument.ticks, price, "PRICE_FILTER")


def parse_quantity(instrument: Instrument, parameters: Parameters) -> int:
    """Lots. Raises -4003 for none, -1111 off the grid."""
    quantity = parameters.required_decimal("quantity")
    if quantity == 0:
        raise WireError(-4003, "Quantity less than or equal to zero.")
    try:
        return instrument.lots(quantity)
    except InstrumentError as error:
        raise WireError(-1111, "Precision is over the maximum defined for this asset.") from error


def _whole(instrument: Instrument, count: Callable[[Decimal], int], amount: Decimal, filter_name: str) -> int:
    try:
        return count(amount)
    except InstrumentError as error:
        raise futures_error(Refusal(-1013, f"Filter failure: {filter_name}"), instrument) from error


def _kind(parameters: Parameters) -> tuple[OrderType, TimeInForce | None]:
    text = parameters.required("type")
    if text == "MARKET":
        if "timeInForce" in parameters or "price" in parameters:
            raise errors.unwanted_parameter("timeInForce" if "timeInForce" in parameters else "price")
        return OrderType.MARKET, None
    if text != "LIMIT":
        raise WireError(-1116, "Invalid orderType.")
    time_in_force = parameters.required("timeInForce")
    if time_in_force == "GTX":
        return OrderType.LIMIT_MAKER, None
    try:
        return OrderType.LIMIT, TimeInForce(time_in_force)
    except ValueError as error:
        raise WireError(-1115, "Invalid timeInForce.") from error
