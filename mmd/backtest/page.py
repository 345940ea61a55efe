"""One self-contained page of a run, with plots: readable on a phone, no network needed."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.backtest.attribution import MidPath, equity_curve, fill_columns, markouts
from mmd.backtest.figures import MARKOUT_SECONDS
from mmd.backtest.recorder import SymbolTrack
from mmd.backtest.runner import Run
from mmd.backtest.summary import rows, symbol_rows

MOST_POINTS = 4_000
CURVE_SECONDS = (0.0, *MARKOUT_SECONDS)
_STYLE = (
    "body{font:16px/1.45 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:0 .8rem}h1{font-size:1.4rem}"
    "table{border-collapse:collapse;width:100%;overflow-wrap:anywhere}"
    "td{border-bottom:1px solid #ccc;padding:.25rem .4rem;vertical-align:top}"
    "td+td{text-align:right;font-variant-numeric:tabular-nums}h2{margin-top:2rem}"
)


def write_page(run: Run, report: dict[str, Any], path: Path) -> None:
    """Raises `OSError`."""
    path.write_text(page(run, report), encoding="utf-8")


def page(run: Run, report: dict[str, Any]) -> str:
    """The HTML, plotly's script inside it."""
    head = f"{report['strategy']} on {', '.join(report['figures']['symbols'])}"
    tables = html_table(rows(report["figures"]))
    for symbol, each in report["figures"]["symbols"].items():
        tables += f"<h2>{escape(symbol)}</h2>{html_table(symbol_rows(each))}"
    body = (
        f"<h1>Backtest: {escape(head)}</h1><p>{escape(report['from'])} to {escape(report['to'])}</p>"
        f"{tables}<h2>What it rests on</h2>{html_table(_basis(report))}"
    )
    return document_page(f"Backtest: {head}", body, _plots(run, report))


def document_page(title: str, body: str, plots: list[tuple[str, Any]]) -> str:
    """A whole page of a body and titled plots under it, plotly's script inside it."""
    parts: list[str] = []
    for number, (name, figure) in enumerate(plots):
        figure.update_layout(
            height=360, margin={"l": 45, "r": 10, "t": 10, "b": 40}, legend={"orientation": "h"}, autosize=True, dragmode=False
        )
        script: bool = number == 0
        drawn = figure.to_html(full_html=False, include_plotlyjs=script, config={"responsive": True, "displayModeBar": False})
        parts.append(f"<h2>{escape(name)}</h2>{drawn}")
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}{''.join(parts)}</body></html>"
    )


def html_table(pairs: list[tuple[str, str]]) -> str:
    """Two columns."""
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in pairs)
    return f"<table>{body}</table>"


def _basis(report: dict[str, Any]) -> list[tuple[str, str]]:
    model = report["model"]
    pairs = [
        ("matching", model["matching"]),
        ("queue position", model["queue"]),
        ("latency", model["latency"]),
        ("maker fee", f"{1e4 * model['maker_fee']:g} bps"),
        ("data", ", ".join(Path(name).name for name in report["data"])),
        ("first share, in which nobody trades", f"{model['calibration_share']:.0%}"),
    ]
    for symbol, times in model["feed"].items():
        pairs.append((f"{symbol}: least feed latency", f"{times['least_ns'] / 1e6:g} ms"))
        pairs.append((f"{symbol}: clock moved by", f"{times['clock_offset_ns'] / 1e6:g} ms"))
        pairs.append((f"{symbol}: fills", model["fills"][symbol]))
    for symbol, repairs in report["repairs"].items():
        pairs += [(f"{symbol}: {what}", str(count)) for what, count in repairs.items()]
    if report["halt"]:
        pairs.append(("halted", f"{report['halt']['time']}: {report['halt']['reason']}"))
    return pairs


def _plots(run: Run, report: dict[str, Any]) -> list[tuple[str, Any]]:
    from plotly import graph_objects

    tracks = list(run.recorder.tracks.values())
    times = _times(np.asarray(tracks[0].times, np.int64))
    equity = np.sum([equity_curve(track) for track in tracks], axis=0)
    kept = _thinned(len(equity))
    money = graph_objects.Figure()
    money.add_scatter(x=times[kept], y=equity[kept], name="equity")
    fall = equity - np.maximum.accumulate(equity) if len(equity) else equity
    money.add_scatter(x=times[kept], y=fall[kept], name="drawdown", fill="tozeroy")
    plots = [("Equity and drawdown, quote units", money), ("PnL split, quote units", _split(report))]
    plots += sensitivity_plots(report)
    for track in tracks:
        symbol = track.instrument.symbol
        plots.append((f"{symbol}: inventory, share of its limit", _inventory(track)))
        plots.append((f"{symbol}: quotes around the mid, and fills", _quotes(track)))
        plots.append((f"{symbol}: markout by horizon, bps", _markouts(track)))
        if any(track.attributions):
            plots.append((f"{symbol}: where the quotes that were filled stood, ticks from the mid", _attribution(track)))
    return plots


