"""Reference feeds: what the markets of other assets show at the moment of one asset's step, for the cross-asset network.

Each asset is ten numbers, free of its tick and lot, as of the step of the asset that is asked about (the primary): from its own
newest row before that moment, faded by that row's age. A row of the very same receive time does not count, since of two events of
one stamp nobody knows which was first. An asset without a row for `STALE_SECONDS` or without a valid book is neutral (all zeros),
and `freshness` says so. The primary itself is the first asset, its row is the step's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp2
from operator import itemgetter

from mmd.market.feature_table import MARKET_NAMES

SECONDS_PER_NS = 1e-9
SLOW_SECONDS = 2.0
"""Half-life of `move_slow`, and of `freshness`."""
FAST_SHARE = 10.0
"""The half-life of `move_fast` is that of `move_slow` over this: 0.2 s."""
STALE_SECONDS = 5.0
STALE_NS = round(STALE_SECONDS / SECONDS_PER_NS)
LIMIT = 10.0

FEATURE_NAMES: tuple[str, ...] = (
    "trend",
    "touch_imbalance",
    "microprice_deviation",
    "order_flow_20",
    "signed_volume",
    "volatility_short",
    "relative_spread",
)
"""Those of an asset's market features that others look at."""
ASSET_NAMES: tuple[str, ...] = ("move_fast", "move_slow", *FEATURE_NAMES, "freshness")
ASSET_COLUMNS = len(ASSET_NAMES)
FEATURE_PLACES = tuple(MARKET_NAMES.index(name) for name in FEATURE_NAMES)
ASSET_FORMULAS: dict[str, str] = {
    "move_fast": "changes of the asset's mid, each halved every 0.2 s, over its volatility over H; clipped to [-10, 10]",
    "move_slow": "the same, halved every 2 s",
    **dict.fromkeys(FEATURE_NAMES, "the feature of this name of the asset's newest row"),
    "freshness": "0.5^(age of that row / 2 s); 0 beyond 5 s or without a valid book, then all others are 0 too",
}

AssetRow = tuple[float, ...]
NEUTRAL: AssetRow = (0.0,) * ASSET_COLUMNS
_chosen = itemgetter(*FEATURE_PLACES)


class Moves:
    """Fading sums of a mid's changes, ticks. `add` each row in order; what they were before a row stays until the next moment."""

    __slots__ = ("_mid_x2", "fast", "receive_ns", "slow")

    def __init__(self) -> None:
        self.receive_ns = 0
        self.fast = self.slow = 0.0
        self._mid_x2: int | None = None

    def add(self, receive_ns: int, mid_x2: int) -> None:
        """Twice the mid at a row, ticks."""
        if self._mid_x2 is None:
            change = 0.0
        else:
            change = 0.5 * (mid_x2 - self._mid_x2)
            if receive_ns > self.receive_ns:
                slow = exp2((self.receive_ns - receive_ns) * SECONDS_PER_NS / SLOW_SECONDS)
                self.slow *= slow
                self.fast *= slow**FAST_SHARE
        self.fast += change
        self.slow += change
        self.receive_ns = receive_ns
        self._mid_x2 = mid_x2


class AssetFeed:
    """One asset as others see it. Give it each warm row of the asset; ask what stood before a moment."""

    __slots__ = ("_before", "_moves", "_newest", "horizon_seconds")

    def __init__(self, horizon_seconds: float = 1.0) -> None:
        self.horizon_seconds = horizon_seconds
        """H: moves are measured in the volatility over it."""
        self._moves = Moves()
        self._newest: _Row | None = None
        self._before: _Row | None = None

    def on_row(self, receive_ns: int, values: Sequence[float], mid_x2: int, sigma_ticks: float) -> None:
        """A row of the asset's features (kept, not copied), twice its mid and the volatility of its mid over H, ticks."""
        newest = self._newest
        if newest is not None and receive_ns > newest[0]:
            self._before = newest
        moves = self._moves
        moves.add(receive_ns, mid_x2)
        self._newest = (receive_ns, values, moves.fast / sigma_ticks, moves.slow / sigma_ticks)

    def reset(self) -> None:
        """The asset's book is not valid any more, or its session ended: neutral until there is another row."""
        self._moves = Moves()
        self._newest = self._before = None

    @property
    def begun(self) -> bool:
        """Whether there is a row."""
        return self._newest is not None

    def own(self) -> AssetRow:
        """The newest row, as of its own moment: what the asset itself is as a primary. Raises `TypeError` before there is one."""
        _, values, fast, slow = self._newest  # type: ignore[misc]
        return (_clipped(fast), _clipped(slow), *_chosen(values), 1.0)

    def before(self, now_ns: int) -> AssetRow:
        """The newest row older than a moment, as of that moment."""
        row = self._newest
        if row is not None and row[0] >= now_ns:
            row = self._before
        if row is None or now_ns - row[0] > STALE_NS:
            return NEUTRAL
        receive_ns, values, fast, slow = row
        freshness = exp2((receive_ns - now_ns) * SECONDS_PER_NS / SLOW_SECONDS)
        return (_clipped(fast * freshness**FAST_SHARE), _clipped(slow * freshness), *_chosen(values), freshness)


_Row = tuple[int, Sequence[float], float, float]
"""Receive time, features, fading sums over volatility."""


def _clipped(value: float) -> float:
    return LIMIT if value > LIMIT else value if value > -LIMIT else -LIMIT
