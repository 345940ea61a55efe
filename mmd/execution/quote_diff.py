"""Desired versus live: the fewest messages that bring what stands in line with what should stand.

Each side is looked at by itself and holds one order at most:

- withheld (0 lots): whatever stands there is cancelled;
- nothing there: place;
- one settled order: keep it, amend it down (it keeps its place in the queue), or replace it, in one message; where the venue can
  modify orders it is modified instead, and where the venue can do neither it is cancelled first;
- anything pending or unknown, or more than one order: nothing is placed, amended or replaced until that is settled; orders are
  only cancelled, those that are withheld, surplus, or too aggressive.

An order is too *aggressive* when its price is better for others than the desired one (a higher bid, a lower ask): that is danger
and is mended at once. Too *passive* is a mere improvement, and waits until the order is `minimum_quote_life` old. Both have a
tolerance, the larger of a number of ticks and a share of the desired half-spread, so that one setting serves any instrument. The
half-spread is taken from both desired prices, that of a withheld side too; without both only the ticks hold.
"""

from __future__ import annotations

from typing import Final, Protocol

from mmd.execution.intents import AmendIntent, CancelIntent, DesiredQuote, Intent, ModifyIntent, PlaceIntent, ReplaceIntent
from mmd.execution.order_state import OrderState
from mmd.execution.settings import NS_PER_MS, ExecutionSettings
from mmd.execution.tracked_order import TrackedOrder
from mmd.execution.tracker import OrderTracker
from mmd.types.instrument import Replacement
from mmd.types.market import Side

__all__ = [
    "BUY",
    "CANCEL_REPLACE",
    "FAULTS",
    "LIVE",
    "MISSING",
    "SELL",
    "SURPLUS",
    "TOO_AGGRESSIVE",
    "TOO_LARGE",
    "TOO_PASSIVE",
    "TOO_SMALL",
    "WITHHELD",
    "AmendIntent",
    "CancelIntent",
    "Desired",
    "DesiredQuote",
    "Intent",
    "ModifyIntent",
    "PlaceIntent",
    "ReplaceIntent",
    "order_fault",
    "plan",
    "price_tolerances",
]


class Desired(Protocol):
    """What should stand, as far as it matters here. Prices in ticks; a side with 0 lots is withheld."""

    @property
    def symbol(self) -> str: ...

    @property
    def bid_ticks(self) -> int: ...

    @property
    def bid_lots(self) -> int: ...

    @property
    def ask_ticks(self) -> int: ...

    @property
    def ask_lots(self) -> int: ...


BUY: Final = Side.BUY
SELL: Final = Side.SELL
LIVE: Final = OrderState.LIVE
CANCEL_REPLACE: Final = Replacement.CANCEL_REPLACE
WITHHELD: Final = "withheld"
SURPLUS: Final = "surplus"
TOO_AGGRESSIVE: Final = "too_aggressive"
TOO_PASSIVE: Final = "too_passive"
TOO_LARGE: Final = "too_large"
TOO_SMALL: Final = "too_small"
MISSING: Final = "missing"
FAULTS = ("", TOO_AGGRESSIVE, TOO_PASSIVE, TOO_LARGE, TOO_SMALL)


def plan(
    desired: Desired,
    tracker: OrderTracker,
    settings: ExecutionSettings,
    now_ns: int,
    replacement: Replacement = Replacement.CANCEL_REPLACE,
) -> list[Intent]:
    """The changes to make, cancels first. Sends nothing; ids and risk checks are the caller's."""
    symbol, bid_ticks, ask_ticks = desired.symbol, desired.bid_ticks, desired.ask_ticks
    passive_ticks, aggressive_ticks = price_tolerances(bid_ticks, ask_ticks, settings)
    life_ns = settings.minimum_quote_life_ms * NS_PER_MS
    tolerance = _Tolerance(passive_ticks, aggressive_ticks, settings.size_tolerance, now_ns - life_ns)
    intents = _plan_side(symbol, BUY, bid_ticks, desired.bid_lots, tracker.side(symbol, BUY).open, tolerance, replacement)
    intents += _plan_side(symbol, SELL, ask_ticks, desired.ask_lots, tracker.side(symbol, SELL).open, tolerance, replacement)
    if len(intents) > 1:
        intents.sort(key=_is_no_cancel)
    return intents


def price_tolerances(bid_ticks: int, ask_ticks: int, settings: ExecutionSettings) -> tuple[float, float]:
    """How much less, and how much more aggressive than the desired prices an order may stand, ticks. Plain numbers in and out."""
    half_spread = 0.5 * (ask_ticks - bid_ticks) if 0 < bid_ticks < ask_ticks else 0.0
    passive_ticks, share = float(settings.price_tolerance_ticks), settings.price_tolerance_half_spreads * half_spread
    if share > passive_ticks:
        passive_ticks = share
    aggressive_ticks, share = float(settings.aggressive_tolerance_ticks), settings.aggressive_tolerance_half_spreads * half_spread
    if share > aggressive_ticks:
        aggressive_ticks = share
    return passive_ticks, aggressive_ticks


