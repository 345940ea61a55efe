"""A live view in the terminal: market, our quotes, position, money, latency, and whether anything is halted or paused."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mmd.daemon.latency import StageClock
from mmd.daemon.percentiles import StagePercentiles
from mmd.daemon.summary import Summary
from mmd.daemon.view_history import History
from mmd.daemon.view_symbol import Chunk, bar, flow, symbol_rows, used_style
from mmd.types.report import SymbolReport, TraderReport

REFRESHES_PER_SECOND = 4
LABEL_WIDTH = 10
NARROWEST_CELL = 30
PADDING = 2
"""Between the columns of the table."""

LATENCY_SECONDS = 1.0
"""Walking the histograms takes the interpreter from the event loop, so it is done this seldom."""

IN_SHORT = ("mid", "our bid", "our ask", "quote", "position", "PnL", "fills")
"""The rows that stay when not all fit on the screen."""


class Dashboard:
    """The picture of the newest report, for whatever console draws it. `seconds` is how long the run is meant to be, if known."""

    def __init__(self, title: str, seconds: float | None = None, reserved_lines: int = 0) -> None:
        """`reserved_lines` of the screen are left for what is drawn below."""
        self._reserved_lines = reserved_lines
        self._title = title
        self._seconds = seconds
        self._history = History()
        self._report: TraderReport | None = None
        self._stages: StageClock | StagePercentiles | None = None
        self._latency: list[tuple[str, list[Chunk]]] = []
        self._latency_due = 0.0

    def show(self, report: TraderReport, stages: StageClock | StagePercentiles | None = None) -> None:
        """What to draw next. Only kept here: called on the event loop."""
        self._history.add(report)
        self._stages = stages
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report = self._report
        if report is None:
            yield Text("connecting ...")
            return
        width = options.max_width
        above = [self._headline(report, width), status_line(report)]
        lines = [*self._latency_lines(), *_total_lines(report)]
        below = [_beside(label, flow(chunks, width - LABEL_WIDTH)) for label, chunks in lines]
        taken = sum(len(text.wrap(console, width)) for text in above) + sum(text.plain.count("\n") + 1 for text in below)
        room = console.height - 1 - taken - self._reserved_lines
        table = symbol_table(report, self._history, width, room)
        airy = len(console.render_lines(table, options.update(height=None))) + 2 <= room
        yield from above
        yield from ((Text(), table, Text()) if airy else (table,))
        yield from below

    def _headline(self, report: TraderReport, width: int) -> Text:
        elapsed = self._history.elapsed_seconds(report.time_ns)
        chunks = [(self._title, "bold"), (f"mode {report.mode}", "dim")]
        if self._seconds:
            chunks.append((f"{_clock(elapsed)} of {_clock(self._seconds)} {bar(elapsed / self._seconds)}", "cyan"))
        else:
            chunks.append((f"running {_clock(elapsed)}", "cyan"))
        return flow(chunks, width)

    def _latency_lines(self) -> list[tuple[str, list[Chunk]]]:
        stages, now = self._stages, time.monotonic()
        if stages is not None and now >= self._latency_due:
            self._latency_due = now + LATENCY_SECONDS
            if isinstance(stages, StageClock):
                stages = StagePercentiles(stages.tick_to_quote.percentiles(), stages.percentiles())
            medians = [(f"{name} {times.p50:.0f}", "") for name, times in stages.stages.items()]
            rate = f"{self._history.ticks_per_second():.0f} ticks/s"
            quote = (f"tick-to-quote p50 {stages.tick_to_quote.p50:.0f} µs, p99 {stages.tick_to_quote.p99:.0f} µs", "bold")
            self._latency = [("latency", [quote, (rate, "")]), ("p50 in µs", medians)]
        return self._latency


class LiveView:
    """A context manager. `show` only keeps the newest report; a thread of rich's draws it, so the event loop never waits."""

    def __init__(self, console: Console, title: str, seconds: float | None = None) -> None:
        self._dashboard = Dashboard(title, seconds)
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=REFRESHES_PER_SECOND, redirect_stderr=False
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def show(self, report: TraderReport, stages: StageClock | None = None) -> None:
        """What to draw next; latencies where the process has a clock for its stages."""
        self._dashboard.show(report, stages)

    def _render(self) -> RenderableType:
        return self._dashboard


def status_line(report: TraderReport) -> Text:
    """Halted, paused, warming or quoting, in one line."""
    if report.halt.halted:
        return Text(f"HALTED by {report.halt.actor}: {report.halt.reason}", style="bold red")
    if report.pauses:
        return Text(f"PAUSED: {', '.join(report.pauses)}", style="bold yellow")
    waiting = [f"{line.symbol} has no quote yet ({line.steps} steps seen)" for line in report.symbols if line.quote is None]
    if waiting:
        return Text(f"WARMING: {', '.join(waiting)}", style="bold yellow")
    return Text("QUOTING", style="bold green")


