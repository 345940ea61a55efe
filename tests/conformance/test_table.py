from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from mmd.exchanges.adapter import ENTRY_POINT_GROUP, adapter_factory
from mmd.testing.conformance import STEPS
from tests.conformance.harnesses import HARNESSES
from tests.conformance.table import PAGE, page


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_the_table_is_written() -> None:
    results = {(harness.name, step.name): await step.run(harness()) for harness in HARNESSES for step in STEPS}
    PAGE.write_text(page(results))


def test_the_committed_table_has_every_adapter_and_step() -> None:
    text = PAGE.read_text()
    assert f"| {' | '.join(harness.name for harness in HARNESSES)} |" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [step.name for step in STEPS]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")][2:]
        assert all(cell == "passed" or cell.startswith("not claimed [") for cell in cells), row


def test_every_adapter_of_ours_is_found_by_its_entry_point() -> None:
    names = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
    assert {"binance", "binance-usdm", "ccxt", "paper"} <= names
    assert all(callable(adapter_factory(name)) for name in names)
