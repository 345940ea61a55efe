"""The last rows of features as one contiguous float32 window, oldest first, that is never copied: each row is written twice, so
that wherever the ring stands a whole window lies in one piece.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Window = npt.NDArray[np.float32]


class FeatureRing:
    """`rows` rows of `width` float32. Windows are views: they change with the next push, and are not to be written to."""

    __slots__ = ("_buffer", "_bytes", "_mirror", "_next", "_pack", "_row_bytes", "_views", "pushed", "rows", "width")

    def __init__(self, rows: int = 60, width: int = 20) -> None:
        if rows < 1 or width < 1:
            raise ValueError(f"a ring of {rows} rows and {width} columns: both must be at least 1")
        self.rows = rows
        self.width = width
        self.pushed = 0
        """Rows pushed since the start or the last reset."""
        self._buffer = np.zeros((2 * rows, width), dtype=np.float32)
        window = self._buffer[:]
        window.flags.writeable = False
        self._views: list[Window] = [window[start : start + rows] for start in range(rows)]
        self._bytes = memoryview(self._buffer).cast("B")  # type: ignore[arg-type]
        self._pack = struct.Struct(f"={width}f").pack_into
        self._row_bytes = 4 * width
        self._mirror = rows * self._row_bytes
        self._next = 0

    @property
    def filled(self) -> bool:
        """Whether the whole window holds pushed rows."""
        return self.pushed >= self.rows

    def push(self, values: Sequence[float]) -> None:
        """Append a row. Raises `struct.error` for a row of another width."""
        row = self._next
        offset = row * self._row_bytes
        end = offset + self._row_bytes
        self._pack(self._bytes, offset, *values)
        self._bytes[offset + self._mirror : end + self._mirror] = self._bytes[offset:end]
        self._next = row + 1 if row + 1 < self.rows else 0
        self.pushed += 1

    def window(self) -> Window:
        """The last `rows` rows [rows, width], oldest first; rows of zeros lead it until the ring is filled."""
        return self._views[self._next]

    def recent(self) -> Window:
        """Only what was pushed, at most `rows` rows, oldest first."""
        return self._views[self._next][self.rows - min(self.pushed, self.rows) :]

    def reset(self) -> None:
        """Forget every row."""
        self._buffer.fill(0.0)
        self._next = 0
        self.pushed = 0
