"""How the result changes with latency and with the maker's fee: what the report plots.

Latency changes what happens, so each is a run of its own. A fee moves no order but by what it uses up of the loss budget, which
sizes shrink with: its cost is its share of the volume, and one run tells of all fees as far as that budget is far. Where a run
halted that is not so, and only the fee that was paid is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmd.backtest.errors import BacktestError
from mmd.backtest.figures import Terms, figures
from mmd.backtest.latency import Latency, parse_latency
from mmd.backtest.runner import Options, Run

FEES_BPS = (-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0)
MOST_LATENCIES = 20


def parse_latencies(text: str) -> list[Latency]:
    """`1ms,5ms,20ms`, of feed, order entry and response each. Raises `BacktestError`."""
    latencies = [parse_latency(part.strip()) for part in text.split(",") if part.strip()]
    if len(latencies) > MOST_LATENCIES or any(latency.feed_ns is None for latency in latencies):
        raise BacktestError(f"latencies {text!r}: up to {MOST_LATENCIES} durations, such as 1ms,5ms,20ms")
    return latencies


def latency_sensitivity(
    options: Options, latencies: Sequence[Latency], run: Callable[[Options], Run], terms: Terms
) -> list[dict[str, Any]]:
    """One row a latency, in order: PnL per volume with its interval, and the fills. Raises `BacktestError`."""
    rows = []
    for latency in latencies:
        made = run(replace(options, latency=latency))
        found = figures(made.recorder, made.venue.placed, terms)
        rows.append({"latency_ms": (latency.feed_ns or 0) / 1e6, "halted": made.halt is not None, **_told(found)})
    return rows


def fee_sensitivity(found: Mapping[str, Any], maker_fee: float, halted: bool) -> list[dict[str, float]]:
    """PnL per volume at each of `FEES_BPS`; of a run that halted at its own fee alone, of one without volume nothing."""
    volume = found["volume"]
    if not volume:
        return []
    before = found["pnl"] / volume * 1e4 + maker_fee * 1e4
    fees = [maker_fee * 1e4] if halted else FEES_BPS
    return [{"maker_fee_bps": fee, "pnl_per_volume_bps": before - fee} for fee in fees]


def _told(found: Mapping[str, Any]) -> dict[str, Any]:
    names = ("pnl_per_volume_bps", "pnl_per_volume_bps_interval", "fills", "pnl")
    return {**{name: found[name] for name in names}, "markout_1s_bps": found["markouts_bps"]["1s"]["mean"]}
