"""`docs/results.md`: every strategy on every real market, three fees, three latencies; what that says of the default; ablations.

Losing rows stand with the others, and so do runs that failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np

from mmd.backtest.evidence.ablation import NONE
from mmd.backtest.evidence.kept import Line
from mmd.backtest.evidence.markets import MARKETS, RealMarket
from mmd.backtest.evidence.tuning import BASELINES, STRATEGIES, TunedTable
from mmd.backtest.statistics import paired_bootstrap
from mmd.backtest.summary import number
from mmd.inference.heads import HEADS

DEFAULT = "neural, default"
ROWS = (DEFAULT, *(f"{strategy}, tuned" for strategy in STRATEGIES))
LATENCIES = ("1ms", "5ms", "20ms")
JUDGED_AT = "5ms"
FEES_BPS = (2.0, 0.0, -0.5)
MOST_UNEXPLAINED = 0.01
_ABOUT = (
    "Made by `make results`; the runs are in `docs/evidence/results.json`. PnL per volume in bps, at a maker's fee of 2 bps, none, "
    "and a rebate of 0.5 bps. The 95 % block-bootstrap interval is that without fees, and shifts with them. PnL: without fees, in "
    "quote units. The deflated Sharpe ratio is the probability that the true one is above 0, given how many trials the settings "
    "were chosen among. Queue position: risk-averse. Latency is that of feed, order entry and response each. Limits on loss are "
    "lifted; sizes and position limits are the defaults. What is called tuned was tuned with Optuna on the earlier parts of each "
    "market (`mmd evidence tune`, walk-forward; the number of trials stands below). What is shown is traded in the last part, on "
    "which nothing was chosen; of the digital currencies' minutes the networks were trained on the first 70 %, which reaches into "
    "it. Of what such numbers cannot tell, [another page](explanation/what-a-backtest-cannot-tell.md)."
)
_COMPARED = (
    "The baseline is the one with the best PnL per volume on this very part, which is in its favour, among those tuned ones that "
    "traded ten times an hour here, and five times at least: a handful of fills far from the market has any PnL per volume that "
    "luck gives it (all stand below). Where none did, it is the best of those that traded at all. The difference is the default's "
    "minus the baseline's, its interval from a paired block bootstrap. *Better* and *worse* are said where the interval excludes 0."
)
_ABLATED = (
    "PnL per volume at no fee with this head alone, minus that without any, over the earlier parts of all markets together, each "
    "weighed alike; intervals from a paired block bootstrap. A head whose interval does not exclude harm has weight 0 in the card. "
    "The stocks' and gold's parts are such that no network was trained on; of the digital currencies there are none before the "
    "part that is judged, so what they say is in the networks' favour."
)
RunName = tuple[str, str, str]
"""Market, row, latency."""


def results_page(
    lines: Mapping[RunName, Line], wanted: int, networks: str, tuned: TunedTable, ablation: Mapping[str, Any] | None
) -> str:
    """The whole page, of as many runs as there are of those that were `wanted`; `networks` names the bundle."""
    parts = [
        *_head(lines, wanted, networks),
        "## The default against the best tuned baseline",
        "",
        *_verdicts(lines),
        "",
        *_heads(ablation),
    ]
    for market in MARKETS:
        parts += [
            "",
            f"## {market.name}",
            "",
            f"Traded: {market.span}.{_fills_word(lines, market)}",
            "",
            *_market(lines, market, tuned),
        ]
    parts += ["", "## What was tuned to", "", *_settings(tuned)]
    return "\n".join(parts) + "\n"


def _head(lines: Mapping[RunName, Line], wanted: int, networks: str) -> list[str]:
    shares = [line.figures["split"]["unexplained_share"] for line in lines.values() if line.figures]
    failed = sum(line.figures is None for line in lines.values())
    worst = max(shares, default=0.0)
    told = f"Networks: {networks}. {len(lines)} runs, {failed} of them failed."
    if len(lines) < wanted:
        told += f" **{wanted - len(lines)} of {wanted} runs have not been made: `make results` goes on with them.**"
    told += f" Largest share of PnL that is not explained: {worst:.2%}"
    return [
        "# Results on real data",
        "",
        *_wrapped(_ABOUT),
        "",
        *_wrapped(told + ("." if worst < MOST_UNEXPLAINED else ": **above 1 %**.")),
        "",
    ]


def _verdicts(lines: Mapping[RunName, Line]) -> list[str]:
    rows = [
        *_wrapped(f"Last part of each market, no fee, {JUDGED_AT}. {_COMPARED}"),
        "",
        "| market | row | fills | PnL/volume, bps | difference | markout 1 s, bps | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for market in MARKETS:
        default = lines.get((market.name, DEFAULT, JUDGED_AT))
        names = [f"{strategy}, tuned" for strategy in BASELINES]
        traded = {name: line for name in names if (line := lines.get((market.name, name, JUDGED_AT))) and _traded(line)}
        there = {name: line for name, line in traded.items() if _figure(line, "fills") >= market.least_judged} or traded
        if default is None or not _traded(default) or not there:
            rows.append(f"| {market.name} | no comparison: {_why(default)} | | | | | |")
            continue
        best = max(there, key=lambda name: _figure(there[name], "pnl_per_volume_bps"))
        rows += [_row(market, best, there[best], None), _row(market, DEFAULT, default, there[best])]
        known = there[best].figures, default.figures
        if any(figures and figures["fills"] < market.least_judged for figures in known):
            rows[-1] = rows[-1].replace(f"| {market.name} |", f"| {market.name} (too few fills to tell) |", 1)
    return rows


def _row(market: RealMarket, name: str, line: Line, against: Line | None) -> str:
    figures = line.figures or {}
    markout = figures["markouts_bps"]["1s"]
    cells = [
        market.name,
        name,
        str(figures["fills"]),
        _with_interval(figures["pnl_per_volume_bps"], figures["pnl_per_volume_bps_interval"]),
        "" if against is None else _difference(line, against, "pnl", "volume", 1e4),
        _with_interval(markout["mean"], markout),
        "" if against is None else _difference(line, against, "markout_sum", "markouts", 1.0),
    ]
    return f"| {' | '.join(cells)} |"


def _word(low: float | None, high: float | None) -> str:
    if low is None or high is None or low <= 0 <= high:
        return "no difference seen"
    return "**better**" if low > 0 else "**worse**"


def _difference(one: Line, two: Line, top: str, bottom: str, scale: float) -> str:
    columns = [
        np.asarray((line.figures or {})["blocks"][name], np.float64) * (scale if name == top else 1.0)
        for line in (one, two)
        for name in (top, bottom)
    ]
    if len({len(column) for column in columns}) > 1:
        return "-"
    value, interval = paired_bootstrap((columns[0], columns[1]), (columns[2], columns[3]), 1)
    return f"{_with_interval(value, {'low': interval.low, 'high': interval.high})}: {_word(interval.low, interval.high)}"


def _heads(ablation: Mapping[str, Any] | None) -> list[str]:
    if not ablation:
        return ["## What each head is worth", "", "No ablation was made: `mmd evidence ablate`."]
    rows = [
        "## What each head is worth",
        "",
        *_wrapped(f"Bundle {ablation['bundle']}, {JUDGED_AT}. {_ABLATED}"),
        "",
        "| head | gain, bps of volume | gain in markout 1 s, bps | weight |",
        "|---|---|---|---|",
    ]
    for name in (*HEADS, NONE):
        each = ablation["heads"][name]
        if each["moves_nothing"]:
            rows.append(f"| {name} | moves no order | | 0 |")
            continue
        word = "all together" if name == NONE else name
        gain = _with_interval(each["gain_bps"], each["interval"])
        markout = _with_interval(each["markout_gain_bps"], each["markout_interval"])
        weight = "" if name == NONE else f"{each['weight']:g}"
        rows.append(f"| {word} | {gain} | {markout} | {weight} |")
    return rows


def _market(lines: Mapping[RunName, Line], market: RealMarket, tuned: TunedTable) -> list[str]:
    rows = [
        "| strategy | latency | fills | 2 bps | 0 | -0.5 bps | 0, interval | markout 1 s, bps | PnL | deflated Sharpe (trials) "
        "| quoted | funding | unexplained |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        for latency in LATENCIES:
            line = lines.get((market.name, row, latency))
            if line is None:
                settings = row == DEFAULT or row.removesuffix(", tuned") in tuned.get(market.name, {})
                why = "not run yet" if settings else "not tuned, or no trial traded enough"
                rows.append(f"| {row} | {latency} | {why} | | | | | | | | | | |")
            elif line.figures is None:
                rows.append(f"| {row} | {latency} | {line.error} | | | | | | | | | | |")
            else:
                rows.append(f"| {' | '.join([row, latency, *_cells(line.figures)])} |")
    return rows


def _cells(figures: dict[str, Any]) -> list[str]:
    volume, markout, uptime = figures["volume"], figures["markouts_bps"]["1s"], figures["quote_uptime"]
    split = figures["split"]
    return [
        f"{figures['fills']}" + (f" (halted: {figures['halt']})" if figures["halt"] else ""),
        *[number(figures["pnl"] / volume * 1e4 - fee if volume else None) for fee in FEES_BPS],
        _interval(figures["pnl_per_volume_bps_interval"]),
        _with_interval(markout["mean"], markout),
        f"{figures['pnl']:.2f}",
        _deflated(figures),
        "-" if uptime is None else f"{100 * uptime:.0f} %",
        number(split["funding"]) if figures["funding"] else "-",
        f"{split['unexplained_share']:.2%}",
    ]


def _deflated(figures: Mapping[str, Any]) -> str:
    chance = figures.get("deflated_sharpe_probability")
    return "-" if chance is None else f"{chance:.2f} ({figures['trials']})"


def _settings(tuned: TunedTable) -> list[str]:
    rows = ["| market | strategy | settings | objective on the earlier parts | trials |", "|---|---|---|---|---|"]
    for market in MARKETS:
        for strategy, each in tuned.get(market.name, {}).items():
            settings = ", ".join(_short(setting) for setting in each.settings)
            rows.append(f"| {market.name} | {strategy} | {settings} | {number(each.value)} | {each.trials} |")
    return rows


def _short(setting: str) -> str:
    name, _, value = setting.removeprefix("quoting.").partition("=")
    try:
        return f"{name} {float(value):.3g}"
    except ValueError:
        return f"{name} {value}"


def _fills_word(lines: Mapping[RunName, Line], market: RealMarket) -> str:
    modelled = any(line.figures["modelled_fills"] for name, line in lines.items() if name[0] == market.name and line.figures)
    word = " Fills are drawn from a PROBABILISTIC MODEL, for the data has neither trades nor sizes: this is what was assumed, not"
    return f"{word} what was earned." if modelled else ""


def _traded(line: Line) -> bool:
    return line.figures is not None and line.figures["volume"] > 0


def _why(line: Line | None) -> str:
    if line is not None and _traded(line):
        return "no tuned baseline traded, or none was run"
    return "not run" if line is None else line.error or "nothing was traded"


def _figure(line: Line, name: str) -> float:
    return float((line.figures or {})[name])


def _with_interval(value: float | None, interval: Mapping[str, Any]) -> str:
    return f"{number(value)} {_interval(interval)}".strip()


def _interval(interval: Mapping[str, Any]) -> str:
    return "" if interval["low"] is None else f"[{number(interval['low'])}, {number(interval['high'])}]"


def _wrapped(text: str) -> list[str]:
    return wrap(text, 120)
