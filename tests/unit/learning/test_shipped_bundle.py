"""The bundle in models/: small, bounded in what inventory does, and its one step is its window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmd.inference.bundle import Bundle, load_bundle
from mmd.inference.cross_asset import MOVE, STATES, CrossAssetCard
from mmd.inference.golden import OUTPUT_NAMES, STATE_NAMES
from mmd.inference.runtime import LITERT, load_runtime
from mmd.inference.shipped import DEFAULT_BUNDLE
from mmd.learning.cross_asset_building import WINDOW_FILE as CROSS_WINDOW_FILE
from mmd.learning.export import WINDOW_FILE
from mmd.market.feature_settings import FeatureSettings, served_schemas

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "quote-v1"
MOST_BYTES = 5_000_000
MOST_PRICE_EFFECT = 0.2
"""Sigma over H that a full position may move the price head, anywhere on the test part."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    if not SHIPPED.is_dir():
        pytest.skip("quote-v1 is not built yet: mmd train quote --out models/quote-v1")
    return load_bundle(SHIPPED, feature_schema_hash=served_schemas(FeatureSettings()))


def test_it_is_small_enough_to_be_committed(bundle: Bundle) -> None:
    assert sum(path.stat().st_size for path in bundle.folder.iterdir()) < MOST_BYTES


def test_sixty_steps_from_zero_are_the_window(bundle: Bundle) -> None:
    runtime = load_runtime(LITERT)
    step = runtime.load(bundle.models["float32"])
    window = runtime.load((bundle.folder / WINDOW_FILE).read_bytes())
    scaling = bundle.card.normalisation
    rng = np.random.default_rng(1)
    rows = (np.array(scaling.market_mean) + rng.normal(size=(60, 20)) * np.array(scaling.market_std)).astype(np.float32)
    for row in rows:
        step.inputs["market"][0] = row
        step.invoke()
        for name in STATE_NAMES:
            step.inputs[name][:] = step.outputs[f"{name}_out"]
    window.inputs["market"][0] = rows
    window.invoke()
    for name in OUTPUT_NAMES:
        assert step.outputs[name].item() == pytest.approx(window.outputs[name].item(), abs=1e-5)


def test_sixty_steps_of_the_cross_asset_network_are_its_window() -> None:
    folder = SHIPPED.parents[1] / DEFAULT_BUNDLE
    card = load_bundle(folder, feature_schema_hash=None).card.cross_asset
    assert card is not None
    runtime = load_runtime(LITERT)
    step, window = (runtime.load((folder / file).read_bytes()) for file in (card_file(card), CROSS_WINDOW_FILE))
    rows = np.random.default_rng(2).normal(size=(60, card.slots, len(card.names))).astype(np.float32)
    rows[..., -1] = 1.0
    for assets in rows:
        step.inputs["assets"][:] = assets
        step.invoke()
        for name in STATES:
            step.inputs[name][:] = step.outputs[f"{name}_out"]
    window.inputs["assets"][:] = rows
    window.invoke()
    assert step.outputs[MOVE].item() == pytest.approx(window.outputs[MOVE].item(), abs=1e-5)


def card_file(card: CrossAssetCard) -> str:
    return next(variant.file for variant in card.variants if variant.name == "float32")


def test_inventory_hardly_moves_price_and_spread(bundle: Bundle) -> None:
    for series, metrics in bundle.card.metrics.items():
        assert metrics["price_change.inventory_effect"] < MOST_PRICE_EFFECT, series


def test_a_weight_goes_only_to_a_head_that_beats_its_baseline_on_the_card(bundle: Bundle) -> None:
    mean = bundle.card.metrics["mean over series"]
    if bundle.card.fair_weights["price_head"] > 0:
        assert mean["price_change.ic"] > mean["microprice.ic"]
    assert bundle.card.quantization_loss["int8.price_change.ic_loss_of_worst"] <= 0.01
