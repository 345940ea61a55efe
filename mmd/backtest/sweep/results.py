"""What a sweep found: one JSON document, a table, a page with plots. The best trial's Sharpe ratio is deflated by all trials."""

from __future__ import annotations

from html import escape
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from mmd.backtest.page import document_page, html_table
from mmd.backtest.statistics import Moments, deflated
from mmd.backtest.summary import number, percent
from mmd.backtest.sweep.objective import LOWEST, SHRUNK
from mmd.backtest.sweep.study import Plan, Trial

RESULTS_FILE, PAGE_FILE = "results.json", "sweep.html"
COLUMNS = ("pnl_per_volume_bps", "pnl", "fills", "sharpe_ratio")
SHOWN = 20


def results(plan: Plan, trials: list[Trial]) -> dict[str, Any]:
    """Best first; failed trials last. `deflated_sharpe_probability` is a trial's in its last window, against all trials' spread."""
    ranked = sorted(trials, key=lambda trial: (bool(trial.error), -trial.value, trial.number))
    spread = _spread(trials)
    return {
        "report": "sweep",
        "version": 1,
        "plan": msgspec.to_builtins(plan),
        "trials": len(trials),
        "failed": sum(bool(trial.error) for trial in trials),
        "sharpe_spread": spread,
        "fills_model": next((trial.fills_model for trial in trials if trial.fills_model), ""),
        "ranked": [_row(trial, len(trials), spread) for trial in ranked],
    }


def _row(trial: Trial, count: int, spread: float | None) -> dict[str, Any]:
    row: dict[str, Any] = {"number": trial.number, "point": trial.point, "value": trial.value, "error": trial.error}
    if trial.error:
        return row
    windows = trial.figures
    row |= {name: _mean([each.get(name) for each in windows]) for name in COLUMNS}
    row["interval"] = windows[-1]["pnl_per_volume_bps_interval"]
    row["markout_1s_bps"] = _mean([each["markouts_bps"]["1s"]["mean"] for each in windows])
    row["unexplained_share"] = max(each["split"]["unexplained_share"] for each in windows)
    shape = windows[-1]["sharpe_moments"]
    row["deflated_sharpe_probability"] = None if shape is None else deflated(Moments(**shape), count, spread)
    return row


def _spread(trials: list[Trial]) -> float | None:
    ratios = [
        trial.figures[-1]["sharpe_moments"]["ratio"] for trial in trials if trial.figures and trial.figures[-1]["sharpe_moments"]
    ]
    return stdev(ratios) if len(ratios) > 1 else None


def _mean(values: list[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return fmean(told) if told else None


def print_results(found: dict[str, Any], console: Console | None = None) -> None:
    """The best of them, and what the best is worth after so many trials."""
    out = console or Console()
    keys = sorted({key for row in found["ranked"] for key in row["point"]})
    plan = found["plan"]
    table = Table(title=f"{found['trials']} trials of {plan['base']['strategy']}, by {plan['objective']}")
    for name in ("trial", *keys, "value", "PnL/volume, bps", "fills", "Sharpe", "deflated", "markout 1 s"):
        table.add_column(name, justify="right")
    for row in found["ranked"][:SHOWN]:
        point = [_text(row["point"].get(key)) for key in keys]
        if row["error"]:
            table.add_row(str(row["number"]), *point, "failed", row["error"], "", "", "", "")
            continue
        table.add_row(
            str(row["number"]),
            *point,
            value_text(row["value"]),
            number(row["pnl_per_volume_bps"]),
            number(row["fills"]),
            number(row["sharpe_ratio"]),
            percent(row["deflated_sharpe_probability"], 1),
            number(row["markout_1s_bps"]),
        )
    out.print(table)
    if found["trials"] > SHOWN:
        out.print(f"and {found['trials'] - SHOWN} more in {RESULTS_FILE}")
    if found["fills_model"]:
        out.print(f"fills: {found['fills_model']}")


def value_text(value: float) -> str:
    """A trial's value, or that it traded too little."""
    return "too few fills" if value < LOWEST / 2 else number(value)


def _text(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def write_results(found: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """JSON and page. Raises `OSError`."""
    data, page = folder / RESULTS_FILE, folder / PAGE_FILE
    data.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    page.write_text(_page(found), encoding="utf-8")
    return data, page


def _page(found: dict[str, Any]) -> str:
    plan, ranked = found["plan"], [row for row in found["ranked"] if not row["error"]]
    base = plan["base"]
    head = f"Sweep of {base['strategy']}"
    about = [
        ("data", ", ".join(Path(place).name for place in base["places"])),
        (
            "objective",
            plan["objective"] + (": PnL over the volume and that of twenty orders, bps" if plan["objective"] == SHRUNK else ""),
        ),
        ("windows", "; ".join(f"{each['begin'] or 'begin'} to {each['end'] or 'end'}" for each in plan["windows"])),
        ("trials", f"{found['trials']}, {found['failed']} of them failed"),
        ("latency, maker fee", f"{base['latency'] or 'recorded'}, {base['maker_fee']}"),
    ]
    if found["fills_model"]:
        about.append(("fills", found["fills_model"]))
    best = [(f"{place}. {_point(row)}", value_text(row["value"])) for place, row in enumerate(ranked[:SHOWN], 1)]
    return document_page(head, f"<h1>{escape(head)}</h1>{html_table(about)}<h2>Best</h2>{html_table(best)}", _plots(ranked))


def _point(row: dict[str, Any]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} {_text(value)}" for key, value in row["point"].items())


def _plots(ranked: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    from plotly import graph_objects

    told = [row for row in ranked if row["value"] > LOWEST / 2]
    if not told:
        return []
    in_order = sorted(told, key=lambda row: int(row["number"]))
    numbers, values = [row["number"] for row in in_order], [row["value"] for row in in_order]
    best = [max(values[: place + 1]) for place in range(len(values))]
    history = graph_objects.Figure()
    history.add_scatter(x=numbers, y=values, mode="markers", name="trial")
    history.add_scatter(x=numbers, y=best, name="best so far", line={"shape": "hv"})
    plots = [("Value by trial", history)]
    for key in sorted({key for row in told for key in row["point"]}):
        here = [row for row in told if key in row["point"]]
        figure = graph_objects.Figure(
            graph_objects.Scatter(
                x=[row["point"][key] for row in here],
                y=[row["value"] for row in here],
                mode="markers",
                text=[_point(row) for row in here],
            )
        )
        positive = [row["point"][key] for row in here if isinstance(row["point"][key], float) and row["point"][key] > 0]
        if len(positive) == len(here) and max(positive) > 20 * min(positive):
            figure.update_xaxes(type="log")
        plots.append((f"Value by {key}", figure))
    return plots
