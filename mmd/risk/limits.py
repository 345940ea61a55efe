"""The limits a person sets. Every one has a safe default and none can be switched off: zero, negative and infinite are errors."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mmd.types.instrument import ATOMS_PER_UNIT

NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000


class RiskLimits(BaseModel):
    """Limits of one trader. Money is in quote units, summed over all its symbols unless it says 'per symbol'."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_order_notional: Decimal = Field(default=Decimal(1_000), description="Largest single order, quote units.", gt=0)
    max_position_notional: Decimal = Field(
        default=Decimal(5_000), description="Largest worst-case position on either side, quote units, per symbol.", gt=0
    )
    max_gross_exposure_notional: Decimal = Field(
        default=Decimal(10_000), description="Largest sum of the symbols' worst-case positions, quote units.", gt=0
    )
    price_collar_bps: float = Field(
        default=100.0, description="Furthest an order's price may stand from the mid, bps.", gt=0, le=5_000
    )
    flatten_collar_bps: float = Field(
        default=20.0,
        description="Furthest from the mid that a flattening's aggressive orders may trade, bps; `price_collar_bps` holds as well.",
        gt=0,
        le=5_000,
    )
    max_daily_loss: Decimal = Field(
        default=Decimal(100), description="Loss since the start of the day that halts, quote units.", gt=0
    )
    max_drawdown: Decimal = Field(default=Decimal(200), description="Fall from the highest PnL that halts, quote units.", gt=0)
    day_start_hour_utc: int = Field(default=0, description="Hour at which the loss budget's day begins, UTC.", ge=0, le=23)
    max_orders_per_10s: int = Field(default=50, description="Orders in any 10 seconds, count.", gt=0, le=100_000)
    max_orders_per_day: int = Field(default=100_000, description="Orders in any 24 hours, count.", gt=0, le=1_000_000_000)
    order_count_reserve: int = Field(
        default=20,
        description="Orders counted ahead in each checkpoint, so that a crash never refills the budget, count.",
        gt=0,
        le=10_000,
    )
    max_venue_order_fraction: float = Field(
        default=0.8, description="Share of the venue's own order-count limit that we use, fraction.", gt=0, le=1
    )
    max_open_orders: int = Field(
        default=10, description="Orders open, pending or unknown at once over all symbols, count.", gt=0, le=10_000
    )
    max_data_age_seconds: float = Field(
        default=5.0, description="Oldest market data to act on, seconds of receive time.", gt=0, le=3_600
    )
    max_feed_lag_ms: float = Field(default=500.0, description="Most the feed may lag behind its own best, ms.", gt=0, le=60_000)
    feed_lag_window_seconds: float = Field(
        default=600.0, description="Window of the lag's rolling minimum, seconds. Longer than a pause may last.", gt=0, le=86_400
    )
    max_pause_seconds: float = Field(default=300.0, description="Longest pause before it becomes a halt, seconds.", gt=0, le=86_400)
    max_timer_silence_seconds: float = Field(
        default=0.5,
        description="After our own timer has been silent for so long (a stopped or starved process) nothing is quoted until it "
        "fires again: a halt that was latched meanwhile is heard first, seconds.",
        gt=0,
        le=60,
    )
    max_pauses_per_hour: int = Field(
        default=60, description="Most pauses in any hour before they become a halt, count.", gt=0, le=10_000
    )
    max_consecutive_errors: int = Field(default=10, description="Errors in a row that halt, count.", gt=0, le=10_000)

    @field_validator("max_order_notional", "max_position_notional", "max_gross_exposure_notional", "max_daily_loss", "max_drawdown")
    @classmethod
    def _at_least_an_atom(cls, amount: Decimal) -> Decimal:
        limit_atoms(amount)
        return amount

    @model_validator(mode="after")
    def _agree(self) -> RiskLimits:
        if self.feed_lag_window_seconds <= self.max_pause_seconds:
            raise ValueError(
                f"feed_lag_window_seconds ({self.feed_lag_window_seconds}) must be above max_pause_seconds "
                f"({self.max_pause_seconds}): "
                "else a feed that stays slow would come to pass for a quick one before the pause becomes a halt"
            )
        return self


def limit_atoms(amount: Decimal) -> int:
    """A limit in quote atoms, rounded down. Raises ValueError where nothing would be left of it."""
    scaled = int(amount * ATOMS_PER_UNIT)
    if scaled <= 0:
        raise ValueError(f"limit {amount} is finer than 1e-8: use a larger one")
    return scaled


def nanoseconds(seconds: float) -> int:
    """A duration setting in whole ns."""
    return round(seconds * NS_PER_SECOND)
