"""How the journal is cut into files, how much memory and disk it may take, and what happens when there is no more of either."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class JournalSettings(BaseModel):
    """The journal of a session. It is kept unless `enabled` is false."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    enabled: bool = Field(True, description="Keep a journal: without one no session can be replayed and no order explained.")
    folder: Path | None = Field(None, description="Folder of the sessions (default: `journal` in `state_dir`).")
    segment_bytes: int = Field(
        64_000_000, ge=10_000, le=10**10, description="A file is closed at this compressed size, and the next begun, bytes."
    )
    flush_seconds: float = Field(
        0.5, gt=0, le=60, description="What was received is with the operating system after so long, seconds."
    )
    sync_seconds: float = Field(
        2.0, ge=0, le=600, description="And on disk, whatever happens to the machine, after so long; 0: at each flush, seconds."
    )
    compression_level: int = Field(1, ge=1, le=9, description="Of zlib: 1 is fast, 9 is small.")
    max_waiting_records: int = Field(
        200_000,
        ge=1_000,
        le=10**8,
        description="Records that may wait for the disk; one more is a halt, and what comes after it is counted as lost.",
    )
    max_total_bytes: int = Field(20_000_000_000, ge=100_000, le=10**14, description="Most bytes of the folder; see `when_full`.")
    when_full: Literal["drop-oldest", "halt"] = Field(
        "drop-oldest",
        description="At `max_total_bytes`: remove the oldest files, those of finished sessions first, counted and logged; or halt.",
    )
    min_free_bytes: int = Field(
        500_000_000, ge=0, le=10**13, description="The journal counts as unwritable, a halt, when the disk has less room, bytes."
    )
    retry_seconds: float = Field(
        5.0, gt=0, le=3600, description="After a failure to write, a new file is tried after so long, seconds."
    )
