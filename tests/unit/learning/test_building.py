"""From weights to a bundle that loads and predicts; and none where quantization costs more than its bound."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmd.inference.bundle import load_bundle
from mmd.inference.errors import BundleError
from mmd.inference.predictor import QuotePredictor
from mmd.learning.architecture import QuoteWeights
from mmd.learning.building import BuildSettings, build_bundle
from mmd.learning.dataset import Dataset
from mmd.learning.training import input_scaling, train
from mmd.market.feature_settings import FIRST_SCHEMA_NAMES, FeatureSettings, first_schema_hash, served_schemas
from tests.unit.learning.small_network import ROW_SIZES, TRAINING, small_dataset
from tests.unit.learning.small_network import TRAINED_SIZES as SIZES

# TensorFlow alone takes a while to start on a busy machine.
pytestmark = [pytest.mark.training, pytest.mark.timeout(400)]

ARGUMENTS = {"name": "small", "version": "1", "created_utc": "2024-01-01T00:00:00+00:00", "walk": TRAINING.walk, "window_steps": 5}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[QuoteWeights, Dataset]:
    dataset = small_dataset(4_000)
    weights, _ = train(dataset, TRAINING, tmp_path_factory.mktemp("work"), sizes=SIZES)
    return weights, dataset


def test_a_built_bundle_loads_predicts_and_says_what_it_is_worth(trained: tuple[QuoteWeights, Dataset], tmp_path: Path) -> None:
    weights, dataset = trained
    folder = tmp_path / "small"
    build_bundle(folder, weights, dataset, extra_files={"learning_curve.json": b"[]"}, **ARGUMENTS)
    bundle = load_bundle(folder, feature_schema_hash=served_schemas(FeatureSettings()))
    card = bundle.card
    assert set(card.metrics) == {"series 1", "series 2", "mean over series"}
    for name in ("series 1", "series 2"):
        assert card.metrics[name]["price_change.ic"] > card.metrics[name]["microprice.ic"]
    assert card.fair_weights["price_head"] > 0
    assert card.stage == "none"
    assert card.data_manifest["sha256"] == dataset.sha256
    assert np.allclose(card.normalisation.market_std, input_scaling(dataset, TRAINING.walk).market_std, rtol=1e-6)
    assert 0 < card.quantization_loss["int8.price_change.mean_difference"] < 0.03
    assert {"learning_curve.json", "window_float32.tflite", "step_int8.tflite"} <= set(card.files)
    assert not bundle.golden.inputs.state[0].any(), "one golden run starts from zero"
    predictor = QuotePredictor(bundle)
    assert predictor.variant_name == "int8"
    predictor.warm(dataset.parts["test"][0].session.market[:60])
    assert np.isfinite([predictor.price_change, predictor.optimal_spread, predictor.position_signal]).all()


def test_a_network_of_the_first_features_carries_the_first_schema(tmp_path: Path) -> None:
    sizes = replace(ROW_SIZES, market=len(FIRST_SCHEMA_NAMES))
    dataset = small_dataset(4_000)
    weights, _ = train(dataset, TRAINING, tmp_path / "work", sizes=sizes, out_of_time=lambda: True)
    bundle = build_bundle(tmp_path / "narrow", weights, dataset, **ARGUMENTS)
    assert bundle.card.feature_names == FIRST_SCHEMA_NAMES
    assert bundle.card.feature_schema_hash == first_schema_hash(FeatureSettings()) in served_schemas(FeatureSettings())
    predictor = QuotePredictor(bundle)
    predictor.warm(dataset.parts["test"][0].session.market[:60])
    assert np.isfinite(predictor.price_change)


def test_a_bundle_beyond_its_bound_is_not_built(trained: tuple[QuoteWeights, Dataset], tmp_path: Path) -> None:
    weights, dataset = trained
    folder = tmp_path / "refused"
    with pytest.raises(BundleError, match=r"quantization costs too much, no bundle was built: int8\.price_change"):
        build_bundle(folder, weights, dataset, settings=BuildSettings(max_price_difference=1e-9), **ARGUMENTS)
    assert not folder.exists()


def test_looking_at_the_learning_room_does_not_import_tensorflow() -> None:

    code = (
        "import sys, mmd.learning.command, mmd.learning.building; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert importlib.util.find_spec("tensorflow") is not None
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
