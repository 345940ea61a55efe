"""Pauses: why no quote stands although nothing is latched. They clear themselves; too long or too often, they become a halt.

How long and how often is judged for each symbol over all its causes together (a disconnect that turns into a gapped book that turns
into a reconciliation is one pause). `""` stands for all symbols. Starting up and a recording's end may last.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from mmd.risk.limits import NS_PER_SECOND, RiskLimits, nanoseconds
from mmd.types.control import PauseReason

EVERY_SYMBOL: Final = ""
_EXEMPT = (PauseReason.STARTING, PauseReason.RECORDING_ENDED)
_HOUR_NS: Final = 3_600 * NS_PER_SECOND


class _Scope:
    """One symbol (or all): since when it is paused, and when its latest pauses began."""

    __slots__ = ("since_ns", "starts")

    def __init__(self, kept: int) -> None:
        self.since_ns: int | None = None
        self.starts: deque[int] = deque(maxlen=kept)


class PauseBoard:
    """Set and cleared by the trader as causes come and go."""

    __slots__ = ("_active", "_max_pause_ns", "_max_per_hour", "_paused", "_scopes", "counts")

    def __init__(self, limits: RiskLimits) -> None:
        self._max_pause_ns = nanoseconds(limits.max_pause_seconds)
        self._max_per_hour = limits.max_pauses_per_hour
        self._active: dict[tuple[PauseReason, str], int] = {}
        self._paused: frozenset[str] = frozenset()
        self._scopes: dict[str, _Scope] = {EVERY_SYMBOL: _Scope(self._max_per_hour + 1)}
        self.counts: dict[PauseReason, int] = dict.fromkeys(PauseReason, 0)
        """Times each cause came up."""

    def set(self, reason: PauseReason, symbol: str, active: bool, now_ns: int) -> bool:
        """A cause holds or holds no longer, for `symbol` or "" for all. Cheap when nothing changes. True when something did."""
        key = (reason, symbol)
        if (key in self._active) is active:
            return False
        if active:
            self._active[key] = now_ns
            self.counts[reason] += 1
        else:
            del self._active[key]
        self._paused = frozenset(scope for _, scope in self._active)
        self._judge(symbol, now_ns)
        return True

    @property
    def active(self) -> tuple[tuple[PauseReason, str], ...]:
        """Every cause that holds with the symbol it holds for, oldest first."""
        return tuple(self._active)

    def paused(self, symbol: str) -> bool:
        """Whether no quote of this symbol may stand."""
        paused = self._paused
        return bool(paused) and (symbol in paused or EVERY_SYMBOL in paused)

    def reasons(self, symbol: str) -> tuple[PauseReason, ...]:
        """The causes that hold for this symbol, its own and the common ones."""
        return tuple(reason for reason, scope in self._active if scope in (symbol, EVERY_SYMBOL))

    def breach(self, now_ns: int) -> str | None:
        """Text for the halt when a pause lasts longer than `max_pause_seconds`, or more than `max_pauses_per_hour` began."""
        for symbol, scope in self._scopes.items():
            if scope.since_ns is not None and now_ns - scope.since_ns > self._max_pause_ns:
                causes = ", ".join(reason.value for reason in self.reasons(symbol))
                seconds = (now_ns - scope.since_ns) / NS_PER_SECOND
                limit = self._max_pause_ns / NS_PER_SECOND
                return f"pause of {symbol or 'all symbols'} ({causes}) lasts {seconds:.0f} s, max_pause_seconds is {limit:g}"
            if len(scope.starts) > self._max_per_hour and now_ns - scope.starts[0] < _HOUR_NS:
                return f"{symbol or 'all symbols'}: more than {self._max_per_hour} pauses within an hour (max_pauses_per_hour)"
        return None

    def forgive(self, now_ns: int) -> None:
        """After a resume: pauses that still hold are timed from now and old ones forgotten, else the halt would return at once."""
        for scope in self._scopes.values():
            scope.starts.clear()
            if scope.since_ns is not None:
                scope.since_ns = now_ns

    def _judge(self, symbol: str, now_ns: int) -> None:
        if symbol not in self._scopes:
            scope = self._scopes[symbol] = _Scope(self._max_per_hour + 1)
            scope.since_ns = self._scopes[EVERY_SYMBOL].since_ns
        counted = {scope for reason, scope in self._active if reason not in _EXEMPT}
        for name, scope in self._scopes.items():
            if name not in counted and EVERY_SYMBOL not in counted:
                scope.since_ns = None
            elif scope.since_ns is None:
                scope.since_ns = now_ns
                scope.starts.append(now_ns)
