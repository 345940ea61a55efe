"""Pauses clear themselves; too long or too often they become a halt, and not by the detour of changing causes."""

from __future__ import annotations

from mmd.risk.limits import RiskLimits
from mmd.risk.pauses import EVERY_SYMBOL, PauseBoard
from mmd.types.control import PauseReason

S = 1_000_000_000
LIMITS = RiskLimits(max_pause_seconds=300, max_pauses_per_hour=3)


def test_a_pause_holds_for_its_symbol_or_for_all() -> None:
    board = PauseBoard(LIMITS)
    assert board.set(PauseReason.BOOK_INVALID, "BTCUSDT", True, 0)
    assert not board.set(PauseReason.BOOK_INVALID, "BTCUSDT", True, 1)
    assert board.paused("BTCUSDT")
    assert not board.paused("ETHUSDT")
    board.set(PauseReason.RECONCILING, EVERY_SYMBOL, True, 2)
    assert board.paused("ETHUSDT")
    assert board.active == ((PauseReason.BOOK_INVALID, "BTCUSDT"), (PauseReason.RECONCILING, ""))
    assert board.reasons("BTCUSDT") == (PauseReason.BOOK_INVALID, PauseReason.RECONCILING)
    board.set(PauseReason.RECONCILING, EVERY_SYMBOL, False, 3)
    board.set(PauseReason.BOOK_INVALID, "BTCUSDT", False, 3)
    assert not board.paused("BTCUSDT")
    assert board.counts[PauseReason.BOOK_INVALID] == 1
    assert not board.set(PauseReason.BOOK_INVALID, "BTCUSDT", False, 4)


def test_a_pause_that_lasts_too_long_breaches() -> None:
    board = PauseBoard(LIMITS)
    board.set(PauseReason.DATA_STALE, "BTCUSDT", True, 10 * S)
    assert board.breach(310 * S) is None
    text = board.breach(311 * S)
    assert text is not None
    assert "BTCUSDT" in text
    assert "data_stale" in text


def test_causes_that_follow_one_another_are_one_pause() -> None:
    board = PauseBoard(LIMITS)
    board.set(PauseReason.FEED_DISCONNECTED, EVERY_SYMBOL, True, 0)
    board.set(PauseReason.BOOK_INVALID, "BTCUSDT", True, 150 * S)
    board.set(PauseReason.FEED_DISCONNECTED, EVERY_SYMBOL, False, 200 * S)
    board.set(PauseReason.RECONCILING, EVERY_SYMBOL, True, 250 * S)
    board.set(PauseReason.BOOK_INVALID, "BTCUSDT", False, 260 * S)
    assert board.breach(300 * S) is None
    text = board.breach(301 * S)
    assert text is not None
    assert "BTCUSDT (reconciling)" in text


def test_two_symbols_that_pause_after_one_another_are_two_pauses() -> None:
    board = PauseBoard(LIMITS)
    board.set(PauseReason.BOOK_INVALID, "BTCUSDT", True, 0)
    board.set(PauseReason.BOOK_INVALID, "ETHUSDT", True, 200 * S)
    board.set(PauseReason.BOOK_INVALID, "BTCUSDT", False, 250 * S)
    assert board.breach(450 * S) is None
    assert board.breach(501 * S) is not None


def test_starting_and_a_recordings_end_may_last() -> None:
    board = PauseBoard(LIMITS)
    board.set(PauseReason.STARTING, EVERY_SYMBOL, True, 0)
    board.set(PauseReason.RECORDING_ENDED, EVERY_SYMBOL, True, 0)
    assert board.paused("BTCUSDT")
    assert board.breach(10**6 * S) is None
    # But what else is wrong while starting counts.
    board.set(PauseReason.BOOK_INVALID, "BTCUSDT", True, 10**6 * S)
    assert board.breach((10**6 + 301) * S) is not None


def test_too_many_pauses_within_an_hour_breach() -> None:
    board = PauseBoard(LIMITS)
    for start in (0, 1_000, 2_000):
        board.set(PauseReason.FEED_LAG, EVERY_SYMBOL, True, start * S)
        board.set(PauseReason.FEED_LAG, EVERY_SYMBOL, False, (start + 1) * S)
    assert board.breach(2_001 * S) is None
    board.set(PauseReason.BOOK_INVALID, "BTCUSDT", True, 3_601 * S)
    assert board.breach(3_601 * S) is None, "only one of BTCUSDT's own, and the first of all has slid out"
    board.set(PauseReason.BOOK_INVALID, "BTCUSDT", False, 3_602 * S)
    for start in (3_603, 3_605, 3_607):
        board.set(PauseReason.BOOK_INVALID, "BTCUSDT", True, start * S)
        board.set(PauseReason.BOOK_INVALID, "BTCUSDT", False, (start + 1) * S)
    text = board.breach(3_608 * S)
    assert text is not None
    assert "max_pauses_per_hour" in text


def test_a_resume_times_what_still_holds_from_then_on() -> None:
    board = PauseBoard(LIMITS)
    board.set(PauseReason.DATA_STALE, "BTCUSDT", True, 0)
    assert board.breach(400 * S) is not None
    board.forgive(400 * S)
    assert board.paused("BTCUSDT")
    assert board.breach(700 * S) is None
    assert board.breach(701 * S) is not None
