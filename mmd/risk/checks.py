"""The ordered pre-trade checks: no order leaves without passing every one, and the first failing one is the reason.

Cancels are never checked. Everything is compared in integers that were worked out when the instrument became known.
Exposure is the worst case of each side: position plus everything at risk on that side plus the new order, the sides never netted
(a replacement is checked while its predecessor still counts as at risk).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mmd.risk.limits import NS_PER_MS, RiskLimits, limit_atoms, nanoseconds
from mmd.risk.order_rate import OrderRateBudget
from mmd.risk.reasons import DenialReason
from mmd.types.instrument import Instrument
from mmd.types.market import Side

_BPS_SCALE: Final = 10_000 * 1_000
_NO_PRICE: Final = 1 << 62
BUY: Final = Side.BUY
REASONS: tuple[DenialReason | None, ...] = (None, *DenialReason)
(
    HALTED, MODE, INSTRUMENT, PRICE_COLLAR, FAT_FINGER, POSITION, GROSS_EXPOSURE, LOSS_BUDGET, DRAWDOWN, ORDER_RATE,
    UNFILLED_ORDERS, OPEN_ORDERS, DATA_AGE, FEED_LAG, SELF_TRADE,
) = range(1, 16)  # fmt: skip


@dataclass(slots=True)
class RiskView:
    """What the checks need to know of this moment, filled in by the trader. As built, it lets nothing pass.

    After each order that is sent the trader refreshes at-risk lots, open orders and own best prices before the next check.
    """

    symbol: str = ""
    now_ns: int = 0
    halted: bool = True
    mode_allows: bool = False
    """False also while a pause is in force for the symbol."""
    bid_ticks: int | None = None
    """Best bid of a valid book; None (or 0) while there is none."""
    ask_ticks: int | None = None
    position_atoms: int = 0
    """Base atoms, signed."""
    buy_at_risk_lots: int = 0
    """Remaining lots of all our buys that are not surely dead: live, pending, cancelling, unknown."""
    sell_at_risk_lots: int = 0
    other_exposure_atoms: int = 0
    """Worst-case exposure of all *other* symbols together, quote atoms (sum of `PreTradeChecks.exposure_atoms`)."""
    loss_used_atoms: int = 0
    drawdown_atoms: int = 0
    open_orders: int = 0
    """Orders of ours not surely dead, over all symbols."""
    data_age_ns: int | None = None
    feed_lag_ns: int | None = None
    own_best_bid_ticks: int = 0
    """Highest of our own buys not surely dead; 0: none."""
    own_best_ask_ticks: int = 0
    """Lowest of our own sells not surely dead; 0: none."""


class _InstrumentLimits:
    """One instrument's filters and our limits as the integers that `check` compares."""

    __slots__ = (
        "lot_atoms", "max_lots", "max_price_ticks", "min_lots", "min_notional_atoms", "min_price_ticks", "notional_atoms",
        "position_bound",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, limits: RiskLimits) -> None:
        self.min_price_ticks = max(1, instrument.min_price_ticks)
        self.max_price_ticks = instrument.max_price_ticks
        self.min_lots = max(1, instrument.min_lots)
        self.max_lots = instrument.max_lots
        self.min_notional_atoms = instrument.min_notional_atoms
        self.notional_atoms = instrument.notional_atoms
        self.lot_atoms = instrument.lot_atoms
        self.position_bound = 2 * limit_atoms(limits.max_position_notional) * self.lot_atoms // self.notional_atoms
        """Bound of base atoms times twice the price in ticks."""


class Bounds:
    """The limits as the integers that the checks compare: quote atoms, ns, counts."""

    __slots__ = (
        "collar", "max_data_age_ns", "max_drawdown_atoms", "max_feed_lag_ns", "max_gross_atoms", "max_loss_atoms",
        "max_open_orders", "max_order_atoms",
    )  # fmt: skip

    def __init__(self, limits: RiskLimits) -> None:
        self.collar = round(limits.price_collar_bps * 1_000)
        self.max_order_atoms = limit_atoms(limits.max_order_notional)
        self.max_gross_atoms = limit_atoms(limits.max_gross_exposure_notional)
        self.max_loss_atoms = limit_atoms(limits.max_daily_loss)
        self.max_drawdown_atoms = limit_atoms(limits.max_drawdown)
        self.max_open_orders = limits.max_open_orders
        self.max_data_age_ns = nanoseconds(limits.max_data_age_seconds)
        self.max_feed_lag_ns = round(limits.max_feed_lag_ms * NS_PER_MS)


