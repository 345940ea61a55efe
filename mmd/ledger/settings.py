"""Whether the ledger is kept, where, and how long it may wait for its disk."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class LedgerSettings(BaseModel):
    """The ledger of orders, fills, positions and halts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    enabled: bool = Field(True, description="Keep orders, fills, positions and halts in an SQLite file.")
    file: Path | None = Field(None, description="The file (default: `ledger.sqlite` in `state_dir`).")
    busy_timeout_seconds: float = Field(
        2.0, ge=0, le=60, description="A file that another program has locked for so long counts as unwritable, a halt, seconds."
    )
    retry_seconds: float = Field(
        1.0, gt=0, le=600, description="After a failure to write it is tried again after so long, seconds."
    )
    max_waiting_records: int = Field(
        50_000, ge=100, le=10**7, description="Records that may wait for the file; one more is a halt until the next start."
    )
