"""A report as a person reads it in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_summary(report: dict[str, Any], console: Console | None = None) -> None:
    """The article's six figures, then a desk's, then what they rest on."""
    out = console or Console()
    figures = report["figures"]
    table = Table(title=f"{report['strategy']}, {report['from']} to {report['to']}", show_header=False)
    for name, text in rows(figures):
        table.add_row(name, text)
    out.print(table)
    for symbol, each in figures["symbols"].items():
        out.print(f"{symbol}: {', '.join(f'{name} {text}' for name, text in symbol_rows(each))}")
    model = report["model"]
    out.print(f"model: {model['matching']}; queue {model['queue']}; {model['latency']}; maker fee {1e4 * model['maker_fee']:g} bps")
    for symbol, times in model["feed"].items():
        moved = f", clock moved by {times['clock_offset_ns'] / 1e6:.1f} ms" if times["clock_offset_ns"] else ""
        out.print(f"{symbol}: feed latency least {times['least_ns'] / 1e6:g} ms, median {times['median_ns'] / 1e6:g} ms{moved}")
        out.print(f"{symbol}: {model['fills'][symbol]}")
    for symbol, repairs in report["repairs"].items():
        for what, times in repairs.items():
            out.print(f"{symbol}: {times} {what}")
    if report["halt"]:
        out.print(f"HALTED at {report['halt']['time']}: {report['halt']['reason']}")
    rate = report["events"] / report["cpu_seconds"] if report["cpu_seconds"] else 0.0
    if report["cache"] is not None:
        cache = report["cache"]
        broken = f", {cache['corrupt']} damaged files of it made anew" if cache["corrupt"] else ""
        found = f"{cache['found']} parts of the market's work found in the cache"
        out.print(f"fast: {found}, {cache['seconds']:.1f} s of CPU for the others{broken}")
    out.print(f"{report['events']} events in {report['cpu_seconds']:.1f} s of CPU ({rate:,.0f} a second)")


def rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and texts of a run's figures."""
    split = figures["split"]
    return [
        ("total return", percent(figures["total_return"])),
        ("Sharpe ratio, annual", _with_interval(figures["sharpe_ratio"], figures["sharpe_ratio_interval"])),
        ("maximum drawdown", percent(figures["max_drawdown"])),
        ("win rate of closing fills", percent(figures["win_rate"], 1)),
        ("average spread captured, bps", number(figures["average_spread_captured_bps"])),
        ("total trades", str(figures["total_trades"])),
        ("PnL", number(figures["pnl"])),
        ("PnL per volume, bps", _with_interval(figures["pnl_per_volume_bps"], figures["pnl_per_volume_bps_interval"])),
        ("volume, turnover", f"{number(figures['volume'])}, {number(figures['turnover'])}"),
        ("fill ratio of orders", percent(figures["fill_ratio"], 1)),
        ("Sortino, Calmar", f"{number(figures['sortino_ratio'])}, {number(figures['calmar_ratio'])}"),
        (f"deflated Sharpe, {figures['trials']} trials", percent(figures["deflated_sharpe_probability"], 1)),
        ("spread captured", number(split["spread"])),
        ("adverse selection, 1 s", number(split["adverse_selection"])),
        ("inventory", number(split["inventory"])),
        ("fees", number(-split["fees"])),
        ("funding", number(split["funding"])),
        ("unexplained", f"{number(split['unexplained'])} ({percent(split['unexplained_share'])})"),
        *[
            (f"markout after {horizon}, bps", f"{_with_interval(each['mean'], each)} of {each['fills']} fills")
            for horizon, each in figures["markouts_bps"].items()
        ],
        ("a year has", f"{figures['days_a_year']:g} days of {figures['hours_a_day']:g} h"),
    ]


def symbol_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and texts of one symbol's figures."""
    return [
        ("PnL", number(figures["pnl"])),
        ("fills", str(figures["fills"])),
        ("quoted on both sides", percent(figures["quote_uptime"], 1)),
        ("at the limit", percent(figures["time_at_limit"], 1)),
        ("mean |inventory| of the limit", percent(figures["inventory"].get("mean_absolute"), 1)),
    ]


def number(value: float | None) -> str:
    """Four significant digits, or a dash."""
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"


def percent(value: float | None, decimals: int = 3) -> str:
    """Of a share."""
    return "-" if value is None else f"{100 * value:.{decimals}f} %"


def _with_interval(value: float | None, interval: dict[str, Any]) -> str:
    if interval["low"] is None:
        return f"{number(value)} (no interval: {interval['blocks']} blocks)"
    return f"{number(value)} [{number(interval['low'])}, {number(interval['high'])}]"
