"""The whole evaluation of a bundle on data: what it serves, judged on each series' last part beside baselines fitted before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol

import msgspec
import numpy as np

from mmd.inference.bundle import Bundle, content_digest
from mmd.inference.companion import Companion
from mmd.inference.predictor import QuotePredictor
from mmd.learning.baselines import Fitted, Stretch, fit_baselines
from mmd.learning.cross_asset_evidence import cross_evidence, with_cross_asset
from mmd.learning.cross_asset_rows import AssetHistory
from mmd.learning.data import Source, load_rows
from mmd.learning.dataset import TEST, TRAIN, VALIDATION, SplitSettings, cut_series
from mmd.learning.evaluation import ic, one_horizon_utility, pinball
from mmd.learning.importance import ImportanceLine, measure
from mmd.learning.labels import LabelSettings, make_labels
from mmd.learning.moves import HORIZONS_SECONDS
from mmd.learning.price_evaluation import Judged, PriceEvidence, evaluate_price, finite
from mmd.learning.serving import ServedSession, serve_companion, serve_session
from mmd.learning.sessions import Floats

EVIDENCE_VERSION = 1


class SpreadLine(msgspec.Struct, frozen=True):
    """Spread head on rows at whose touch somebody traded: pinball loss of its place, and of the constant of the rows before."""

    series: str
    rows: int
    pinball: float | None
    pinball_of_constant: float | None
    coverage: float | None
    """Share of labels at or below the head's place; the stated quantile when calibrated."""


class PositionLine(msgspec.Struct, frozen=True):
    """Position head at flat inventory: correlation with the move, and what one horizon of its target is worth, sigma."""

    series: str
    rows: int
    ic: float | None
    utility: float | None


class Evidence(msgspec.Struct, frozen=True):
    """For `--json` and the report."""

    version: int
    bundle: str
    bundle_sha256: str
    bundle_content: str
    """By which `mmd promote` knows that the report is about these very networks."""
    variant: str
    runtime: str
    horizon_seconds: float
    sources: list[str]
    split: str
    price: PriceEvidence
    spread: list[SpreadLine]
    position: list[PositionLine]
    cross_asset: dict[str, dict[str, float]] = {}
    """Series that had references to measure to value: the network, its baselines, E without it and with it."""
    importance: list[ImportanceLine] = []
    report: Literal["evaluation"] = "evaluation"


class Observer(Protocol):
    """Hears how it goes."""

    def on_total(self, rows: int) -> None:
        """So many rows are to be served."""

    def on_rows(self, rows: int) -> None:
        """So many more are done."""

    def on_stage(self, text: str) -> None:
        """What comes now."""


class Silent:
    """An observer that does nothing."""

    def on_total(self, rows: int) -> None:
        """Nothing."""

    def on_rows(self, rows: int) -> None:
        """Nothing."""

    def on_stage(self, text: str) -> None:
        """Nothing."""


def label_settings(bundle: Bundle) -> LabelSettings:
    """Those the bundle was trained with, as its card says; defaults for what it does not say."""
    stated = {
        name.removeprefix("labels."): float(value)
        for name, value in bundle.card.data_manifest.items()
        if name.startswith("labels.") and name.removeprefix("labels.") in LabelSettings.model_fields
    }
    return LabelSettings(**(stated | {"horizon_seconds": bundle.card.horizon_seconds}))


