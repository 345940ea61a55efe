"""The halt latch holds, keeps the first cause and lets go only with a reason; errors in a row lead to it."""

from __future__ import annotations

import pytest

from mmd.risk.errors import ErrorStreak
from mmd.risk.latch import HaltLatch
from mmd.risk.limits import RiskLimits
from mmd.types.control import HaltRecord


def test_a_halt_keeps_the_first_record_and_counts_the_others() -> None:
    latch = HaltLatch()
    assert not latch.halted
    record = latch.halt("daily loss", "core", 5, -100, 7)
    assert record == HaltRecord(True, "daily loss", "core", 5, -100, 7)
    assert latch.halt("operator", "http", 6, 0, 0) is None
    assert latch.record is record
    assert (latch.halts, latch.further_halts) == (1, 1)


def test_a_halt_without_a_reason_halts_all_the_same() -> None:
    latch = HaltLatch()
    latch.halt("  ", "signal", 5)
    assert latch.halted
    assert latch.record.reason == "no reason given"


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_resume_needs_a_reason(reason: str) -> None:
    latch = HaltLatch()
    latch.halt("daily loss", "core", 5)
    with pytest.raises(ValueError, match="needs a reason"):
        latch.resume(reason, "cli", 6)
    assert latch.halted


def test_resume_and_halt_again() -> None:
    latch = HaltLatch()
    latch.halt("daily loss", "core", 5, -100, 7)
    assert latch.resume(" limit looked at ", "cli", 6) == HaltRecord(False, "limit looked at", "cli", 6, -100, 7)
    assert not latch.halted
    with pytest.raises(ValueError, match="not halted"):
        latch.resume("again", "cli", 7)
    assert latch.halt("operator", "http", 8) is not None


def test_a_latch_read_from_disk_is_still_latched() -> None:
    latch = HaltLatch(HaltRecord(True, "daily loss", "core", 5))
    assert latch.halted
    assert latch.halt("operator", "http", 8) is None
    assert latch.record.reason == "daily loss"


def test_errors_in_a_row() -> None:
    errors = ErrorStreak(RiskLimits(max_consecutive_errors=3))
    for detail in ("a", "b"):
        errors.failed(detail)
    errors.succeeded()
    for detail in ("c", "d"):
        errors.failed(detail)
    assert errors.breach() is None
    errors.failed("-1015 too many orders")
    assert errors.breach() == "3 errors in a row, the newest: -1015 too many orders"