def order_fault(
    excess_ticks: int, may_improve: bool, remaining: int, lots: int, passive_ticks: float, aggressive_ticks: float, size: float
) -> int:
    """What is wrong with one order at rest: an index into FAULTS, of which 0 is nothing. Plain numbers in and out.

    `excess_ticks` is by how much its price is more aggressive than the desired one; `may_improve` says that it is old enough.
    """
    if excess_ticks > aggressive_ticks:
        return 1
    if may_improve and -excess_ticks > passive_ticks:
        return 2
    if remaining > lots * (1 + size):
        return 3
    return 4 if may_improve and remaining < lots * (1 - size) else 0


class _Tolerance:
    """How far off is near enough, for one quote."""

    __slots__ = ("aggressive_ticks", "old_enough_ns", "passive_ticks", "size")

    def __init__(self, passive_ticks: float, aggressive_ticks: float, size: float, old_enough_ns: int) -> None:
        self.passive_ticks = passive_ticks
        self.aggressive_ticks = aggressive_ticks
        self.size = size
        self.old_enough_ns = old_enough_ns


def _plan_side(
    symbol: str,
    side: Side,
    price_ticks: int,
    lots: int,
    open_orders: dict[str, TrackedOrder],
    tolerance: _Tolerance,
    replacement: Replacement,
) -> list[Intent]:
    if not open_orders:
        return [PlaceIntent(symbol, side, price_ticks, lots, MISSING)] if lots > 0 else []
    if lots <= 0:
        return [CancelIntent(symbol, order.client_order_id, WITHHELD) for order in open_orders.values() if not order.wants_cancel]
    if len(open_orders) == 1:
        (order,) = open_orders.values()
        if order.state is LIVE and not order.wants_cancel:
            return _plan_order(symbol, order, price_ticks, lots, tolerance, replacement)
    return _plan_unsettled(symbol, side, price_ticks, list(open_orders.values()), tolerance)


def _plan_order(
    symbol: str, order: TrackedOrder, price_ticks: int, lots: int, tolerance: _Tolerance, replacement: Replacement
) -> list[Intent]:
    """One order at rest: keep, amend or replace."""
    side = order.side
    remaining = order.remaining_lots
    fault = order_fault(
        (order.price_ticks - price_ticks) * side.sign,
        order.sent_ns <= tolerance.old_enough_ns,
        remaining,
        lots,
        tolerance.passive_ticks,
        tolerance.aggressive_ticks,
        tolerance.size,
    )
    if not fault:
        return []
    reason, name = FAULTS[fault], order.client_order_id
    if reason is TOO_LARGE and replacement is CANCEL_REPLACE and not order.amend_refused:
        return [AmendIntent(symbol, name, order.lots - remaining + lots, TOO_LARGE)]
    if replacement is CANCEL_REPLACE:
        return [ReplaceIntent(symbol, name, side, price_ticks, lots, reason)]
    if replacement is Replacement.MODIFY and not order.amend_refused:
        return [ModifyIntent(symbol, name, side, price_ticks, order.lots - remaining + lots, reason)]
    return [CancelIntent(symbol, name, reason)]


def _plan_unsettled(symbol: str, side: Side, price_ticks: int, orders: list[TrackedOrder], tolerance: _Tolerance) -> list[Intent]:
    """Something is in flight or surplus: cancel only. Of several orders at rest the one nearest to the desired price may stay."""
    resting = [order for order in orders if order.is_settled]
    nearest = min(resting, key=lambda order: abs(order.price_ticks - price_ticks), default=None)
    intents: list[Intent] = []
    for order in orders:
        if order.wants_cancel:
            continue
        # Of a modification in flight it is the price to come that counts.
        excess_ticks = ((order.modify_price_ticks or order.price_ticks) - price_ticks) * side.sign
        # An order in flight is given the wider tolerance: cancelling each one that the market has moved past by a tick,
        # before it is even acknowledged, would keep us from ever standing on a slow line.
        allowed = tolerance.aggressive_ticks if order.state is LIVE else _in_flight(tolerance)
        if excess_ticks > allowed:
            intents.append(CancelIntent(symbol, order.client_order_id, TOO_AGGRESSIVE))
        elif order.is_settled and order is not nearest:
            intents.append(CancelIntent(symbol, order.client_order_id, SURPLUS))
    return intents


def _in_flight(tolerance: _Tolerance) -> float:
    return max(tolerance.aggressive_ticks, tolerance.passive_ticks)


def _is_no_cancel(intent: Intent) -> bool:
    return not isinstance(intent, CancelIntent)
