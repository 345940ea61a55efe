"""What /state, /readyz and the operator's page say."""

from __future__ import annotations

import asyncio
import os

import msgspec

from mmd import __version__
from mmd.daemon.dispatcher import Dispatcher
from mmd.daemon.metrics import ProcessSources, cpu_seconds, resident_bytes
from mmd.daemon.network_switch import NetworksDocument
from mmd.daemon.percentiles import Percentiles
from mmd.exchanges.adapter import AdapterCounters
from mmd.types.report import TraderReport


class Latencies(msgspec.Struct, frozen=True):
    """Every distribution of times, in microseconds. Walking them takes the event loop's time: whoever looks often reuses one."""

    tick_to_quote: Percentiles
    tick_to_order: Percentiles
    stages: dict[str, Percentiles]
    loop_lag: Percentiles


class ProcessState(msgspec.Struct, frozen=True):
    """The process itself."""

    version: str
    pid: int
    started_ns: int
    resident_bytes: int
    cpu_seconds: float
    tasks: int
    loop_lag_us: Percentiles
    stalls: int
    checkpoints: int
    unwritten: bool
    """Latch or checkpoint could not be written to disk."""
    failure: str
    """Why the core is not asked any more; empty while it is."""


class StateDocument(msgspec.Struct, frozen=True):
    """The trader's report, and beside it what is to say of the process. Latencies in microseconds."""

    trader: TraderReport
    ready: bool
    not_ready_because: list[str]
    networks: NetworksDocument
    adapter: AdapterCounters
    tick_to_quote_us: Percentiles
    tick_to_order_us: Percentiles
    stage_us: dict[str, Percentiles]
    process: ProcessState


def latencies(sources: ProcessSources) -> Latencies:
    """As they are now."""
    stages = sources.stages
    return Latencies(
        stages.tick_to_quote.percentiles(), stages.tick_to_order.percentiles(), stages.percentiles(), sources.loop_lag.percentiles()
    )


def state_document(sources: ProcessSources, measured: Latencies | None = None) -> StateDocument:
    """Everything as it is now; latencies too where none are given."""
    dispatcher, taken = sources.dispatcher, measured or latencies(sources)
    report = dispatcher.report()
    why = not_ready(dispatcher, report)
    return StateDocument(
        trader=report,
        ready=not why,
        not_ready_because=why,
        networks=sources.networks.document(),
        adapter=sources.counters,
        tick_to_quote_us=taken.tick_to_quote,
        tick_to_order_us=taken.tick_to_order,
        stage_us=taken.stages,
        process=ProcessState(
            version=__version__,
            pid=os.getpid(),
            started_ns=sources.started_ns,
            resident_bytes=resident_bytes(),
            cpu_seconds=cpu_seconds(),
            tasks=len(asyncio.all_tasks()),
            loop_lag_us=taken.loop_lag,
            stalls=sources.watchdog.stalls,
            checkpoints=dispatcher.state.checkpoints_written,
            unwritten=dispatcher.state.behind,
            failure=dispatcher.failure,
        ),
    )


def not_ready(dispatcher: Dispatcher, report: TraderReport | None = None) -> list[str]:
    """Why no quote can stand now; empty when the daemon is at work."""
    if dispatcher.failure:
        return [dispatcher.failure]
    report = report or dispatcher.report()
    why = [f"halted by {report.halt.actor}: {report.halt.reason}"] if report.halt.halted else []
    why.extend(f"paused: {pause}" for pause in report.pauses)
    why.extend(f"book of {line.symbol} is invalid: {line.invalid_reason}" for line in report.symbols if not line.book_valid)
    if dispatcher.state.behind:
        why.append("state cannot be written to disk")
    return why
