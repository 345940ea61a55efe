"""Whatever the market does: rows are finite, bounded, of the past alone and free of units; steps do not depend on batches."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmd.market.feature_settings import FeatureSettings
from mmd.market.features import MarketFeatures
from mmd.market.ring import FeatureRing
from mmd.market.steps import StepBuilder, Touch
from mmd.types.market import MarketTrade, Side
from tests.unit.market.feature_reference import COLUMNS, reference

Step = tuple[int, int, int, int, int, int, int, int, int, int, int]
GAPS_NS = st.one_of(
    st.just(0), st.integers(1, 10**6), st.integers(1, 10**11), st.integers(-(10**10), 10**15), st.integers(0, 10**9)
)
PRICES = st.one_of(st.integers(990, 1_010), st.integers(-5, 5), st.integers(0, 2**62))
LOTS = st.one_of(st.just(0), st.integers(0, 20), st.integers(0, 2**62))
TICKS_LOTS = st.one_of(st.just(0), st.integers(0, 10**5), st.integers(0, 2**100))
RAW = st.tuples(GAPS_NS, PRICES, LOTS, PRICES, LOTS, LOTS, LOTS, LOTS, LOTS, st.integers(0, 10**6), TICKS_LOTS)
CALM = st.tuples(
    st.integers(0, 2 * 10**9),
    st.integers(990, 1_010),
    st.integers(0, 20),
    st.integers(992, 1_012),
    st.integers(0, 20),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 3),
    st.integers(0, 18_000),
)


def timed(raw: list[Step]) -> list[Step]:
    """Gaps between steps turned into receive times."""
    now, steps = 1_700_000_000_000_000_000, []
    for gap, *rest in raw:
        now += gap
        steps.append(cast(Step, (max(now, 0), *rest)))
    return steps


def rows_of(steps: list[Step]) -> list[list[float]]:
    features = MarketFeatures()
    return [features.update(*step) for step in steps]


@given(st.lists(RAW, min_size=1, max_size=60))
@settings(max_examples=150, deadline=None)
def test_rows_are_finite_and_bounded_for_arbitrary_input(raw: list[Step]) -> None:
    features = MarketFeatures()
    for step in timed(raw):
        row = features.update(*step)
        assert len(row) == 32
        assert all(type(value) is float and -10.0 <= value <= 10.0 for value in row), dict(zip(features.NAMES, row, strict=True))
        assert 0.5 <= features.sigma_ticks(10.0) < float("inf")


@given(st.lists(CALM, max_size=40), st.lists(CALM, max_size=20), st.lists(RAW, max_size=20))
@settings(max_examples=60, deadline=None)
def test_no_future_moves_a_row_before_it(past: list[Step], one: list[Step], other: list[Step]) -> None:
    assert rows_of(timed(past + one))[: len(past)] == rows_of(timed(past + other))[: len(past)]


@given(st.lists(CALM, min_size=1, max_size=60), st.integers(1, 1_000), st.integers(1, 1_000))
@settings(max_examples=60, deadline=None)
def test_units_do_not_matter(raw: list[Step], tick: int, lot: int) -> None:
    steps = timed(raw)
    other = [
        cast(Step, (t, bid * tick, bs * lot, ask * tick, as_ * lot, b5 * lot, a5 * lot, buy * lot, sell * lot, k, n * tick * lot))
        for t, bid, bs, ask, as_, b5, a5, buy, sell, k, n in steps
    ]
    np.testing.assert_allclose(rows_of(other), rows_of(steps), rtol=0, atol=1e-9)


MOVES = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 10**6, 10**9, 3 * 10**9, 40 * 10**9]),
        st.sampled_from(["nothing", "nothing", "bid_lots", "ask_lots", "bid_ticks", "ask_ticks"]),
        st.integers(-3, 3),
        st.integers(0, 4),
        st.integers(0, 4),
    ),
    min_size=25,
    max_size=60,
)
"""Gap, what of the touch changes and by how much, lots bought and sold: much of it leaves much as it was."""
STILL = (0, "nothing", 0, 0, 0)
SOON_WARM = FeatureSettings(warm_steps=20, warm_seconds=0.0)


def steps_of(moves: list[tuple[int, str, int, int, int]]) -> pd.DataFrame:
    now, touch, rows = 1_700_000_000_000_000_000, {"bid_ticks": 1_000, "bid_lots": 9, "ask_ticks": 1_003, "ask_lots": 9}, []
    for gap, name, by, buy, sell in moves:
        now += gap
        if name != "nothing":
            touch[name] = max(touch[name] + by, 0)
        depth = {"bid_lots_5": 3 * touch["bid_lots"] + gap % 7, "ask_lots_5": 4 * touch["ask_lots"]}
        traded = {"buy_lots": buy, "sell_lots": sell, "trade_count": int(buy > 0) + int(sell > 0)}
        amount = buy * touch["ask_ticks"] + sell * touch["bid_ticks"]
        rows.append({"receive_ns": now, **touch, **depth, **traded, "traded_ticks_lots": amount})
    return pd.DataFrame(rows)[list(COLUMNS)]


@given(MOVES)
@settings(max_examples=60, deadline=None)
@example([(0, "bid_ticks", 3, 0, 0), *[STILL] * 20, (1, "bid_ticks", -3, 0, 0), *[STILL] * 4])
def test_what_is_not_computed_again_is_what_it_would_be(moves: list[tuple[int, str, int, int, int]]) -> None:
    """Rows leave out what did not change; the whole table computed at once, with pandas, knows nothing of that."""
    steps = steps_of(moves)
    features, expected = MarketFeatures(SOON_WARM), reference(steps)
    rows = [features.update(*step) for step in steps.itertuples(index=False, name=None)]
    assert features.warm
    difference = np.abs(np.array(rows) - expected.to_numpy()).max(axis=0)
    assert not {name: worst for name, worst in zip(MarketFeatures.NAMES, difference, strict=True) if not worst <= 1e-9}


RING_ROW = st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3)


@given(st.lists(st.tuples(RING_ROW, st.booleans()), max_size=40), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_the_ring_holds_the_last_rows_however_often_one_looks(pushes: list[tuple[list[float], bool]], size: int) -> None:
    ring = FeatureRing(size, 3)
    rows: list[list[float]] = []
    for row, look in [*pushes, ([0.5, 1.5, 2.5], True)]:
        ring.push(row)
        rows.append(row)
        if look:
            expected = np.zeros((size, 3), dtype=np.float32)
            expected[-min(size, len(rows)) :] = rows[-size:]
            np.testing.assert_array_equal(ring.window(), expected)
            np.testing.assert_array_equal(ring.recent(), expected[-min(size, len(rows)) :])


CHANGES = st.lists(
    st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(1, 9)), st.integers(1, 3), st.booleans()),
    min_size=1,
    max_size=60,
)
"""Gap, lots of a trade or None for a touch, bid lots, and whether the unchanged touch is shown once more afterwards."""


def steps_made(changes: list[tuple[int, int | None, int, bool]], interval: int, *, repeat: bool) -> list[tuple[int, ...]]:
    builder, now, bid_lots, made = StepBuilder(FeatureSettings(step_min_interval_ns=interval)), 0, 1, []
    for gap, lots, shown, again in changes:
        now += gap
        bid_lots = shown if lots is None else bid_lots
        touch = cast(Touch, SimpleNamespace(bid_ticks=100, bid_lots=bid_lots, ask_ticks=101, ask_lots=1, valid=True))
        if lots is None:
            due = builder.on_touch(touch, now)
        else:
            due = builder.on_trade(MarketTrade("X", now, now, 1, 101, lots, Side.BUY))
        if due:
            made.append((now, bid_lots, builder.buy_lots, builder.sell_lots, builder.trade_count, builder.traded_ticks_lots))
        if repeat and again and lots is None:
            assert not builder.on_touch(touch, now + gap)
    return made


@given(CHANGES, st.sampled_from([0, 1, 7, 50]))
@settings(max_examples=100, deadline=None)
def test_steps_depend_on_changes_alone(changes: list[tuple[int, int | None, int, bool]], interval: int) -> None:
    """Showing an unchanged touch again, as other batches or timers would, adds no step, takes none away and loses no volume."""
    plain = steps_made(changes, interval, repeat=False)
    assert steps_made(changes, interval, repeat=True) == plain
    assert all(later[0] - earlier[0] >= interval for earlier, later in pairwise(plain))
    first_touch = next((number for number, change in enumerate(changes) if change[1] is None), len(changes))
    assert bool(plain) == (first_touch < len(changes))
    traded = sum(change[1] or 0 for change in changes)
    assert sum(step[2] for step in plain) <= traded
    if interval == 0 and plain:
        assert sum(step[2] for step in plain) == traded
