"""From settings to the adapter that the daemon trades through."""

from __future__ import annotations

from random import Random
from typing import Any

from mmd.daemon.market_recording import MarketRecording
from mmd.daemon.settings import Settings
from mmd.daemon.steady_clock import utc_ns
from mmd.exchanges.adapter import ExchangeAdapter, FailureHandler, adapter_factory


def make_adapter(settings: Settings, on_failure: FailureHandler, recording: MarketRecording | None = None) -> ExchangeAdapter:
    """Not started; `recording` hears of every market frame. Raises `AdapterError`, of which `CredentialsError` is one."""
    taps: dict[str, Any] = {}
    if recording is not None:
        taps = {"on_market_frame": recording.on_frame, "on_depth_snapshot": recording.on_snapshot}
    factory = adapter_factory(settings.venue)
    if settings.mode == "paper":
        # The only way to an adapter in this mode: the inner one is made without key and order entry.
        taps |= {"market": factory, "paper": settings.paper, "state_dir": settings.state_dir}
        factory = adapter_factory("paper")
    adapter: ExchangeAdapter = factory(
        settings.exchange,
        settings.symbols,
        clock_ns=utc_ns,
        on_failure=on_failure,
        random=Random(),
        reference_symbols=settings.reference_symbols,
        **taps,
    )
    return adapter