# ---- the checks themselves, as functions of plain numbers that are read off what is given: a compiled backtest compiles these. A
# ---- result is a place in REASONS, 0 where nothing is wrong.


def order_fault(view: RiskView, known: _InstrumentLimits, bounds: Bounds, buying: bool, price_ticks: int, lots: int) -> int:
    """The checks up to the money, in their order."""
    if view.halted:
        return HALTED
    if not view.mode_allows:
        return MODE
    if not known.min_price_ticks <= price_ticks <= known.max_price_ticks:
        return INSTRUMENT
    notional_atoms = price_ticks * lots * known.notional_atoms
    if not known.min_lots <= lots <= known.max_lots or notional_atoms < known.min_notional_atoms:
        return INSTRUMENT
    bid_ticks, ask_ticks = view.bid_ticks, view.ask_ticks
    # Written so that None, zero, NaN, infinity and a crossed touch all fail.
    if bid_ticks is None or ask_ticks is None or not 0 < bid_ticks < ask_ticks < _NO_PRICE:
        return PRICE_COLLAR
    price_x2, mid_x2 = 2 * price_ticks, bid_ticks + ask_ticks
    if not abs(price_x2 - mid_x2) * _BPS_SCALE <= bounds.collar * mid_x2:
        return PRICE_COLLAR
    if notional_atoms > bounds.max_order_atoms:
        return FAT_FINGER
    fault = exposure_fault(view, known, bounds, buying, price_x2 if price_x2 > mid_x2 else mid_x2, lots)
    if fault:
        return fault
    if view.loss_used_atoms >= bounds.max_loss_atoms:
        return LOSS_BUDGET
    return DRAWDOWN if view.drawdown_atoms >= bounds.max_drawdown_atoms else 0


def exposure_fault(view: RiskView, known: _InstrumentLimits, bounds: Bounds, buying: bool, price_x2: int, lots: int) -> int:
    """Position and gross exposure, valued at `price_x2`: twice the mid or the order's price, whichever is higher."""
    position, lot_atoms = view.position_atoms, known.lot_atoms
    if buying:
        side_worst = position + (view.buy_at_risk_lots + lots) * lot_atoms
    else:
        side_worst = (view.sell_at_risk_lots + lots) * lot_atoms - position
    if side_worst * price_x2 > known.position_bound:
        return POSITION
    # An order answers for its own side, however much worse the other one stands: that may be gone a moment later. One that can do
    # nothing but reduce the position passes above the limit too: it is the way back.
    if side_worst > 0 and view.other_exposure_atoms + quote_atoms(known, side_worst, price_x2) > bounds.max_gross_atoms:
        return GROSS_EXPOSURE
    return 0


def standing_fault(view: RiskView, bounds: Bounds, buying: bool, price_ticks: int) -> int:
    """The checks after the order rate, in their order."""
    if view.open_orders >= bounds.max_open_orders:
        return OPEN_ORDERS
    fault = age_fault(view, bounds)
    if fault:
        return fault
    if buying:
        return SELF_TRADE if 0 < view.own_best_ask_ticks <= price_ticks else 0
    return SELF_TRADE if view.own_best_bid_ticks >= price_ticks else 0


def age_fault(view: RiskView, bounds: Bounds) -> int:
    """Data age and feed lag; what is not known is too old."""
    if view.data_age_ns is None or not view.data_age_ns <= bounds.max_data_age_ns:
        return DATA_AGE
    if view.feed_lag_ns is None or not view.feed_lag_ns <= bounds.max_feed_lag_ns:
        return FEED_LAG
    return 0


def larger(long_atoms: int, short_atoms: int) -> int:
    """In size."""
    if long_atoms < 0:
        long_atoms = -long_atoms
    if short_atoms < 0:
        short_atoms = -short_atoms
    return long_atoms if long_atoms > short_atoms else short_atoms


