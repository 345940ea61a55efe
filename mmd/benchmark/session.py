"""The daemon's hot path without its sockets, on frames of the benchmark's own."""

from __future__ import annotations

from typing import Any

from mmd.daemon.rehearsal import RehearsedSession, nowhere
from mmd.exchanges.binance.rehearsal import BinanceWireRehearsal
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot
from mmd.types.stages import StageTimer

__all__ = ["HotSession", "nowhere"]


class HotSession(RehearsedSession):
    """One symbol, quoted by the network of `bundle`, or after Avellaneda and Stoikov without one."""

    def __init__(
        self,
        snapshot: DepthSnapshot,
        instruments: dict[str, Instrument],
        bundle: Bundle | None,
        predictors: dict[str, QuotePredictor],
        stages: StageTimer | None = None,
    ) -> None:
        strategy: Any = "neural" if bundle is not None else "avellaneda-stoikov"
        wire = BinanceWireRehearsal(instruments, recv_window_ms=1500)
        super().__init__((snapshot,), instruments, wire, QuotingSettings(strategy=strategy), bundle, predictors, stages)
        self.decode = wire.decode
