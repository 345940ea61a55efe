"""How a recording is cut into files, and how much memory and disk it may take."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class RecordingSettings(BaseModel):
    """Recording of the raw market data. Nothing is recorded without a folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    folder: Path | None = Field(None, description="Record every market frame into this folder while trading (default: do not).")
    segment_seconds: float = Field(
        3600.0, gt=0, le=86_400, description="A file is closed after so long, and the next begun, seconds."
    )
    segment_bytes: int = Field(
        256_000_000, ge=1_000, le=10**11, description="A file is closed at this compressed size, and the next begun, bytes."
    )
    flush_seconds: float = Field(
        1.0, gt=0, le=60, description="What was received is on disk after so long; a crash loses no more, seconds."
    )
    compression_level: int = Field(5, ge=1, le=9, description="Of gzip: 1 is fast, 9 is small.")
    max_buffer_bytes: int = Field(
        64_000_000,
        ge=100_000,
        le=10**10,
        description="Frames waiting for the disk; more are dropped and counted, bytes.",
    )
    min_free_bytes: int = Field(
        1_000_000_000, ge=0, le=10**13, description="Recording stops, loudly, before the disk has less room than this, bytes."
    )
    max_total_bytes: int = Field(
        100_000_000_000,
        ge=1_000,
        le=10**14,
        description="Recording stops, loudly, when the folder has so many, bytes.",
    )
    retry_seconds: float = Field(
        30.0, gt=0, le=3600, description="After a failure to write, a daemon tries a new file after so long, seconds."
    )
