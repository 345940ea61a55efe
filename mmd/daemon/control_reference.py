"""The reference page of the control port, made from the table of its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import msgspec

from mmd.daemon.control_api import JSON, OPERATIONS, Answer, Operation, StreamMessage

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]


def control_page(table: Table) -> str:
    """Every operation with what it is given and what it answers."""
    overview = [
        (f"`{operation.method} {operation.path}`", operation.summary, "" if not operation.open else "open")
        for operation in OPERATIONS
    ]
    parts = [
        "# HTTP API of the control port\n\nThe same for programs: [openapi.json](openapi.json) (OpenAPI 3.1).\n\n"
        "Where `control.token` is set, every request but those marked open carries it (`Authorization: Bearer TOKEN`), or the "
        "cookie of a browser that logged in. What a request says may be JSON, a form, or (for short) the query. Answers are JSON "
        "where nothing else is said; times are UTC nanoseconds, money is in quote units, positions in base units.\n\n"
        + table(("request", "what it does", ""), overview)
    ]
    parts.extend(_section(operation, table) for operation in OPERATIONS)
    kinds = [(f"`{kind.__struct_config__.tag}`", _first_line(kind)) for kind in get_args(StreamMessage)]
    parts.append("## Messages of /stream\n\n" + table(("`kind`", "what it is"), kinds))
    return "\n".join(parts)


def _section(operation: Operation, table: Table) -> str:
    text = f"## {operation.method} {operation.path}\n\n{operation.summary}"
    text += f" {operation.more}\n\n" if operation.more else "\n\n"
    if operation.fields:
        rows = [
            (f"`{name}`", "yes" if field.required else "", _allowed(field.schema), field.meaning)
            for name, field in operation.fields.items()
        ]
        text += table(("field", "required", "allowed", "meaning"), rows) + "\n"
    return text + table(("status", "when", "answer"), [_answer(status, one) for status, one in operation.all_answers.items()])


def _answer(status: int, answer: Answer) -> tuple[str, str, str]:
    if answer.document is StreamMessage:
        shown = "messages, below"
    elif answer.document is not None:
        names = [field.name for field in msgspec.structs.fields(answer.document)]
        shown = f"`{answer.document.__name__}`: " + ", ".join(f"`{name}`" for name in names)
    else:
        shown = "" if answer.media_type == JSON else f"`{answer.media_type}`"
    return str(status), answer.meaning, shown


def _allowed(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    return str(schema["type"]) + ("" if low is None else f", {low:g} to {high:g}")


def _first_line(kind: Any) -> str:
    return (kind.__doc__ or "").partition("\n")[0]
