"""Faults drawn at random, for a venue on which anything may go wrong at any time."""

from __future__ import annotations

from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mmd.mock.faults.corruption import Corruption
from mmd.mock.faults.kinds import KINDS, Fault, LastingFault, parse_fault

_CLOSE_CODES = (1000, 1001, 1006, 1008, 1011, 1012)
_REFUSALS = (-1008, -1013, -1015, -2010)


class RandomFaults(BaseModel):
    """How often, for how long, and which. Seconds of the scenario's clock."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    every: float = Field(default=5.0, gt=0, description="mean time between two faults, s")
    start: float = Field(default=0.0, ge=0, description="time of the first draw, s after the start")
    until: float | None = Field(default=None, gt=0, description="no fault begins after so many s (default: it never ends)")
    longest: float = Field(default=5.0, gt=0, description="longest time that a drawn fault stays on, s")
    kinds: tuple[str, ...] = Field(default=tuple(KINDS), min_length=1, description="kinds to draw from (default: all)")

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"there is no fault {kind!r}; there are {', '.join(KINDS)}")
        return kinds


def draw_fault(kind: str, random: Random, longest: float) -> Fault:
    """A fault of this kind with parameters drawn, on for at most `longest` s."""
    values: dict[str, Any] = {"kind": kind}
    if issubclass(KINDS[kind], LastingFault):
        values["seconds"] = longest * random.uniform(0.1, 1.0)
    if "probability" in KINDS[kind].model_fields:
        values["probability"] = random.choice((0.01, 0.1, 0.5, 1.0))
    draw = _PARAMETERS.get(kind)
    if draw is not None:
        values |= draw(random, longest)
    return parse_fault(values)


_PARAMETERS: dict[str, Any] = {
    "skip_depth_update": lambda random, longest: {"count": random.randint(1, 3), "probability": 1.0},
    "delay_frames": lambda random, longest: {
        "milliseconds": 1000 * min(longest, 2.0) * random.uniform(0.05, 1.0),
        "jitter_milliseconds": random.choice((0.0, 200.0)),
    },
    "duplicate_frames": lambda random, longest: {"copies": random.randint(1, 3)},
    "reorder_frames": lambda random, longest: {"distance": random.randint(1, 20)},
    # With every frame damaged no client would ever be up long enough to show anything.
    "corrupt_frames": lambda random, longest: {
        "probability": random.choice((0.005, 0.02, 0.1)),
        "corruptions": random.sample(Corruption.detectable(), random.randint(1, 3)),
    },
    "cut_connections": lambda random, longest: {"code": random.choice(_CLOSE_CODES), "reset": random.random() < 0.3},
    "delay_acknowledgements": lambda random, longest: {"milliseconds": 1000 * min(longest, 5.0) * random.uniform(0.1, 1.0)},
    "server_errors": lambda random, longest: {"status": random.choice((500, 502, 503, 504))},
    "refuse_orders": lambda random, longest: {"code": random.choice(_REFUSALS)},
    "partial_fills": lambda random, longest: {"fraction": random.uniform(0.1, 0.9)},
    "clock_offset": lambda random, longest: {
        "milliseconds": random.choice((-1, 1)) * random.randint(500, 60_000),
        "stamps": random.random() < 0.5,
    },
    "rate_limit_ban": lambda random, longest: {"status": random.choice((418, 429))},
    "server_shutdown": lambda random, longest: {"grace_seconds": longest * random.uniform(0.0, 0.5)},
    "restart": lambda random, longest: {
        "keep_state": random.random() < 0.5,
        "down_seconds": longest * random.uniform(0.0, 0.3),
        "announce": random.random() < 0.5,
    },
}
