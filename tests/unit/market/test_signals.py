"""External signals: checked when they come, in force for their life, neutral before and after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmd.market.signals import NEUTRAL, RANGES, ExternalSignals, SignalError, external_signal

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def test_a_signal_counts_from_its_coming_to_the_end_of_its_life() -> None:
    signals = ExternalSignals()
    assert signals.value("macro_risk", START) == NEUTRAL
    signals.on_signal(external_signal(START, "macro_risk", 0.75, 60))
    assert signals.value("macro_risk", START) == 0.75
    assert signals.value("macro_risk", START + 60 * SECOND - 1) == 0.75
    assert signals.value("macro_risk", START + 60 * SECOND) == NEUTRAL
    assert signals.value("news_sentiment", START) == NEUTRAL


def test_the_newest_word_replaces_the_one_before_whatever_life_that_had_left() -> None:
    signals = ExternalSignals()
    signals.on_signal(external_signal(START, "news_sentiment", -1.0, 3600))
    signals.on_signal(external_signal(START + SECOND, "news_sentiment", 0.5, 10))
    assert signals.value("news_sentiment", START + 5 * SECOND) == 0.5
    assert signals.value("news_sentiment", START + 12 * SECOND) == NEUTRAL


def test_reports_tell_absent_fresh_and_stale_apart() -> None:
    signals = ExternalSignals()
    signals.on_signal(external_signal(START, "news_sentiment", -0.5, 10))
    states = {line.name: (line.state, line.value) for line in signals.lines(START + SECOND)}
    assert states == {"news_sentiment": ("fresh", -0.5), "macro_risk": ("absent", NEUTRAL)}
    line = signals.lines(START + 20 * SECOND)[0]
    assert (line.state, line.value, line.age_seconds, line.received) == ("stale", NEUTRAL, 20.0, 1)


@pytest.mark.parametrize(
    ("name", "value", "life", "why"),
    [
        ("gossip", 0.1, 10, "unknown signal 'gossip': expected news_sentiment or macro_risk"),
        ("macro_risk", -0.1, 10, "expected a number from 0 to 1"),
        ("news_sentiment", float("nan"), 10, "expected a number from -1 to 1"),
        ("macro_risk", 0.1, 0, "more than 0"),
        ("macro_risk", 0.1, 1e9, "at most 86400"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: float, life: float, why: str) -> None:
    with pytest.raises(SignalError, match=why):
        external_signal(START, name, value, life)


@given(st.sampled_from(sorted(RANGES)), st.floats(), st.floats(allow_nan=False))
def test_what_is_taken_lies_in_its_range(name: str, value: float, life: float) -> None:
    signals = ExternalSignals()
    try:
        signals.on_signal(external_signal(START, name, value, life))
    except SignalError:
        assert signals.value(name, START) == NEUTRAL
    low, high = RANGES[name]
    assert low <= signals.value(name, START) <= high
