"""What a retraining proposes: the challenger's evaluation beside the champion's on the same rows, and what to type to act on it.

It proposes and never promotes. A challenger is recommended where its price head is the better one on average over the series and
nowhere clearly worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

import msgspec

from mmd.types.decoding import UNREADABLE

WORSE_BY = 0.02
"""IC by which a series may fall before a challenger is not recommended."""
PROPOSAL_FILE = "proposal.json"
PAGE_FILE = "proposal.md"
STATUS_FILE = "retrain-status.json"


class Comparison(msgspec.Struct, frozen=True):
    """One series: IC of the price heads by time over their horizon, on the same test rows; None where it cannot be told."""

    series: str
    champion_ic: float | None
    challenger_ic: float | None
    best_baseline: str
    baseline_ic: float | None


class ShadowResult(msgspec.Struct, frozen=True):
    """What a running daemon saw of both on the same ticks."""

    symbol: str
    who: str
    fills: int
    markout_1s_bps: float | None


class Proposal(msgspec.Struct, frozen=True):
    """The outcome of one round."""

    created_utc: str
    champion: str
    challenger: str
    data: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    shadow: tuple[ShadowResult, ...]
    verdict: Literal["promote", "keep"]
    why: str
    next_steps: tuple[str, ...]


class Status(msgspec.Struct, frozen=True):
    """What the last round did, for whoever watches that rounds happen: a retraining that silently fails is a stale model."""

    rounds: int
    failures_in_a_row: int
    last_attempt_utc: str
    last_success_utc: str
    last_error: str
    last_proposal: str


class Verdicts(msgspec.Struct):
    """Of `mmd evaluate --json`, what a comparison needs."""

    class Price(msgspec.Struct):
        """The price head's part."""

        class Verdict(msgspec.Struct):
            """One series."""

            series: str
            head_ic: float | None
            best_baseline: str
            baseline_ic: float | None

        verdicts: list[Verdict]

    price: Price


def compare(champion: bytes, challenger: bytes) -> tuple[Comparison, ...]:
    """Two evaluations (JSON) on the same data, series by series. Raises `ValueError` where they are not about the same series."""
    first, second = ({line.series: line for line in _verdicts(each)} for each in (champion, challenger))
    if first.keys() != second.keys():
        raise ValueError(f"evaluations of other series: {', '.join(sorted(first.keys() ^ second.keys()))}")
    return tuple(
        Comparison(series, line.head_ic, second[series].head_ic, second[series].best_baseline, second[series].baseline_ic)
        for series, line in first.items()
    )


def _verdicts(document: bytes) -> list[Verdicts.Price.Verdict]:
    try:
        return msgspec.json.decode(document, type=Verdicts).price.verdicts
    except UNREADABLE as error:
        raise ValueError(f"not an evaluation: {error}") from error


def judge(comparisons: Sequence[Comparison]) -> tuple[Literal["promote", "keep"], str]:
    """The recommendation, and why."""
    told = [
        (line.series, line.champion_ic, line.challenger_ic)
        for line in comparisons
        if line.champion_ic is not None and line.challenger_ic is not None
    ]
    if not told:
        return "keep", "no series tells the two apart"
    gain = fmean(new - old for _, old, new in told)
    worse = [series for series, old, new in told if new < old - WORSE_BY]
    if worse:
        return "keep", f"clearly worse on {', '.join(worse)} (mean gain in IC {gain:+.4f})"
    if gain <= 0:
        return "keep", f"no better on average (mean gain in IC {gain:+.4f})"
    return "promote", f"better on average (mean gain in IC {gain:+.4f} over {len(told)} series) and clearly worse on none"


def next_steps(verdict: Literal["promote", "keep"], challenger: Path, evaluation: Path) -> tuple[str, ...]:
    """Commands for a person. Nothing here runs by itself."""
    if verdict == "keep":
        return ()
    return (
        f"mmd models diff CHAMPION {challenger}",
        f"mmd promote {challenger} --to backtest --evidence {evaluation}",
        f"mmd models challenge {challenger}",
        f"mmd models use {challenger}",
    )


def page(proposal: Proposal) -> str:
    """Markdown, for people."""
    lines = [
        f"# {proposal.challenger} against {proposal.champion}",
        "",
        f"{proposal.created_utc}, on {', '.join(proposal.data)}. Recommendation: **{proposal.verdict}**: {proposal.why}.",
        "",
        "| series | champion IC | challenger IC | best baseline | its IC |",
        "|---|---|---|---|---|",
        *(_row(one) for one in proposal.comparisons),
    ]
    if proposal.shadow:
        lines += ["", "In shadow on the same ticks:", "", "| symbol | who | fills | markout 1 s, bps |", "|---|---|---|---|"]
        lines += [f"| {one.symbol} | {one.who} | {one.fills} | {_shown(one.markout_1s_bps)} |" for one in proposal.shadow]
    if proposal.next_steps:
        lines += ["", "To act on it:", "", *(f"    {step}" for step in proposal.next_steps)]
    return "\n".join(lines) + "\n"


def shadow_results(state: Mapping[str, object]) -> tuple[ShadowResult, ...]:
    """Of a daemon's /state."""
    trader = state.get("trader")
    lines = trader.get("shadow", []) if isinstance(trader, dict) else []
    return tuple(ShadowResult(line["symbol"], line["who"], line["fills"], line["markouts_bps"].get("1s")) for line in lines)


def _row(one: Comparison) -> str:
    ics = (_shown(one.champion_ic), _shown(one.challenger_ic), one.best_baseline, _shown(one.baseline_ic))
    return f"| {one.series} | {' | '.join(ics)} |"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"
