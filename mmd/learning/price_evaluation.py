"""The price head against its baselines: correlation and explained share of moves, by series, day, horizon and way of counting."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from mmd.learning.baselines import PLAIN, Fitted, Stretch, plain
from mmd.learning.measures import Blocks, block_draws, blocks
from mmd.learning.moves import HORIZONS_SECONDS, moves_by_row, moves_by_step, moves_by_tenth, moves_by_time
from mmd.learning.serving import ServedSession
from mmd.learning.sessions import Floats

HEAD, FAIR = "price head", "fair"
OURS = (HEAD, FAIR)
STEP, ROW, TENTH, TIME = "step", "row", "tenth", "time"
COUNTS = {STEP: moves_by_step, ROW: moves_by_row, TENTH: moves_by_tenth, TIME: moves_by_time}
OF_EACH_HORIZON = (STEP, TIME)
"""The other counts are those of the bundle's own horizon alone."""


class PriceLine(msgspec.Struct, frozen=True):
    """One predictor on one series and day, over one horizon, counted one way. IC: Pearson correlation; NaN is written as null."""

    series: str
    day: str
    horizon_seconds: float
    counted_by: str
    predictor: str
    rows: int
    ic: float | None
    ic_low: float | None
    ic_high: float | None
    """Block bootstrap, 95 %."""
    r2: float | None
    """Explained share of squared moves, after one rescaling by the slope of the rows before the test; null where there are none."""


class HourLine(msgspec.Struct, frozen=True):
    """IC over the bundle's own horizon by time, in one hour of the day (UTC)."""

    series: str
    hour: int
    predictor: str
    rows: int
    ic: float | None


class PriceVerdict(msgspec.Struct, frozen=True):
    """The head against the best baseline of a series, by time, over the bundle's horizon."""

    series: str
    head_ic: float | None
    best_baseline: str
    baseline_ic: float | None
    better_in_draws: float | None
    """Share of paired bootstrap draws in which the head's IC is the higher one."""


class PriceEvidence(msgspec.Struct, frozen=True):
    """All of it."""

    lines: list[PriceLine]
    hours: list[HourLine]
    verdicts: list[PriceVerdict]


class Judged(msgspec.Struct, frozen=True):
    """A served session with the rows to judge and those before, of the same session, that may fix a scale."""

    served: ServedSession
    test: Stretch
    before: Stretch


def evaluate_price(
    judged: Sequence[Judged],
    fitted: Mapping[float, Fitted],
    fair_weights: Mapping[str, float],
    own_horizon: float,
    horizons: Sequence[float] = HORIZONS_SECONDS,
    max_shift: float = math.inf,
) -> PriceEvidence:
    """`fitted` by horizon; a horizon without takes those of `own_horizon`, if there are any. `max_shift` bounds E, in sigma."""
    by_series: dict[str, list[Judged]] = {}
    for each in judged:
        by_series.setdefault(each.served.session.series, []).append(each)
    lines: list[PriceLine] = []
    hours: list[HourLine] = []
    verdicts: list[PriceVerdict] = []
    for series, parts in by_series.items():
        said: dict[tuple[int, str, int, int], Floats] = {}
        for horizon in sorted({*horizons, own_horizon}):
            baselines = fitted.get(horizon) or fitted.get(own_horizon)
            for counted_by in COUNTS if horizon == own_horizon else OF_EACH_HORIZON:
                found = _Lines(series, parts, horizon, counted_by, baselines, fair_weights, max_shift, said)
                lines += found.lines()
                if horizon == own_horizon and counted_by == TIME:
                    hours += found.hours()
                    verdicts.append(found.verdict())
    return PriceEvidence(lines, hours, verdicts)


