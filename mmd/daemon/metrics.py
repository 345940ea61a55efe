"""Prometheus metrics, built when somebody scrapes: from the core's report, the adapter's counters and the histograms.

`mmd.daemon.metric_table.METRICS` is the one list of them.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from mmd import __version__
from mmd.daemon.collection import CollectionSchedule
from mmd.daemon.dispatcher import Dispatcher
from mmd.daemon.latency import LatencyHistogram, StageClock
from mmd.daemon.loop_watch import StallWatchdog
from mmd.daemon.market_recording import MarketRecording
from mmd.daemon.metric_table import METRICS, adapter_metrics
from mmd.daemon.network_switch import NetworkSwitch
from mmd.daemon.page.counters import PageCounters
from mmd.daemon.record_metrics import record_samples
from mmd.daemon.signal_feed import SignalFeed
from mmd.exchanges.adapter import AdapterCounters
from mmd.execution.order_state import OrderState
from mmd.inference.calibration import QUANTILES
from mmd.journal.writer import JournalWriter
from mmd.ledger.writer import LedgerWriter
from mmd.types.orders import AmendOrder, CancelOrder, ModifyOrder, PlaceOrder, QueryOrder, ReplaceOrder
from mmd.types.report import SymbolReport, TraderReport, WatchedReport
from mmd.types.stages import Stage

SECOND_NS = 1e9
BOUNDS_US = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 1_000_000)

LONGEST_REASON = 120
ORDER_COMMANDS: dict[type, str] = {
    PlaceOrder: "place",
    ReplaceOrder: "replace",
    ModifyOrder: "modify",
    AmendOrder: "amend",
    CancelOrder: "cancel",
    QueryOrder: "query",
}

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Families = dict[str, Family]


class ProcessSources(msgspec.Struct, frozen=True):
    """Everything of the process that metrics and /state read."""

    dispatcher: Dispatcher
    counters: AdapterCounters
    stages: StageClock
    loop_lag: LatencyHistogram
    watchdog: StallWatchdog
    collection: CollectionSchedule
    started_ns: int
    shadow_ticks: LatencyHistogram
    networks: NetworkSwitch
    signals: SignalFeed
    recording: MarketRecording | None = None
    journal: JournalWriter | None = None
    ledger: LedgerWriter | None = None
    page: PageCounters = msgspec.field(default_factory=PageCounters)


class _Gathered(CollectorRegistry):
    """What one scrape found. No registry of the library's own making: that would ask for every name of every metric anew."""

    def __init__(self, families: Families) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        """Every metric of `METRICS`, those without samples included."""
        return self._families.values()


def gather_metrics(sources: ProcessSources) -> Families:
    """One scrape: every metric of `METRICS` as it is now. Asks the core, so it belongs on the event loop."""
    families = _families()
    report = sources.dispatcher.report()
    _trader(families, report)
    for symbol in report.symbols:
        _symbol(families, symbol)
    for watched in report.watched:
        _feed(families, watched)
    _latencies(families, sources)
    _adapter(families, sources.counters)
    for name, value, labels in record_samples(sources.recording, sources.journal, sources.ledger):
        _put(families, name, value, *labels)
    _process(families, sources)
    return families


def metrics_text(families: Families) -> bytes:
    """The text of a scrape. Asks nobody, so that any thread may write it: it is half of the work."""
    return generate_latest(_Gathered(families))


def render_metrics(sources: ProcessSources) -> bytes:
    """One scrape and its text."""
    return metrics_text(gather_metrics(sources))


def resident_bytes() -> int:
    """Memory in use now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds() -> float:
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def open_descriptors() -> int:
    """Of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def without_numbers(reason: str) -> str:
    """A label must not take a new value with every amount that a reason names."""
    return re.sub(r"\d[\d.,]*", "N", reason)[:LONGEST_REASON]


def _families() -> Families:
    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
    return {metric.name: kinds[metric.kind](metric.name, metric.help, labels=metric.labels) for metric in METRICS}


def _put(families: Families, name: str, value: float, *labels: str) -> None:
    family = families[name]
    assert not isinstance(family, HistogramMetricFamily)
    family.add_metric(labels, value)


def _put_histogram(families: Families, name: str, histogram: LatencyHistogram, labels: Sequence[str] = ()) -> None:
    family = families[name]
    assert isinstance(family, HistogramMetricFamily)
    counts = histogram.cumulative([bound * 1000 for bound in BOUNDS_US])
    buckets = [(str(bound / 1e6), float(count)) for bound, count in zip(BOUNDS_US, counts, strict=True)]
    family.add_metric(labels, [*buckets, ("+Inf", float(histogram.n))], histogram.total_ns / SECOND_NS)


