"""`python deploy/grafana/generate.py`: the four dashboards, written as code, into deploy/grafana/dashboards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueGraphMode, BigValueTextMode, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef, VariableHide

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
RUNBOOK = "/public/mmd/runbook.txt"
ME = 'instance=~"$instance"'
HALF, WHOLE = 12, 24

Query = tuple[str, str]
"""An expression and its legend."""


def lines(title: str, description: str, unit: str, *queries: Query, width: int = HALF) -> timeseries.Panel:
    """A panel of lines."""
    panel = timeseries.Panel().title(title).description(description).unit(unit).datasource(SOURCE).span(width).height(8)
    panel = (
        panel.legend(VizLegendOptions().show_legend(True)).tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI)).line_width(1)
    )
    for number, (expression, legend) in enumerate(queries):
        panel = panel.with_target(_query(number, expression, legend))
    return panel


def number(title: str, description: str, unit: str, *queries: Query, width: int = 4) -> stat.Panel:
    """A panel of newest values."""
    panel = stat.Panel().title(title).description(description).unit(unit).datasource(SOURCE).span(width).height(4)
    panel = (
        panel.graph_mode(BigValueGraphMode.AREA)
        .text_mode(BigValueTextMode.AUTO)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for place, (expression, legend) in enumerate(queries):
        panel = panel.with_target(_query(place, expression, legend))
    return panel


def _query(place: int, expression: str, legend: str) -> prometheus.Dataquery:
    reference = chr(ord("A") + place)
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(reference).datasource(SOURCE)


def quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """p50 and p99 of a histogram."""
    labels = f"{by}, le" if by else "le"
    name = f"{{{{{by}}}}} " if by else ""
    return tuple(
        (f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{ME}}}[$__rate_interval])))", f"{name}p{q * 100:g}")
        for q in (0.5, 0.99)
    )


def board(name: str, title: str, description: str, *panels: Any) -> tuple[str, dashboard.Dashboard]:
    """A dashboard with what all have: the choice of daemon, links, halts and swaps as annotations."""
    built = (
        dashboard.Dashboard(f"mmd: {title}")
        .uid(f"mmd-{name}")
        .description(description)
        .tags(["mmd"])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("utc")
        .readonly()
        .with_variable(
            dashboard.QueryVariable("instance")
            .label("daemon")
            .datasource(SOURCE)
            .query('label_values(up{job="mmd"}, instance)')
            .include_all(True)
            .multi(True)
            .hide(VariableHide.DONT_HIDE)
        )
        .link(dashboard.DashboardLink("Runbook").type(DashboardLinkType.LINK).url(RUNBOOK).target_blank(True))
        .link(dashboard.DashboardLink("mmd").type(DashboardLinkType.DASHBOARDS).tags(["mmd"]).keep_time(True).include_vars(True))
        .annotation(_annotation("Halts", f"mmd_halt_info{{{ME}}}", "red"))
        .annotation(_annotation("Networks swapped", f"changes(mmd_network_swaps_total{{{ME}}}[30s]) > 0", "blue"))
    )
    for panel in panels:
        built = built.with_panel(panel)
    return name, built


def _annotation(name: str, expression: str, colour: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour).expr(expression)


def trading() -> tuple[str, dashboard.Dashboard]:
    """Prices, inventory, money, markouts."""
    return board(
        "trading",
        "Trading",
        "Where the market is, where we are in it, and what it brings.",
        number("PnL", "After fees, all symbols.", "none", (f"sum(mmd_pnl_quote{{{ME}}})", "PnL")),
        number("Fills", "Since the start.", "none", (f"sum(mmd_fills_total{{{ME}}})", "fills")),
        number("Orders open", "Live, pending or unknown.", "none", (f"sum(mmd_open_orders{{{ME}}})", "open")),
        number("Halted", "1 while the latch is set.", "none", (f"max(mmd_halted{{{ME}}})", "halted")),
        number(
            "On both sides",
            "Share of five minutes.",
            "percentunit",
            (f'avg(rate(mmd_presence_seconds_total{{{ME}, sides="both"}}[5m]))', "both"),
        ),
        number("Spread", "Of our newest quote.", "none", (f"avg(mmd_quote_spread_bps{{{ME}}})", "bps")),
        lines(
            "Price and our quotes",
            "Best bid and ask, and where our quote stands.",
            "none",
            (f"mmd_bid_price{{{ME}}}", "bid {{symbol}}"),
            (f"mmd_ask_price{{{ME}}}", "ask {{symbol}}"),
            (f"mmd_quote_price{{{ME}}}", "our {{side}} {{symbol}}"),
            (f"mmd_quote_fair_price{{{ME}}}", "fair {{symbol}}"),
            width=WHOLE,
        ),
        lines("Fills a minute", "Trades of ours.", "none", (f"60 * rate(mmd_fills_total{{{ME}}}[1m])", "{{symbol}}")),
        lines("Inventory", "Position, base units.", "none", (f"mmd_position_base{{{ME}}}", "{{symbol}}")),
        lines(
            "PnL",
            "After fees; realised before fees; unrealised at the worse touch.",
            "none",
            (f"mmd_pnl_quote{{{ME}}}", "PnL {{symbol}}"),
            (f"mmd_realised_pnl_quote{{{ME}}}", "realised {{symbol}}"),
            (f"mmd_unrealised_pnl_quote{{{ME}}}", "unrealised {{symbol}}"),
        ),
        lines("What the PnL is made of", "They sum to it.", "none", (f"mmd_pnl_part_quote{{{ME}}}", "{{part}} {{symbol}}")),
        lines("Markouts", "Mean, bps; above zero is good.", "none", (f"mmd_markout_bps{{{ME}}}", "{{horizon}} {{symbol}}")),
        lines(
            "Adverse fills",
            "Share of fills that the mid had gone against.",
            "percentunit",
            (f"mmd_adverse_fills_ratio{{{ME}}}", "{{horizon}} {{symbol}}"),
        ),
        lines("Distance from the mid", "Of our prices, bps.", "none", (f"mmd_quote_distance_bps{{{ME}}}", "{{side}} {{symbol}}")),
        lines(
            "Attribution",
            "Ticks of the newest quote, by part.",
            "none",
            (f"mmd_quote_attribution_ticks{{{ME}}}", "{{part}} {{symbol}}"),
        ),
        lines(
            "Where our orders stood",
            "Share of time.",
            "percentunit",
            (f"rate(mmd_presence_seconds_total{{{ME}}}[1m])", "{{sides}} {{symbol}}"),
        ),
        lines(
            "Order commands a second", "By kind.", "none", (f"rate(mmd_order_commands_total{{{ME}}}[$__rate_interval])", "{{kind}}")
        ),
    )


def health() -> tuple[str, dashboard.Dashboard]:
    """The feed, the way of a tick, the process."""
    rate = "[$__rate_interval]"
    return board(
        "health",
        "Health",
        "Whether data comes, how fast it is used, and how the process does.",
        number("Up", "Answers the scrape.", "none", ('up{job="mmd", ' + ME + "}", "{{instance}}")),
        number("Book valid", "1 while it may be quoted on.", "none", (f"min(mmd_book_valid{{{ME}}})", "valid")),
        number("Age of the data", "By receive time.", "s", (f"max(mmd_data_age_seconds{{{ME}}})", "age")),
        number("Memory", "In use.", "bytes", (f"max(mmd_resident_memory_bytes{{{ME}}})", "resident")),
        number("Stalls", "Of the event loop.", "none", (f"sum(mmd_watchdog_stalls_total{{{ME}}})", "stalls")),
        number("Up since", "UTC.", "dateTimeFromNow", (f"1000 * max(mmd_start_timestamp_seconds{{{ME}}})", "start")),
        lines(
            "Messages a second", "Market data taken into a book.", "none", (f"rate(mmd_ticks_total{{{ME}}}{rate})", "{{symbol}}")
        ),
        lines("Feed lag", "Behind the feed's own best.", "s", (f"mmd_feed_lag_seconds{{{ME}}}", "{{symbol}}")),
        lines("Age of the data", "By receive time.", "s", (f"mmd_data_age_seconds{{{ME}}}", "{{symbol}}")),
        lines(
            "Gaps and resyncs",
            "Since the start.",
            "none",
            (f"mmd_sequence_gaps_total{{{ME}}}", "gaps {{symbol}}"),
            (f"mmd_resyncs_total{{{ME}}}", "resyncs {{symbol}}"),
            (f"mmd_adapter_reconnects_total{{{ME}}}", "reconnects"),
        ),
        lines("From tick to quote", "Receipt of data to the quote made.", "s", *quantiles("mmd_tick_to_quote_seconds")),
        lines("From tick to order", "Receipt of data to orders written.", "s", *quantiles("mmd_tick_to_order_seconds")),
        lines("Time by stage", "Where the time of a tick goes.", "s", *quantiles("mmd_stage_seconds", "stage")),
        lines("Loop lag", "How late the timer fires.", "s", *quantiles("mmd_loop_lag_seconds")),
        lines("Processor", "Of one core.", "percentunit", (f"rate(mmd_cpu_seconds_total{{{ME}}}{rate})", "{{instance}}")),
        lines("Memory", "Resident.", "bytes", (f"mmd_resident_memory_bytes{{{ME}}}", "{{instance}}")),
        lines(
            "Tasks and descriptors",
            "Of the process.",
            "none",
            (f"mmd_tasks{{{ME}}}", "tasks"),
            (f"mmd_open_file_descriptors{{{ME}}}", "descriptors"),
        ),
        lines(
            "Garbage collection",
            "Share of time, and collections a second.",
            "none",
            (f"rate(mmd_collection_seconds_total{{{ME}}}[1m])", "share of time"),
            (f"rate(mmd_collections_total{{{ME}}}[1m])", "collections a second"),
        ),
        lines(
            "What waits to be written",
            "Journal and ledger, records.",
            "none",
            (f"mmd_journal_waiting_records{{{ME}}}", "journal"),
            (f"mmd_ledger_waiting_records{{{ME}}}", "ledger"),
        ),
        lines(
            "Requests",
            "In flight, and without a reply in time.",
            "none",
            (f"mmd_adapter_requests_in_flight{{{ME}}}", "in flight"),
            (f"mmd_adapter_requests_timed_out_total{{{ME}}}", "timed out"),
        ),
    )


def networks() -> tuple[str, dashboard.Dashboard]:
    """What they say, whether it is used, whether it is true."""
    rate = "[$__rate_interval]"
    return board(
        "networks",
        "Networks",
        "What the networks say, how much of it is used, and whether it comes true.",
        number("Serving", "The bundle.", "none", (f"mmd_networks_info{{{ME}}}", "{{name}} {{version}} {{stage}}"), width=8),
        number("Swaps", "Since the start.", "none", (f"sum(mmd_network_swaps_total{{{ME}}})", "swaps")),
        number("Confidence", "Of the newest quote.", "percentunit", (f"avg(mmd_quote_confidence_ratio{{{ME}}})", "confidence")),
        number("Largest drift", "PSI of a feature.", "none", (f"max(mmd_feature_drift_psi{{{ME}}})", "PSI")),
        lines(
            "Predictions",
            "Newest output of each head.",
            "none",
            (f"mmd_prediction_value{{{ME}}}", "{{output}} {{symbol}}"),
            width=WHOLE,
        ),
        lines("What heads say", "Quantiles of late.", "none", (f"mmd_head_quantile{{{ME}}}", "{{head}} {{quantile}} {{symbol}}")),
        lines(
            "Calibration",
            "Heads against what then happened.",
            "none",
            (f"mmd_head_calibration{{{ME}}}", "{{head}} {{measure}} {{symbol}}"),
        ),
        lines(
            "Refused by the gate",
            "A second, by reason.",
            "none",
            (f"rate(mmd_gate_refusals_total{{{ME}}}{rate})", "{{network}} {{reason}}"),
        ),
        lines("Drift", "PSI by feature.", "none", (f"mmd_feature_drift_psi{{{ME}}}", "{{feature}} {{symbol}}")),
        lines("What they move", "Mean ticks given to quotes.", "none", (f"mmd_network_ticks{{{ME}}}", "{{network}} {{symbol}}")),
        lines("Quotes they moved", "Share.", "percentunit", (f"mmd_network_moved_ratio{{{ME}}}", "{{network}} {{symbol}}")),
        lines(
            "Champion and challenger: markouts",
            "Mean, bps, of the fills that their quotes would have had.",
            "none",
            (f"mmd_hypothetical_markout_bps{{{ME}}}", "{{who}} {{horizon}} {{symbol}}"),
        ),
        lines(
            "Champion and challenger: fills",
            "Strictly judged.",
            "none",
            (f"mmd_hypothetical_fills_total{{{ME}}}", "{{who}} {{symbol}}"),
        ),
        lines(
            "Time of an inference",
            "The quote network, and those beside it.",
            "s",
            *(
                (
                    f'histogram_quantile(0.99, sum by (stage, le) (rate(mmd_stage_seconds_bucket{{{ME}, stage="{stage}"}}{rate})))',
                    f"{stage} p99",
                )
                for stage in ("inference", "companion")
            ),
        ),
    )


def risk() -> tuple[str, dashboard.Dashboard]:
    """Limits, denials, halts, the guard."""
    return board(
        "risk",
        "Risk",
        "How much of each limit is used, what was denied, and who watches.",
        number("Halted", "1 while the latch is set.", "none", (f"max(mmd_halted{{{ME}}})", "halted")),
        number("Budget left", "Of the day's loss, quote units.", "none", (f"min(mmd_loss_budget_left_quote{{{ME}}})", "left")),
        number("Drawdown", "From the highest PnL, quote units.", "none", (f"max(mmd_drawdown_quote{{{ME}}})", "drawdown")),
        number("Unknown orders", "Outcome not known.", "none", (f'sum(mmd_orders{{{ME}, state="unknown"}})', "unknown")),
        number("Guard", "What it knows of the daemon.", "none", ("mmd_guard_daemon == 1", "{{state}} ({{instance}})")),
        number("Rescues", "Times the daemon was lost.", "none", ("sum(mmd_guard_rescues_total)", "rescues")),
        lines(
            "Limits", "Share in use; 1 is the limit.", "percentunit", (f"mmd_limit_used_ratio{{{ME}}}", "{{limit}}"), width=WHOLE
        ),
        lines(
            "Denied orders a second",
            "By first failing check.",
            "none",
            (f"sum by (reason) (rate(mmd_risk_denials_total{{{ME}}}[1m])) or vector(0)", "{{reason}}"),
        ),
        lines(
            "Refused by the venue", "By code.", "none", (f"sum by (code) (mmd_rejections_total{{{ME}}}) or vector(0)", "{{code}}")
        ),
        lines(
            "Pauses that hold",
            "By reason.",
            "none",
            (f"sum by (reason, symbol) (mmd_paused{{{ME}}}) or vector(0)", "{{reason}} {{symbol}}"),
        ),
        lines("Pauses", "Begun since the start.", "none", (f"mmd_pauses_total{{{ME}}}", "{{reason}}")),
        lines(
            "Exposure",
            "Worst case of all symbols, and its limit, quote units.",
            "none",
            (f"mmd_gross_exposure_quote{{{ME}}}", "exposure"),
            (f'mmd_limit_quote{{{ME}, limit="gross_exposure"}}', "limit"),
        ),
        lines(
            "Loss and drawdown",
            "Quote units.",
            "none",
            (f"mmd_loss_used_quote{{{ME}}}", "loss of the day"),
            (f"mmd_drawdown_quote{{{ME}}}", "drawdown"),
        ),
        lines("Orders by state", "That can still trade.", "none", (f"mmd_orders{{{ME}}}", "{{state}}")),
        lines("Silence of the heartbeat", "As the guard sees it.", "s", ("mmd_guard_heartbeat_silence_seconds", "{{instance}}")),
        lines("Comparisons with the venue", "By what they brought.", "none", (f"mmd_reconciliations_total{{{ME}}}", "{{outcome}}")),
        lines(
            "Sweeps of the guard",
            "Rounds, orders asked to go, failures.",
            "none",
            ("mmd_guard_sweep_rounds_total", "rounds"),
            ("mmd_guard_sweep_orders_total", "orders"),
            ("mmd_guard_sweep_failures_total", "failures"),
        ),
    )


def dashboards() -> dict[str, str]:
    """File name to JSON text."""
    return {
        f"{name}.json": JSONEncoder(sort_keys=True, indent=1).encode(built.build()) + "\n"
        for name, built in (trading(), health(), networks(), risk())
    }


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
