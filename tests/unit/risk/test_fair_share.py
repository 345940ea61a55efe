"""Many symbols, one budget: what one may use of it while others need it too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmd.risk.fair_share import FairShare
from tests.reachable import reachable

SECOND = 1_000_000_000
SYMBOLS = tuple("ABCDEFGHIJ")


def test_one_symbol_has_the_whole_budget() -> None:
    share = FairShare(50, ["A"])
    for _ in range(50):
        share.record("A", 1)
    assert not share.waits("A", 1, 1.0, 0.6)


def test_a_busy_symbol_is_held_to_its_part_only_while_the_budget_is_scarce() -> None:
    share = FairShare(100, SYMBOLS)
    for number in range(6):
        assert not share.waits("A", number, 0.4, 0.6)
        share.record("A", number)
    assert share.waits("A", 10, 0.4, 0.6), "six of ten are its part at this threshold"
    assert not share.waits("A", 10, 0.2, 0.6), "nobody else wants the budget"
    assert not share.waits("B", 10, 0.4, 0.6)
    assert not share.waits("A", 10, 0.5, 0.9), "a missing order is worth more"
    assert not share.waits("A", 11 * SECOND, 0.4, 0.6), "after ten seconds it begins anew"


def test_what_has_left_the_window_is_forgotten_though_the_budget_is_ample_and_nobody_asks() -> None:
    share = FairShare(100_000, SYMBOLS)
    for number in range(200):
        share.record("A", number * SECOND)
    assert reachable(share)["int"] < 1_000


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 5)), max_size=400))
def test_nobody_takes_more_than_the_scarce_part_and_his_own(wishes: list[tuple[str, int]]) -> None:
    """However greedy the others are, a symbol that had less than its part is let through while the budget lasts."""
    limit, threshold = 60, 0.6
    share = FairShare(limit, SYMBOLS)
    sent: list[tuple[int, str]] = []
    now = 0
    for symbol, pause in wishes:
        now += pause * SECOND
        recent = [who for when, who in sent if when > now - 10 * SECOND]
        pressure = len(recent) / limit
        waits = share.waits(symbol, now, pressure, threshold)
        if recent.count(symbol) < threshold * limit / len(SYMBOLS):
            assert not waits
        if pressure < threshold and not waits:
            share.record(symbol, now)
            sent.append((now, symbol))
    for when, _ in sent:
        window = [who for moment, who in sent if when - 10 * SECOND < moment <= when]
        scarce = 0.5 * threshold * limit
        assert all(window.count(symbol) <= scarce + threshold * limit / len(SYMBOLS) + 1 for symbol in SYMBOLS)
