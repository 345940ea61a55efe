"""Drift: nothing where rows come from the training's distribution, plenty where they do not; ties and empty bins included."""

from __future__ import annotations

import numpy as np
import pytest

from mmd.inference.drift import LEAST_ROWS, LEAST_SHARE, Bins, DriftMeter, reference_bins


def training(rows: int = 50_000, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    zeroes = np.where(rng.random(rows) < 0.7, 0.0, rng.normal(size=rows))
    return np.column_stack([rng.normal(size=rows), zeroes, np.full(rows, 3.0), rng.exponential(size=rows)]).astype(np.float32)


@pytest.fixture(scope="module")
def reference() -> list[Bins]:
    return [reference_bins(column) for column in training().T]


def test_deciles_hold_a_tenth_each_and_ties_are_one_bin(reference: list[Bins]) -> None:
    assert reference[0].shares == pytest.approx((0.1,) * 10, abs=1e-3)
    assert len(reference[1].edges) < 9
    assert sum(reference[1].shares) == pytest.approx(1)
    assert len(reference[2].edges) == 1
    assert max(reference[2].shares) == 1


def test_the_same_distribution_does_not_drift(reference: list[Bins]) -> None:
    meter = DriftMeter(reference)
    meter.observe(training(20_000, seed=2))
    psi = meter.psi()
    assert psi is not None
    assert (psi < 0.01).all()


def test_psi_is_what_the_formula_says(reference: list[Bins]) -> None:
    meter = DriftMeter(reference, half_life_rows=1e12)
    rows = training(5_000, seed=3)
    rows[:, 0] += 1.0
    for start in range(0, len(rows), 37):
        meter.observe(rows[start : start + 37])
    psi = meter.psi()
    assert psi is not None
    bins = reference[0]
    now = np.histogram(rows[:, 0], [-np.inf, *bins.edges, np.inf])[0] / len(rows)
    expected = sum((p - q) * np.log(p / q) for p, q in zip(np.maximum(now, LEAST_SHARE), bins.shares, strict=True))
    assert psi[0] == pytest.approx(expected, rel=1e-3)
    assert psi[0] > 0.5
    assert (psi[1:] < 0.02).all()


def test_old_rows_fade_and_nothing_is_said_too_early(reference: list[Bins]) -> None:
    meter = DriftMeter(reference, half_life_rows=500)
    rows = training(LEAST_ROWS - 1, seed=4) + 5.0
    meter.observe(rows)
    assert meter.psi() is None
    meter.observe(rows[:1])
    early = meter.psi()
    for start in range(0, 20_000, 50):
        meter.observe(training(50, seed=100 + start))
    late = meter.psi()
    assert early is not None
    assert late is not None
    assert early[0] > 1.0 > 0.1 > late[0]


def test_bins_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="growing edges"):
        Bins((1.0, 1.0), (0.2, 0.3, 0.5))
    with pytest.raises(ValueError, match="one share more"):
        Bins((1.0,), (1.0,))
    with pytest.raises(ValueError, match="sum to 1"):
        Bins((1.0,), (0.2, 0.3))
