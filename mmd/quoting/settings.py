"""Settings of the quoting room. Distances in bps of the mid, sizes in quote units, inventory as a fraction of its limit."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class QuotingSettings(BaseModel):
    """How quotes are made. Every quoter shares the skew, the size and the clamps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Literal["fixed"] = Field(
        "fixed", description="Who makes the quotes: `fixed` keeps a constant half-spread around the mid."
    )
    fixed_half_spread_bps: float = Field(
        0.1, gt=0, le=1_000, allow_inf_nan=False, description="Half-spread of the `fixed` quoter, in bps of the mid."
    )
    min_half_spread_ticks: float = Field(
        1.0, ge=0.5, le=100_000, allow_inf_nan=False, description="No half-spread is narrower than this, in ticks."
    )
    order_notional: float = Field(
        600.0, gt=0, le=1e9, allow_inf_nan=False, description="Size of one quote at full budget, in quote units."
    )
    min_size_fraction: float = Field(
        0.1, gt=0, le=1, description="However little of the loss budget is left, a quote keeps this fraction of its size."
    )
    skew_factor: float = Field(
        1.0,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="φ of reservation = fair - φ·scale·(q - q*): how many units of scale a full inventory moves both quotes.",
    )
    max_skew_half_spreads: float = Field(
        1.5, gt=0, le=10, allow_inf_nan=False, description="The skew never moves a quote by more than this many half-spreads."
    )
