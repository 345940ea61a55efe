"""The evaluation as one HTML page with plots, complete in itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import msgspec

from mmd.learning.evidence import Evidence
from mmd.learning.importance import FEATURE, GROUP, SHUFFLED, TAKEN_AWAY
from mmd.learning.price_evaluation import HEAD, TIME, PriceLine

STYLE = (
    "body{font-family:sans-serif;margin:2em;max-width:75em}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right}"
)


def page(evidence: Evidence) -> str:
    """A whole document; scripts are inside it."""
    figures = [_by_predictor(evidence), *_by_horizon(evidence), *_by_hour(evidence), *_by_input(evidence)]
    parts = [_html(figure, first=number == 0) for number, figure in enumerate(figures)]
    head = (
        f"<p>{escape(evidence.bundle)} (card {evidence.bundle_sha256[:12]}), {escape(evidence.variant)} on "
        f"{escape(evidence.runtime)}. "
        f"Own horizon {evidence.horizon_seconds:g} s. Test: {escape(evidence.split)}</p>"
    )
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(evidence.bundle)}</title><style>{STYLE}</style>"
        f"</head><body><h1>What {escape(evidence.bundle)} is worth</h1>{head}{''.join(parts)}{_cross_asset(evidence)}"
        f"{_table(evidence)}<h2>Data</h2>"
        f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in evidence.sources)}</ul></body></html>\n"
    )


def _own(evidence: Evidence) -> list[PriceLine]:
    found = [line for line in evidence.price.lines if line.horizon_seconds == evidence.horizon_seconds and line.counted_by == TIME]
    whole = {line.series for line in found if line.day == "all"}
    return [line for line in found if line.series not in whole or line.day == "all"]


def _by_predictor(evidence: Evidence) -> Any:
    import plotly.graph_objects as graphs

    lines = _own(evidence)
    figure = graphs.Figure()
    for name in dict.fromkeys(line.predictor for line in lines):
        of_name = [line for line in lines if line.predictor == name and line.ic is not None]
        figure.add_bar(
            name=name,
            x=[line.series for line in of_name],
            y=[line.ic for line in of_name],
            error_y={
                "array": [_gap(line.ic_high, line.ic) for line in of_name],
                "arrayminus": [_gap(line.ic, line.ic_low) for line in of_name],
            },
        )
    return figure.update_layout(title=f"IC over {evidence.horizon_seconds:g} s by time, 95 % by block bootstrap", barmode="group")


def _gap(high: float | None, low: float | None) -> float:
    return max(0.0, high - low) if high is not None and low is not None else 0.0


def _by_horizon(evidence: Evidence) -> Iterable[Any]:
    import plotly.graph_objects as graphs

    for series in dict.fromkeys(line.series for line in evidence.price.lines):
        of_series = [line for line in evidence.price.lines if line.series == series and line.counted_by == TIME]
        whole = any(line.day == "all" for line in of_series)
        figure = graphs.Figure()
        for name in dict.fromkeys(line.predictor for line in of_series):
            shown = [line for line in of_series if line.predictor == name and (line.day == "all") == whole and line.ic is not None]
            x, y = [line.horizon_seconds for line in shown], [line.ic for line in shown]
            figure.add_scatter(name=name, x=x, y=y, line={"width": 4 if name == HEAD else 1})
        yield figure.update_layout(title=f"{series}: IC by horizon, seconds, by time", xaxis_type="log")


def _by_hour(evidence: Evidence) -> Iterable[Any]:
    import plotly.graph_objects as graphs

    for series in dict.fromkeys(line.series for line in evidence.price.hours):
        of_series = [line for line in evidence.price.hours if line.series == series]
        if len({line.hour for line in of_series}) < 2:
            continue
        figure = graphs.Figure()
        for name in dict.fromkeys(line.predictor for line in of_series):
            shown = [line for line in of_series if line.predictor == name and line.ic is not None]
            figure.add_scatter(name=name, x=[line.hour for line in shown], y=[line.ic for line in shown])
        yield figure.update_layout(title=f"{series}: IC over {evidence.horizon_seconds:g} s by hour of the day, UTC")


def _by_input(evidence: Evidence) -> Iterable[Any]:
    import plotly.graph_objects as graphs

    for kind, how in ((FEATURE, SHUFFLED), (GROUP, SHUFFLED), (GROUP, TAKEN_AWAY)):
        lines = [line for line in evidence.importance if (line.kind, line.how) == (kind, how)]
        if not lines:
            continue
        figure = graphs.Figure()
        for series in dict.fromkeys(line.series for line in lines):
            of_series = [line for line in lines if line.series == series and line.price_ic_lost is not None]
            figure.add_bar(name=series, x=[line.name for line in of_series], y=[line.price_ic_lost for line in of_series])
        yield figure.update_layout(title=f"IC of the price head lost where a {kind} is {how}", barmode="group")


def _cross_asset(evidence: Evidence) -> str:
    if not evidence.cross_asset:
        return ""
    names = list(dict.fromkeys(name for measures in evidence.cross_asset.values() for name in measures))
    rows = [(series, *(measures.get(name) for name in names)) for series, measures in evidence.cross_asset.items()]
    return f"<h2>Cross-asset network</h2>{_rows(('series', *names), rows)}"


def _html(figure: Any, first: bool) -> str:
    return str(figure.to_html(full_html=False, include_plotlyjs=first))


def _table(evidence: Evidence) -> str:
    head = ("series", "day", "horizon", "counted by", "predictor", "rows", "IC", "low", "high", "R²")
    rows = [msgspec.structs.astuple(line) for line in evidence.price.lines]
    return f"<h2>Every figure</h2>{_rows(head, rows)}"


def _rows(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(_text(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{cells}</table>"


def _text(cell: object) -> str:
    if cell is None:
        return "–"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
