from __future__ import annotations

import numpy as np
import pytest

from mmd.mock.simulation.draws import Draws
from mmd.mock.simulation.hawkes import HawkesFlow

SECOND_NS = 1_000_000_000


def flow_events(
    children: tuple[tuple[float, ...], ...], base: tuple[float, ...], seconds: int, seed: int = 1
) -> list[tuple[int, int]]:
    flow = HawkesFlow(children, 0.5, Draws(np.random.SeedSequence(seed)), 0)
    events, now_ns = [], flow.schedule(0, base)
    while now_ns < seconds * SECOND_NS:
        kind = flow.fire(now_ns)
        if kind is not None:
            events.append((now_ns, kind))
        now_ns = flow.schedule(now_ns, base)
    return events


def test_rates_are_those_of_theory() -> None:
    children = ((0.5, 0.1), (0.2, 0.3))
    base = (1.0, 0.5)
    expected = np.array(base) @ np.linalg.inv(np.eye(2) - np.array(children))
    events = flow_events(children, base, 4000)
    counts = np.bincount([kind for _, kind in events]) / 4000
    assert counts == pytest.approx(expected, rel=0.08)


def test_events_cluster_where_they_excite_one_another() -> None:
    def dispersion(children: tuple[tuple[float, ...], ...]) -> float:
        times = np.array([time_ns for time_ns, _ in flow_events(children, (2.0,), 2000)]) // (5 * SECOND_NS)
        counts = np.bincount(times, minlength=400)
        return float(counts.var() / counts.mean())

    assert dispersion(((0.0,),)) == pytest.approx(1.0, abs=0.25)
    assert dispersion(((0.6,),)) > 2.5


def test_same_seed_same_events() -> None:
    assert flow_events(((0.4,),), (1.0,), 100, seed=7) == flow_events(((0.4,),), (1.0,), 100, seed=7)
    assert flow_events(((0.4,),), (1.0,), 100, seed=7) != flow_events(((0.4,),), (1.0,), 100, seed=8)
