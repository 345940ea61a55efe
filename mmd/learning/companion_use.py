"""How the heads are combined once all of a bundle's networks are there, fitted on the validation part alone.

- E: non-negative ridge weights of microprice, price head and order flow (as 2 P(up) - 1) together. A head that does not beat its
  best baseline takes no part.
- P(adverse): slope of the multiplier of a side's half-spread, and then the threshold beyond which pulling withholds it: those with
  which standing quotes earn the most, each series by its gain a row. Recorded markets decide, where there are any: simulated ones
  are there for volume. Chosen on the first half of each part they must have earned more than without on the second, and the other
  way round, both gains together: else there is no slope, or no threshold. The spread multiplier is fitted anew for each slope, so
  that a slope moves width to the side that needs it and makes no quote wider on the whole.
- risk: sizes are scaled where the score ranks moves better than its baseline does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from mmd.inference.bundle import Bundle, load_bundle, write_card
from mmd.inference.card import Card
from mmd.inference.companion import Companion, CompanionUse
from mmd.inference.errors import BundleError
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import Runtime, load_runtime
from mmd.learning.dataset import VALIDATION, Dataset, Part
from mmd.learning.evaluation import ROW_BY_ROW, Served, counted_rows, expected_move, ic, joined, serve
from mmd.learning.fitting import MULTIPLIER_BOUNDS, NEVER_PULL, RIDGE, SHIFT_QUANTILE, non_negative
from mmd.learning.labels import LabelSettings, spread_in_sigma
from mmd.learning.serving import serve_companion
from mmd.learning.sessions import Floats
from mmd.learning.standing_quotes import Sides, Stands, quote_outcome
from mmd.market.feature_settings import FeatureSettings, served_schemas
from mmd.quoting.prediction import LEAST_MULTIPLIER, MOST_MULTIPLIER

SLOPES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
PULLS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
SIMULATED = "sim "
"""How the series of simulated markets begin."""
CANDIDATES = ("microprice", "price_head", "order_flow")


@dataclass(frozen=True)
class Heard:
    """A part as quote network and companion served it. Arrays are of the counted rows."""

    served: Served
    order_flow: Floats
    """2 P(up) - 1; 0 while its state was cold."""
    adverse: Sides
    """P(adverse) of our bid and ask."""
    risk: Floats


Groups = Mapping[str, Sequence[Heard]]
"""By series."""


def fit_companion_use(folder: Path, dataset: Dataset, runtime: Runtime | None = None) -> Bundle:
    """Fit, write into the bundle's card, and return the bundle as it loads; its stage begins anew.

    Raises BundleError where the bundle cannot be read or has no companion networks.
    """
    used = runtime or load_runtime()
    bundle = load_bundle(folder, feature_schema_hash=served_schemas(FeatureSettings()))
    card = bundle.card
    if card.companion is None:
        raise BundleError(f"{folder}: has no companion networks to combine: train them with `mmd train companion`")
    heard = [hear(bundle, part, used) for part in dataset.parts[VALIDATION] if part.rows > card.steps]
    write_card(folder, fitted(card, heard, dataset.label_settings))
    return load_bundle(folder, feature_schema_hash=served_schemas(FeatureSettings()))


def fitted(card: Card, heard: Sequence[Heard], settings: LabelSettings) -> Card:
    """The card with weights, bounds and multipliers fitted on what was heard; its stage begins anew."""
    companion = card.companion
    assert companion is not None
    groups: dict[str, list[Heard]] = {}
    for each in heard:
        groups.setdefault(each.served.series, []).append(each)
    weights = fair_weights(groups, order_flow_is_useful=companion.useful.get("p_up", False))
    sizes = np.concatenate([np.abs(_expected(each, weights)) for each in heard])
    shift = float(np.clip(np.quantile(sizes, SHIFT_QUANTILE), 0.1, settings.price_clip))
    # Simulations are there for volume; what is worth showing is for recorded markets to say, where there are any.
    recorded = {series: parts for series, parts in groups.items() if not series.startswith(SIMULATED)} or groups
    use, spread_factor = fit_use(recorded, weights, companion.useful, Terms(settings, 1.0, card.pull_threshold))
    return msgspec.structs.replace(
        card,
        # Weights of networks that are fitted elsewhere stay.
        fair_weights=card.fair_weights | weights,
        max_shift=round(shift, 4),
        spread_multiplier=spread_factor,
        companion=msgspec.structs.replace(companion, use=use),
        stage="none",
        evidence=(),
    )


def hear(bundle: Bundle, part: Part, runtime: Runtime) -> Heard:
    """Walk a part from zero state, as it is served."""
    card, companion = bundle.card, bundle.card.companion
    assert companion is not None
    predictor = QuotePredictor(bundle, runtime)
    served = serve(runtime.load(bundle.models[predictor.variant_name]), part, card.steps)
    said = serve_companion(Companion(companion, bundle.companion_files, runtime), part.session, part.start, part.stop)
    counted = counted_rows(part, card.steps)
    flow = 2.0 * said.p_up - 1.0
    flow[: companion.steps] = 0.0
    return Heard(served, flow[counted], Sides(said.p_adverse_bid[counted], said.p_adverse_ask[counted]), said.risk[counted])


def fair_weights(groups: Groups, *, order_flow_is_useful: bool) -> dict[str, float]:
    """Every series weighs the same. The price head takes part only if its mean IC is above that of the microprice."""
    columns = {series: np.concatenate([_candidates(each) for each in parts]) for series, parts in groups.items()}
    moves = {series: joined([each.served for each in parts], "move") for series, parts in groups.items()}
    ics = [float(np.mean([ic(columns[series][:, place], moves[series]) for series in groups])) for place in range(3)]
    allowed = [0] if ics[0] > 0 else []
    if ics[1] > max(ics[0], 0.0):
        allowed.append(1)
    if order_flow_is_useful and ics[2] > 0:
        allowed.append(2)
    gram, target = np.zeros((3, 3)), np.zeros(3)
    for series, candidates in columns.items():
        move = moves[series]
        scale = 1.0 / (len(move) * max(float((move**2).mean()), 1e-12))
        gram += candidates.T @ candidates * scale
        target += candidates.T @ move * scale
    gram[np.diag_indices(3)] *= 1.0 + RIDGE
    found = non_negative(gram, target, allowed)
    return {name: round(float(weight), 6) for name, weight in zip(CANDIDATES, found, strict=True)}


@dataclass(frozen=True)
class Terms:
    """How the quotes are made otherwise."""

    settings: LabelSettings
    spread_multiplier: float
    pull_threshold: float


def fit_use(groups: Groups, weights: Mapping[str, float], useful: Mapping[str, bool], terms: Terms) -> tuple[CompanionUse, float]:
    """And the spread multiplier that goes with it."""
    every = [each for parts in groups.values() for each in parts]
    asked = np.concatenate([side[each.served.stands.row] for each in every for side in (each.adverse.bid, each.adverse.ask)])
    median = round(float(np.median(asked)), 4)
    neutral = CompanionUse(
        adverse_median=median,
        risk_median=round(float(np.median(np.concatenate([each.risk for each in every]))), 4),
        risk_sizes=useful.get("risk", False),
    )
    if not useful.get("p_adverse", False):
        return neutral, spread_multiplier(groups, neutral, terms.settings)
    gains: dict[str, float] = {}
    bench = _Bench(weights, replace(terms, pull_threshold=NEVER_PULL))
    slopes = {f"slope {slope:g}": msgspec.structs.replace(neutral, adverse_slope=slope) for slope in SLOPES}
    sloped = bench.settle(groups, ("without", neutral), slopes, "slope on the other half", gains)
    pulling = _Bench(weights, terms)
    pulls = {f"pulling at {pull:g} too": msgspec.structs.replace(sloped, adverse_pull=pull) for pull in PULLS}
    found = pulling.settle(groups, ("pulling by E", sloped), pulls, "pulling on the other half", gains)
    shown = {name: float(f"{value:.5g}") for name, value in gains.items()}
    return msgspec.structs.replace(found, gains=shown), bench.factor(groups, found)


class _Bench:
    """Where uses of P(adverse) are tried, with the other terms of the quotes as they are."""

    def __init__(self, weights: Mapping[str, float], terms: Terms) -> None:
        self._weights, self._terms = weights, terms

    def factor(self, groups: Groups, use: CompanionUse) -> float:
        """Spread multiplier that goes with it."""
        return spread_multiplier(groups, use, self._terms.settings)

    def earned(self, groups: Groups, use: CompanionUse, factor: float) -> float:
        return gain(groups, self._weights, use, replace(self._terms, spread_multiplier=factor))

    def settle(
        self,
        groups: Groups,
        plain: tuple[str, CompanionUse],
        tried: Mapping[str, CompanionUse],
        confirmed: str,
        gains: dict[str, float],
    ) -> CompanionUse:
        """The best of those tried, or `plain` where nothing is gained by it, or not where it was not chosen. Tells `gains` all."""
        values = self._gains(groups, dict([plain]) | dict(tried))
        gains |= values
        best = max(values, key=lambda name: values[name])
        gains[confirmed] = self._gain_on_other_half(groups, plain[1], tried)
        return tried[best] if best in tried and gains[confirmed] > 0 else plain[1]

    def _gains(self, groups: Groups, uses: Mapping[str, CompanionUse]) -> dict[str, float]:
        return {name: self.earned(groups, use, self.factor(groups, use)) for name, use in uses.items()}

    def _gain_on_other_half(self, groups: Groups, plain: CompanionUse, tried: Mapping[str, CompanionUse]) -> float:
        """What the best of each half earns on the other one beyond `plain`, together."""
        halves = [{series: [half_of(each, half) for each in parts] for series, parts in groups.items()} for half in (0, 1)]
        total = 0.0
        for fits, judges in (halves, halves[::-1]):
            values = self._gains(fits, tried)
            best = tried[max(values, key=lambda name: values[name])]
            total += self.earned(judges, best, self.factor(fits, best)) - self.earned(judges, plain, self.factor(fits, plain))
        return total


def half_of(each: Heard, half: int) -> Heard:
    """The first (0) or second (1) half of what was heard of a part, in time."""
    served, count = each.served, len(each.served.move)
    begin, end = (0, count // 2) if half == 0 else (count // 2, count)
    rows = slice(begin, end)
    made = (served.stands.row >= begin) & (served.stands.row < end)
    stood = Stands(
        served.stands.row[made] - begin, served.stands.reach_up[made], served.stands.reach_down[made], served.stands.tick[made]
    )
    cut = {name: getattr(served, name)[rows] for name in ROW_BY_ROW}
    return Heard(
        replace(served, **cut, stands=stood),
        each.order_flow[rows],
        Sides(each.adverse.bid[rows], each.adverse.ask[rows]),
        each.risk[rows],
    )


def spread_multiplier(groups: Groups, use: CompanionUse, settings: LabelSettings) -> float:
    """Factor that makes spread head and P(adverse) together cover the stated quantile of trades; the mean over series, bounded."""
    factors = []
    for parts in groups.values():
        needed, given = [], []
        for each in parts:
            served = each.served
            sign = served.trade_sign
            traded = sign != 0
            p_adverse = np.where(sign > 0, each.adverse.ask, each.adverse.bid)[traded]
            said, label = served.outputs[:, 1][traded], served.spread_place[traded]
            given.append(spread_in_sigma(said, settings.spread_min, settings.spread_max) * multiplier_of(p_adverse, use))
            needed.append(spread_in_sigma(label, settings.spread_min, settings.spread_max))
        ratio = np.concatenate(needed) / np.concatenate(given)
        if len(ratio):
            factors.append(float(np.log(np.quantile(ratio, settings.spread_quantile))))
    return round(float(np.clip(np.exp(np.mean(factors)), *MULTIPLIER_BOUNDS)), 4) if factors else 1.0


def gain(groups: Groups, weights: Mapping[str, float], use: CompanionUse, terms: Terms) -> float:
    """Sum over the series of what a counted row's standing quotes earn, sigma over H."""
    total, settings = 0.0, terms.settings
    for parts in groups.values():
        earned, rows = 0.0, 0
        for each in parts:
            served = each.served
            half = terms.spread_multiplier * spread_in_sigma(served.outputs[:, 1], settings.spread_min, settings.spread_max) / 2.0
            earned += quote_outcome(
                served.stands,
                _expected(each, weights),
                half,
                served.half_spread,
                served.move,
                terms.pull_threshold,
                multipliers=Sides(*(multiplier_of(side, use) for side in (each.adverse.bid, each.adverse.ask))),
                shown=Sides(each.adverse.bid <= use.adverse_pull, each.adverse.ask <= use.adverse_pull),
            ).gain
            rows += len(served.move)
        total += earned / (rows or 1)
    return total


def multiplier_of(p_adverse: Floats, use: CompanionUse) -> Floats:
    """Of many rows what the quoter makes of each."""
    return np.asarray(
        np.clip(1.0 + use.adverse_slope * (p_adverse - use.adverse_median), LEAST_MULTIPLIER, MOST_MULTIPLIER), dtype=np.float64
    )


def _candidates(each: Heard) -> Floats:
    return np.stack([each.served.microprice, each.served.price, each.order_flow], axis=1)


def _expected(each: Heard, weights: Mapping[str, float]) -> Floats:
    return np.asarray(expected_move(each.served, weights) + weights["order_flow"] * each.order_flow)
