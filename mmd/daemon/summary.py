"""What a run came to: the last thing the daemon says, for people and for scripts."""

from __future__ import annotations

from typing import Any

import msgspec

from mmd.daemon.latency import Percentiles, StageClock
from mmd.exchanges.adapter import VenueOrder
from mmd.types.report import TraderReport

MARKOUT = "1s"


class Ending(msgspec.Struct, frozen=True):
    """How the process left. `open_orders` is what the venue itself listed last, None where it could not be asked."""

    exit_code: int
    detail: str
    open_orders: tuple[VenueOrder, ...] | None


class Summary(msgspec.Struct, frozen=True):
    """Position, PnL, fees and markouts are one number for one symbol, and an object by symbol for several.

    Money in quote units, position in base units, latencies in microseconds. `open_orders_at_exit` is null where unknown.
    """

    ticks: int
    steps: int
    quotes: int
    orders_sent: int
    fills: int
    markout_1s_bps: Any
    position: Any
    pnl: Any
    fees: Any
    funding: Any
    sequence_gaps: int
    resyncs: int
    risk_denials: dict[str, int]
    pauses: dict[str, int]
    rejections: dict[str, int]
    halted: bool
    halt_reason: str
    tick_to_quote_us: Percentiles
    tick_to_order_us: Percentiles
    stage_us: dict[str, Percentiles]
    open_orders_at_exit: int | None
    seconds: float
    exit_code: int
    exit_detail: str
    attribution: Any = None
    """How much each network moved the quotes, by its name: mean absolute ticks, share of the quotes looked at that it moved."""
    report: str = ""
    """`paper` where this run is evidence about a bundle, whose contents `bundle_content` names."""
    bundle_content: str = ""


def summarise(report: TraderReport, stages: StageClock, ending: Ending, seconds: float) -> Summary:
    """Put a run's report, latencies and ending together. `seconds` is how long it ran."""

    def by_symbol(values: dict[str, Any]) -> Any:
        return next(iter(values.values())) if len(values) == 1 else values

    return Summary(
        ticks=report.ticks,
        steps=report.steps,
        quotes=report.quotes,
        orders_sent=report.orders_sent,
        fills=report.fills,
        markout_1s_bps=by_symbol({line.symbol: line.markouts_bps.get(MARKOUT) for line in report.symbols}),
        position=by_symbol({line.symbol: line.position for line in report.symbols}),
        pnl=by_symbol({line.symbol: line.pnl for line in report.symbols}),
        fees=by_symbol({line.symbol: line.fees for line in report.symbols}),
        funding=by_symbol({line.symbol: line.funding for line in report.symbols}),
        sequence_gaps=report.sequence_gaps,
        resyncs=report.resyncs,
        risk_denials=report.risk_denials,
        pauses=report.pause_counts,
        rejections=report.rejections,
        halted=report.halt.halted,
        halt_reason=report.halt.reason if report.halt.halted else "",
        tick_to_quote_us=stages.tick_to_quote.percentiles(),
        tick_to_order_us=stages.tick_to_order.percentiles(),
        stage_us=stages.percentiles(),
        open_orders_at_exit=None if ending.open_orders is None else len(ending.open_orders),
        seconds=round(seconds, 3),
        exit_code=ending.exit_code,
        exit_detail=ending.detail,
        attribution=by_symbol({line.symbol: line.attribution for line in report.symbols}),
    )
