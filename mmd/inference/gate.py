"""May this prediction be used? Warm, fresh, finite, inside the training range, in time; or refused with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy import fmax, fmin
from numpy.typing import NDArray

from mmd.inference.card import Card
from mmd.inference.refusals import GateRefusal

if TYPE_CHECKING:
    # Not at run time, so that this room can be imported where only numpy and msgspec are.
    from mmd.inference.settings import GateSettings


class Prediction(Protocol):
    """What the gate looks at: a `QuotePredictor`, or the same recorded."""

    market: NDArray[np.float32]
    inventory: NDArray[np.float32]
    price_change: float
    optimal_spread: float
    position_signal: float
    steps: int


def input_ranges(card: Card) -> tuple[tuple[float, float, float], ...]:
    """Low, high and width of each input in the training, market and inventory."""
    inside = card.training_range
    low, high = inside.market_low + inside.inventory_low, inside.market_high + inside.inventory_high
    # An input that was constant in training has no width: its own unit is the measure then.
    return tuple((bottom, top, (top - bottom) or 1.0) for bottom, top in zip(low, high, strict=True))


class PredictionGate:
    """One per symbol. Times are passed in: the gate reads no clock."""

    __slots__ = (
        "_budget_ns", "_clipped", "_inventory_score", "_inventory_seen", "_market_high", "_market_low", "_max_age_ns",
        "_max_score", "_ranges", "_steps", "inside", "passed", "refusals", "score",
    )  # fmt: skip

    def __init__(self, card: Card, settings: GateSettings) -> None:
        self._steps = card.steps
        self._max_age_ns = round(settings.max_prediction_age_ms * 1e6)
        self._budget_ns = round(settings.inference_budget_us * 1e3)
        self._max_score = settings.max_out_of_range_score
        inside = card.training_range
        self._ranges = input_ranges(card)
        self._market_low = _least_float32(inside.market_low)
        self._market_high = -_least_float32(tuple(-top for top in inside.market_high))
        self._clipped = np.zeros_like(self._market_low)
        self._inventory_seen = b""
        self._inventory_score = 0.0
        self.refusals: dict[GateRefusal, int] = dict.fromkeys(GateRefusal, 0)
        """How often each reason struck."""
        self.passed = 0
        self.inside = False
        """Whether the last row is known to lie within its ranges, every input for itself."""
        self.score = 0.0
        """Out-of-range score of the last prediction that was looked at so far (see `GateSettings`); infinite for one not finite."""

    def check(self, prediction: Prediction, *, age_ns: int, elapsed_ns: int) -> GateRefusal | None:
        """None, or why not. `age_ns` since the receive time of the inputs, `elapsed_ns` that the evaluation took."""
        refusal = self._check(prediction, age_ns, elapsed_ns)
        if refusal is None:
            self.passed += 1
        else:
            self.refusals[refusal] += 1
        return refusal

    def count_stale(self) -> None:
        """A prediction that had passed became too old to be used."""
        self.refusals[GateRefusal.STALE] += 1

    def _check(self, prediction: Prediction, age_ns: int, elapsed_ns: int) -> GateRefusal | None:
        self.inside = False
        if prediction.steps < self._steps:
            return GateRefusal.COLD
        if age_ns > self._max_age_ns:
            return GateRefusal.STALE
        # A sum of three is finite exactly when each is: heads of this size cannot overflow.
        if not isfinite(prediction.price_change + prediction.optimal_spread + prediction.position_signal):
            return GateRefusal.NOT_FINITE
        self.score = score = self._measure(prediction.market, prediction.inventory)
        if score > self._max_score or score == inf:
            return GateRefusal.OUT_OF_RANGE if score < inf else GateRefusal.NOT_FINITE
        if elapsed_ns > self._budget_ns:
            return GateRefusal.OVER_BUDGET
        return None

    def _measure(self, market: NDArray[np.float32], inventory: NDArray[np.float32]) -> float:
        """The score; infinite where an input is not finite.

        A market row lies in its ranges when clipping it to them changes no bit of it (NaN it does change), as nearly all do; the
        inventory's part is worked out when that row changes.
        """
        held = inventory.tobytes()
        if held != self._inventory_seen:
            self._inventory_seen = held
            self._inventory_score = _score(inventory.tolist(), self._ranges[len(market) :])
        clipped = self._clipped
        fmin(fmax(market, self._market_low, clipped), self._market_high, clipped)
        if clipped.tobytes() == market.tobytes():
            self.inside = True
            return self._inventory_score
        return _score(market.tolist() + inventory.tolist(), self._ranges)


def _score(values: list[float], ranges: tuple[tuple[float, float, float], ...]) -> float:
    return score_on(0.0, values, ranges)


def score_on(score: float, values: list[float], ranges: Sequence[tuple[float, float, float]]) -> float:
    """A score with what these values add to it, by their (low, high, width); infinite where one of them is not finite."""
    for value, (low, high, width) in zip(values, ranges, strict=True):
        if low <= value <= high:
            continue
        if not isfinite(value):
            return inf
        score += distance_outside(value, low, high, width)
    return score


def distance_outside(value: float, low: float, high: float, width: float) -> float:
    """How far a value that is outside its range lies from it, in widths of the range."""
    return (low - value if value < low else value - high) / width


def _least_float32(bounds: tuple[float, ...]) -> NDArray[np.float32]:
    """The least float32 at or above each bound: a float32 is at or above the one exactly when it is at or above the other."""
    rounded = np.array(bounds, dtype=np.float32)
    return np.where(rounded.astype(np.float64) < np.array(bounds), np.nextafter(rounded, np.float32(inf)), rounded)
