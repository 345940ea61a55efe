"""Which symbol a frame is of, and whether it was seen already: two connections overlap while one replaces the other."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from mmd.types.decoding import UNREADABLE

RECENT_IDS = 4_096
"""Of each stream, in which a repetition is recognised: several seconds of the busiest market."""


class Verdict(Enum):
    """What to do with a frame."""

    KEEP = "keep"
    REPEATED = "repeated"
    FOREIGN = "foreign"
    """Of another symbol, or no market data."""
    MALFORMED = "malformed"


class _Data(msgspec.Struct, gc=False):
    u: int | None = None
    t: int | None = None


class _Frame(msgspec.Struct, gc=False):
    stream: str = ""
    data: _Data | None = None


_FRAME = msgspec.json.Decoder(_Frame)


class FrameSorter:
    """Keeps the last ids of each stream. Bounded by the number of streams of the symbols."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self._symbols = {symbol.lower(): symbol for symbol in symbols}
        self._recent: dict[str, dict[int, None]] = {}

    def __call__(self, frame: bytes) -> tuple[Verdict, str]:
        """What to do with a combined-stream frame, and its symbol where it is kept."""
        try:
            decoded = _FRAME.decode(frame)
        except UNREADABLE:
            return Verdict.MALFORMED, ""
        prefix = decoded.stream.partition("@")[0]
        symbol = self._symbols.get(prefix)
        if symbol is None or decoded.data is None:
            return Verdict.FOREIGN, ""
        if b"\n" in frame:
            return Verdict.MALFORMED, ""
        event_id = decoded.data.t if decoded.data.t is not None else decoded.data.u
        if event_id is not None:
            recent = self._recent.get(decoded.stream)
            if recent is None:
                recent = self._recent[decoded.stream] = {}
            if event_id in recent:
                return Verdict.REPEATED, symbol
            recent[event_id] = None
            if len(recent) > RECENT_IDS:
                del recent[next(iter(recent))]
        return Verdict.KEEP, symbol
