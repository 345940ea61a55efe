"""The simulated market's stylised facts, over 20 seeds, against a recorded day; and the yardstick itself, on hand-made series."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench.calibrate_market import SYMBOLS, reference
from mmd.mock.simulation.stylised_facts import (
    Aggressors,
    StylisedFacts,
    Touches,
    autocorrelation,
    hill_exponent,
    mean_of,
    measure,
    shortfalls,
)
from tests.simulation.market_recording import SECOND_NS, simulated_facts

SEEDS = range(1, 21)
SECONDS = 180


@pytest.fixture(scope="module")
def over_seeds() -> dict[str, list[StylisedFacts]]:
    results = [simulated_facts(seed, SECONDS) for seed in SEEDS]
    return {symbol: [result[symbol] for result in results] for symbol in SYMBOLS}


def data_folder() -> Path:
    folder = Path(os.environ.get("MMD_DATA_DIR", "../shared/data"))
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"no recorded markets at {folder.absolute()}: set MMD_DATA_DIR")
        pytest.skip(f"no recorded markets at {folder.absolute()} (MMD_DATA_DIR)")
    return folder


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_mean_over_20_seeds_is_like_the_recording(symbol: str, over_seeds: dict[str, list[StylisedFacts]]) -> None:
    assert shortfalls(mean_of(over_seeds[symbol]), reference(data_folder(), symbol)) == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_no_seed_is_a_market_of_another_kind(symbol: str, over_seeds: dict[str, list[StylisedFacts]]) -> None:
    for facts in over_seeds[symbol]:
        assert 0.1 < facts.imbalance_correlation < 0.5
        assert facts.trade_sign_autocorrelation > 0.1
        assert facts.hill_exponent > 1.2
        assert facts.spread_bps > 0


def test_shortfalls_name_what_is_unlike() -> None:
    good = StylisedFacts(100.0, 0.03, 8.0, 0.5, 3.0, 0.25, 0.03, 0.3)
    assert shortfalls(good, good) == []
    bad = StylisedFacts(100.0, 0.07, 3.0, 0.5, 6.0, 0.05, 0.2, 0.05)
    words = " ".join(shortfalls(bad, good))
    for name in StylisedFacts.__struct_fields__:
        assert (name in words) is (name not in ("seconds", "volatility_bps")), name


def test_hill_finds_the_exponent_of_a_pareto_law() -> None:
    generator = np.random.default_rng(3)
    for exponent in (2.0, 3.0, 5.0):
        sample = (1 + generator.pareto(exponent, 200_000)) * generator.choice([-1.0, 1.0], 200_000)
        assert hill_exponent(sample) == pytest.approx(exponent, rel=0.05)


def test_autocorrelation_of_an_alternating_and_of_a_persistent_series() -> None:
    assert autocorrelation(np.array([1.0, -1.0] * 500), 1) == pytest.approx(-1.0, abs=1e-3)
    assert autocorrelation(np.array([1.0, -1.0] * 500), 2) == pytest.approx(1.0, abs=1e-3)


def test_measure_on_a_market_made_by_hand() -> None:
    """The bid's queue is long before each rise: the imbalance tells everything; the spread is a tick of 1 at 100."""
    count = 1000
    time_ns = np.arange(count, dtype=np.int64) * SECOND_NS // 10 + 1
    wave = np.where(np.arange(count) // 10 % 2 == 0, 1.0, -1.0)
    level = np.cumsum(wave * (1 + np.arange(count) // 20 % 5)) * 0.01
    touches = Touches(time_ns, 99.5 + level, 10 + 5 * wave, 100.5 + level, 10 - 5 * wave)
    aggressors = Aggressors(time_ns[::5], wave[::5])
    facts = measure(touches, aggressors, 0, int(time_ns[-1]))
    assert facts.spread_bps == pytest.approx(100.0, rel=0.01)
    assert facts.trades_per_second == pytest.approx(2.0, rel=0.02)
    assert facts.trade_sign_autocorrelation < 0.1
    with pytest.raises(ValueError, match="too little"):
        measure(touches, aggressors, 0, 30 * SECOND_NS)
