"""`python -m mmd.daemon.reference docs/reference` writes the reference pages that are made from the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mmd.daemon.metrics import METRICS
from mmd.daemon.settings_sources import is_secret, known_fields, variable_name
from mmd.execution.order_state import TRANSITIONS, OrderTrigger
from mmd.inference.gate import gate_table
from mmd.market.feature_table import NOTATION, feature_rows
from mmd.risk.reasons import denial_table
from mmd.types.control import PauseReason

MADE = "<!-- made from the code by `make docs`; edit the code instead -->\n\n"
BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "length ≥", "max_length": "length ≤"}


def settings_page() -> str:
    """Every setting with variable, default, what is allowed, and meaning."""
    rows = []
    for key, field in known_fields():
        name = f"`{'.'.join(key)}`<br>`{variable_name(key)}`"
        if is_secret(key, field):
            name += f"<br>`{variable_name(key)}_FILE`"
        rows.append((name, _default(field), _allowed(field), field.description or ""))
    return (
        MADE
        + "# Settings\n\nRead from, the later one winning: a TOML file (`--config`, `MMD_CONFIG`, or `mmd.toml` in the working "
        "directory), `.env`, the environment, `--set KEY=VALUE`. An unknown key is an error. A `…_FILE` variable names a file "
        "that holds the value.\n\n" + _table(("setting", "default", "allowed", "meaning"), rows)
    )


def metrics_page() -> str:
    """Every metric of /metrics."""
    rows = [(f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels), m.help) for m in METRICS]
    return (
        MADE + "# Metrics\n\nServed by `/metrics` on the control port.\n\n" + _table(("metric", "kind", "labels", "meaning"), rows)
    )


def risk_page() -> str:
    """Why orders are denied, and why quoting pauses."""
    pauses = "\n".join(f"- `{reason.value}`" for reason in PauseReason)
    return (
        MADE + "# Risk reasons\n\nEvery order passes these checks in this order; the first that fails is the reason, counted in "
        f"`mmd_risk_denials_total`. Cancels always pass.\n\n{denial_table()}\n"
        f"Quoting pauses, and goes on by itself, for these reasons (`mmd_pauses_total`):\n\n{pauses}\n"
    )


def features_page() -> str:
    """What the networks are given."""
    rows = [(f"`{row.name}`", row.formula, row.unit, row.source) for row in feature_rows()]
    return (
        MADE + f"# Features\n\n{NOTATION}\n" + _table(("feature", "formula", "unit", "source"), rows) + "\n## The gate\n\n"
        "A prediction is used only if none of these holds; the first is the reason, counted in `mmd_gate_refusals_total`. "
        f"Refused, the quote falls back to Avellaneda and Stoikov's, wider, and says so.\n\n{gate_table()}"
    )


def order_states_page() -> str:
    """The order state machine as a table."""
    triggers = [trigger for trigger in OrderTrigger if any(trigger in row for row in TRANSITIONS.values())]
    rows = [
        (f"`{state.value}`", *(f"`{row[trigger].value}`" if trigger in row else "" for trigger in triggers))
        for state, row in TRANSITIONS.items()
    ]
    return (
        MADE + "# Order states\n\nRow: the state an order is in. Column: what we do or hear. Cell: the state it is in then; empty: "
        "it cannot happen without a fault of ours.\n\n" + _table(("state", *(trigger.value for trigger in triggers)), rows)
    )


def command_line_page() -> str:
    """What each command's --help says."""
    overview = _help()
    names = re.findall(r"^  ([a-z][a-z-]*) ", overview.partition("Commands:")[2], re.MULTILINE)
    parts = [f"## mmd {name}\n\n```text\n{_help(name)}```\n" for name in names]
    return MADE + f"# Command line\n\n```text\n{overview}```\n\n" + "\n".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "risk-reasons.md": risk_page,
    "command-line.md": command_line_page,
    "features.md": features_page,
    "order-states.md": order_states_page,
}


def write_pages(directory: Path) -> None:
    """Write every page. Raises `OSError`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Takes the directory to write to."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m mmd.daemon.reference DIRECTORY\n")
        return 2
    write_pages(Path(arguments[0]))
    return 0


def _help(*command: str) -> str:
    # Asked of the program itself: this room may not import the command line above it.
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "mmd.cli", *command, "--help"], capture_output=True, text=True, env=environment, check=True
    )
    return run.stdout.replace("python -m mmd.cli", "mmd")


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == "":
        return ""
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`"


def _allowed(field: FieldInfo) -> str:
    annotation = field.annotation
    choices = _choices(annotation)
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    bounds = [
        f"{sign} {getattr(constraint, name)}"
        for constraint in field.metadata
        for name, sign in BOUNDS.items()
        if getattr(constraint, name, None) is not None
    ]
    return ", ".join([_kind(annotation), *bounds])


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _kind(annotation: Any) -> str:
    names = {bool: "true or false", int: "whole number", float: "number", Decimal: "number", Path: "path", SecretStr: "secret"}
    for kind in (annotation, *get_args(annotation)):
        if kind in names:
            return names[kind]
    return "list" if get_origin(annotation) is tuple else "text"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
