"""The ring of feature rows: a contiguous window, oldest first, that is never copied."""

from __future__ import annotations

import numpy as np
import pytest

from mmd.market.ring import FeatureRing


def row(number: int, width: int = 20) -> list[float]:
    return [number + column / 100 for column in range(width)]


def test_the_window_is_the_last_sixty_rows_oldest_first() -> None:
    ring = FeatureRing()
    for number in range(1, 200):
        ring.push(row(number))
        first = number - 59
        expected = np.array([row(n) if n > 0 else [0.0] * 20 for n in range(first, number + 1)], dtype=np.float32)
        np.testing.assert_array_equal(ring.window(), expected)
        np.testing.assert_array_equal(ring.recent(), expected[max(0, 60 - number) :])
        assert ring.filled == (number >= 60)
    assert ring.pushed == 199


def test_the_window_is_a_contiguous_read_only_view() -> None:
    ring = FeatureRing(rows=3, width=2)
    ring.push([1.0, 2.0])
    window = ring.window()
    assert window.shape == (3, 2)
    assert window.dtype == np.float32
    assert window.flags.c_contiguous
    assert not window.flags.owndata
    assert not window.flags.writeable
    assert np.shares_memory(window, ring.window())


def test_rows_that_nobody_looks_at_are_not_kept_beyond_the_window() -> None:
    ring = FeatureRing(rows=3, width=2)
    for number in range(1_000):
        ring.push([float(number), 1.0])
    assert len(ring._unwritten) == 3
    assert ring.window()[:, 0].tolist() == [997.0, 998.0, 999.0]
    assert not ring._unwritten


def test_reset_forgets() -> None:
    ring = FeatureRing(rows=3, width=2)
    for number in range(5):
        ring.push([float(number), 1.0])
    ring.window()
    ring.push([5.0, 1.0])
    ring.reset()
    assert (ring.pushed, ring.filled) == (0, False)
    assert not ring.window().any()
    assert ring.recent().shape == (0, 2)
    ring.push([7.0, 8.0])
    assert ring.recent().tolist() == [[7.0, 8.0]]


def test_a_row_of_another_width_is_refused() -> None:
    ring = FeatureRing(rows=3, width=2)
    with pytest.raises(ValueError, match="a row of 1 values for a ring of 2 columns"):
        ring.push([1.0])
    assert ring.pushed == 0
    with pytest.raises(ValueError, match="at least 1"):
        FeatureRing(rows=0)