def _trader(families: Families, report: TraderReport) -> None:
    _put(families, "mmd_build_info", 1, __version__, report.mode, report.session)
    _put(families, "mmd_halted", report.halt.halted)
    if report.halt.halted:
        _put(families, "mmd_halt_info", 1, report.halt.actor, without_numbers(report.halt.reason))
    _put(families, "mmd_halt_changed_timestamp_seconds", report.halt.time_ns / SECOND_NS)
    for pause in report.pauses:
        reason, _, symbol = pause.partition(":")
        _put(families, "mmd_paused", 1, reason, symbol)
    _put(families, "mmd_orders_sent_total", report.orders_sent)
    open_orders: dict[tuple[str, str], int] = {}
    for order in report.open_orders:
        key = (order.symbol, order.side.lower())
        open_orders[key] = open_orders.get(key, 0) + 1
    for line in report.symbols:
        for side in ("buy", "sell"):
            _put(families, "mmd_open_orders", open_orders.get((line.symbol, side), 0), line.symbol, side)
    states = Counter(order.state for order in report.open_orders)
    for state in OrderState:
        if not state.is_terminal:
            _put(families, "mmd_orders", states[state.value], state.value)
    for kind, name in ORDER_COMMANDS.items():
        _put(families, "mmd_order_commands_total", report.order_commands.get(kind.__name__, 0), name)
    _put(families, "mmd_orders_acknowledged_total", report.orders_accepted)
    _put(families, "mmd_loss_used_quote", report.loss_used)
    _put(families, "mmd_loss_budget_left_quote", max(0.0, report.limits.get("daily_loss", 0.0) - report.loss_used))
    _put(families, "mmd_drawdown_quote", report.drawdown)
    _put(families, "mmd_gross_exposure_quote", report.exposure)
    for signal in report.signals:
        _put(families, "mmd_signal_value", signal.value, signal.name)
        _put(families, "mmd_signal_fresh", signal.state == "fresh", signal.name)
        _put(families, "mmd_signals_received_total", signal.received, signal.name)
    for shadow in report.shadow:
        _put(families, "mmd_hypothetical_quotes_total", shadow.quotes, shadow.symbol, shadow.who)
        _put(families, "mmd_hypothetical_fills_total", shadow.fills, shadow.symbol, shadow.who)
        for horizon, bps in shadow.markouts_bps.items():
            _put(families, "mmd_hypothetical_markout_bps", bps, shadow.symbol, shadow.who, horizon)
    for name, counts in (
        ("mmd_pauses_total", report.pause_counts),
        ("mmd_risk_denials_total", report.risk_denials),
        ("mmd_rejections_total", report.rejections),
        ("mmd_reconciliations_total", report.reconciliations),
        ("mmd_limit_used_ratio", report.limits_used),
        ("mmd_limit_quote", report.limits),
    ):
        for label, value in counts.items():
            _put(families, name, value, label)
    for network, counts in report.network_refusals.items():
        for reason, count in counts.items():
            _put(families, "mmd_gate_refusals_total", count, network, reason)


def _feed(families: Families, line: SymbolReport | WatchedReport) -> None:
    """What a quoted and a watched symbol have alike."""
    for name, value in (
        ("mmd_ticks_total", line.ticks),
        ("mmd_steps_total", line.steps),
        ("mmd_sequence_gaps_total", line.sequence_gaps),
        ("mmd_resyncs_total", line.resyncs),
        ("mmd_book_valid", line.book_valid),
        ("mmd_data_age_seconds", line.data_age_ns / SECOND_NS),
        ("mmd_feed_lag_seconds", line.feed_lag_ns / SECOND_NS),
        ("mmd_bid_price", line.bid),
        ("mmd_ask_price", line.ask),
    ):
        _put(families, name, value, line.symbol)
    for label, number in line.features.items():
        _put(families, "mmd_feature_value", number, line.symbol, label)


