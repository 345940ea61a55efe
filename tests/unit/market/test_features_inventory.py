"""The five inventory inputs."""

from __future__ import annotations

import pytest

from mmd.market.feature_table import INVENTORY_NAMES
from mmd.market.inventory import InventoryFeatures, inventory_row

SECOND = 1_000_000_000


def update(features: InventoryFeatures, now_ns: int, position: int) -> dict[str, float]:
    row = features.update(now_ns, position, 100, 1_000.0, 1_010.0, 20.0, 30, 300, 40, 80)
    return dict(zip(INVENTORY_NAMES, row, strict=True))


def test_flat_is_zero_but_for_exposure_and_pnl() -> None:
    assert update(InventoryFeatures(), 0, 0) == {
        "position": 0.0,
        "position_age": 0.0,
        "entry_offset": 0.0,
        "unrealised": pytest.approx(0.1),
        "exposure": pytest.approx(0.5),
    }


def test_shares_of_limits_and_offsets_in_volatilities() -> None:
    long, short = update(InventoryFeatures(), 0, 50), update(InventoryFeatures(), 0, -25)
    assert (long["position"], short["position"]) == (0.5, -0.25)
    assert (long["entry_offset"], short["entry_offset"]) == (0.5, -0.5)


def test_age_counts_from_flat_or_turn_over() -> None:
    features = InventoryFeatures()
    update(features, 0, 10)
    assert update(features, 9 * SECOND, 30)["position_age"] == pytest.approx(2.302585, abs=1e-6)
    assert update(features, 10 * SECOND, -30)["position_age"] == 0.0
    assert update(features, 11 * SECOND, -60)["position_age"] > 0.0
    assert update(features, 12 * SECOND, 0)["position_age"] == 0.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e300, 0.0])
def test_bounded_whatever_comes(bad: float) -> None:
    for place in range(9):
        values = [10.0] * 9
        values[place] = bad
        row = inventory_row(*values)
        assert all(low <= value <= high for value, low, high in zip(row, (-1, 0, -10, -1, 0), (1, 10, 10, 1, 1), strict=True))
