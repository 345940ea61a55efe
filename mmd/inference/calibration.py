"""Are the heads still what they were in training? Each is held to what then happened, over its last judged predictions.

P(up) and P(adverse) are probabilities: Brier score and calibration error. The spread head gives a quantile: the share of trades
that it covered. The risk score ranks: Spearman's correlation with the moves that followed. Memory is bounded, and nothing here is
for the way of a tick but one `append` at a trade.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

CALIBRATION_BINS = 10
WINDOW = 2_000
"""Judged predictions that are kept of each head."""
LEAST_JUDGED = 50
"""Below so many nothing is said."""
MOST_WAITING = 4_096
SPACING_NS = 250_000_000
"""Between two samples of P(up) and risk."""
TOLD_NS = 1_000_000_000
"""Reports ask several times a second, on the event loop; what they are told is worked out anew once in so long."""
QUANTILES = (0.05, 0.5, 0.95)


# ---- probabilities


def brier(probability: Floats, happened: Booleans) -> float:
    """Mean squared error; NaN without rows."""
    return float(((probability - happened) ** 2).mean()) if len(happened) else float("nan")


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of similar probability."""

    rows: int
    said: float
    happened: float


def calibration(probability: Floats, happened: Booleans, bins: int = CALIBRATION_BINS) -> list[CalibrationBin]:
    """Bins of equally many rows, by rising probability."""
    order = np.argsort(probability, kind="stable")
    groups = np.array_split(order, bins)
    return [
        CalibrationBin(len(rows), float(probability[rows].mean()), float(happened[rows].mean())) for rows in groups if len(rows)
    ]


def calibration_error(found: Sequence[CalibrationBin]) -> float:
    """Mean |said - happened| over the rows."""
    total = sum(each.rows for each in found)
    return sum(each.rows * abs(each.said - each.happened) for each in found) / total if total else float("nan")


# ---- while it serves


@dataclass(slots=True)
class _Sampled:
    """P(up) and risk of one moment; NaN where refused."""

    time_ns: int
    mid_ticks: float
    p_up: float
    risk: float
    sigma_ticks: float
    largest: float = 0.0
    """How far the mid has been from `mid_ticks` since."""


class Traded(NamedTuple):
    """What was said of the touch at which somebody traded right after, NaN where refused. Prices in ticks."""

    time_ns: int
    price_ticks: int
    mid_ticks: float
    maker_sign: int
    """+1: the maker's bid was hit, -1: the maker's ask."""
    p_adverse: float
    spread_ticks: float
    """Full spread of the spread head."""


class _Newest:
    """The newest `WINDOW` rows of so many numbers, in memory that is taken once and for all."""

    __slots__ = ("_rows", "count")

    def __init__(self, columns: int) -> None:
        self._rows = np.zeros((WINDOW, columns))
        self.count = 0
        """Rows ever added."""

    def __len__(self) -> int:
        return min(self.count, WINDOW)

    def add(self, *row: float) -> None:
        """One more; the oldest makes room."""
        self._rows[self.count % WINDOW] = row
        self.count += 1

    def columns(self) -> Floats:
        """[columns, rows], oldest first."""
        if self.count <= WINDOW:
            return self._rows[: self.count].T
        return np.roll(self._rows, -(self.count % WINDOW), axis=0).T


