"""The table of one or two runs' figures for the documentation, made from the JSON that `mmd bench` writes, never typed.

`python -m mmd.benchmark.table PAGE EVIDENCE…` puts it into PAGE between its two markers, the first of which names the evidence. Of
two runs one is of the pure core and one of the compiled one; each is held to what the design asks of that core.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

Figures = Mapping[str, Any]

_MARKED = re.compile(r"<!-- bench: (?P<evidence>[^>]+) -->\n.*?<!-- /bench -->\n", re.DOTALL)


class Row(msgspec.Struct, frozen=True):
    """One line: which figure, what it is, and what the design holds it to (`at_most` or `at_least`), if anything; `compiled` is
    what it holds the compiled core to, where that is something else."""

    key: str
    text: str
    at_most: float | None = None
    at_least: float | None = None
    compiled: float | None = None


ROWS = (
    Row("inference_us", "one step of the quote network, state carried, µs", at_most=20),
    Row("networks_us", "one step of all networks together, µs", at_most=40),
    Row("features_us", "32 market features (the hold is for 20), one update, in its place in a tick, µs", at_most=3, compiled=1),
    Row("features_alone_us", "the same, alone (as the network's step is timed), µs"),
    Row("hot_without_inference_us", "hot, no network: decode, book, features, quote, µs", at_most=20, compiled=8),
    Row("hot_without_inference_to_order_us", "the same where it ends in signed orders (mostly two), µs"),
    Row("hot_tick_to_quote_us", "hot, with its networks, µs"),
    Row("hot_tick_to_order_us", "the same where it ends in signed orders (mostly two), µs"),
    Row("ratio_to_article", "usual way ÷ ours, hot", at_least=1_000),
    Row("echo_us", "bare echo at 1,000 ticks a second, µs"),
    Row("live_tick_to_quote_us", "inside our process at 1,000 ticks a second, two orders each, µs"),
    Row("wire_to_wire_us", "wire to wire: from a tick's sending to its first order's arrival, µs"),
    Row("ratio_to_echo", "wire to wire ÷ echo", at_most=2, compiled=1.5),
    Row("polling_echo_us", "bare echo, the loop polling, µs"),
    Row("polling_tick_to_quote_us", "inside our process, the loop polling, µs"),
    Row("polling_wire_to_wire_us", "wire to wire, the loop polling (`process.busy_poll`), µs"),
    Row("polling_ratio_to_echo", "the same ÷ echo, both polling", at_most=2, compiled=1.5),
    Row("messages_per_second", "messages a second, one core, no orders", at_least=40_000, compiled=150_000),
    Row("start_seconds", "start of the daemon's parts, s", at_most=1),
)


def table(*runs: Figures) -> str:
    """Markdown. A figure that no run has is left out; of a distribution the median and the 99th percentile are shown."""
    cores = [core_of(figures) for figures in runs]
    headings = [f" {core}: p50 | p99 | hold | held? |" for core in cores]
    lines = ["| what |" + "".join(headings), "|---|" + "---|---|---|---|" * len(runs)]
    for row in ROWS:
        if any(figures.get(row.key) is not None for figures in runs):
            cells = [_cells(row, figures.get(row.key), core) for figures, core in zip(runs, cores, strict=True)]
            lines.append(f"| {row.text} |" + "".join(cells))
    return "\n".join(lines) + "\n"


def core_of(figures: Figures) -> str:
    """`pure` or `compiled`."""
    core: str = figures.get("core", "pure")
    return core


def section(evidence: str, *runs: Figures) -> str:
    """Table and circumstances, markers included. `evidence` names the runs' files, parted by spaces."""
    told = []
    for name, figures in zip(evidence.split(), runs, strict=True):
        load = ", ".join(f"{value:.2f}" for value in figures["load_average"])
        circumstances = f"{figures['machine']}, Python {figures['python']}, load average before the run {load}"
        told.append(f"{core_of(figures).capitalize()} core: {circumstances} (`{name}`).")
    return f"<!-- bench: {evidence} -->\n" + "\n".join(told) + f"\n\n{table(*runs)}<!-- /bench -->\n"


def rewritten(page: str, evidence: str, *runs: Figures) -> str:
    """The page with its section made anew. Raises `ValueError` where it has none."""
    if _MARKED.search(page) is None:
        raise ValueError("the page has no section to fill: it needs the lines '<!-- bench: FILE -->' and '<!-- /bench -->'")
    return _MARKED.sub(lambda _match: section(evidence, *runs), page, count=1)


def evidence_of(page: str) -> str:
    """The files that the page's section was made from, parted by spaces. Raises `ValueError` where it has none."""
    found = _MARKED.search(page)
    if found is None:
        raise ValueError("the page has no section '<!-- bench: FILE -->'")
    return found["evidence"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _cells(row: Row, value: Any, core: str) -> str:
    """Of one run: median, tail, what it is held to and whether it holds."""
    if value is None:
        return "  |  |  |  |"
    middle, tail = (value["p50"], _number(value["p99"])) if isinstance(value, Mapping) else (value, "")
    hold, held = _judged(row, middle, core)
    return f" {_number(middle)} | {tail} | {hold} | {held} |"


def _judged(row: Row, value: float, core: str) -> tuple[str, str]:
    stricter = row.compiled if core == "compiled" else None
    if row.at_most is not None:
        most = row.at_most if stricter is None else stricter
        return f"≤ {most:g}", "yes" if value <= most else "**no**"
    if row.at_least is not None:
        least = row.at_least if stricter is None else stricter
        return f"≥ {least:,.0f}", "yes" if value >= least else "**no**"
    return "", ""


def main(page: str, evidence: Sequence[str]) -> None:
    """Rewrite the page in place."""
    file = Path(page)
    runs = [json.loads(Path(name).read_text()) for name in evidence]
    file.write_text(rewritten(file.read_text(), " ".join(evidence), *runs))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
