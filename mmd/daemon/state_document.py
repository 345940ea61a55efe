"""What /state and /readyz say."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from mmd import __version__
from mmd.daemon.dispatcher import Dispatcher
from mmd.daemon.metrics import ProcessSources, cpu_seconds, resident_bytes


def state_document(sources: ProcessSources) -> dict[str, Any]:
    """The trader's report, and beside it what is to say of the process. Latencies in microseconds."""
    dispatcher = sources.dispatcher
    return {
        "trader": dispatcher.report(),
        "ready": not (why := not_ready(dispatcher)),
        "not_ready_because": why,
        "networks": sources.networks.document(),
        "adapter": sources.counters,
        "tick_to_quote_us": sources.stages.tick_to_quote.percentiles(),
        "tick_to_order_us": sources.stages.tick_to_order.percentiles(),
        "stage_us": sources.stages.percentiles(),
        "process": {
            "version": __version__,
            "pid": os.getpid(),
            "started_ns": sources.started_ns,
            "resident_bytes": resident_bytes(),
            "cpu_seconds": cpu_seconds(),
            "tasks": len(asyncio.all_tasks()),
            "loop_lag_us": sources.loop_lag.percentiles(),
            "stalls": sources.watchdog.stalls,
            "checkpoints": dispatcher.state.checkpoints_written,
            "unwritten": dispatcher.state.behind,
            "failure": dispatcher.failure,
        },
    }


def not_ready(dispatcher: Dispatcher) -> list[str]:
    """Why no quote can stand now; empty when the daemon is at work."""
    if dispatcher.failure:
        return [dispatcher.failure]
    report = dispatcher.report()
    why = [f"halted by {report.halt.actor}: {report.halt.reason}"] if report.halt.halted else []
    why.extend(f"paused: {pause}" for pause in report.pauses)
    why.extend(f"book of {line.symbol} is invalid: {line.invalid_reason}" for line in report.symbols if not line.book_valid)
    if dispatcher.state.behind:
        why.append("state cannot be written to disk")
    return why