class HeadCalibration:
    """One symbol. `horizon_ns` of the labels, `risk_ns` of the risk's window."""

    def __init__(self, horizon_ns: int, risk_ns: int, fees_bps: float) -> None:
        self._horizon_ns = horizon_ns
        self._risk_ns = risk_ns
        self._fee_share = fees_bps * 1e-4
        self._traded: deque[Traded] = deque(maxlen=MOST_WAITING)
        self._sampled: deque[_Sampled] = deque(maxlen=MOST_WAITING)
        self._moving: deque[_Sampled] = deque(maxlen=MOST_WAITING)
        self._next_ns = 0
        self._up = _Newest(2)
        self._adverse = _Newest(2)
        self._covered = _Newest(1)
        self._risk = _Newest(2)
        self._said: dict[str, _Newest] = {}
        self._told_until_ns = 0
        self._measures: dict[str, float] | None = None
        self._quantiles: dict[str, tuple[float, ...]] | None = None

    def on_trade(self, traded: Traded) -> None:
        """Somebody traded at the touch; the newest prediction was of the row before it."""
        self._traded.append(traded)

    def on_time(self, now_ns: int, mid_ticks: float) -> None:
        """The mid of now, some ten times a second: predictions whose horizon has passed are judged by it."""
        if now_ns >= self._told_until_ns:
            self._told_until_ns = now_ns + TOLD_NS
            self._measures = self._quantiles = None
        traded, sampled, moving = self._traded, self._sampled, self._moving
        while traded and now_ns - traded[0].time_ns >= self._horizon_ns:
            self._judge_trade(traded.popleft(), mid_ticks)
        while sampled and now_ns - sampled[0].time_ns >= self._horizon_ns:
            each = sampled.popleft()
            if each.p_up == each.p_up and mid_ticks != each.mid_ticks:
                self._up.add(each.p_up, mid_ticks > each.mid_ticks)
        for each in moving:
            each.largest = max(each.largest, abs(mid_ticks - each.mid_ticks))
        while moving and now_ns - moving[0].time_ns >= self._risk_ns:
            each = moving.popleft()
            self._risk.add(each.risk, each.largest / each.sigma_ticks)

    def due(self, now_ns: int) -> bool:
        """Whether `sample` should be given what is said now."""
        return now_ns >= self._next_ns

    def sample(self, now_ns: int, mid_ticks: float, sigma_ticks: float, said: dict[str, float]) -> None:
        """What the heads in use say now, by name; one that is refused is left out. Not more often than `due`."""
        self._next_ns = now_ns + SPACING_NS
        for name, value in said.items():
            kept = self._said.get(name)
            if kept is None:
                kept = self._said[name] = _Newest(1)
            kept.add(value)
        nothing = float("nan")
        each = _Sampled(now_ns, mid_ticks, said.get("p_up", nothing), said.get("risk", nothing), sigma_ticks)
        self._sampled.append(each)
        if each.risk == each.risk and sigma_ticks > 0:
            self._moving.append(each)

    def interrupt(self) -> None:
        """A gap: what came over it is nobody's prediction."""
        self._traded.clear()
        self._sampled.clear()
        self._moving.clear()

    def measures(self) -> dict[str, float]:
        """By `head.measure`; a head of which too little was judged is left out."""
        if self._measures is None:
            self._measures = self._worked_out()
        return self._measures

    def _worked_out(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for head, judged in (("p_up", self._up), ("p_adverse", self._adverse)):
            if len(judged) >= LEAST_JUDGED:
                said, happened = judged.columns()[0], judged.columns()[1] > 0
                found[f"{head}.brier"] = brier(said, happened)
                found[f"{head}.calibration_error"] = calibration_error(calibration(said, happened))
                found[f"{head}.judged"] = float(len(judged))
        if len(self._covered) >= LEAST_JUDGED:
            found["optimal_spread.coverage"] = float(self._covered.columns().mean())
            found["optimal_spread.judged"] = float(len(self._covered))
        if len(self._risk) >= LEAST_JUDGED:
            found["risk.rank_correlation"] = rank_correlation(self._risk.columns().T)
            found["risk.judged"] = float(len(self._risk))
        return found

    def quantiles(self) -> dict[str, tuple[float, ...]]:
        """By head, `QUANTILES` of what it said of late; a head that said too little is left out."""
        if self._quantiles is None:
            self._quantiles = {
                name: tuple(np.quantile(kept.columns()[0], QUANTILES).tolist())
                for name, kept in self._said.items()
                if len(kept) >= LEAST_JUDGED
            }
        return self._quantiles

    def _judge_trade(self, traded: Traded, mid_ticks: float) -> None:
        against = traded.maker_sign * (traded.price_ticks - mid_ticks)
        if traded.p_adverse == traded.p_adverse:
            self._adverse.add(traded.p_adverse, against > self._fee_share * traded.price_ticks)
        if traded.spread_ticks == traded.spread_ticks:
            self._covered.add(2.0 * traded.maker_sign * (traded.mid_ticks - mid_ticks) <= traded.spread_ticks)


def rank_correlation(pairs: Floats) -> float:
    """Spearman's, of [n, 2], ties at their average rank; 0 where either column is constant."""
    ranks = np.stack([_ranks(column) for column in pairs.T])
    ranks -= ranks.mean(axis=1, keepdims=True)
    scale = float(np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
    return float(ranks[0] @ ranks[1]) / scale if scale > 0 else 0.0


def _ranks(values: Floats) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[place])
