"""The last rows of features as one contiguous float32 window, oldest first, that is never copied: each row is written twice, so
that wherever the ring stands a whole window lies in one piece.

Rows are written when a window is looked at. Most are pushed in the way of a quote, and few are ever looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Window = npt.NDArray[np.float32]


class FeatureRing:
    """`rows` rows of `width` float32. Windows are views that change when another is asked for, and are not to be written to."""

    __slots__ = ("_buffer", "_unwritten", "_views", "pushed", "rows", "width")

    def __init__(self, rows: int = 60, width: int = 20) -> None:
        if rows < 1 or width < 1:
            raise ValueError(f"a ring of {rows} rows and {width} columns: both must be at least 1")
        self.rows = rows
        self.width = width
        self.pushed = 0
        """Rows pushed since the start or the last reset."""
        self._unwritten: deque[Sequence[float]] = deque(maxlen=rows)
        self._buffer = np.zeros((2 * rows, width), dtype=np.float32)
        window = self._buffer[:]
        window.flags.writeable = False
        self._views: list[Window] = [window[start : start + rows] for start in range(rows)]

    @property
    def filled(self) -> bool:
        """Whether the whole window holds pushed rows."""
        return self.pushed >= self.rows

    def push(self, values: Sequence[float]) -> None:
        """Append a row, which must not be changed afterwards. Raises `ValueError` for a row of another width."""
        if len(values) != self.width:
            raise ValueError(f"a row of {len(values)} values for a ring of {self.width} columns")
        self._unwritten.append(values)
        self.pushed += 1

    def window(self) -> Window:
        """The last `rows` rows [rows, width], oldest first; rows of zeros lead it until the ring is filled."""
        rows, buffer, unwritten = self.rows, self._buffer, self._unwritten
        for number, values in enumerate(unwritten, self.pushed - len(unwritten)):
            place = number % rows
            buffer[place] = buffer[place + rows] = values
        unwritten.clear()
        return self._views[self.pushed % rows]

    def recent(self) -> Window:
        """Only what was pushed, at most `rows` rows, oldest first."""
        return self.window()[self.rows - min(self.pushed, self.rows) :]

    def reset(self) -> None:
        """Forget every row."""
        self._unwritten.clear()
        self._buffer.fill(0.0)
        self.pushed = 0