def gather(
    bundle: Bundle,
    sources: Sequence[Source],
    split: SplitSettings,
    observer: Observer | None = None,
    horizons: Sequence[float] = HORIZONS_SECONDS,
    trees: bool = True,
    importance: bool = False,
) -> Evidence:
    """Serve, fit the baselines, judge; with `importance` feature by feature. Raises `SourceError` for data that cannot be read."""
    heard = observer or Silent()
    settings = label_settings(bundle)
    heard.on_stage("reading rows")
    cut, histories = [], []
    for source in sources:
        rows = load_rows(source, settings.horizon_seconds)
        sessions = rows.sessions
        histories.append(AssetHistory(source.series, rows.symbol, sessions, source.group))
        cut += list(zip(sessions, cut_series(sessions, settings, split), strict=True))
    wanted = [(session, cuts) for session, cuts in cut if any(cuts[part][1] > cuts[part][0] for part in (VALIDATION, TEST))]
    heard.on_total(sum(session.rows for session, _ in wanted))
    heard.on_stage("serving")
    predictor = QuotePredictor(bundle)
    companion = _weighing_companion(bundle)
    judged = []
    for session, cuts in wanted:
        served = _with_order_flow(serve_session(predictor, session, heard.on_rows), companion)
        served = with_cross_asset(served, bundle, histories)
        judged.append(Judged(served, Stretch(session, *cuts[TEST]), Stretch(session, *cuts[VALIDATION])))
    heard.on_stage("fitting baselines")
    stretches = [Stretch(session, cuts[TRAIN][0], max(cuts[TRAIN][1], cuts[VALIDATION][1])) for session, cuts in cut]
    own = settings.horizon_seconds
    fitted: dict[float, Fitted] = {}
    for horizon in sorted({*horizons, own}):
        found = fit_baselines(stretches, horizon, trees=trees and horizon == own)
        if found is not None:
            fitted[horizon] = found
    tests = [each.test for each in judged]
    cross = cross_evidence(bundle, histories, stretches, tests, settings, heard.on_stage)
    important = []
    if importance:
        card = bundle.card.companion
        companion = None if card is None else Companion(card, bundle.companion_files)
        important = measure(tests, stretches, predictor, companion, settings, heard.on_stage)
    heard.on_stage("judging")
    return Evidence(
        version=EVIDENCE_VERSION,
        bundle=bundle.card.name,
        bundle_sha256=bundle.digest,
        bundle_content=content_digest(bundle.card),
        variant=predictor.variant_name,
        runtime=f"{predictor.runtime_name} {predictor.runtime_version}",
        horizon_seconds=own,
        sources=[f"{source.series}: {source.describe}" for source in sources],
        split=split.model_dump_json(),
        price=evaluate_price(judged, fitted, bundle.card.fair_weights, own, horizons, bundle.card.max_shift),
        spread=_spread(judged, settings),
        position=_position(judged, settings),
        cross_asset=cross,
        importance=important,
    )


def _weighing_companion(bundle: Bundle) -> Companion | None:
    """Where the order flow has a weight in E; else nobody needs to hear it for the price."""
    card = bundle.card.companion
    if card is None or not bundle.card.fair_weights.get("order_flow", 0.0):
        return None
    return Companion(card, bundle.companion_files)


def _with_order_flow(served: ServedSession, companion: Companion | None) -> ServedSession:
    if companion is None:
        return served
    flow = 2.0 * serve_companion(companion, served.session).p_up - 1.0
    flow[: companion.card.steps] = 0.0
    return replace(served, order_flow=flow)


def _by_series(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    for each in judged:
        found.setdefault(each.served.session.series, []).append(each)
    return found


def _spread(judged: Sequence[Judged], settings: LabelSettings) -> list[SpreadLine]:
    lines = []
    for series, parts in _by_series(judged).items():
        place, label, before = [], [], []
        for each in parts:
            labels = make_labels(each.served.session, settings)
            test, earlier = slice(each.test.start, each.test.stop), slice(each.before.start, each.before.stop)
            said = each.served.spread_place[test]
            known = (labels.spread_weight[test] > 0) & np.isfinite(said)
            place.append(said[known])
            label.append(labels.spread[test][known].astype(np.float64))
            before.append(labels.spread[earlier][labels.spread_weight[earlier] > 0].astype(np.float64))
        said, true, past = np.concatenate(place), np.concatenate(label), np.concatenate(before)
        if not len(true):
            continue
        quantile = settings.spread_quantile
        constant = np.full(len(true), np.quantile(past, quantile)) if len(past) else np.full(len(true), np.nan)
        lines.append(
            SpreadLine(
                series=series,
                rows=len(true),
                pinball=finite(pinball(said, true, quantile)),
                pinball_of_constant=finite(pinball(constant, true, quantile)),
                coverage=finite(float((true <= said).mean())),
            )
        )
    return lines


def _position(judged: Sequence[Judged], settings: LabelSettings) -> list[PositionLine]:
    lines = []
    for series, parts in _by_series(judged).items():
        found = [_position_of(each.served, each.test, settings) for each in parts]
        said, move = (np.concatenate([pair[column] for pair in found]) for column in (0, 1))
        if len(move):
            lines.append(PositionLine(series, len(move), finite(ic(said, move)), finite(one_horizon_utility(said, move, settings))))
    return lines


def _position_of(served: ServedSession, stretch: Stretch, settings: LabelSettings) -> tuple[Floats, Floats]:
    labels = make_labels(served.session, settings)
    rows = slice(stretch.start, stretch.stop)
    known = (labels.price_weight[rows] > 0) & np.isfinite(served.position[rows])
    return served.position[rows][known], labels.price_change[rows][known].astype(np.float64)
