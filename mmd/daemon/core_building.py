"""The core as a session makes it: from its configuration and what an earlier one left. A replay makes it the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmd.daemon.settings import Settings
from mmd.execution.client_order_ids import base36
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.trader import Trader, TraderConfig
from mmd.types.control import HaltRecord
from mmd.types.instrument import Instrument
from mmd.types.stages import StageTimer


def session_name(started_ns: int) -> str:
    """The session epoch of a start at this time, UTC ns."""
    return base36(started_ns // 1_000_000)


def trader_config(settings: Settings, started_ns: int, trades_from: Mapping[str, int] | None = None) -> TraderConfig:
    """What of the settings is the core's business; `trades_from` is the newest trade that the ledger holds, by symbol."""
    return TraderConfig(
        mode=settings.mode,
        session=session_name(started_ns),
        client_order_id_prefix=settings.client_order_id_prefix,
        quoting=settings.quoting,
        execution=settings.execution,
        risk=settings.risk,
        reconciliation=settings.reconciliation,
        gate=settings.networks.gate,
        trades_from=dict(trades_from or {}),
        session_gap_seconds=settings.networks.session_gap_seconds,
        reference_symbols=settings.reference_symbols,
        cross_asset_symbols=settings.networks.cross_asset_symbols,
    )


def build_core(
    config: TraderConfig,
    instruments: Mapping[str, Instrument],
    *,
    checkpoint: Mapping[str, Any] | None,
    halt: HaltRecord | None,
    stages: StageTimer,
    bundle: Bundle | None,
    predictors: Mapping[str, QuotePredictor],
) -> Trader:
    """Raises `KeyError`, `TypeError` or `ValueError` where the checkpoint does not fit this program."""
    return Trader(config, instruments, checkpoint=checkpoint, halt=halt, stages=stages, bundle=bundle, predictors=predictors)
