"""The kill drill's parts as tests; `make test-endurance` runs five kills, `make drill` a hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.drill import run, table

pytestmark = pytest.mark.timeout(240)


def drilled(folder: Path, plan: dict[str, int]) -> None:
    rows = run(folder, plan, seed=7)
    for row in rows:
        assert (row.orders_left, row.ledger_difference) == (0, 0.0), table(rows, 7)
    assert [row.times for row in rows] == list(plan.values())


@pytest.mark.long
def test_five_kills_leave_no_order_and_a_right_ledger(tmp_path: Path) -> None:
    drilled(tmp_path, {"kill-daemon": 5})


@pytest.mark.long
def test_a_dead_network_a_full_disk_and_a_ban_leave_none_either(tmp_path: Path) -> None:
    drilled(tmp_path, {"cut-network": 1, "fill-disk": 1, "ban": 1})
