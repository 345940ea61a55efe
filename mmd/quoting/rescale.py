"""Scale does not carry from one instrument to another (correlation does): a running regression of realised on predicted moves.

scale = (prior + sum w·predicted·realised) / (prior + sum w·predicted²), a ridge regression through the origin towards 1, with
exponentially fading weights; clipped to [0, 2]. Sums are kept in units of the predicted move's own variance.
"""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_WAITING: Final = 4096
PRIOR_ROWS: Final = 500.0
MAX_SCALE: Final = 2.0


def decay_of(half_life_rows: float) -> float:
    """What is left of a row's weight after another."""
    return float(0.5 ** (1.0 / half_life_rows))


def spacing_ns(horizon_ns: int) -> int:
    """Least time between two predictions that are taken."""
    return max(1, horizon_ns // 16)


def learned(
    product: float, square: float, rows: float, scale: float, decay: float, predicted: float, realised: float
) -> tuple[float, float, float, float]:
    """The three sums and the scale after one more pair of moves, ticks."""
    product = decay * product + predicted * realised
    square = decay * square + predicted * predicted
    rows = decay * rows + 1.0
    mean_square = square / rows
    if mean_square > 0:
        prior = PRIOR_ROWS * mean_square
        scale = min(MAX_SCALE, max(0.0, (prior + product) / (prior + square)))
    return product, square, rows, scale


class OnlineRescale:
    """One symbol. Moves in ticks. Predictions are sampled at most once per sixteenth of the horizon, so that memory is bounded."""

    __slots__ = ("_decay", "_horizon_ns", "_next_ns", "_power", "_product", "_rows", "_spacing_ns", "_square", "_waiting", "scale")

    def __init__(self, horizon_ns: int, half_life_rows: float) -> None:
        """Raises `ValueError` for a horizon or half-life that is not above zero."""
        if horizon_ns <= 0 or half_life_rows <= 0:
            raise ValueError(f"horizon ({horizon_ns} ns) and half-life ({half_life_rows} rows) must be above zero")
        self._horizon_ns = horizon_ns
        self._spacing_ns = spacing_ns(horizon_ns)
        self._decay = decay_of(half_life_rows)
        self._waiting: deque[tuple[int, float, float]] = deque(maxlen=MAX_WAITING)
        self._next_ns = 0
        self._product = 0.0
        self._square = 0.0
        self._power = 0.0
        self._rows = 0.0
        self.scale = 1.0

    def idle(self, now_ns: int) -> bool:
        """Whether `observe` would have nothing to do now: no prediction to judge and none to take."""
        waiting = self._waiting
        return now_ns < self._next_ns and not (waiting and now_ns - waiting[0][0] >= self._horizon_ns)

    def observe(self, now_ns: int, mid_ticks: float, predicted_ticks: float) -> None:
        """The mid and the unscaled prediction of now; earlier predictions whose horizon has passed are judged by this mid."""
        waiting = self._waiting
        while waiting and now_ns - waiting[0][0] >= self._horizon_ns:
            _, mid_then, predicted = waiting.popleft()
            self._learn(predicted, mid_ticks - mid_then)
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + self._spacing_ns
            waiting.append((now_ns, mid_ticks, predicted_ticks))

    def interrupt(self) -> None:
        """A gap: moves over it are nobody's prediction."""
        self._waiting.clear()

    def _learn(self, predicted: float, realised: float) -> None:
        self._product, self._square, self._rows, self.scale = learned(
            self._product, self._square, self._rows, self.scale, self._decay, predicted, realised
        )
