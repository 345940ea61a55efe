"""The cross-asset network on the rows of an evaluation: as it serves, beside its baselines, and E without it and with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mmd.inference.bundle import Bundle
from mmd.inference.cross_asset import CrossAssetPredictor
from mmd.inference.runtime import load_runtime
from mmd.learning.baselines import Stretch
from mmd.learning.cross_asset_evaluation import CrossFit, OwnNetworks, cross_metrics, fit_ridge, serve_cross, served
from mmd.learning.cross_asset_rows import AssetHistory, cross_rows, references_of, with_reference
from mmd.learning.cross_asset_training import CrossPart
from mmd.learning.dataset import Part
from mmd.learning.labels import LabelSettings, make_labels
from mmd.learning.serving import CrossAssetWord, ServedSession, bps_per_sigma
from mmd.learning.sessions import Floats, Rows, Session

MOST_ROWS = 100_000
"""Newest rows of each stretch."""


def cross_evidence(
    bundle: Bundle,
    histories: Sequence[AssetHistory],
    train: Sequence[Stretch],
    test: Sequence[Stretch],
    settings: LabelSettings,
    on_stage: Callable[[str], None] = lambda text: None,
) -> dict[str, dict[str, float]]:
    """Series to measure to value, see `cross_metrics`; empty where the bundle has no such network or no series had references."""
    card = bundle.card.cross_asset
    if card is None:
        return {}
    parts = {name: _parts(histories, found, settings) for name, found in (("train", train), ("test", test))}
    if not parts["train"] or not parts["test"]:
        return {}
    runtime = load_runtime()
    predictor, own = CrossAssetPredictor(card, bundle.cross_asset_files, runtime), OwnNetworks.of(bundle, runtime)
    found = []
    for each in parts["test"]:
        on_stage(f"cross-asset network on {each.part.session.series}")
        found.append(served(each, own, serve_cross(predictor, each.rows)))
    return cross_metrics(found, fit_ridge(parts["train"]), CrossFit(card.base_scale, card.weight, card.max_shift))


def _parts(histories: Sequence[AssetHistory], stretches: Sequence[Stretch], settings: LabelSettings) -> list[CrossPart]:
    found = []
    for each in stretches:
        start = max(each.start, each.stop - MOST_ROWS)
        rows = rows_of(histories, each.session, start, each.stop)
        if rows is not None and with_reference(rows).any():
            found.append(CrossPart(Part(each.session, make_labels(each.session, settings), start, each.stop), rows))
    return found


def rows_of(histories: Sequence[AssetHistory], session: Session, start: int, stop: int) -> Rows | None:
    """[rows, slots, 10] of a session of one of the histories; None where it has no references."""
    history = next((each for each in histories if any(own is session for own in each.sessions)), None)
    references = [] if history is None else references_of(history, histories)
    if history is None or not references or stop <= start:
        return None
    return cross_rows(history, session, references, start, stop)


def cross_move(predictor: CrossAssetPredictor, histories: Sequence[AssetHistory], session: Session) -> Floats | None:
    """What it says at each row of a session, sigma over H; NaN where it is warmed or no reference is fresh, None without any."""
    rows = rows_of(histories, session, 0, session.rows)
    if rows is None:
        return None
    return np.where(with_reference(rows), serve_cross(predictor, rows), np.nan)


def cross_move_bps(predictor: CrossAssetPredictor, histories: Sequence[AssetHistory], session: Session) -> Floats:
    """The same in basis points of the mid; NaN throughout where there are no references."""
    said = cross_move(predictor, histories, session)
    return np.full(session.rows, np.nan) if said is None else said * bps_per_sigma(session)


def with_cross_asset(served: ServedSession, bundle: Bundle, histories: Sequence[AssetHistory]) -> ServedSession:
    """A served session with what the cross-asset network says of it, where that has a weight in E."""
    card = bundle.card.cross_asset
    if card is None or not card.weight:
        return served
    said = cross_move(CrossAssetPredictor(card, bundle.cross_asset_files), histories, served.session)
    if said is None:
        return served
    # As the quoter does where it has no bound of its own.
    bound = card.max_shift or bundle.card.max_shift
    return replace(served, cross_asset=CrossAssetWord(said, card.base_scale, card.weight, bound))
