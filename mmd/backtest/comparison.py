"""Two reports side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from mmd.backtest.report import REPORT
from mmd.backtest.summary import rows
from mmd.types.decoding import UNREADABLE

MADE_OF = ("strategy", "bundle_content", "data", "from", "to", "model", "settings", "seed")


class ComparisonError(ValueError):
    """A file that is no report of a backtest."""


def read_report(path: Path) -> dict[str, Any]:
    """Raises `ComparisonError`."""
    try:
        report: Any = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ComparisonError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UNREADABLE as error:
        raise ComparisonError(f"{path}: is no JSON ({error})") from error
    if not isinstance(report, dict) or report.get("report") != REPORT or "figures" not in report:
        raise ComparisonError(f"{path}: is no report of `mmd backtest --json`")
    return report


def compare(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """`figures`: name to both texts; `numbers`: dotted name to both and the difference; `differs`: what the runs were made of."""
    texts = dict(rows(second["figures"]))
    one, two = flat(first["figures"]), flat(second["figures"])
    numbers = {name: {"first": one[name], "second": two[name], "difference": two[name] - one[name]} for name in one if name in two}
    made_one, made_two = ({name: report.get(name) for name in MADE_OF} for report in (first, second))
    parts_one, parts_two = _leaves(made_one), _leaves(made_two)
    differs = {
        name: {"first": parts_one.get(name), "second": parts_two.get(name)}
        for name in sorted({*parts_one, *parts_two})
        if parts_one.get(name) != parts_two.get(name)
    }
    figures = {name: [text, texts.get(name, "-")] for name, text in rows(first["figures"])}
    return {"figures": figures, "numbers": numbers, "differs": differs}


def print_comparison(found: dict[str, Any], first: str, second: str, console: Console | None = None) -> None:
    """As two tables."""
    out = console or Console()
    table = Table("", first, second)
    for name, (one, two) in found["figures"].items():
        table.add_row(name, one, two)
    out.print(table)
    made = Table("made of", first, second)
    for name, pair in found["differs"].items():
        made.add_row(name, str(pair["first"]), str(pair["second"]))
    out.print(made if found["differs"] else "both were made of the same")


def flat(figures: dict[str, Any]) -> dict[str, float]:
    """Every number with its dotted name."""
    return {
        name: float(value)
        for name, value in _leaves(figures).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    found: dict[str, Any] = {}
    for key, each in value.items():
        found.update(_leaves(each, f"{name}.{key}" if name else str(key)))
    return found