def symbol_table(report: TraderReport, history: History | None = None, width: int = 80, room: int | None = None) -> RenderableType:
    """One column a symbol, or below one another where `width` is too narrow; fewer rows where `room` lines are too few."""
    lines = report.symbols
    cell = (width - LABEL_WIDTH) // max(1, len(lines)) - PADDING
    groups: list[Sequence[SymbolReport]] = [lines]
    if cell < NARROWEST_CELL and len(lines) > 1:
        cell = width - LABEL_WIDTH - PADDING
        groups = [[line] for line in lines]
    cell = max(8, cell)
    drawn = [_columns(group, report, history, cell, None) for group in groups]
    if room is not None and sum(height for _, height in drawn) > room:
        drawn = [_columns(group, report, None, cell, IN_SHORT) for group in groups]
    return Group(*(table for table, _ in drawn))


def _columns(
    lines: Sequence[SymbolReport], report: TraderReport, history: History | None, cell: int, labels: Sequence[str] | None
) -> tuple[Table, int]:
    """A table with a column for each of `lines`, and how many lines of the screen it takes."""
    table = Table(box=None, padding=(0, PADDING, 0, 0), pad_edge=False)
    table.add_column("", width=LABEL_WIDTH - PADDING, style="dim", no_wrap=True)
    for line in lines:
        table.add_column(line.symbol, width=cell, no_wrap=True, header_style="bold magenta")
    columns = [symbol_rows(line, report, history, cell) for line in lines]
    height = 1
    for label in labels or (columns[0] if columns else ()):
        cells = [column[label] for column in columns]
        table.add_row(label, *cells)
        height += max(text.plain.count("\n") + 1 for text in cells)
    return table, height


def totals_line(report: TraderReport) -> Text:
    """What concerns all symbols together."""
    return Text("\n").join(_beside(label, flow(chunks, 80 - LABEL_WIDTH)) for label, chunks in _total_lines(report))


def _total_lines(report: TraderReport) -> list[tuple[str, list[Chunk]]]:
    limits = [
        (f"{name.replace('_', ' ')} {used:.0%}", used_style(used))
        for name, used in report.limits_used.items()
        if not name.startswith("position_")
    ]
    orders = [(f"open {len(report.open_orders)}", ""), (f"sent {report.orders_sent}", "")]
    for what, counts in (("denied", report.risk_denials), ("rejected", report.rejections), ("paused", report.pause_counts)):
        total = sum(counts.values())
        most = max(counts, key=counts.__getitem__, default="")
        orders.append((f"{what} {total}" + (f" (most: {most})" if total else ""), ""))
    orders.append((f"gaps {report.sequence_gaps}", ""))
    return [("limits", limits), ("orders", orders)]


def _beside(label: str, content: Text) -> Text:
    """A label, and the content's lines to the right of it."""
    lines = content.split("\n", allow_blank=True)
    margins = [Text(label.ljust(LABEL_WIDTH), style="dim")] + [Text(" " * LABEL_WIDTH)] * (len(lines) - 1)
    return Text("\n").join(Text.assemble(margin, line) for margin, line in zip(margins, lines, strict=True))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def summary_table(summary: Summary) -> Table:
    """The end of a run."""
    table = Table(title="the run", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    tick_to_quote = summary.tick_to_quote_us
    lines: list[tuple[str, object]] = [
        ("seconds", f"{summary.seconds:.1f}"),
        ("ticks", summary.ticks),
        ("quotes", summary.quotes),
        ("orders sent", summary.orders_sent),
        ("fills", summary.fills),
        ("markout after 1 s, bps", summary.markout_1s_bps),
        ("position, base units", summary.position),
        ("PnL, quote units", summary.pnl),
        ("fees, quote units", summary.fees),
        *([("funding, quote units", summary.funding)] if summary.funding else []),
        ("sequence gaps", summary.sequence_gaps),
        ("resyncs", summary.resyncs),
        ("denied locally", sum(summary.risk_denials.values())),
        ("halted", summary.halt_reason or "no"),
        ("tick to quote, µs", f"p50 {tick_to_quote.p50:.0f}   p99 {tick_to_quote.p99:.0f}   p99.9 {tick_to_quote.p999:.0f}"),
        ("open orders at the venue now", "unknown" if summary.open_orders_at_exit is None else summary.open_orders_at_exit),
        ("left because", summary.exit_detail),
    ]
    for name, value in lines:
        table.add_row(name, _text(value))
    return table


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{symbol} {_text(one)}" for symbol, one in value.items())
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