def _symbol(families: Families, line: SymbolReport) -> None:
    _feed(families, line)
    for name, value in (
        ("mmd_quotes_total", line.quotes),
        ("mmd_fills_total", line.fills),
        ("mmd_position_base", line.position),
        ("mmd_pnl_quote", line.pnl),
        ("mmd_realised_pnl_quote", line.realised),
        ("mmd_unrealised_pnl_quote", line.unrealised),
        ("mmd_fees_quote", line.fees),
        ("mmd_funding_quote", line.funding),
    ):
        _put(families, name, value, line.symbol)
    for name, values in (
        ("mmd_markout_bps", line.markouts_bps),
        ("mmd_adverse_fills_ratio", line.against),
        ("mmd_pnl_part_quote", line.pnl_parts),
        ("mmd_presence_seconds_total", line.presence_seconds),
        ("mmd_prediction_value", line.predictions),
        ("mmd_feature_drift_psi", line.drift),
    ):
        for label, number in values.items():
            _put(families, name, number, line.symbol, label)
    for label, number in line.calibration.items():
        head, _, measure = label.partition(".")
        _put(families, "mmd_head_calibration", number, line.symbol, head, measure)
    for head, numbers in line.distributions.items():
        for quantile, number in zip(QUANTILES, numbers, strict=True):
            _put(families, "mmd_head_quantile", number, line.symbol, head, f"{quantile:g}")
    for network, share in line.attribution.items():
        _put(families, "mmd_network_moved_ratio", share.moved_share, line.symbol, network)
        if share.mean_absolute_ticks is not None:
            _put(families, "mmd_network_ticks", share.mean_absolute_ticks, line.symbol, network)
    for name, known in (("mmd_funding_rate_ratio", line.funding_rate), ("mmd_mark_price", line.mark)):
        if known is not None:
            _put(families, name, known, line.symbol)
    _quote(families, line)


def _quote(families: Families, line: SymbolReport) -> None:
    quote = line.quote
    if quote is None:
        return
    for side, price, size in (("buy", quote.bid, quote.bid_quantity), ("sell", quote.ask, quote.ask_quantity)):
        _put(families, "mmd_quote_price", price, line.symbol, side)
        _put(families, "mmd_quote_size_base", size, line.symbol, side)
    if line.mid > 0:
        _put(families, "mmd_quote_spread_bps", (quote.ask - quote.bid) / line.mid * 1e4, line.symbol)
        _put(families, "mmd_quote_distance_bps", (line.mid - quote.bid) / line.mid * 1e4, line.symbol, "buy")
        _put(families, "mmd_quote_distance_bps", (quote.ask - line.mid) / line.mid * 1e4, line.symbol, "sell")
    _put(families, "mmd_quote_fair_price", quote.fair, line.symbol)
    _put(families, "mmd_quote_confidence_ratio", quote.confidence, line.symbol)
    _put(families, "mmd_quote_size_share_ratio", quote.size_share, line.symbol)
    for part, ticks in quote.attribution_ticks.items():
        _put(families, "mmd_quote_attribution_ticks", ticks, line.symbol, part)


def _latencies(families: Families, sources: ProcessSources) -> None:
    for stage in Stage:
        _put_histogram(families, "mmd_stage_seconds", sources.stages.stages[stage], (stage.name.lower(),))
    _put_histogram(families, "mmd_tick_to_quote_seconds", sources.stages.tick_to_quote)
    _put_histogram(families, "mmd_tick_to_order_seconds", sources.stages.tick_to_order)
    _put_histogram(families, "mmd_shadow_tick_seconds", sources.shadow_ticks)
    _put_histogram(families, "mmd_halt_to_cancels_seconds", sources.dispatcher.halt_to_cancels)
    _put_histogram(families, "mmd_loop_lag_seconds", sources.loop_lag)


def _adapter(families: Families, counters: AdapterCounters) -> None:
    for metric, field in zip(adapter_metrics(), fields(counters), strict=True):
        _put(families, metric.name, getattr(counters, field.name))


def _process(families: Families, sources: ProcessSources) -> None:
    dispatcher, collection = sources.dispatcher, sources.collection
    for name, bundle in (("mmd_networks_info", sources.networks.current), ("mmd_challenger_info", sources.networks.challenger)):
        if bundle is not None:
            _put(families, name, 1, bundle.name, bundle.version, bundle.stage, bundle.digest)
    for reason, count in sources.networks.refused.items():
        _put(families, "mmd_network_swaps_refused_total", count, reason)
    unwritten = dispatcher.state.behind
    for name, value in (
        ("mmd_network_swaps_total", sources.networks.swaps),
        ("mmd_signals_refused_total", sources.signals.refused),
        ("mmd_watchdog_stalls_total", sources.watchdog.stalls),
        ("mmd_checkpoints_total", dispatcher.state.checkpoints_written),
        ("mmd_state_unwritten", unwritten),
        ("mmd_collections_total", collection.collections),
        ("mmd_collection_seconds_total", collection.total_ns / SECOND_NS),
        ("mmd_tasks", len(asyncio.all_tasks())),
        ("mmd_page_clients", sources.page.clients),
        ("mmd_page_clients_dropped_total", sources.page.dropped),
        ("mmd_resident_memory_bytes", resident_bytes()),
        ("mmd_open_file_descriptors", open_descriptors()),
        ("mmd_cpu_seconds_total", cpu_seconds()),
        ("mmd_start_timestamp_seconds", sources.started_ns / SECOND_NS),
    ):
        _put(families, name, value)
