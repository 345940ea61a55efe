"""The pre-trade checks, broken one by one: each is blinded for itself, and those before and behind it are asked as ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from mmd.risk.checks import Bounds, PreTradeChecks, _InstrumentLimits
from mmd.risk.order_rate import OrderRateBudget
from mmd.types.market import Side

BOUNDLESS = 1 << 200


def _limit_lifted(owner: type, name: str) -> Any:
    """A limit that is worked out when `owner` is made is out of all reach."""
    true: Callable[..., None] = vars(owner)["__init__"]

    def init(self: Any, *arguments: Any) -> None:
        true(self, *arguments)
        setattr(self, name, BOUNDLESS)

    return patch.object(owner, "__init__", init)


def _shown(**fields: Any) -> Any:
    """The checks see these in place of what is so."""
    true = PreTradeChecks.check

    def check(self: PreTradeChecks, view: Any, side: Side, price_ticks: int, lots: int, *, reduce_only: bool = False) -> Any:
        kept = {name: getattr(view, name) for name in fields}
        for name, value in fields.items():
            setattr(view, name, value)
        try:
            return true(self, view, side, price_ticks, lots, reduce_only=reduce_only)
        finally:
            for name, value in kept.items():
                setattr(view, name, value)

    return patch.object(PreTradeChecks, "check", check)


def _always(*arguments: Any, **named: Any) -> bool:
    return True


BLINDED: dict[str, Callable[[], Any]] = {
    "halted": lambda: _shown(halted=False),
    "price_collar": lambda: _limit_lifted(Bounds, "collar"),
    "position": lambda: _limit_lifted(_InstrumentLimits, "position_bound"),
    "gross_exposure": lambda: _limit_lifted(Bounds, "max_gross_atoms"),
    "order_rate": lambda: patch.object(OrderRateBudget, "allows", _always),
    "open_orders": lambda: _limit_lifted(Bounds, "max_open_orders"),
    "data_age": lambda: _shown(data_age_ns=0),
    "feed_lag": lambda: _shown(feed_lag_ns=0),
    "self_trade": lambda: _shown(own_best_bid_ticks=0, own_best_ask_ticks=0),
}
"""By the reason that is never found any more, what blinds its check."""


def without(reason: str) -> Callable[[], list[Any]]:
    """The check that would say this says nothing; those behind it are asked instead."""
    return lambda: [BLINDED[reason]()]
