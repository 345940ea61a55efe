"""The inventory inputs of the networks: five numbers on what we hold, each bounded and free of the instrument's scale."""

from __future__ import annotations

from math import isfinite, log1p
from typing import Final

NS_PER_SECOND: Final = 1_000_000_000
MAX_LOG_AGE: Final = 10.0
MAX_OFFSET: Final = 10.0


def inventory_row(
    position: float,
    position_limit: float,
    age_seconds: float,
    entry_offset_ticks: float,
    sigma_ticks: float,
    unrealised: float,
    loss_budget: float,
    exposure: float,
    exposure_limit: float,
) -> tuple[float, float, float, float, float]:
    """The five values, in the order of INVENTORY_NAMES. Units need only agree in pairs: position and its limit (lots or atoms),
    unrealised PnL and budget (quote atoms), exposure and its limit. `entry_offset_ticks` is mid less average entry. A limit,
    budget or volatility of 0 gives 0.
    """
    held = position != 0
    return (
        share_within(position, position_limit, -1.0, 1.0),
        min(log1p(age_seconds), MAX_LOG_AGE) if held and age_seconds > 0 else 0.0,
        share_within(entry_offset_ticks if position > 0 else -entry_offset_ticks, sigma_ticks, -MAX_OFFSET, MAX_OFFSET)
        if held
        else 0.0,
        share_within(unrealised, loss_budget, -1.0, 1.0),
        share_within(exposure, exposure_limit, 0.0, 1.0),
    )


class InventoryFeatures:
    """Of one symbol: remembers since when a position is held. `values` is the last row."""

    __slots__ = ("_sign", "_since_ns", "values")

    def __init__(self) -> None:
        self.values = (0.0, 0.0, 0.0, 0.0, 0.0)
        self._sign = 0
        self._since_ns = 0

    def update(
        self,
        now_ns: int,
        position: int,
        position_limit: int,
        average_entry_ticks: float,
        mid_ticks: float,
        sigma_ticks: float,
        unrealised: int,
        loss_budget: int,
        exposure: int,
        exposure_limit: int,
    ) -> tuple[float, float, float, float, float]:
        """A new row, see `inventory_row`; times in UTC ns, prices in ticks."""
        sign = (position > 0) - (position < 0)
        if sign != self._sign:
            self._sign, self._since_ns = sign, now_ns
        self.values = inventory_row(
            position,
            position_limit,
            (now_ns - self._since_ns) / NS_PER_SECOND,
            mid_ticks - average_entry_ticks,
            sigma_ticks,
            unrealised,
            loss_budget,
            exposure,
            exposure_limit,
        )
        return self.values


def share_within(part: float, whole: float, low: float, high: float) -> float:
    """part / whole within [low, high]; 0 where either makes no sense."""
    if not (whole > 0 and isfinite(part)):
        return 0.0
    if part >= high * whole:
        return high
    if part <= low * whole:
        return low
    return part / whole
