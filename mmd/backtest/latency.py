"""How long market data and orders are on their way: `recorded`, one duration for all, or one each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmd.backtest.errors import BacktestError

_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ns|us|ms|s)$")
RECORDED = "recorded"
LEAST_NS = 1_000
FLOOR_NS = 1_000_000
"""Least feed latency that a recording is given where its clocks say less, ns."""


@dataclass(frozen=True)
class Latency:
    """`feed_ns` None: as recorded, and so are the orders' ways. All in ns."""

    feed_ns: int | None
    entry_ns: int
    response_ns: int
    floor_ns: int = FLOOR_NS

    @property
    def text(self) -> str:
        """As results state it."""
        if self.feed_ns is None:
            return f"{RECORDED}, at least {self.floor_ns / 1e6:g} ms"
        ways = (self.feed_ns, self.entry_ns, self.response_ns)
        return "feed {:g} ms, order entry {:g} ms, response {:g} ms".format(*(way / 1e6 for way in ways))


def parse_latency(text: str) -> Latency:
    """`recorded`, `5ms`, or `FEED,ENTRY,RESPONSE` such as `2ms,500us,500us`. Raises `BacktestError`."""
    if text == RECORDED:
        return Latency(None, FLOOR_NS, FLOOR_NS)
    parts = [_duration(part.strip(), text) for part in text.split(",")]
    if len(parts) == 1:
        parts *= 3
    if len(parts) != 3:
        raise BacktestError(f"latency {text!r}: say recorded, one duration such as 5ms, or FEED,ENTRY,RESPONSE")
    return Latency(*parts)


def _duration(text: str, whole: str) -> int:
    match = _DURATION.match(text)
    if match is None:
        raise BacktestError(f"latency {whole!r}: {text!r} is no duration; write 250us, 5ms or 0.1s")
    duration = round(float(match[1]) * _UNITS[match[2]])
    if duration < LEAST_NS:
        raise BacktestError(f"latency {whole!r}: at least 1us: nothing may be known at the moment it happens")
    return duration
