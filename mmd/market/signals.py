"""External signals: what feeds outside the market say (sentiment of news, macro risk), each with a time to live.

A signal that never came, or whose time is over, is neutral: 0, exactly as if nobody had ever spoken.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Literal

import msgspec

from mmd.types.report import SignalLine

NS_PER_SECOND = 1_000_000_000
NEUTRAL = 0.0
MAX_LIFE_SECONDS = 86_400.0
RANGES: Mapping[str, tuple[float, float]] = {"news_sentiment": (-1.0, 1.0), "macro_risk": (0.0, 1.0)}
"""Name to the least and the largest value: sentiment is worst at -1 and best at 1, risk is none at 0 and worst at 1."""


class SignalError(ValueError):
    """A signal that is not taken: why, and what would be."""


class ExternalSignal(msgspec.Struct, frozen=True):
    """One signal, from `receive_ns` (UTC ns) for `life_ns`. Make it with `external_signal`, which checks."""

    receive_ns: int
    name: str
    value: float
    life_ns: int


def external_signal(receive_ns: int, name: str, value: float, life_seconds: float) -> ExternalSignal:
    """Raises `SignalError` for an unknown name, a value out of its range, or a life that is not above zero and at most a day."""
    if name not in RANGES:
        raise SignalError(f"unknown signal {name!r}: expected {' or '.join(RANGES)}")
    low, high = RANGES[name]
    if not isfinite(value) or not low <= value <= high:
        raise SignalError(f"{name} is {value}: expected a number from {low:g} to {high:g}")
    if not 0 < life_seconds <= MAX_LIFE_SECONDS:
        raise SignalError(f"{name} lives {life_seconds} s: expected more than 0 and at most {MAX_LIFE_SECONDS:g}")
    return ExternalSignal(receive_ns, name, value, round(life_seconds * NS_PER_SECOND))


class ExternalSignals:
    """The newest of each name."""

    __slots__ = ("_newest", "received", "speaking")

    def __init__(self) -> None:
        self._newest: dict[str, ExternalSignal] = {}
        self.received = dict.fromkeys(RANGES, 0)
        """Taken in since the start, by name."""
        self.speaking = False
        """Whether anything was ever said."""

    def on_signal(self, signal: ExternalSignal) -> None:
        """It replaces the one before of its name."""
        self.speaking = True
        self._newest[signal.name] = signal
        self.received[signal.name] += 1

    def value(self, name: str, now_ns: int) -> float:
        """What counts now; `NEUTRAL` where nothing does."""
        signal = self._newest.get(name)
        return signal.value if signal is not None and now_ns - signal.receive_ns < signal.life_ns else NEUTRAL

    def lines(self, now_ns: int) -> tuple[SignalLine, ...]:
        """Each name, heard of or not."""
        return tuple(self._line(name, now_ns) for name in RANGES)

    def _line(self, name: str, now_ns: int) -> SignalLine:
        signal = self._newest.get(name)
        if signal is None:
            return SignalLine(name, NEUTRAL, "absent", 0.0, 0)
        age_ns = now_ns - signal.receive_ns
        state: Literal["fresh", "stale"] = "fresh" if age_ns < signal.life_ns else "stale"
        return SignalLine(name, self.value(name, now_ns), state, age_ns / NS_PER_SECOND, self.received[name])
