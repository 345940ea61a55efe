"""Markouts: where the mid stands some time after each fill, in bps of the fill price, positive when it went the maker's way.

At horizon 0 this is the half-spread that the fill captured; what is lost from there to a later horizon is adverse selection. Both
are kept as money too.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from mmd.types.orders import Fill

NS_PER_SECOND: Final = 1_000_000_000
HORIZONS_SECONDS = (0.1, 1.0, 10.0, 60.0)
NEVER_NS: Final = 2**63 - 1


class _Mean:
    __slots__ = ("against", "count", "drift", "total_bps")

    def __init__(self) -> None:
        self.count = 0
        self.total_bps = 0.0
        self.against = 0
        """Fills that the mid had gone against by then, from the fill's own price."""
        self.drift = 0
        """What the mid's way since the fills is worth, in halves of a tick times a lot; below zero: adverse selection."""


class _Symbol:
    """Fills of one symbol that wait for a horizon, each queue in order of time: (when, price in ticks, lots with the side's sign,
    twice the mid at the fill)."""

    __slots__ = ("captured", "means", "mid_ns", "mid_ticks_x2", "next_due_ns", "pending", "waiting")

    def __init__(self, horizons: tuple[float, ...]) -> None:
        self.pending: list[deque[tuple[int, int, int, int]]] = [deque() for _ in horizons]
        self.means = [_Mean() for _ in range(len(horizons) + 1)]
        self.waiting = 0
        self.captured = 0
        """Σ side · (mid - price) · quantity at the fills, in halves of a tick times a lot."""
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
        signed = fill.side.sign * fill.lots
        _book(symbol.means[0], fill.price_ticks, signed, mid_ticks_x2, mid_ticks_x2)
        symbol.captured += signed * (mid_ticks_x2 - 2 * fill.price_ticks)
        if symbol.waiting + len(self._horizons_ns) > self._max_pending:
            self.overflow += 1
            return
        for queue, horizon_ns in zip(symbol.pending, self._horizons_ns, strict=True):
            due_ns = fill.receive_ns + horizon_ns
            if queue:
                # A fill that a reconciliation brings may be older than one of the stream; the queues stay in order.
                due_ns = max(due_ns, queue[-1][0])
            queue.append((due_ns, fill.price_ticks, signed, mid_ticks_x2))
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

    def against(self, symbol: str) -> dict[str, float]:
        """Share of the fills that the mid had gone against, by horizon; horizons without a measurement are left out."""
        entry = self._symbols.get(symbol)
        if entry is None:
            return {}
        return {name: mean.against / mean.count for name, mean in zip(self._names, entry.means, strict=True) if mean.count}

    def captured_and_drift(self, symbol: str, horizon: str) -> tuple[float, float]:
        """Spread captured at the fills, and what the mid's way to `horizon` (as `"1s"`) made of it, in ticks times lots.

        The second is below zero where the market went against the fills. Raises `ValueError` for a horizon that is not measured.
        """
        place = self._names.index(horizon)
        entry = self._symbols.get(symbol)
        return (0.0, 0.0) if entry is None else (entry.captured / 2, entry.means[place].drift / 2)

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
                due_ns, price_ticks, signed, mid_then_x2 = queue.popleft()
                entry.waiting -= 1
                mid = mid_ticks_x2 if due_ns == now_ns else entry.mid_ticks_x2
                if mid > 0:
                    _book(mean, price_ticks, signed, mid, mid_then_x2)
                else:
                    self.missed += 1
            if queue:
                next_due_ns = min(next_due_ns, queue[0][0])
        entry.next_due_ns = next_due_ns


def _book(mean: _Mean, price_ticks: int, signed_lots: int, mid_ticks_x2: int, mid_then_x2: int) -> None:
    made = mid_ticks_x2 - 2 * price_ticks if signed_lots > 0 else 2 * price_ticks - mid_ticks_x2
    mean.count += 1
    mean.total_bps += made * 5_000.0 / price_ticks
    if made < 0:
        mean.against += 1
    mean.drift += signed_lots * (mid_ticks_x2 - mid_then_x2)
