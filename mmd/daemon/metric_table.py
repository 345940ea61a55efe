"""Every metric of the daemon: the one list that the scrape is made by and that the documentation's table is made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from mmd.daemon.metric import Metric
from mmd.daemon.record_metrics import RECORD_METRICS
from mmd.exchanges.adapter import AdapterCounters

SHADOW_LABELS = ("symbol", "who")
GAUGES_OF_ADAPTER = frozenset({"requests_in_flight"})


_ADAPTER_HELP = {
    "frames": "Websocket frames received.",
    "bytes_received": "Bytes of websocket frames received.",
    "malformed": "Messages that could not be understood.",
    "ignored": "Messages that concern nothing we follow.",
    "frames_put_off": "Frames that waited for a later turn of the event loop, since one read had brought too many.",
    "reconnects": "Connections made anew.",
    "connect_failures": "Attempts to connect that failed.",
    "requests_sent": "Order requests written.",
    "requests_in_flight": "Order requests that await their reply.",
    "requests_timed_out": "Order requests without a reply in time: their outcome is unknown.",
    "rest_requests": "REST requests made.",
    "rest_errors": "REST requests that failed.",
    "rate_limited": "Times the venue bade us wait.",
}


def adapter_metrics() -> Iterator[Metric]:
    """One for each counter of an adapter, in their order."""
    for field in fields(AdapterCounters):
        gauge = field.name in GAUGES_OF_ADAPTER
        name = f"mmd_adapter_{field.name}" if gauge else f"mmd_adapter_{field.name}_total"
        yield Metric(name, "gauge" if gauge else "counter", _ADAPTER_HELP.get(field.name, field.name.replace("_", " ")))


METRICS: tuple[Metric, ...] = (
    Metric("mmd_build_info", "gauge", "1; the labels tell version, mode and session.", ("version", "mode", "session")),
    Metric("mmd_halted", "gauge", "1 while the halt latch is set."),
    Metric("mmd_halt_info", "gauge", "Always 1, while halted; numbers in the reason are left out.", ("actor", "reason")),
    Metric("mmd_halt_changed_timestamp_seconds", "gauge", "UTC time of the newest halt or resume; 0 when there was none."),
    Metric("mmd_paused", "gauge", "1 for each pause that holds now.", ("reason", "symbol")),
    Metric("mmd_pauses_total", "counter", "Pauses begun.", ("reason",)),
    Metric("mmd_ticks_total", "counter", "Market data messages taken into a book.", ("symbol",)),
    Metric("mmd_steps_total", "counter", "Steps: changes of the touch and trades.", ("symbol",)),
    Metric("mmd_quotes_total", "counter", "Quotes made.", ("symbol",)),
    Metric("mmd_fills_total", "counter", "Trades of ours.", ("symbol",)),
    Metric("mmd_sequence_gaps_total", "counter", "Gaps found in the depth stream.", ("symbol",)),
    Metric("mmd_resyncs_total", "counter", "Books built anew from a snapshot.", ("symbol",)),
    Metric("mmd_book_valid", "gauge", "1 while the book may be quoted on.", ("symbol",)),
    Metric("mmd_data_age_seconds", "gauge", "Age of the newest market data by receive time.", ("symbol",)),
    Metric("mmd_feed_lag_seconds", "gauge", "How far the feed lags behind its own best.", ("symbol",)),
    Metric("mmd_bid_price", "gauge", "Best bid, quote units.", ("symbol",)),
    Metric("mmd_ask_price", "gauge", "Best ask, quote units.", ("symbol",)),
    Metric("mmd_quote_price", "gauge", "Price of our newest quote, quote units.", ("symbol", "side")),
    Metric("mmd_quote_size_base", "gauge", "Size of our newest quote, base units.", ("symbol", "side")),
    Metric("mmd_quote_fair_price", "gauge", "Fair price behind our newest quote, quote units.", ("symbol",)),
    Metric("mmd_quote_spread_bps", "gauge", "Distance of our newest quote's two prices, bps of the mid.", ("symbol",)),
    Metric("mmd_quote_distance_bps", "gauge", "How far outside the mid our newest quote's price is, bps.", ("symbol", "side")),
    Metric(
        "mmd_presence_seconds_total",
        "counter",
        "Time in which orders of ours stood, by the sides they stood on.",
        ("symbol", "sides"),
    ),
    Metric("mmd_quote_confidence_ratio", "gauge", "Confidence of the newest quote, 0 to 1.", ("symbol",)),
    Metric("mmd_quote_attribution_ticks", "gauge", "How many ticks of the newest quote came from which part.", ("symbol", "part")),
    Metric("mmd_position_base", "gauge", "Position, base units.", ("symbol",)),
    Metric("mmd_pnl_quote", "gauge", "PnL of this ledger after fees, quote units.", ("symbol",)),
    Metric("mmd_pnl_part_quote", "gauge", "What the PnL is made of; inventory is what the others leave of it.", ("symbol", "part")),
    Metric("mmd_realised_pnl_quote", "gauge", "Realised part of it, before fees.", ("symbol",)),
    Metric("mmd_unrealised_pnl_quote", "gauge", "Unrealised part of it.", ("symbol",)),
    Metric("mmd_fees_quote", "gauge", "Fees paid (rebates negative), quote units.", ("symbol",)),
    Metric("mmd_funding_rate_ratio", "gauge", "Coming funding rate of a perpetual, a fraction of the position.", ("symbol",)),
    Metric("mmd_mark_price", "gauge", "The venue's mark price of a perpetual, quote units.", ("symbol",)),
    Metric("mmd_funding_quote", "gauge", "Funding received for perpetual positions (paid: negative), quote units.", ("symbol",)),
    Metric("mmd_markout_bps", "gauge", "Mean markout of our fills, bps, positive is good.", ("symbol", "horizon")),
    Metric("mmd_adverse_fills_ratio", "gauge", "Share of our fills that the mid had gone against.", ("symbol", "horizon")),
    Metric("mmd_feature_value", "gauge", "Newest value of a feature.", ("symbol", "feature")),
    Metric("mmd_prediction_value", "gauge", "Newest output of a network.", ("symbol", "output")),
    Metric(
        "mmd_feature_drift_psi",
        "gauge",
        "Population stability index against the training.",
        ("symbol", "feature"),
    ),
    Metric(
        "mmd_head_calibration",
        "gauge",
        "Head of a network against what then happened, over its last judged predictions.",
        ("symbol", "head", "measure"),
    ),
    Metric("mmd_head_quantile", "gauge", "Quantile of what a head said of late.", ("symbol", "head", "quantile")),
    Metric("mmd_quote_size_share_ratio", "gauge", "What the risk network left of the newest quote's size.", ("symbol",)),
    Metric("mmd_network_ticks", "gauge", "Mean absolute ticks that a network gave to the quotes looked at.", ("symbol", "network")),
    Metric("mmd_network_moved_ratio", "gauge", "Share of those quotes that a network moved.", ("symbol", "network")),
    Metric("mmd_orders_sent_total", "counter", "Orders sent (placed or replaced)."),
    Metric("mmd_order_commands_total", "counter", "What was decided about orders, by kind of command.", ("kind",)),
    Metric("mmd_orders_acknowledged_total", "counter", "Orders that the venue acknowledged."),
    Metric("mmd_orders", "gauge", "Orders of ours that can still trade, by state.", ("state",)),
    Metric("mmd_open_orders", "gauge", "Orders of ours that are open, pending or unknown.", ("symbol", "side")),
    Metric("mmd_risk_denials_total", "counter", "Orders denied locally, by first failing check.", ("reason",)),
    Metric("mmd_rejections_total", "counter", "Orders refused by the venue, by its error code.", ("code",)),
    Metric("mmd_gate_refusals_total", "counter", "Predictions not used, by network and reason.", ("network", "reason")),
    Metric("mmd_reconciliations_total", "counter", "Comparisons with the venue's books and what they brought.", ("outcome",)),
    Metric("mmd_loss_used_quote", "gauge", "Loss since the start of the day, quote units."),
    Metric("mmd_drawdown_quote", "gauge", "Fall from the highest PnL, quote units."),
    Metric("mmd_loss_budget_left_quote", "gauge", "What may still be lost before the daily limit halts, quote units."),
    Metric("mmd_gross_exposure_quote", "gauge", "Worst case of all symbols together, quote units."),
    Metric("mmd_limit_quote", "gauge", "A money limit as it is set, quote units.", ("limit",)),
    Metric("mmd_limit_used_ratio", "gauge", "Share of a limit in use; 1 is the limit.", ("limit",)),
    Metric("mmd_stage_seconds", "histogram", "Time spent in each stage of a tick.", ("stage",)),
    Metric("mmd_tick_to_quote_seconds", "histogram", "From receipt of market data to the quote made, its orders written if any."),
    Metric("mmd_tick_to_order_seconds", "histogram", "The same, only where orders were written."),
    Metric("mmd_halt_to_cancels_seconds", "histogram", "From a request to halt to its last cancel's being with the socket."),
    *adapter_metrics(),
    *RECORD_METRICS,
    Metric("mmd_shadow_tick_seconds", "histogram", "Made-up ticks that kept the path warm, and what each took."),
    Metric("mmd_signal_value", "gauge", "External signal in force; 0 is neutral: absent or stale.", ("signal",)),
    Metric("mmd_signal_fresh", "gauge", "1 while an external signal counts.", ("signal",)),
    Metric("mmd_signals_received_total", "counter", "External signals taken in.", ("signal",)),
    Metric("mmd_signals_refused_total", "counter", "Documents with external signals that made no sense."),
    Metric("mmd_networks_info", "gauge", "Always 1; labels name the bundle that serves.", ("name", "version", "stage", "digest")),
    Metric("mmd_hypothetical_quotes_total", "counter", "Sides that champion or challenger would have shown.", SHADOW_LABELS),
    Metric("mmd_hypothetical_fills_total", "counter", "Fills that they would have had, strictly judged.", SHADOW_LABELS),
    Metric("mmd_hypothetical_markout_bps", "gauge", "Mean markout of those fills, bps.", (*SHADOW_LABELS, "horizon")),
    Metric("mmd_challenger_info", "gauge", "Always 1; labels name the bundle in shadow.", ("name", "version", "stage", "digest")),
    Metric("mmd_network_swaps_total", "counter", "Times other networks were swapped in since the start."),
    Metric("mmd_network_swaps_refused_total", "counter", "Bundles that were not let in, by reason.", ("reason",)),
    Metric("mmd_loop_lag_seconds", "histogram", "How late the event loop fires its timer."),
    Metric("mmd_watchdog_stalls_total", "counter", "Times the event loop did not turn for `process.stall_seconds`."),
    Metric("mmd_checkpoints_total", "counter", "Checkpoints written."),
    Metric("mmd_state_unwritten", "gauge", "1 while latch or checkpoint could not be written to disk."),
    Metric("mmd_collections_total", "counter", "Garbage collections made."),
    Metric("mmd_collection_seconds_total", "counter", "Time they took."),
    Metric("mmd_page_clients", "gauge", "Operator's pages and `mmd top` that are connected."),
    Metric("mmd_page_clients_dropped_total", "counter", "Those that read too slowly and were cut off."),
    Metric("mmd_tasks", "gauge", "Tasks of the event loop."),
    Metric("mmd_resident_memory_bytes", "gauge", "Memory in use."),
    Metric("mmd_open_file_descriptors", "gauge", "Files and sockets that are open."),
    Metric("mmd_cpu_seconds_total", "counter", "CPU time, user and system."),
    Metric("mmd_start_timestamp_seconds", "gauge", "UTC time at which the process began."),
)
