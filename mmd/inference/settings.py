"""When a prediction is good enough to quote on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class GateSettings(BaseModel):
    """Limits of the gate before the networks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_prediction_age_ms: float = Field(
        2_000.0,
        description="ms from the receive time of the prediction's inputs until now; older predictions are not used. A market "
        "without a step for so long is quiet, not blind: `max_data_age_seconds` is about that",
        gt=0,
    )
    inference_budget_us: float = Field(
        2_000.0, description="microseconds that one evaluation may take; a slower one is not used for that tick", gt=0
    )
    max_out_of_range_score: float = Field(
        1.0,
        description="sum over the inputs of how far each lies outside its training range (0.1 to 99.9 percentile), in widths of "
        "that range; a higher score is refused",
        ge=0,
    )
