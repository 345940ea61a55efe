"""Settings of the execution room. Every default is safe; none can be switched off."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

NS_PER_MS = 1_000_000


class ExecutionSettings(BaseModel):
    """How orders are watched, when a quote is worth a message, and how much is remembered."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    acknowledgement_timeout_ms: int = Field(
        2_000, description="A request unanswered for this long makes its order unknown, ms.", gt=0, le=60_000
    )
    receive_window_ms: int = Field(
        2_000,
        description="recvWindow of our order requests, ms. An unknown order can reach the venue no later than this.",
        gt=0,
        le=2_000,
    )
    query_backoff_ms: int = Field(
        500, description="Wait between the first and second query of an unknown order, ms; doubles each time.", gt=0, le=60_000
    )
    max_query_backoff_ms: int = Field(
        10_000, description="Longest wait between two queries of an unknown order, ms.", gt=0, le=600_000
    )
    not_found_confirmations: int = Field(
        3, description="Times the venue must deny an order that it once acknowledged before we believe it, count.", gt=0, le=100
    )
    terminal_orders_kept: int = Field(
        1_000, description="Finished and fully booked orders remembered for late messages, count.", gt=0, le=1_000_000
    )

    price_tolerance_ticks: int = Field(
        0,
        description="A live order this much less aggressive than desired is kept, ticks.",
        ge=0,
        le=100_000,
    )
    price_tolerance_half_spreads: float = Field(
        0.1, description="The same as a share of the desired half-spread; the larger of the two holds, fraction.", ge=0, le=1
    )
    aggressive_tolerance_ticks: int = Field(
        0,
        description="A live order this much more aggressive than desired is kept, ticks.",
        ge=0,
        le=100_000,
    )
    aggressive_tolerance_half_spreads: float = Field(
        0.02, description="The same as a share of the desired half-spread; the larger of the two holds, fraction.", ge=0, le=1
    )
    size_tolerance: float = Field(
        0.2, description="A live order whose remaining size differs by no more than this is kept, fraction of desired.", ge=0, le=10
    )
    minimum_quote_life_ms: int = Field(
        100, description="Age at which an order may be replaced for a mere improvement, ms. Danger never waits.", ge=0, le=60_000
    )

    @property
    def acknowledgement_timeout_ns(self) -> int:
        """In ns."""
        return self.acknowledgement_timeout_ms * NS_PER_MS

    @property
    def minimum_quote_life_ns(self) -> int:
        """In ns."""
        return self.minimum_quote_life_ms * NS_PER_MS

    def backoff_ns(self, attempts: int) -> int:
        """Wait after the `attempts`-th try (1, 2, ...), ns: doubles up to the bound."""
        doubled = self.query_backoff_ms << min(attempts - 1, 20)
        return min(doubled, self.max_query_backoff_ms) * NS_PER_MS
