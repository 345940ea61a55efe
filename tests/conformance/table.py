"""The table of the conformance suite: what each adapter did at each step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmd.testing.conformance import PASSED, STEPS
from tests.conformance.harnesses import HARNESSES

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "conformance.md"
Results = Mapping[tuple[str, str], str]
"""By adapter and step."""


def page(results: Results) -> str:
    """The whole page."""
    names = [harness.name for harness in HARNESSES]
    notes: dict[str, int] = {}
    rows = [_row(("step", "what must hold", *names)), _row(["---"] * (2 + len(names)))]
    for step in STEPS:
        cells = []
        for name in names:
            result = results[name, step.name]
            cells.append(result if result == PASSED else f"not claimed [{notes.setdefault(result, len(notes) + 1)}]")
        rows.append(_row((f"`{step.name}`", step.what, *cells)))
    explained = "\n".join(f"{number}. {text.removeprefix('not claimed: ')}" for text, number in notes.items())
    return (
        "# Conformance of the exchange adapters\n\n<!-- written by `make long` (tests/conformance/test_table.py) -->\n\n"
        "Each cell is a run of its own: a fresh venue behind wires that can be held and cut, a fresh adapter, real sockets; the "
        "judge is what the venue itself lists. The venue is the mock exchange (`mmd.mock`), for USD-M its futures side; `ccxt` is "
        "ccxt's own class of Binance, `ccxt, polled` the same without streams; `paper` reads the mock's market and "
        "matches by itself.\n\n"
        + "\n".join(rows)
        + "\n\n*Not claimed* means that the adapter says so, and that the suite has checked what happens instead:\n\n"
        + explained
        + "\n"
    )


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
