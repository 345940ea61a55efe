"""Settings of one order book."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BookSettings(BaseModel):
    """Bounds of one book."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_levels_per_side: int = Field(default=5_000, description="Levels kept on a side, count; the farthest are dropped.", ge=20)
    max_buffered_updates: int = Field(default=1_000, description="Diffs kept while a snapshot is awaited, count.", gt=0)
    snapshot_cut_off: int = Field(
        default=100,
        description="Levels from which a snapshot's side may have been cut off (at most the depth asked for), count.",
        gt=0,
    )
    max_depth_silence_seconds: float = Field(
        default=10.0,
        description="Longest time the touch may move without any diff before the diff stream counts as dead, seconds.",
        gt=0,
    )