class _Lines:
    """Of one series, horizon and way of counting."""

    def __init__(
        self,
        series: str,
        parts: Sequence[Judged],
        horizon: float,
        counted_by: str,
        baselines: Fitted | None,
        fair_weights: Mapping[str, float],
        max_shift: float,
        said: dict[tuple[int, str, int, int], Floats],
    ) -> None:
        self._said = said
        self._series, self._horizon, self._counted_by = series, horizon, counted_by
        self._baselines, self._weights, self._max_shift = baselines, fair_weights, max_shift
        names = [*OURS, *PLAIN, *(baselines.models if baselines else ())]
        self._test = {name: self._blocks(name, [(each.served, each.test) for each in parts]) for name in names}
        self._slopes = {name: self._blocks(name, [(each.served, each.before) for each in parts]).slope() for name in names}
        self._scaled = any(each.before.stop > each.before.start for each in parts)

    def _blocks(self, name: str, stretches: Sequence[tuple[ServedSession, Stretch]]) -> Blocks:
        x, y, t = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
        for served, stretch in stretches:
            moves = COUNTS[self._counted_by](stretch.session, self._horizon, stretch.start, stretch.stop)
            if not len(moves.row):
                continue
            # Rows that nobody was served are left out of every predictor's count: the same rows for all.
            known = np.isfinite(served.price_change[moves.row])
            if name in PLAIN:
                said = plain(name, stretch.session, moves)
            elif name in OURS:
                said = self._ours(name, served)[moves.row]
            else:
                said = self._fitted(name, stretch)[moves.row - stretch.start]
            x.append(said[known])
            y.append(moves.change_bps[known])
            t.append(moves.time_ns[known])
        return blocks(np.concatenate(x), np.concatenate(y), np.concatenate(t))

    def _ours(self, name: str, served: ServedSession) -> Floats:
        if name == HEAD:
            return served.price_change_bps
        return served.expected_move_bps(self._weights, self._max_shift)

    def _fitted(self, name: str, stretch: Stretch) -> Floats:
        key = (id(self._baselines), name, id(stretch.session), stretch.start)
        if key not in self._said:
            assert self._baselines is not None
            self._said[key] = self._baselines.predict(name, stretch.session, stretch.start, stretch.stop)
        return self._said[key]

    def lines(self) -> list[PriceLine]:
        """By day, and over all days where there are several, as day "all"."""
        found = []
        for name, whole in self._test.items():
            days = _by_day(whole)
            if len(days) > 1:
                days["all"] = whole
            for day, part in days.items():
                low, high = part.ic_interval(block_draws(len(part.sums)))
                found.append(
                    PriceLine(
                        series=self._series,
                        day=day,
                        horizon_seconds=self._horizon,
                        counted_by=self._counted_by,
                        predictor=name,
                        rows=int(part.sums[:, 0].sum()),
                        ic=finite(part.ic()),
                        ic_low=finite(low),
                        ic_high=finite(high),
                        r2=finite(part.r2(self._slopes[name])) if self._scaled else None,
                    )
                )
        return found

    def hours(self) -> list[HourLine]:
        found = []
        for name, whole in self._test.items():
            hour = whole.start_ns // 3_600_000_000_000 % 24
            for each in np.unique(hour):
                part = Blocks(whole.sums[hour == each], whole.start_ns[hour == each])
                found.append(HourLine(self._series, int(each), name, int(part.sums[:, 0].sum()), finite(part.ic())))
        return found

    def verdict(self) -> PriceVerdict:
        head = self._test[HEAD]
        rivals = {name: part.ic() for name, part in self._test.items() if name not in OURS}
        known = {name: ic for name, ic in rivals.items() if np.isfinite(ic)}
        best = max(known, key=lambda name: known[name]) if known else "zero"
        draws = block_draws(len(head.sums))
        share = float("nan")
        if known and len(head.sums) > 1:
            share = float((head.drawn_ics(draws) > self._test[best].drawn_ics(draws)).mean())
        return PriceVerdict(self._series, finite(head.ic()), best, finite(known.get(best, float("nan"))), finite(share))


def _by_day(whole: Blocks) -> dict[str, Blocks]:
    day = whole.start_ns // 86_400_000_000_000
    return {
        (datetime.date(1970, 1, 1) + datetime.timedelta(days=int(each))).isoformat(): Blocks(
            whole.sums[day == each], whole.start_ns[day == each]
        )
        for each in np.unique(day)
    }


def finite(value: float) -> float | None:
    """For JSON: five digits, None for what is no number."""
    return float(f"{value:.5g}") if np.isfinite(value) else None