def quote_atoms(known: _InstrumentLimits, base_atoms: int, price_x2: int) -> int:
    """Worth of base atoms at half of `price_x2` ticks, in quote atoms, rounded up."""
    return -(-base_atoms * price_x2 * known.notional_atoms // (2 * known.lot_atoms))


class PreTradeChecks:
    """The checks and their counters. `order_rate` is shared with the trader, which records every order it sends there."""

    def __init__(self, limits: RiskLimits, order_rate: OrderRateBudget, instruments: Iterable[Instrument] = ()) -> None:
        self.limits = limits
        self.denials: dict[DenialReason, int] = dict.fromkeys(DenialReason, 0)
        self._order_rate = order_rate
        self._instruments: dict[str, _InstrumentLimits] = {}
        self._bounds = Bounds(limits)
        for instrument in instruments:
            self.add_instrument(instrument)

    def add_instrument(self, instrument: Instrument) -> None:
        """Let orders of this symbol through the instrument check; again after the venue's filters were read anew."""
        self._instruments[instrument.symbol] = _InstrumentLimits(instrument, self.limits)

    def exposure_atoms(
        self, symbol: str, position_atoms: int, buy_lots: int, sell_lots: int, bid_ticks: int, ask_ticks: int
    ) -> int:
        """Worst-case exposure of one symbol in quote atoms at the mid, rounded up. Raises KeyError for an unknown symbol.

        A position that cannot be valued (no touch was ever seen) fills the whole gross limit.
        """
        known = self._instruments[symbol]
        worst_atoms = _worst_case(position_atoms, buy_lots * known.lot_atoms, sell_lots * known.lot_atoms)
        if bid_ticks <= 0 or ask_ticks <= 0:
            return self._bounds.max_gross_atoms if worst_atoms else 0
        return quote_atoms(known, worst_atoms, bid_ticks + ask_ticks)

    def check(self, view: RiskView, side: Side, price_ticks: int, lots: int, *, reduce_only: bool = False) -> DenialReason | None:
        """None: the order may leave. Else the first check that failed, which has been counted."""
        reason = self._reduce_only(view, side, price_ticks, lots) if reduce_only else self._full(view, side, price_ticks, lots)
        if reason is not None:
            self.denials[reason] += 1
        return reason

    def _full(self, view: RiskView, side: Side, price_ticks: int, lots: int) -> DenialReason | None:
        known = self._instruments.get(view.symbol)
        if known is None:
            return DenialReason.HALTED if view.halted else DenialReason.INSTRUMENT if view.mode_allows else DenialReason.MODE
        bounds, buying = self._bounds, side is BUY
        fault = order_fault(view, known, bounds, buying, price_ticks, lots)
        if fault:
            return REASONS[fault]
        order_rate, now_ns = self._order_rate, view.now_ns
        if not order_rate.allows(now_ns):
            return DenialReason.ORDER_RATE
        if not order_rate.venue_allows(now_ns):
            return DenialReason.UNFILLED_ORDERS
        return REASONS[standing_fault(view, bounds, buying, price_ticks)]

    def _reduce_only(self, view: RiskView, side: Side, price_ticks: int, lots: int) -> DenialReason | None:
        reason = self._order_itself(view, price_ticks, lots)
        if reason is not None:
            return reason
        lot_atoms = self._instruments[view.symbol].lot_atoms
        if side is BUY:
            left_atoms = -view.position_atoms - (view.buy_at_risk_lots + lots) * lot_atoms
        else:
            left_atoms = view.position_atoms - (view.sell_at_risk_lots + lots) * lot_atoms
        if left_atoms < 0:
            return DenialReason.POSITION
        if not self._order_rate.allows(view.now_ns):
            return DenialReason.ORDER_RATE
        return self._freshness(view)

    def _order_itself(self, view: RiskView, price_ticks: int, lots: int) -> DenialReason | None:
        """Instrument, price collar, fat finger."""
        known = self._instruments.get(view.symbol)
        if (
            known is None
            or not known.min_price_ticks <= price_ticks <= known.max_price_ticks
            or not known.min_lots <= lots <= known.max_lots
        ):
            return DenialReason.INSTRUMENT
        notional_atoms = price_ticks * lots * known.notional_atoms
        if notional_atoms < known.min_notional_atoms:
            return DenialReason.INSTRUMENT
        bid_ticks, ask_ticks = view.bid_ticks, view.ask_ticks
        # Written so that None, zero, NaN, infinity and a crossed touch all fail.
        if bid_ticks is None or ask_ticks is None or not 0 < bid_ticks < ask_ticks < _NO_PRICE:
            return DenialReason.PRICE_COLLAR
        mid_x2 = bid_ticks + ask_ticks
        if not abs(2 * price_ticks - mid_x2) * _BPS_SCALE <= self._bounds.collar * mid_x2:
            return DenialReason.PRICE_COLLAR
        return DenialReason.FAT_FINGER if notional_atoms > self._bounds.max_order_atoms else None

    def _freshness(self, view: RiskView) -> DenialReason | None:
        """Data age and feed lag; what is not known is too old."""
        return REASONS[age_fault(view, self._bounds)]


def _worst_case(position_atoms: int, buy_atoms: int, sell_atoms: int) -> int:
    """The largest position, long or short, that could come of it: one side fills wholly and the other not at all."""
    return larger(position_atoms + buy_atoms, sell_atoms - position_atoms)
