"""The table of a run's figures for the documentation, made from the JSON that `mmd bench` writes, never typed.

`python -m mmd.benchmark.table PAGE EVIDENCE` puts it into PAGE between its two markers, the first of which names the evidence.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

Figures = Mapping[str, Any]

_MARKED = re.compile(r"<!-- bench: (?P<evidence>\S+) -->\n.*?<!-- /bench -->\n", re.DOTALL)


class Row(msgspec.Struct, frozen=True):
    """One line: which figure, what it is, and what the design holds it to in pure Python (`at_most` or `at_least`), if anything."""

    key: str
    text: str
    at_most: float | None = None
    at_least: float | None = None


ROWS = (
    Row("inference_us", "one step of the quote network, state carried, µs", at_most=20),
    Row("networks_us", "one step of all networks together, µs", at_most=40),
    Row("features_us", "20 features, one update, in its place in a tick, µs", at_most=3),
    Row("features_alone_us", "the same, alone (as the network's step is timed), µs"),
    Row("hot_without_inference_us", "hot, no network: decode, book, features, quote, µs", at_most=20),
    Row("hot_without_inference_to_order_us", "the same where it ends in signed orders (mostly two), µs"),
    Row("hot_tick_to_quote_us", "hot, with its networks, µs"),
    Row("hot_tick_to_order_us", "the same where it ends in signed orders (mostly two), µs"),
    Row("ratio_to_article", "usual way ÷ ours, hot", at_least=1_000),
    Row("echo_us", "bare echo at 1,000 ticks a second, µs"),
    Row("live_tick_to_quote_us", "inside our process at 1,000 ticks a second, two orders each, µs"),
    Row("wire_to_wire_us", "wire to wire: from a tick's sending to its first order's arrival, µs"),
    Row("ratio_to_echo", "wire to wire ÷ echo", at_most=2),
    Row("polling_echo_us", "bare echo, the loop polling, µs"),
    Row("polling_tick_to_quote_us", "inside our process, the loop polling, µs"),
    Row("polling_wire_to_wire_us", "wire to wire, the loop polling (`process.busy_poll`), µs"),
    Row("polling_ratio_to_echo", "the same ÷ echo, both polling", at_most=2),
    Row("messages_per_second", "messages a second, one core, no orders", at_least=40_000),
    Row("start_seconds", "start of the daemon's parts, s", at_most=1),
)


def table(figures: Figures) -> str:
    """Markdown. A figure that the run lacks is left out; of a distribution the median and the 99th percentile are shown."""
    lines = ["| what | p50 | p99 | hold | held? |", "|---|---|---|---|---|"]
    for row in ROWS:
        value = figures.get(row.key)
        if value is None:
            continue
        middle, tail = (value["p50"], _number(value["p99"])) if isinstance(value, Mapping) else (value, "")
        hold, held = _judged(row, middle)
        lines.append(f"| {row.text} | {_number(middle)} | {tail} | {hold} | {held} |")
    return "\n".join(lines) + "\n"


def section(evidence: str, figures: Figures) -> str:
    """Table and circumstances, markers included."""
    load = ", ".join(f"{value:.2f}" for value in figures["load_average"])
    told = f"{figures['machine']}, Python {figures['python']}, load average before the run {load} (`{evidence}`)."
    return f"<!-- bench: {evidence} -->\n{told}\n\n{table(figures)}<!-- /bench -->\n"


def rewritten(page: str, evidence: str, figures: Figures) -> str:
    """The page with its section made anew. Raises `ValueError` where it has none."""
    if _MARKED.search(page) is None:
        raise ValueError("the page has no section to fill: it needs the lines '<!-- bench: FILE -->' and '<!-- /bench -->'")
    return _MARKED.sub(lambda _match: section(evidence, figures), page, count=1)


def evidence_of(page: str) -> str:
    """The file that the page's section was made from. Raises `ValueError` where it has none."""
    found = _MARKED.search(page)
    if found is None:
        raise ValueError("the page has no section '<!-- bench: FILE -->'")
    return found["evidence"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _judged(row: Row, value: float) -> tuple[str, str]:
    if row.at_most is not None:
        return f"≤ {row.at_most:g}", "yes" if value <= row.at_most else "**no**"
    if row.at_least is not None:
        return f"≥ {row.at_least:,.0f}", "yes" if value >= row.at_least else "**no**"
    return "", ""


def main(page: str, evidence: str) -> None:
    """Rewrite the page in place."""
    file = Path(page)
    file.write_text(rewritten(file.read_text(), evidence, json.loads(Path(evidence).read_text())))


if __name__ == "__main__":
    main(*sys.argv[1:])
