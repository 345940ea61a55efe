"""Settings of the quoting room. Distances in bps of the mid, sizes in quote units, inventory as a fraction of its limit."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class QuotingSettings(BaseModel):
    """How quotes are made. Every quoter shares the skew, the size and the clamps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Literal["neural", "glft", "avellaneda-stoikov", "fixed"] = Field(
        "neural",
        description=(
            "Who makes the quotes: `neural` the bundle's networks, `glft` and `avellaneda-stoikov` the models of Guéant, Lehalle "
            "and Fernandez-Tapia and of those two on trailing volatility, `fixed` a constant half-spread around the mid."
        ),
    )
    fixed_half_spread_bps: float = Field(
        0.1, gt=0, le=1_000, allow_inf_nan=False, description="Half-spread of the `fixed` quoter, in bps of the mid."
    )
    min_half_spread_ticks: float = Field(
        0.5, ge=0.5, le=100_000, allow_inf_nan=False, description="No half-spread is narrower than this, in ticks."
    )
    order_notional: float = Field(
        600.0, gt=0, le=1e9, allow_inf_nan=False, description="Size of one quote at full budget, in quote units."
    )
    min_size_fraction: float = Field(
        0.1, gt=0, le=1, description="However little of the loss budget is left, a quote keeps this fraction of its size."
    )
    skew_factor: float = Field(
        8.0,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="φ of reservation = fair - φ·scale·(q - q*): how many units of scale a full inventory moves both quotes.",
    )
    max_skew_half_spreads: float = Field(
        1.5, gt=0, le=10, allow_inf_nan=False, description="The skew never moves a quote by more than this many half-spreads."
    )
    skew_horizon_seconds: float = Field(
        2.0, gt=0, le=3_600, allow_inf_nan=False, description="τ of the skew's scale: mid volatility over so many seconds."
    )
    risk_aversion: float = Field(
        0.5, gt=0, le=100, allow_inf_nan=False, description="γ of Avellaneda and Stoikov, per sigma of the skew's horizon."
    )
    arrival_decay: float = Field(
        2.0, gt=0, le=1_000, allow_inf_nan=False, description="κ of Avellaneda and Stoikov, per sigma of the skew's horizon."
    )
    arrival_rate: float = Field(
        2.0, gt=0, le=1e6, allow_inf_nan=False, description="A of GLFT: orders that reach the mid in one skew horizon."
    )
    half_spread_reach: float = Field(
        0.75,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description=(
            "Half-spread of the `neural` quoter where its spread head has no weight, as a share of the distance from the mid that "
            "trades reach about once a minute: it follows each instrument's own market."
        ),
    )
    half_spread_sigmas: float = Field(
        3.0,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="The same where no public trades have told that distance, in mid volatilities over the networks' horizon.",
    )
    network_half_spread_factor: float = Field(
        1.0, gt=0, le=100, allow_inf_nan=False, description="Multiplies the `neural` quoter's half-spread, whoever it comes from."
    )
    fallback_widening: float = Field(
        1.5, ge=1, le=100, allow_inf_nan=False, description="The fallback's half-spread is wider by this factor."
    )
    rescale_half_life: float = Field(
        2_000.0,
        gt=0,
        le=1e7,
        allow_inf_nan=False,
        description="Half-life of the running regression of moves on predictions, in rows.",
    )
    pull: bool = Field(
        False,
        description=(
            "Withhold a side that the predicted move is about to run over, at the bundle's threshold. Off: with the shipped "
            "bundle it left both sides standing 1 % of the time and earned less per volume (docs/evidence/quoters.md)."
        ),
    )
