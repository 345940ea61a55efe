"""How much each network moves the quotes: means over the quotes looked at, for the summary of a run.

Looked at are the newest few quotes between two timers, so that a tick never waits for it.
"""

from __future__ import annotations

from collections import deque

import msgspec

from mmd.quoting.quote import Quote, RawQuote, outward_prices
from mmd.types.report import NetworkShare

LOOKED_AT = 8
FAR_TICKS = 1 << 60
"""Of a touch that binds no quote."""
PARTS = ("price_head", "spread_head", "position_head", "order_flow", "adverse_selection", "cross_asset")


class AttributionTally:
    """One symbol. `take` every quote, `look` now and then."""

    __slots__ = ("_absolute", "_lost_size", "_moved", "_reduced", "_waiting", "looked_at", "take")

    def __init__(self) -> None:
        self._waiting: deque[Quote] = deque(maxlen=LOOKED_AT)
        self.take = self._waiting.append
        self._absolute = dict.fromkeys(PARTS, 0.0)
        self._moved = dict.fromkeys(PARTS, 0)
        self._lost_size = 0.0
        self._reduced = 0
        self.looked_at = 0

    def look(self) -> None:
        """At the quotes that wait."""
        waiting = self._waiting
        while waiting:
            self._look(waiting.popleft())

    def shares(self) -> dict[str, NetworkShare]:
        """By network; empty before the first quote."""
        count = self.looked_at
        if not count:
            return {}
        found = {
            name: NetworkShare(round(self._absolute[name] / count, 4), round(self._moved[name] / count, 4), count) for name in PARTS
        }
        found["risk"] = NetworkShare(None, round(self._reduced / count, 4), count, round(self._lost_size / count, 4))
        return found

    def _look(self, quote: Quote) -> None:
        raw = quote.raw
        self.looked_at += 1
        self._lost_size += 1.0 - raw.size_share
        self._reduced += raw.size_share < 1.0
        with_all = _prices(quote.fair_ticks, raw)
        for name, ticks, fair, without in _without_each(quote.fair_ticks, raw):
            self._absolute[name] += abs(ticks)
            self._moved[name] += ticks != 0.0 and _prices(fair, without) != with_all


def _without_each(fair: float, raw: RawQuote) -> list[tuple[str, float, float, RawQuote]]:
    """For each part: its ticks, and fair and quote as they would have been without it."""
    change = msgspec.structs.replace
    return [
        ("price_head", raw.price_shift, fair - raw.price_shift, raw),
        ("order_flow", raw.order_flow_shift, fair - raw.order_flow_shift, raw),
        ("cross_asset", raw.cross_shift, fair - raw.cross_shift, raw),
        ("spread_head", raw.spread_shift, fair, change(raw, half_spread=raw.half_spread - raw.spread_shift)),
        ("position_head", raw.position_shift, fair, change(raw, skew_shift=raw.skew_shift - raw.position_shift)),
        (
            "adverse_selection",
            0.5 * (abs(raw.adverse_bid) + abs(raw.adverse_ask)),
            fair,
            change(raw, adverse_bid=0.0, adverse_ask=0.0),
        ),
    ]


def _prices(fair: float, raw: RawQuote) -> tuple[int, int]:
    return outward_prices(fair, raw.skew_shift, raw.half_spread, raw.adverse_bid, raw.adverse_ask, -FAR_TICKS, FAR_TICKS)
