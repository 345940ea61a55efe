"""What the live view remembers of the last minute: short histories for sparklines and rates, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from mmd.types.report import TraderReport

SECOND_NS = 1_000_000_000
WINDOW_NS = 60 * SECOND_NS
RATE_WINDOW_NS = 5 * SECOND_NS
MOST_REPORTS = 300
"""A minute at four a second, with room to spare."""

BLOCKS = "▁▂▃▄▅▆▇█"


class History:
    """Time in ns, ticks of all symbols, and mid and PnL by symbol, of the reports of the last minute."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[int, int]] = deque(maxlen=MOST_REPORTS)
        self._symbols: dict[str, deque[tuple[int, float, float]]] = {}
        self.begun_ns = 0

    def add(self, report: TraderReport) -> None:
        """The newest report."""
        self.begun_ns = self.begun_ns or report.time_ns
        self._ticks.append((report.time_ns, report.ticks))
        for line in report.symbols:
            if line.book_valid:
                kept = self._symbols.setdefault(line.symbol, deque(maxlen=MOST_REPORTS))
                kept.append((report.time_ns, line.mid, line.pnl))

    def elapsed_seconds(self, now_ns: int) -> float:
        """Since the first report."""
        return (now_ns - self.begun_ns) / SECOND_NS if self.begun_ns else 0.0

    def ticks_per_second(self) -> float:
        """Over the last five seconds."""
        if not self._ticks:
            return 0.0
        end_ns, end = self._ticks[-1]
        begin_ns, begin = next((point for point in self._ticks if point[0] >= end_ns - RATE_WINDOW_NS), self._ticks[-1])
        return (end - begin) * SECOND_NS / (end_ns - begin_ns) if end_ns > begin_ns else 0.0

    def mid(self, symbol: str, now_ns: int, width: int) -> str:
        """The mid as blocks, oldest first, `width` characters to the minute; empty before there are two points."""
        return sparkline(((time_ns, mid) for time_ns, mid, _ in self._copy(symbol)), now_ns, width)

    def pnl(self, symbol: str, now_ns: int, width: int) -> str:
        """PnL the same way."""
        return sparkline(((time_ns, pnl) for time_ns, _, pnl in self._copy(symbol)), now_ns, width)

    def _copy(self, symbol: str) -> list[tuple[int, float, float]]:
        # Another thread may append meanwhile; `list` of a deque is one step of the interpreter.
        return list(self._symbols.get(symbol, ()))


def sparkline(points: Iterable[tuple[int, float]], now_ns: int, width: int) -> str:
    """Values by time in ns as blocks between their least and greatest: the newest of each slot, gaps filled from before."""
    slots: list[float | None] = [None] * width
    for time_ns, value in points:
        slot = width - 1 - (now_ns - time_ns) * width // WINDOW_NS
        if 0 <= slot < width:
            slots[slot] = value
    known = [value for value in slots if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    drawn = []
    last: float | None = None
    for newest in slots:
        last = last if newest is None else newest
        if last is not None:
            share = (last - low) / (high - low) if high > low else 0.0
            drawn.append(BLOCKS[min(len(BLOCKS) - 1, int(share * len(BLOCKS)))])
    return "".join(drawn)
