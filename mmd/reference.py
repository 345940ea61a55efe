"""`python -m mmd.reference docs/reference` writes the reference pages that are made from the code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mmd.cli import app
from mmd.daemon.control_api import openapi_json
from mmd.daemon.control_reference import control_page
from mmd.daemon.guard_port import GUARD_METRICS
from mmd.daemon.metric import Metric
from mmd.daemon.metric_table import METRICS
from mmd.daemon.mock_reference import mock_exchange_page
from mmd.daemon.settings_sources import is_secret, known_fields, variable_name
from mmd.execution.order_state import TRANSITIONS, OrderTrigger
from mmd.inference.refusals import gate_table
from mmd.market.feature_table import NOTATION, feature_rows
from mmd.market.reference import ASSET_FORMULAS
from mmd.mock.faults.corruption import MEANINGS
from mmd.mock.faults.kinds import KINDS, LastingFault
from mmd.mock.faults.random_faults import RandomFaults
from mmd.risk.reasons import denial_table
from mmd.types.control import PauseReason

MADE = "<!-- made from the code by `make docs`; edit the code instead -->\n\n"
HELP_WIDTH: dict[str, Any] = {"terminal_width": 78}
"""Columns, whatever terminal asks."""
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
    return (
        MADE
        + "# Metrics\n\nServed by `/metrics` on the control port (8780).\n\n"
        + _metric_table(METRICS)
        + "\n## Of the guard\n\nServed by `/metrics` on the guard's port (8781).\n\n"
        + _metric_table(GUARD_METRICS)
    )


def _metric_table(metrics: Sequence[Metric]) -> str:
    rows = [(f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels), m.help) for m in metrics]
    return _table(("metric", "kind", "labels", "meaning"), rows)


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
        MADE
        + f"# Features\n\n{NOTATION}\n"
        + _table(("feature", "formula", "unit", "source"), rows)
        + "\n## What one asset shows another\n\n"
        "The cross-asset network sees these ten of each asset at every step of the one it is about (the primary, whose own row is "
        "the first): from the asset's newest row of an earlier receive time, H being the bundle's horizon.\n\n"
        + _table(("column", "formula"), [(f"`{name}`", formula) for name, formula in ASSET_FORMULAS.items()])
        + "\n## The gate\n\n"
        "A prediction is used only if none of these holds; the first is the reason, counted in `mmd_gate_refusals_total` for each "
        f"network by itself. Refused, the quote falls back to Avellaneda and Stoikov's, wider, and says so.\n\n{gate_table()}"
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
    program = typer.main.get_command(app)
    return MADE + "# Command line\n\n" + "\n".join(_help_sections(program, typer.Context(program, info_name="mmd", **HELP_WIDTH)))


def _help_sections(command: Any, context: typer.Context) -> Iterable[str]:
    """A command's help, then those of its commands."""
    path = context.command_path.removeprefix("mmd").strip()
    yield (f"## mmd {path}\n\n" if path else "") + f"```text\n{command.get_help(context)}\n```\n"
    for name, inner in getattr(command, "commands", {}).items():
        yield from _help_sections(inner, typer.Context(inner, info_name=name, parent=context, **HELP_WIDTH))


def faults_page() -> str:
    """Every fault of the mock exchange, its parameters, the corruptions, and the rules of random faults."""
    kinds = [(f"`{name}`", "stays on" if issubclass(kind, LastingFault) else "once", kind.effect) for name, kind in KINDS.items()]
    parts = [
        MADE + "# Faults of the mock exchange\n\nSwitched on by `mmd mock fault on KIND NAME=VALUE …`, by the admin endpoint "
        "`/mock/faults`, or by a scenario file; see [how to inject faults](../how-to/inject-faults.md).\n\n"
        + _table(("fault", "how long", "effect"), kinds)
    ]
    for name, kind in KINDS.items():
        rows = [
            (f"`{parameter}`", _default(field), _allowed(field), field.description or "")
            for parameter, field in kind.model_fields.items()
            if parameter != "kind"
        ]
        parts.append(f"## {name}\n\n{_sentence(kind.effect)}\n\n" + _table(("parameter", "default", "allowed", "meaning"), rows))
    damage = [(f"`{how}`", meaning, detectable) for how, (meaning, detectable) in MEANINGS.items()]
    parts.append(
        "## Corruptions\n\nOver TCP and TLS no damage happens on the way; a damaged frame was damaged by its sender.\n\n"
        + _table(("corruption", "damage", "can a client detect it?"), damage)
    )
    drawn = [
        (f"`{name}`", _default(field), _allowed(field), field.description or "")
        for name, field in RandomFaults.model_fields.items()
    ]
    parts.append(
        "## Random faults\n\nThe table `[random]` of a scenario.\n\n" + _table(("key", "default", "allowed", "meaning"), drawn)
    )
    return "\n".join(parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper() if text[0].isalpha() else text[0]}{text[1:]}."


PAGES: dict[str, Callable[[], str]] = {
    "mock-exchange.md": lambda: MADE + mock_exchange_page(_table),
    "http-api.md": lambda: MADE + control_page(_table),
    "openapi.json": openapi_json,
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "risk-reasons.md": risk_page,
    "command-line.md": command_line_page,
    "features.md": features_page,
    "order-states.md": order_states_page,
    "faults.md": faults_page,
}


def write_pages(directory: Path) -> None:
    """Write every page. Raises `OSError`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Takes the directory to write to."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m mmd.reference DIRECTORY\n")
        return 2
    write_pages(Path(arguments[0]))
    return 0


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", ()):
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
