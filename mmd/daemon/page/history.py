"""What the page's charts begin with: prices, position and PnL of the last minutes while somebody looked, bounded."""

from __future__ import annotations

from collections import deque

from mmd.types.report import SymbolReport, TraderReport

MOST_POINTS = 1_200
"""Five minutes at four a second."""

Point = tuple[int, float | None, float | None, float | None, float | None, float, float]


class ChartHistory:
    """Points by symbol: UTC ms, best bid and ask, our own bid and ask (None where there is none), position, PnL."""

    def __init__(self) -> None:
        self._points: dict[str, deque[Point]] = {}

    def add(self, report: TraderReport) -> None:
        """The newest report."""
        for line in report.symbols:
            self._points.setdefault(line.symbol, deque(maxlen=MOST_POINTS)).append(_point(line, report))

    def points(self) -> dict[str, list[Point]]:
        """Oldest first."""
        return {symbol: list(points) for symbol, points in self._points.items()}


def _point(line: SymbolReport, report: TraderReport) -> Point:
    ours = {order.side: order.price for order in report.open_orders if order.symbol == line.symbol}
    bid, ask = (line.bid, line.ask) if line.book_valid else (None, None)
    return report.time_ns // 1_000_000, bid, ask, ours.get("BUY"), ours.get("SELL"), line.position, line.pnl
