"""Does an input know what it cannot know? The same past with another future must give the same rows, column by column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Event = TypeVar("Event")
Rows = npt.NDArray[np.floating]


def leaking_columns(
    make: Callable[[Sequence[Event]], tuple[npt.NDArray[np.int64], Rows]],
    past: Sequence[Event],
    futures: Sequence[Sequence[Event]],
) -> set[int]:
    """Columns whose values at rows of the past differ with what comes after it.

    `make` gives times [n] and rows [n, columns] of events; each future continues the past in its own way. A row counts as one of
    the past if its time is not after that of the last row which the past alone gives. Raises `ValueError` for fewer than two
    futures, and where a future takes away or adds rows of the past: then whole rows depend on it.
    """
    if len(futures) < 2:
        raise ValueError("one future differs from nothing: give two")
    times, _ = make(past)
    last = int(times[-1])
    seen = []
    for future in futures:
        moments, rows = make([*past, *future])
        seen.append(rows[moments <= last])
    if len({len(rows) for rows in seen}) > 1:
        raise ValueError(f"the number of rows of the past depends on the future: {[len(rows) for rows in seen]}")
    leaking: set[int] = set()
    for rows in seen[1:]:
        leaking |= set(np.flatnonzero((rows != seen[0]).any(axis=0)).tolist())
    return leaking
