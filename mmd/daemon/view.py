"""A live view in the terminal: market, our quotes, position, money, and whether anything is halted or paused."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mmd.daemon.summary import Summary
from mmd.types.report import SymbolReport, TraderReport

REFRESHES_PER_SECOND = 4
ROWS = ("mid", "best", "our bid", "our ask", "position", "PnL", "fees", "fills", "markout 1 s", "quotes", "data age")


class LiveView:
    """A context manager. `show` only keeps the newest report; a thread of rich's draws it, so the event loop never waits."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._report: TraderReport | None = None
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=REFRESHES_PER_SECOND, redirect_stderr=False
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def show(self, report: TraderReport) -> None:
        """What to draw next."""
        self._report = report

    def _render(self) -> Group:
        report = self._report
        if report is None:
            return Group(Text("connecting ..."))
        return Group(Text(self._title, style="bold"), status_line(report), symbol_table(report), totals_line(report))


def status_line(report: TraderReport) -> Text:
    """Halted, paused or quoting, in one line."""
    if report.halt.halted:
        return Text(f"HALTED by {report.halt.actor}: {report.halt.reason}", style="bold red")
    if report.pauses:
        return Text(f"paused: {', '.join(report.pauses)}", style="yellow")
    return Text("quoting", style="green")


def symbol_table(report: TraderReport) -> Table:
    """One column a symbol, so that it fits a terminal of 80 characters."""
    table = Table()
    table.add_column("")
    for line in report.symbols:
        table.add_column(line.symbol if line.book_valid else f"{line.symbol} (book invalid)", justify="right")
    columns = [_cells(line) for line in report.symbols]
    for row in zip(ROWS, *columns, strict=True):
        table.add_row(*row)
    return table


def totals_line(report: TraderReport) -> Text:
    """What concerns all symbols together."""
    return Text(
        f"mode {report.mode}   orders sent {report.orders_sent}   open {len(report.open_orders)}   "
        f"denied {sum(report.risk_denials.values())}\nloss used {report.loss_used:.2f}   drawdown {report.drawdown:.2f}"
    )


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


def _cells(line: SymbolReport) -> tuple[str, ...]:
    quote = line.quote
    markout = line.markouts_bps.get("1s")
    return (
        f"{line.mid:.10g}",
        f"{line.bid:.10g} / {line.ask:.10g}",
        f"{quote.bid:.10g}" if quote is not None and quote.bid_quantity else "-",
        f"{quote.ask:.10g}" if quote is not None and quote.ask_quantity else "-",
        f"{line.position:.6f}",
        f"{line.pnl:+.2f}",
        f"{line.fees:.2f}",
        str(line.fills),
        "-" if markout is None else f"{markout:+.2f} bps",
        str(line.quotes),
        f"{line.data_age_ns / 1e6:.0f} ms",
    )
