"""Why an order was denied locally: one reason for each pre-trade check, in the order in which they are made."""

from __future__ import annotations

from enum import Enum


class DenialReason(Enum):
    """The first failing check. Definition order is check order; the text goes into the documentation's table."""

    text: str

    def __new__(cls, code: str, text: str) -> DenialReason:
        """`value` is the code that metrics and reports bear, `text` says when it strikes."""
        reason = object.__new__(cls)
        reason._value_ = code
        reason.text = text
        return reason

    HALTED = ("halted", "The halt latch is set. Nothing leaves until an explicit resume with a reason.")
    MODE = ("mode", "The trading mode or a pause does not allow new orders now.")
    INSTRUMENT = (
        "instrument",
        "Unknown symbol, or price, quantity or notional outside the filters that the venue states for it.",
    )
    PRICE_COLLAR = ("price_collar", "The price is further than `price_collar_bps` from the mid, or there is no valid mid.")
    FAT_FINGER = ("fat_finger", "The order's notional is above `max_order_notional`.")
    POSITION = (
        "position",
        "Position, everything at risk on this side and this order together would pass `max_position_notional`; "
        "or a reduce-only order would grow or flip the position.",
    )
    GROSS_EXPOSURE = ("gross_exposure", "The worst case over all symbols would pass `max_gross_exposure_notional`.")
    LOSS_BUDGET = ("loss_budget", "The day's loss has reached `max_daily_loss`.")
    DRAWDOWN = ("drawdown", "The fall from the highest PnL has reached `max_drawdown`.")
    ORDER_RATE = ("order_rate", "`max_orders_per_10s` or `max_orders_per_day` would be passed.")
    UNFILLED_ORDERS = (
        "unfilled_orders",
        "The venue's own count of our unfilled orders would pass `max_venue_order_fraction` of its limit.",
    )
    OPEN_ORDERS = ("open_orders", "`max_open_orders` orders are open, pending or unknown already.")
    DATA_AGE = ("data_age", "The newest market data is older than `max_data_age_seconds`, or there is none.")
    FEED_LAG = ("feed_lag", "The feed lags by more than `max_feed_lag_ms`, or its lag is not known.")
    SELF_TRADE = ("self_trade", "The price would meet an order of our own on the other side.")


def denial_rows() -> list[tuple[int, str, str]]:
    """Rows of the table of reasons: place in the order (from 1), code and meaning."""
    return [(place, reason.value, reason.text) for place, reason in enumerate(DenialReason, start=1)]


def denial_table() -> str:
    """The same as a Markdown table."""
    lines = ["| # | reason | when |", "|---|---|---|"]
    lines += [f"| {place} | `{code}` | {text} |" for place, code, text in denial_rows()]
    return "\n".join(lines) + "\n"
