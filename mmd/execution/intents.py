"""What should stand, and the changes that bring it about, before ids and risk checks."""

from __future__ import annotations

import msgspec

from mmd.types.market import Side


class DesiredQuote(msgspec.Struct, frozen=True, gc=False):
    """What should stand. Prices in ticks; a side with 0 lots is withheld."""

    symbol: str
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int


class PlaceIntent(msgspec.Struct, frozen=True, gc=False):
    """Place a new order."""

    symbol: str
    side: Side
    price_ticks: int
    lots: int
    reason: str


class CancelIntent(msgspec.Struct, frozen=True, gc=False):
    """Cancel this order."""

    symbol: str
    client_order_id: str
    reason: str


class ReplaceIntent(msgspec.Struct, frozen=True, gc=False):
    """Cancel `client_order_id` and place the new order, in one message."""

    symbol: str
    client_order_id: str
    side: Side
    price_ticks: int
    lots: int
    reason: str


class AmendIntent(msgspec.Struct, frozen=True, gc=False):
    """Reduce the order to `lots`, its new total quantity with what is already filled."""

    symbol: str
    client_order_id: str
    lots: int
    reason: str


class ModifyIntent(msgspec.Struct, frozen=True, gc=False):
    """Give the order this price and `lots`, its new total quantity with what is already filled."""

    symbol: str
    client_order_id: str
    side: Side
    price_ticks: int
    lots: int
    reason: str


Intent = PlaceIntent | CancelIntent | ReplaceIntent | AmendIntent | ModifyIntent
