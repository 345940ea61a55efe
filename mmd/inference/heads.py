"""How much each head of the networks counts in a quote: 1 as trained, 0 not at all. Where a backtest shows no gain, it is 0."""

from __future__ import annotations

import math

import msgspec

HEADS = ("price", "spread", "position", "p_up", "p_adverse", "risk", "cross_asset")


class HeadWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Multipliers from 0 to 1 of what each head does to the quote.

    `spread` at 0 leaves the half-spread to how far the market's own trades get, `position` at 0 targets no inventory, and so on.
    """

    price: float = 1.0
    spread: float = 1.0
    position: float = 1.0
    p_up: float = 1.0
    p_adverse: float = 1.0
    risk: float = 1.0
    cross_asset: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for a weight outside of [0, 1]."""
        for name in HEADS:
            weight = getattr(self, name)
            if not (math.isfinite(weight) and 0.0 <= weight <= 1.0):
                raise ValueError(f"the weight of the head {name} must be from 0 to 1, got {weight}")


ALL_HEADS = HeadWeights()
NO_HEADS = HeadWeights(price=0.0, spread=0.0, position=0.0, p_up=0.0, p_adverse=0.0, risk=0.0, cross_asset=0.0)