def _split(report: dict[str, Any]) -> Any:
    from plotly import graph_objects

    split = report["figures"]["split"]
    names = ["spread", "adverse_selection", "inventory", "fees", "funding", "unexplained", "total"]
    values = [-split[name] if name == "fees" else split[name] for name in names]
    return graph_objects.Figure(graph_objects.Bar(x=[name.replace("_", " ") for name in names], y=values))


def sensitivity_plots(report: dict[str, Any]) -> list[tuple[str, Any]]:
    """PnL per volume by fee, and by latency where runs at others were made."""
    from plotly import graph_objects

    plots: list[tuple[str, Any]] = []
    if report["latency_sensitivity"]:
        told = [row for row in report["latency_sensitivity"] if row["pnl_per_volume_bps"] is not None]
        values = [row["pnl_per_volume_bps"] for row in told]
        ends = [row["pnl_per_volume_bps_interval"] for row in told]
        errors = {
            "type": "data",
            "symmetric": False,
            "array": [0.0 if end["high"] is None else end["high"] - value for end, value in zip(ends, values, strict=True)],
            "arrayminus": [0.0 if end["low"] is None else value - end["low"] for end, value in zip(ends, values, strict=True)],
        }
        figure = graph_objects.Figure()
        figure.add_scatter(x=[row["latency_ms"] for row in told], y=values, error_y=errors, mode="lines+markers")
        figure.update_xaxes(type="log", title="latency of feed, order entry and response each, ms")
        plots.append(("Latency sensitivity: PnL per volume, bps", figure))
    if report["fee_sensitivity"]:
        rows = report["fee_sensitivity"]
        figure = graph_objects.Figure()
        figure.add_scatter(
            x=[row["maker_fee_bps"] for row in rows], y=[row["pnl_per_volume_bps"] for row in rows], mode="lines+markers"
        )
        figure.add_hline(y=0.0, line_width=1)
        figure.update_xaxes(title="maker's fee, bps (below zero: a rebate)")
        plots.append(("Fee sensitivity: PnL per volume, bps", figure))
    return plots


def _inventory(track: SymbolTrack) -> Any:
    from plotly import graph_objects

    kept = _thinned(len(track.times))
    lots = np.asarray(track.positions, np.float64) / track.instrument.lot_atoms
    share = lots / np.maximum(1, np.asarray(track.limits, np.float64))
    return graph_objects.Figure(graph_objects.Scatter(x=_times(np.asarray(track.times, np.int64))[kept], y=share[kept]))


def _quotes(track: SymbolTrack) -> Any:
    from plotly import graph_objects

    tick = float(track.instrument.tick_size)
    kept, times = _thinned(len(track.times)), _times(np.asarray(track.times, np.int64))
    figure = graph_objects.Figure()
    for name, column in (("bid", track.bids), ("ask", track.asks)):
        prices = np.asarray(column, np.float64) * tick
        figure.add_scatter(x=times[kept], y=np.where(prices > 0, prices, np.nan)[kept], name=f"our {name}", line={"width": 1})
    mids = np.asarray(track.mids_x2, np.float64) * tick / 2
    figure.add_scatter(x=times[kept], y=np.where(mids > 0, mids, np.nan)[kept], name="mid", line={"color": "#555", "width": 1})
    fills = fill_columns(track)
    for side, name in ((1.0, "bought"), (-1.0, "sold")):
        ours = np.flatnonzero(fills.sides == side)
        ours = ours[_thinned(len(ours))]
        symbol = "triangle-up" if side > 0 else "triangle-down"
        figure.add_scatter(
            x=_times(fills.times)[ours], y=fills.prices[ours], name=name, mode="markers", marker={"symbol": symbol, "size": 8}
        )
    return figure


def _markouts(track: SymbolTrack) -> Any:
    from plotly import graph_objects

    fills, path = fill_columns(track), MidPath(track)
    figure = graph_objects.Figure()
    for side, name in ((0.0, "all"), (1.0, "bought"), (-1.0, "sold")):
        chosen = (fills.sides == side) | (side == 0.0)
        means = []
        for seconds in CURVE_SECONDS:
            values = markouts(fills, path, seconds)[chosen]
            values = values[~np.isnan(values)]
            means.append(float(np.mean(values)) if len(values) else None)
        figure.add_scatter(x=[f"{seconds:g} s" for seconds in CURVE_SECONDS], y=means, name=name)
    return figure


def _attribution(track: SymbolTrack) -> Any:
    from plotly import graph_objects

    names = [name for name in next(each for each in track.attributions if each) if name != "mid"]
    means = [float(np.mean([each[name] for each in track.attributions if each])) for name in names]
    return graph_objects.Figure(graph_objects.Bar(x=[name.replace("_", " ") for name in names], y=means))


def _times(times_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.datetime64]:
    return times_ns.astype("datetime64[ns]").astype("datetime64[ms]")


def _thinned(count: int) -> npt.NDArray[np.int64]:
    if count <= MOST_POINTS:
        return np.arange(count)
    return np.linspace(0, count - 1, MOST_POINTS).astype(np.int64)
