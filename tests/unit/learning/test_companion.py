"""Companion networks from training to a bundle that serves them: they learn what there is, and nothing where there is nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmd.inference.bundle import attach_companion, load_bundle
from mmd.inference.companion import OUTPUTS, STATES, Companion, CompanionCard
from mmd.inference.errors import BundleError
from mmd.inference.runtime import LITERT, load_runtime
from mmd.learning.batches import MARKET_SIGNS, WalkSizes
from mmd.learning.checkpoint import CheckpointError
from mmd.learning.companion_building import build_companion
from mmd.learning.companion_export import export_companion_window
from mmd.learning.companion_labels import CompanionLabelSettings
from mmd.learning.companion_training import CompanionSettings, CompanionWeights, train_companion
from mmd.learning.dataset import Dataset
from mmd.market.feature_settings import FeatureSettings, served_schemas
from mmd.market.feature_table import MARKET_NAMES
from tests.unit.learning.small_network import small_dataset

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "quote-v1"
WINDOW = 12
LABELS = CompanionLabelSettings(risk_window_seconds=2.0)
SETTINGS = CompanionSettings(
    flow_epochs=3,
    row_epochs=4,
    risk_stride=2,
    dropout=0.1,
    learning_rate=5e-3,
    walk=WalkSizes(lanes=8, chunk_steps=50, segment_steps=400, warm_steps=10),
)
BROKEN_OFF = ("order flow, epoch 2 of 3", "risk, epoch 2 of 4")
Built = tuple[CompanionCard, dict[str, bytes]]

# TensorFlow alone takes a while to start on a busy machine.
pytestmark = [pytest.mark.training, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset(4_000)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("companion")


@pytest.fixture(scope="module")
def weights(dataset: Dataset, work: Path) -> CompanionWeights:
    """With copies of what was there when the epochs began after which a training may be broken off."""

    def keep(stage: str) -> None:
        if stage in BROKEN_OFF:
            files = [path for path in work.iterdir() if path.is_file()]
            (work / stage).mkdir()
            for path in files:
                shutil.copy(path, work / stage)

    return train_companion(dataset, LABELS, SETTINGS, keep, work_dir=work)


@pytest.fixture(scope="module")
def built(weights: CompanionWeights, dataset: Dataset) -> Built:
    return build_companion(weights, dataset, LABELS)


@pytest.mark.parametrize(("where", "left"), list(zip(BROKEN_OFF, (2, 6), strict=True)))
def test_a_training_that_was_broken_off_goes_on_to_the_same_end(
    dataset: Dataset, weights: CompanionWeights, work: Path, tmp_path: Path, where: str, left: int
) -> None:
    shutil.copytree(work / where, tmp_path, dirs_exist_ok=True)
    heard: list[str] = []
    again = train_companion(dataset, LABELS, SETTINGS, heard.append, work_dir=tmp_path, resume=True)
    assert heard[0] == where, "no epoch is trained twice"
    assert len(heard) == len(set(heard)) == left
    np.testing.assert_array_equal(again.flow_1.kernel, weights.flow_1.kernel)
    np.testing.assert_array_equal(again.risk[0].kernel, weights.risk[0].kernel)
    np.testing.assert_array_equal(again.adverse[0].kernel, weights.adverse[0].kernel)
    assert again.balance == weights.balance
    with pytest.raises(CheckpointError, match="another --work-dir"):
        train_companion(dataset, LABELS, SETTINGS.model_copy(update={"seed": 2}), work_dir=tmp_path, resume=True)


def test_order_flow_finds_the_input_that_foretells(built: Built) -> None:
    card, _ = built
    for measures in card.metrics.values():
        assert measures["p_up.auc"] > 0.65
        assert measures["p_up.brier"] < measures["p_up.brier_of_rate"]
    assert 0.3 < card.balance["p_up.ones"] < 0.7
    assert set(card.useful) == {"p_up", "p_adverse", "risk"}


def test_streamed_steps_are_the_window(built: Built, weights: CompanionWeights, dataset: Dataset) -> None:
    _, files = built
    runtime = load_runtime(LITERT)
    step, window = runtime.load(files["companion_float32.tflite"]), runtime.load(export_companion_window(weights, WINDOW))
    rows = dataset.parts["test"][0].session.market[:WINDOW]
    for name in STATES:
        step.inputs[name][:] = 0.0
    for row in rows:
        step.inputs["market"][0] = row
        step.invoke()
        for name in STATES:
            step.inputs[name][:] = step.outputs[f"{name}_out"]
    window.inputs["market"][0] = rows
    window.invoke()
    for name in OUTPUTS:
        assert step.outputs[name].item() == pytest.approx(window.outputs[name].item(), abs=1e-5)


def test_the_ask_of_a_market_is_the_bid_of_its_mirror(built: Built) -> None:
    companion = Companion(*built)
    row = np.random.default_rng(0).normal(size=len(MARKET_NAMES)).astype(np.float32)
    companion.market[:] = row
    companion.step()
    ask = companion.p_adverse_ask
    companion.reset()
    companion.market[:] = row * MARKET_SIGNS
    companion.step()
    assert companion.p_adverse_bid == pytest.approx(ask, abs=0.03)


def test_a_row_that_is_no_number_moves_nothing(built: Built) -> None:
    companion = Companion(*built)
    companion.market[:] = np.nan
    companion.step()
    assert np.isnan([companion.p_up, companion.risk]).all()
    companion.market[:] = 0.0
    companion.step()
    assert np.isfinite([companion.p_up, companion.p_adverse_bid, companion.p_adverse_ask, companion.risk]).all()


def test_bad_signals_raise_the_risk(built: Built) -> None:
    companion = Companion(*built)
    companion.step()
    calm = companion.risk
    companion.signals[:] = -1.0, 1.0
    companion.step()
    assert companion.risk > calm


def test_attached_to_a_bundle_they_are_verified_with_it(built: Built, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))
    bundle = attach_companion(folder, *built)
    assert bundle.card.companion is not None
    assert Companion(bundle.card.companion, bundle.companion_files).variant_name == "int8"
    (folder / "companion_int8.tflite").write_bytes(b"poisoned")
    with pytest.raises(BundleError, match=r"companion_int8\.tflite: SHA-256"):
        load_bundle(folder, feature_schema_hash=served_schemas(FeatureSettings()))


def test_a_graph_that_does_not_answer_as_recorded_does_not_serve(built: Built) -> None:
    card, files = built
    wrong = {**files, "companion_int8.tflite": files["companion_float32.tflite"], "companion_float32.tflite": b"none"}
    lied = {name: data if "golden" not in name or "inputs" in name else data[:-64] + bytes(64) for name, data in wrong.items()}
    with pytest.raises(BundleError, match="no companion graph can serve"):
        Companion(card, lied)
