"""Every bundle under models/ loads and serves on the runtime at hand. Runs in both environments."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

import numpy as np
import pytest

from mmd.inference.bundle import load_bundle
from mmd.inference.golden import deviation, replay
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import LITERT, load_runtime
from mmd.inference.shipped import DEFAULT_BUNDLE
from mmd.inference.verification import serves, verify

MODELS = Path(__file__).resolve().parents[2] / "models"
QUANTIZED = {"int8", "int8_per_tensor"}


def bundle_folders() -> list[Path]:
    return sorted({MODELS / DEFAULT_BUNDLE.name, *(card.parent for card in MODELS.glob("*/card.json"))})


@pytest.fixture(params=bundle_folders(), ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    if not folder.exists():
        pytest.skip(f"{folder.name} is not built yet: mmd train quote --out models/{folder.name}")
    return folder


def test_it_serves(folder: Path) -> None:
    bundle = load_bundle(folder, feature_schema_hash=None)
    predictor = QuotePredictor(bundle)
    if predictor.runtime_name == LITERT:
        assert predictor.variant_name == "int8", predictor.refused_variants
    window = np.array(bundle.card.normalisation.market_mean, np.float32) + np.zeros((bundle.card.steps, 1), np.float32)
    predictor.warm(window)
    assert predictor.warm_enough
    assert isfinite(predictor.price_change)
    assert abs(predictor.price_change) < 10.0
    assert 0.0 <= predictor.optimal_spread <= 1.0
    assert -1.0 <= predictor.position_signal <= 1.0
    restarted = QuotePredictor(bundle, hold_views=False)
    restarted.warm(window)
    assert restarted.price_change == predictor.price_change


def test_each_of_its_networks_has_a_form_that_serves(folder: Path) -> None:
    bundle = load_bundle(folder, feature_schema_hash=None)
    verdicts = verify(bundle, (load_runtime(),))
    there = (
        {"quote"} | ({"companion"} if bundle.card.companion else set()) | ({"cross-asset"} if bundle.card.cross_asset else set())
    )
    assert {verdict.network for verdict in verdicts} == there
    assert serves(verdicts), [verdict for verdict in verdicts if verdict.problem]


def test_quantization_costs_no_more_than_the_card_allows(folder: Path) -> None:
    bundle = load_bundle(folder, feature_schema_hash=None)
    runtime = load_runtime()
    served = 0
    for variant in bundle.card.preferred(runtime.name):
        if runtime.name != LITERT and variant.name == "int8":
            continue
        answers = replay(runtime.load(bundle.models[variant.name]), bundle.golden.inputs)
        assert deviation(answers.outputs, bundle.golden.inputs.reference) <= variant.reference_tolerance + variant.tolerance
        served += variant.name in QUANTIZED
    assert served
