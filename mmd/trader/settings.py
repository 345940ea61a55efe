"""What the core is told at its making: the rooms' settings and who this session is. A replay is given the same."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mmd.execution.settings import ExecutionSettings
from mmd.inference.settings import GateSettings
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits

Mode = Literal["mock", "paper", "testnet", "demo", "live"]


class ReconciliationSettings(BaseModel):
    """When our books are compared with the venue's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_seconds: float = Field(30.0, gt=0, le=3600, allow_inf_nan=False, description="Time between two comparisons, seconds.")
    retry_seconds: float = Field(
        1.0, gt=0, le=60, allow_inf_nan=False, description="Time before a failed or differing comparison is made again, seconds."
    )
    timeout_seconds: float = Field(
        15.0, gt=0, le=300, allow_inf_nan=False, description="A comparison unanswered for this long is asked for again, seconds."
    )
    max_failures: int = Field(60, gt=0, le=10_000, description="So many comparisons in a row that could not be made are a halt.")


class TraderConfig(BaseModel):
    """The core's whole configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = "mock"
    session: str
    """Identifies this run; part of every client order id."""
    client_order_id_prefix: str = "mmd"
    quoting: QuotingSettings = QuotingSettings()
    execution: ExecutionSettings = ExecutionSettings()
    risk: RiskLimits = RiskLimits()
    gate: GateSettings = GateSettings()
    session_gap_seconds: float = 5.0
    """A silence of the market data beyond this ends a session: features and recurrent state begin anew, seconds."""
    reconciliation: ReconciliationSettings = ReconciliationSettings()
    trades_from: dict[str, int] = {}
    """By symbol, the newest trade that the ledger's file holds: the first comparison asks for all after it."""
    reference_symbols: tuple[str, ...] = ()
    """Watched, never quoted; every other instrument is quoted."""
    cross_asset_symbols: tuple[str, ...] = ()
    """At whose markets the cross-asset network looks beside a quoted symbol's; none: at all that are quoted or watched."""
