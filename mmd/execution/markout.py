"""Markouts: where the mid stands some time after each fill, in bps of the fill price, positive when it went the maker's way.

At horizon 0 this is the half-spread that the fill captured; what is lost from there to a later horizon is adverse selection.
"""

from __future__ import annotations

from collections import deque

from mmd.types.orders import Fill

NS_PER_SECOND = 1_000_000_000
HORIZONS_SECONDS = (0.1, 1.0, 10.0, 60.0)
NEVER_NS = 2**63 - 1


class _Mean:
    __slots__ = ("count", "total_bps")

    def __init__(self) -> None:
        self.count = 0
        self.total_bps = 0.0


class _Symbol:
    """Fills of one symbol that wait for a horizon: (when, price in ticks, side's sign), each queue in order of time."""

    __slots__ = ("means", "mid_ns", "mid_ticks_x2", "next_due_ns", "pending", "waiting")

    def __init__(self, horizons: tuple[float, ...]) -> None:
        self.pending: list[deque[tuple[int, int, int]]] = [deque() for _ in horizons]
        self.means = [_Mean() for _ in range(len(horizons) + 1)]
        self.waiting = 0
        self.next_due_ns = NEVER_NS
        self.mid_ticks_x2 = 0
        self.mid_ns = 0


class MarkoutMeter:
    """Mean markout by symbol and horizon. At most `max_pending` measurements wait per symbol; fills beyond go to `overflow`.

    The mid at a horizon is the one that stood then: the newest at or before it. Where none is known (`on_invalid`), the
    measurement is dropped and counted in `missed`.
    """

    def __init__(self, horizons_seconds: tuple[float, ...] = HORIZONS_SECONDS, *, max_pending: int = 40_000) -> None:
        """Raises `ValueError` for horizons that are not positive and growing."""
        if not horizons_seconds or list(horizons_seconds) != sorted(set(horizons_seconds)) or horizons_seconds[0] <= 0:
            raise ValueError(f"horizons must be above zero and growing, not {horizons_seconds}")
        self._horizons_seconds = horizons_seconds
        self._horizons_ns = [round(seconds * NS_PER_SECOND) for seconds in horizons_seconds]
        self._names = ["0s"] + [f"{seconds:g}s" for seconds in horizons_seconds]
        self._max_pending = max_pending
        self._symbols: dict[str, _Symbol] = {}
        self.overflow = 0
        self.missed = 0

    def on_fill(self, fill: Fill, mid_ticks_x2: int) -> None:
        """A fill, and twice the mid in ticks as it stood when the fill was received."""
        symbol = self._symbols.get(fill.symbol)
        if symbol is None:
            symbol = self._symbols[fill.symbol] = _Symbol(self._horizons_seconds)
        _book(symbol.means[0], fill.price_ticks, fill.side.sign, mid_ticks_x2)
        if symbol.waiting + len(self._horizons_ns) > self._max_pending:
            self.overflow += 1
            return
        for queue, horizon_ns in zip(symbol.pending, self._horizons_ns, strict=True):
            due_ns = fill.receive_ns + horizon_ns
            if queue:
                # A fill that a reconciliation brings may be older than one of the stream; the queues stay in order.
                due_ns = max(due_ns, queue[-1][0])
            queue.append((due_ns, fill.price_ticks, fill.side.sign))
            symbol.next_due_ns = min(symbol.next_due_ns, due_ns)
        symbol.waiting += len(self._horizons_ns)
        if symbol.mid_ns <= fill.receive_ns:
            symbol.mid_ticks_x2, symbol.mid_ns = mid_ticks_x2, fill.receive_ns

    def on_mid(self, now_ns: int, symbol: str, mid_ticks_x2: int) -> None:
        """Twice the mid in ticks, from now on. Cheap when nothing is due."""
        entry = self._symbols.get(symbol)
        if entry is None:
            return
        if now_ns >= entry.next_due_ns:
            self._measure(entry, now_ns, mid_ticks_x2)
        entry.mid_ticks_x2, entry.mid_ns = mid_ticks_x2, now_ns

    def on_invalid(self, now_ns: int, symbol: str) -> None:
        """From now on there is no mid, until the next `on_mid`."""
        entry = self._symbols.get(symbol)
        if entry is None:
            return
        if now_ns >= entry.next_due_ns:
            self._measure(entry, now_ns, 0)
        entry.mid_ticks_x2, entry.mid_ns = 0, now_ns

    def mean_bps(self, symbol: str) -> dict[str, float]:
        """Mean markout by horizon (`"0s"`, `"0.1s"`, ...), bps; horizons without a measurement are left out."""
        entry = self._symbols.get(symbol)
        if entry is None:
            return {}
        return {name: mean.total_bps / mean.count for name, mean in zip(self._names, entry.means, strict=True) if mean.count}

    def counts(self, symbol: str) -> dict[str, int]:
        """Measurements by horizon."""
        entry = self._symbols.get(symbol)
        if entry is None:
            return {}
        return {name: mean.count for name, mean in zip(self._names, entry.means, strict=True)}

    def pending(self, symbol: str) -> int:
        """Measurements that wait."""
        entry = self._symbols.get(symbol)
        return 0 if entry is None else entry.waiting

    def _measure(self, entry: _Symbol, now_ns: int, mid_ticks_x2: int) -> None:
        next_due_ns = NEVER_NS
        for queue, mean in zip(entry.pending, entry.means[1:], strict=True):
            while queue and queue[0][0] <= now_ns:
                due_ns, price_ticks, sign = queue.popleft()
                entry.waiting -= 1
                mid = mid_ticks_x2 if due_ns == now_ns else entry.mid_ticks_x2
                if mid > 0:
                    _book(mean, price_ticks, sign, mid)
                else:
                    self.missed += 1
            if queue:
                next_due_ns = min(next_due_ns, queue[0][0])
        entry.next_due_ns = next_due_ns


def _book(mean: _Mean, price_ticks: int, sign: int, mid_ticks_x2: int) -> None:
    mean.count += 1
    mean.total_bps += sign * (mid_ticks_x2 - 2 * price_ticks) * 5_000.0 / price_ticks
