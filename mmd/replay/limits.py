"""Each pre-trade check of one order with its use: what was measured, what the limit was, how much of it was used."""

from __future__ import annotations

from dataclasses import fields

import msgspec

from mmd.risk.checks import PreTradeChecks, RiskView
from mmd.risk.order_rate import OrderRateBudget
from mmd.risk.reasons import DenialReason
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument
from mmd.types.market import Side

_MS = 1e6
_SECOND = 1e9


class CheckLine(msgspec.Struct, frozen=True):
    """One check. `use` is the share of the limit in use once the order stands, None where there is nothing to measure."""

    check: str
    passed: bool
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    use: float | None = None


class Checked(msgspec.Struct, frozen=True):
    """An order as it came to the checks, and what they had to look at."""

    view: RiskView
    side: Side
    price_ticks: int
    lots: int
    reduce_only: bool
    denied: DenialReason | None
    orders_in_10_seconds: int
    orders_in_a_day: int
    pressure: float


def look(
    view: RiskView, rate: OrderRateBudget, side: Side, price_ticks: int, lots: int, denied: DenialReason | None, reduce_only: bool
) -> Checked:
    """A copy of what the checks saw, which the next order will change."""
    copied = RiskView(**{field.name: getattr(view, field.name) for field in fields(RiskView)})
    return Checked(copied, side, price_ticks, lots, reduce_only, denied, *rate.used(view.now_ns), rate.pressure(view.now_ns))


def check_lines(checked: Checked, checks: PreTradeChecks, instrument: Instrument) -> tuple[CheckLine, ...]:
    """In the order in which they are made; money in quote units. Those after the first that failed were not made."""
    measured = _measured(checked, checks, instrument)
    lines: list[CheckLine] = []
    for reason in DenialReason:
        value, limit, unit = measured.get(reason, (None, None, ""))
        use = value / limit if value is not None and limit else None
        lines.append(CheckLine(reason.value, reason is not checked.denied, value, limit, unit, use))
        if reason is checked.denied:
            break
    return tuple(lines)


def _measured(
    checked: Checked, checks: PreTradeChecks, instrument: Instrument
) -> dict[DenialReason, tuple[float | None, float | None, str]]:
    view, limits = checked.view, checks.limits
    bid, ask = view.bid_ticks or 0, view.ask_ticks or 0
    mid = 0.5 * (bid + ask)
    # Exposure is valued at the mid or the order's price, whichever is higher.
    mark = max(mid, checked.price_ticks)
    notional = checked.price_ticks * checked.lots * instrument.notional_atoms / ATOMS_PER_UNIT
    buying = checked.side is Side.BUY
    own = view.buy_at_risk_lots if buying else view.sell_at_risk_lots
    worst = checked.side.sign * view.position_atoms + (own + checked.lots) * instrument.lot_atoms
    other = checked.side.opposite.sign * view.position_atoms
    other += (view.sell_at_risk_lots if buying else view.buy_at_risk_lots) * instrument.lot_atoms
    value_of = mark * instrument.notional_atoms / instrument.lot_atoms / ATOMS_PER_UNIT
    gross = max(abs(worst), abs(other)) * value_of + view.other_exposure_atoms / ATOMS_PER_UNIT
    money = instrument.quote_asset
    return {
        DenialReason.PRICE_COLLAR: (abs(checked.price_ticks - mid) / mid * 1e4 if mid else None, limits.price_collar_bps, "bps"),
        DenialReason.FAT_FINGER: (notional, float(limits.max_order_notional), money),
        DenialReason.POSITION: (worst * value_of, float(limits.max_position_notional), money),
        DenialReason.GROSS_EXPOSURE: (gross, float(limits.max_gross_exposure_notional), money),
        DenialReason.LOSS_BUDGET: (view.loss_used_atoms / ATOMS_PER_UNIT, float(limits.max_daily_loss), money),
        DenialReason.DRAWDOWN: (view.drawdown_atoms / ATOMS_PER_UNIT, float(limits.max_drawdown), money),
        DenialReason.ORDER_RATE: (checked.orders_in_10_seconds + 1, limits.max_orders_per_10s, "orders in 10 s"),
        DenialReason.UNFILLED_ORDERS: (checked.pressure, 1.0, "of the tightest order budget"),
        DenialReason.OPEN_ORDERS: (view.open_orders + 1, limits.max_open_orders, "orders"),
        DenialReason.DATA_AGE: (_scaled(view.data_age_ns, _SECOND), limits.max_data_age_seconds, "s"),
        DenialReason.FEED_LAG: (_scaled(view.feed_lag_ns, _MS), limits.max_feed_lag_ms, "ms"),
    }


def _scaled(time_ns: int | None, unit_ns: float) -> float | None:
    return None if time_ns is None else time_ns / unit_ns
