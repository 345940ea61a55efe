"""Which inputs the networks live on: what is lost when one is shuffled, and when a group of them is taken away.

*Permutation*: the column of a feature is shuffled over the rows of a stretch, so that it keeps its distribution and says nothing;
the columns of a group are shuffled together. *Ablation*: a group stands at its training means at every row; and beside it a ridge
regression is fitted anew without the group, which tells what the group is worth to one that may learn to do without it.

Loss is that of the information coefficient of the price head over H by step, and of the AUC of P(up); a rise for the spread head's
pinball loss. Features tell overlapping stories: where one can stand in for another, neither looks important alone; groups do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from mmd.inference.companion import Companion
from mmd.inference.predictor import QuotePredictor
from mmd.learning.baselines import RIDGE_PENALTY, Stretch
from mmd.learning.companion_labels import up_labels
from mmd.learning.evaluation import ic, pinball
from mmd.learning.labels import LabelSettings, make_labels
from mmd.learning.measures import auc
from mmd.learning.sessions import Floats, Rows
from mmd.market.feature_table import MARKET_NAMES

ROWS = 5_000
"""Rows of a series, one stretch from the middle of its longest test part."""
REPEATS = 2
RIDGE_ROWS = 60_000
SHUFFLED, TAKEN_AWAY = "shuffled", "taken away"
FEATURE, GROUP = "feature", "group"
EVERYTHING = "mean over series"

GROUPS: dict[str, tuple[str, ...]] = {
    "moves": ("mid_return", "return_mean_20", "vwap_deviation_20", "trend"),
    "volatility": ("return_std_20", "volatility_short", "volatility_medium", "volatility_long"),
    "spread": ("relative_spread", "spread_to_average_10"),
    "book": ("touch_imbalance", "depth_imbalance_5", "microprice_deviation", "order_flow_20"),
    "trades": ("trade_imbalance", "volume", "trade_intensity", "signed_volume", "time_since_trade"),
    "time": ("time_since_step",),
}
OTHERS = "recent"
"""The group of features that are in none of those."""


class ImportanceLine(msgspec.Struct, frozen=True):
    """What one feature or group is worth to the heads on one series; None where it cannot be told."""

    series: str
    kind: str
    """`feature` or `group`."""
    name: str
    how: str
    """`shuffled` or `taken away`."""
    rows: int
    price_ic_lost: float | None
    price_ic_lost_spread: float | None
    """Standard deviation over the shufflings."""
    spread_pinball_gained: float | None
    p_up_auc_lost: float | None
    ridge_ic_lost: float | None
    """Of a ridge that was fitted without it; only of groups that are taken away."""


def groups(names: Sequence[str] = MARKET_NAMES) -> dict[str, tuple[int, ...]]:
    """Group to places in a row; every feature is in one."""
    found = {group: tuple(names.index(name) for name in members if name in names) for group, members in GROUPS.items()}
    grouped = {place for places in found.values() for place in places}
    rest = tuple(place for place in range(len(names)) if place not in grouped)
    return {group: places for group, places in ({**found, OTHERS: rest}).items() if places}


class Heads(msgspec.Struct, frozen=True):
    """Measures of the heads on one stretch; NaN where there is none."""

    price_ic: float
    spread_pinball: float
    p_up_auc: float


class _Judge:
    """One stretch, and what the heads make of it with other rows in the place of its own."""

    def __init__(self, stretch: Stretch, predictor: QuotePredictor, companion: Companion | None, settings: LabelSettings) -> None:
        session = stretch.session
        span = slice(stretch.start, stretch.stop)
        labels = make_labels(session, settings)
        self.rows = np.asarray(session.market[span])[:, : predictor.market.size]
        self._predictor, self._companion, self._quantile = predictor, companion, settings.spread_quantile
        self._move, self._spread = labels.price_change[span].astype(np.float64), labels.spread[span].astype(np.float64)
        self._counts, self._traded = labels.price_weight[span] > 0, labels.spread_weight[span] > 0
        up, moved = up_labels(session, settings)
        self._up, self._moved = up[span], moved[span]

    def heads(self, rows: Rows) -> Heads:
        """From zero state; the rows with which it is warmed do not count."""
        predictor, companion = self._predictor, self._companion
        predictor.reset()
        predictor.inventory[:] = 0.0
        if companion is not None:
            companion.reset()
        said = np.full((len(rows), 3), np.nan)
        for index, row in enumerate(rows):
            predictor.market[:] = row
            predictor.step()
            said[index, :2] = predictor.price_change, predictor.optimal_spread
            if companion is not None:
                companion.market[:] = row[: companion.market.size]
                companion.step()
                said[index, 2] = companion.p_up
        warm = np.arange(len(rows)) >= predictor.card.steps
        price, spread, flow = (counts & warm for counts in (self._counts, self._traded, self._moved))
        return Heads(
            price_ic=ic(said[price, 0], self._move[price]) if price.any() else float("nan"),
            spread_pinball=pinball(said[spread, 1], self._spread[spread], self._quantile) if spread.any() else float("nan"),
            p_up_auc=auc(said[flow, 2], self._up[flow]) if companion is not None and flow.any() else float("nan"),
        )

    def ridge_ic(self, predict: Callable[[Rows], Floats]) -> float:
        """Of a regression, on the same rows."""
        warm = np.arange(len(self.rows)) >= self._predictor.card.steps
        counts = self._counts & warm
        return ic(predict(self.rows)[counts], self._move[counts]) if counts.any() else float("nan")


def measure(
    stretches: Sequence[Stretch],
    train: Sequence[Stretch],
    predictor: QuotePredictor,
    companion: Companion | None,
    settings: LabelSettings,
    on_stage: Callable[[str], None] = lambda text: None,
    *,
    rows: int = ROWS,
    repeats: int = REPEATS,
) -> list[ImportanceLine]:
    """Of the test `stretches`, one of each series, and the mean over series; `train` is what the ridge may be fitted on."""
    width = predictor.market.size
    names = MARKET_NAMES[:width]
    neutral = np.array(predictor.card.normalisation.market_mean, dtype=np.float32)
    ridges = _ridges(train, settings, groups(names), width)
    lines: list[ImportanceLine] = []
    for series, stretch in _one_each(stretches, rows).items():
        on_stage(f"importance on {series}")
        judge = _Judge(stretch, predictor, companion, settings)
        intact, ridge = judge.heads(judge.rows), judge.ridge_ic(ridges[""])
        units = {(FEATURE, name): (place,) for place, name in enumerate(names)} | {(GROUP, g): p for g, p in groups(names).items()}
        for (kind, name), places in units.items():
            found = []
            for repeat in range(repeats):
                order = np.random.default_rng([repeat, *places]).permutation(len(judge.rows))
                changed = judge.rows.copy()
                changed[:, places] = judge.rows[order][:, places]
                found.append(judge.heads(changed))
            lines.append(_line(series, kind, name, SHUFFLED, len(judge.rows), intact, found, None))
            if kind == GROUP:
                changed = judge.rows.copy()
                changed[:, places] = neutral[list(places)]
                lost = ridge - judge.ridge_ic(ridges[name])
                lines.append(_line(series, kind, name, TAKEN_AWAY, len(judge.rows), intact, [judge.heads(changed)], lost))
    return [*lines, *_means(lines)]


def _one_each(stretches: Sequence[Stretch], rows: int) -> dict[str, Stretch]:
    """Series to so many rows from the middle of its longest stretch."""
    longest: dict[str, Stretch] = {}
    for each in stretches:
        held = longest.get(each.session.series)
        if each.stop > each.start and (held is None or each.stop - each.start > held.stop - held.start):
            longest[each.session.series] = each
    found = {}
    for series, each in longest.items():
        count = min(rows, each.stop - each.start)
        start = each.start + (each.stop - each.start - count) // 2
        found[series] = Stretch(each.session, start, start + count)
    return found


def _line(
    series: str, kind: str, name: str, how: str, rows: int, intact: Heads, found: Sequence[Heads], ridge_lost: float | None
) -> ImportanceLine:
    lost = np.array([intact.price_ic - each.price_ic for each in found])
    return ImportanceLine(
        series=series,
        kind=kind,
        name=name,
        how=how,
        rows=rows,
        price_ic_lost=_known(float(lost.mean())),
        price_ic_lost_spread=_known(float(lost.std())) if len(found) > 1 else None,
        spread_pinball_gained=_known(float(np.mean([each.spread_pinball for each in found])) - intact.spread_pinball),
        p_up_auc_lost=_known(intact.p_up_auc - float(np.mean([each.p_up_auc for each in found]))),
        ridge_ic_lost=None if ridge_lost is None else _known(ridge_lost),
    )


def _means(lines: Sequence[ImportanceLine]) -> list[ImportanceLine]:
    by_unit: dict[tuple[str, str, str], list[ImportanceLine]] = {}
    for line in lines:
        by_unit.setdefault((line.kind, line.name, line.how), []).append(line)
    return [
        ImportanceLine(
            EVERYTHING,
            *unit,
            sum(each.rows for each in found),
            *(_mean([getattr(each, name) for each in found]) for name in ImportanceLine.__struct_fields__[5:]),
        )
        for unit, found in by_unit.items()
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _known(float(np.mean(known))) if known else None


def _known(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _ridges(
    train: Sequence[Stretch], settings: LabelSettings, grouped: Mapping[str, Sequence[int]], width: int
) -> dict[str, Callable[[Rows], Floats]]:
    """Group to a ridge without it; the empty name to one with everything. Each series has the same say."""
    inputs: list[Floats] = [np.zeros((0, width))]
    moves: list[Floats] = [np.zeros(0)]
    weights: list[Floats] = [np.zeros(0)]
    for each in train:
        labels = make_labels(each.session, settings)
        known = each.start + np.flatnonzero(labels.price_weight[each.start : each.stop] > 0)
        known = known[:: max(1, len(known) * len(train) // RIDGE_ROWS)]
        inputs.append(np.asarray(each.session.market[known], dtype=np.float64)[:, :width])
        moves.append(labels.price_change[known].astype(np.float64))
        weights.append(np.full(len(known), 1.0 / max(len(known), 1)))
    x, y, w = np.concatenate(inputs), np.concatenate(moves), np.concatenate(weights)
    if not len(y):
        return dict.fromkeys(("", *grouped), lambda rows: np.full(len(rows), np.nan))
    w = w / w.mean()
    mean = np.average(x, axis=0, weights=w)
    std = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=w))
    std = np.where(std > 1e-9, std, 1.0)
    scaled = (x - mean) / std
    gram, target = scaled.T @ (scaled * w[:, None]), scaled.T @ (y * w)

    def without(places: Sequence[int]) -> Callable[[Rows], Floats]:
        kept = np.array([place for place in range(width) if place not in places])
        solved = np.linalg.solve(gram[np.ix_(kept, kept)] + RIDGE_PENALTY * np.eye(len(kept)), target[kept])
        return lambda rows: np.asarray((rows[:, kept] - mean[kept]) / std[kept] @ solved)

    return {"": without(()), **{group: without(places) for group, places in grouped.items()}}
