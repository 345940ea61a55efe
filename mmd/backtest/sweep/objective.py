"""One number of a trial's reports, larger is better: what a study looks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmd.backtest.comparison import flat
from mmd.backtest.errors import BacktestError

SHRUNK = "shrunk_pnl_per_volume_bps"
PRIOR_ORDERS = 20
"""`SHRUNK` is PnL ÷ (volume + that of so many orders): a few lucky fills win nothing, and neither does not trading."""
LOWEST = -1e6
"""Of a trial that traded too little, or failed: counted below all others, more so the less it traded."""
SMALLER_IS_BETTER = frozenset({"max_drawdown", "liquidation_cost"})


def check_name(name: str) -> None:
    """Raises `BacktestError` for a name that says which way is better nowhere."""
    if name.rpartition(".")[2] in SMALLER_IS_BETTER and not name.startswith("-"):
        raise BacktestError(f"--objective {name}: less of it is better; write -{name}")


def value(name: str, reports: Sequence[Mapping[str, Any]], order_notional: float, least_fills: int) -> float:
    """The mean over the reports (one a window) of a figure by its dotted name; a minus before it turns it round.

    Raises `BacktestError` for a figure that no report has.
    """
    fills = [int(report["figures"]["fills"]) for report in reports]
    if min(fills) < least_fills:
        return LOWEST + sum(min(each, least_fills) for each in fills)
    return sum(_of(name, report["figures"], order_notional) for report in reports) / len(reports)


def _of(name: str, figures: Mapping[str, Any], order_notional: float) -> float:
    if name == SHRUNK:
        return float(figures["pnl"]) / (float(figures["volume"]) + PRIOR_ORDERS * order_notional) * 1e4
    sign, plain = (-1.0, name[1:]) if name.startswith("-") else (1.0, name)
    numbers = flat(dict(figures))
    if plain not in numbers:
        if plain in _names(figures):
            return LOWEST
        raise BacktestError(f"--objective {name}: no such figure; there are {SHRUNK}, {', '.join(sorted(numbers)[:12])}, ...")
    return sign * numbers[plain]


def _names(figures: Mapping[str, Any], before: str = "") -> set[str]:
    found: set[str] = set()
    for name, each in figures.items():
        found |= _names(each, f"{before}{name}.") if isinstance(each, dict) else {f"{before}{name}"}
    return found
