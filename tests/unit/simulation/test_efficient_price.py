from __future__ import annotations

import numpy as np
import pytest

from mmd.mock.instruments import INSTRUMENTS
from mmd.mock.simulation.efficient_price import STEP_NS, EfficientPrices
from mmd.mock.simulation.parameters import SimulationParameters

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000_000_000_000


def prices(seed: int = 1) -> EfficientPrices:
    return EfficientPrices(SimulationParameters(), INSTRUMENTS, np.random.SeedSequence(seed), START_NS)


def path(seed: int, symbol: int, seconds: int, step_ns: int = SECOND_NS) -> np.ndarray:
    source = prices(seed)
    return np.array([source.ticks_at(symbol, START_NS + at) for at in range(0, seconds * SECOND_NS, step_ns)])


def test_opens_near_the_opening_price() -> None:
    assert prices().ticks_at(0, START_NS) == pytest.approx(6_000_000, rel=1e-3)
    assert prices().ticks_at(0, START_NS - SECOND_NS) == prices().ticks_at(0, START_NS)


def test_what_was_foreseen_comes_true_however_time_is_advanced() -> None:
    watched, jumped = prices(), prices()
    foreseen = [watched.ticks_at(1, START_NS + step * STEP_NS + 2 * SECOND_NS) for step in range(2000)]
    assert jumped.ticks_at(1, START_NS + 1999 * STEP_NS + 2 * SECOND_NS) == foreseen[-1]
    seen = prices()
    assert [seen.ticks_at(1, START_NS + step * STEP_NS + 2 * SECOND_NS) for step in range(2000)] == foreseen


def test_looking_back_some_seconds_remembers() -> None:
    source = prices()
    for second in range(0, 120, 3):
        then = source.ticks_at(0, START_NS + second * SECOND_NS)
        source.ticks_at(0, START_NS + (second + 5) * SECOND_NS)
        assert source.ticks_at(0, START_NS + second * SECOND_NS) == then


def test_volatility_correlation_and_clustering() -> None:
    first, second = (np.diff(np.log(path(3, symbol, 3600))) * 1e4 for symbol in (0, 1))
    assert 0.15 < first.std() < 0.8
    assert np.corrcoef(first, second)[0, 1] > 0.5
    by_minute = np.abs(first[:3540]).reshape(-1, 10).mean(axis=1)
    assert np.corrcoef(by_minute[1:], by_minute[:-1])[0, 1] > 0.1


def test_the_second_symbol_hears_the_common_factor_later() -> None:
    first, second = (np.diff(np.log(path(4, symbol, 1800, STEP_NS))) for symbol in (0, 1))
    lag = SimulationParameters().symbols[1].common_lag_ms * 1_000_000 // STEP_NS
    assert np.corrcoef(first[:-lag], second[lag:])[0, 1] > 0.5
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2
