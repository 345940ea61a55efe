"""Why a network's word is not used."""

from __future__ import annotations

from enum import Enum


class GateRefusal(Enum):
    """The first reason, in this order, why a prediction is not used. `value` is the code in metrics and reports."""

    text: str

    def __new__(cls, code: str, text: str) -> GateRefusal:
        """`text` says when it strikes."""
        reason = object.__new__(cls)
        reason._value_ = code
        reason.text = text
        return reason

    COLD = ("cold", "The recurrent state has seen fewer steps since it was zeroed than the bundle's card asks for.")
    STALE = ("stale", "The inputs are older than `max_prediction_age_ms`.")
    NOT_FINITE = ("not_finite", "An input or an output is not a finite number.")
    OUT_OF_RANGE = ("out_of_range", "The inputs lie outside the training range by more than `max_out_of_range_score`.")
    NO_REFERENCE = ("no_reference", "Cross-asset network: no other asset showed anything in the last seconds.")
    OVER_BUDGET = ("over_budget", "The evaluation took longer than `inference_budget_us`.")


def gate_table() -> str:
    """The reasons as a Markdown table."""
    rows = [f"| {place} | `{reason.value}` | {reason.text} |" for place, reason in enumerate(GateRefusal, start=1)]
    return "\n".join(["| # | reason | when |", "|---|---|---|", *rows]) + "\n"
