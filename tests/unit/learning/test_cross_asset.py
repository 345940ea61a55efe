"""The cross-asset network from training to a bundle that serves it: it finds a leader where there is one, and nothing where not."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mmd.inference.bundle import Bundle, attach_cross_asset, load_bundle, write_card
from mmd.inference.cross_asset import MOVE, STATES, CrossAssetCard, CrossAssetPredictor
from mmd.inference.errors import BundleError
from mmd.inference.runtime import LITERT, load_runtime
from mmd.learning.batches import WalkSizes
from mmd.learning.checkpoint import CheckpointError
from mmd.learning.companion_command import take_cross_asset
from mmd.learning.cross_asset_building import WINDOW_FILE, build_cross_asset
from mmd.learning.cross_asset_network import CrossNetwork, CrossSizes, CrossWeights
from mmd.learning.cross_asset_rows import FRESHNESS, SLOTS, cross_rows
from mmd.learning.cross_asset_training import CrossEpoch, CrossSettings, cross_parts, train_cross_asset
from mmd.learning.dataset import Dataset
from mmd.market.feature_settings import FeatureSettings, served_schemas
from tests.unit.learning.made_pairs import paired_dataset
from tests.unit.learning.small_network import small_dataset

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "quote-v1"
SIZES = CrossSizes(dense_1=32, dense_2=16)
WINDOW = 10
"""Steps of the windowed graph that is built here; that of sixty is held to its steps in the shipped bundles."""
SETTINGS = CrossSettings(
    epochs=4,
    learning_rate=5e-3,
    dropout=0.1,
    walk=WalkSizes(lanes=8, chunk_steps=50, segment_steps=400, warm_steps=20),
)
Built = tuple[CrossAssetCard, dict[str, bytes]]
Trained = tuple[CrossWeights, list[CrossEpoch]]
BROKEN_OFF = "broken off"
"""Below the folder of the training: what was there after its first epoch."""

# TensorFlow alone takes a while to start on a busy machine.
pytestmark = [pytest.mark.training, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return paired_dataset()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cross")


@pytest.fixture(scope="module")
def trained(dataset: Dataset, work: Path) -> Trained:
    def keep(record: CrossEpoch) -> None:
        if record.epoch == 1:
            files = [path for path in work.iterdir() if path.is_file()]
            (work / BROKEN_OFF).mkdir()
            for path in files:
                shutil.copy(path, work / BROKEN_OFF)

    return train_cross_asset(dataset, SETTINGS, work, sizes=SIZES, on_epoch=keep)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(SHIPPED, feature_schema_hash=None)


@pytest.fixture(scope="module")
def built(trained: Trained, dataset: Dataset, bundle: Bundle) -> Built:
    return build_cross_asset(trained[0], dataset, bundle, window_steps=WINDOW)


def some_rows(dataset: Dataset, steps: int) -> np.ndarray:  # type: ignore[type-arg]
    return cross_parts(dataset, "test")[1].rows[:steps]


def test_a_follower_is_foretold_by_its_leader_and_a_leader_by_nobody(built: Built) -> None:
    card, _ = built
    for series, measures in card.metrics.items():
        if series.startswith("follower"):
            assert measures["cross_asset.ic"] > 0.6
            assert measures["leader.ic"] > 0.4
            assert abs(measures["price_head.ic"]) < 0.25
            assert measures["fair.ic"] > measures["fair_without.ic"] + 0.3
            assert measures["fair.better_in_draws"] == 1.0
        else:
            assert abs(measures["cross_asset.ic"]) < 0.25
    assert card.weight > 0.3


def test_where_nobody_leads_the_weight_is_nought(bundle: Bundle, tmp_path: Path) -> None:
    alone = paired_dataset(2_000, follows=False)
    weights, _ = train_cross_asset(alone, SETTINGS.model_copy(update={"epochs": 1}), tmp_path, sizes=SIZES)
    card, _ = build_cross_asset(weights, alone, bundle, window_steps=2)
    assert card.weight < 0.2
    assert abs(np.mean([measures["cross_asset.ic"] for measures in card.metrics.values()])) < 0.2


def test_streamed_steps_are_the_window(built: Built, dataset: Dataset) -> None:
    _, files = built
    runtime = load_runtime(LITERT)
    step, window = runtime.load(files["cross_asset_float32.tflite"]), runtime.load(files[WINDOW_FILE])
    rows = some_rows(dataset, WINDOW)
    for assets in rows:
        step.inputs["assets"][:] = assets
        step.invoke()
        for name in STATES:
            step.inputs[name][:] = step.outputs[f"{name}_out"]
    window.inputs["assets"][:] = rows
    window.invoke()
    assert step.outputs[MOVE].item() == pytest.approx(window.outputs[MOVE].item(), abs=1e-5)


def test_the_exported_step_is_the_trained_network(trained: Trained, built: Built, dataset: Dataset) -> None:
    weights, rows = trained[0], some_rows(dataset, 60)
    network = CrossNetwork(weights.sizes, weights.mean, weights.std, 0.0)
    arrays = [weights.lstm.kernel, weights.lstm.recurrent, weights.lstm.bias]
    arrays += [array for dense in weights.dense for array in (dense.kernel, dense.bias)]
    for variable, array in zip(network.variables, arrays, strict=True):
        variable.assign(array)
    said, _ = network.answer(rows.reshape(1, 60, -1), network.zero_states(1))
    card, files = built
    step = load_runtime(LITERT).load(files["cross_asset_float32.tflite"])
    for index, assets in enumerate(rows):
        step.inputs["assets"][:] = assets
        step.invoke()
        assert step.outputs[MOVE].item() == pytest.approx(float(said[0, index]), abs=1e-5)
        for name in STATES:
            step.inputs[name][:] = step.outputs[f"{name}_out"]
    predictor = CrossAssetPredictor(card, files)
    for assets in rows.tolist():
        predictor.step_on(assets)
    assert predictor.variant_name == "int8"
    assert predictor.warm_enough
    assert predictor.move == pytest.approx(float(said[0, -1]), abs=0.1)


def test_the_order_of_references_says_nothing_and_a_stale_one_is_as_none(built: Built, dataset: Dataset) -> None:
    card, files = built
    rows = some_rows(dataset, 40)
    stale = rows[:, 1].copy()
    stale[:, FRESHNESS] = 0.0

    def last(assets: list[np.ndarray]) -> float:  # type: ignore[type-arg]
        predictor = CrossAssetPredictor(msgspec.structs.replace(card, preference={LITERT: ("float32",)}), files)
        for step in range(len(rows)):
            predictor.step_on([asset[step].tolist() for asset in assets])
        return predictor.move

    one = last([rows[:, 0], rows[:, 1], np.zeros_like(stale)])
    assert last([rows[:, 0], np.zeros_like(stale), rows[:, 1]]) == pytest.approx(one, abs=1e-5)
    assert last([rows[:, 0], rows[:, 1], stale]) == pytest.approx(one, abs=1e-5)
    assert last([rows[:, 0], rows[:, 1]]) == pytest.approx(one, abs=1e-5)
    assert last([rows[:, 0], stale]) != pytest.approx(one, abs=1e-3)


def test_a_row_that_is_no_number_moves_nothing(built: Built, dataset: Dataset) -> None:
    predictor = CrossAssetPredictor(*built)
    rows = some_rows(dataset, 2).tolist()
    predictor.step_on(rows[0])
    before = predictor.states[0][0].copy()
    predictor.step_on([[float("nan")] * 10])
    assert np.isnan(predictor.move)
    np.testing.assert_array_equal(predictor.states[0][0], before)
    predictor.step_on(rows[1])
    assert np.isfinite(predictor.move)
    predictor.reset()
    assert not predictor.states[0][0].any()


def test_a_broken_off_training_goes_on_to_the_same_end(dataset: Dataset, trained: Trained, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / BROKEN_OFF, tmp_path, dirs_exist_ok=True)
    epochs: list[int] = []
    weights, records = train_cross_asset(
        dataset, SETTINGS, tmp_path, sizes=SIZES, resume=True, on_epoch=lambda record: epochs.append(record.epoch)
    )
    assert epochs == [2, 3, 4], "the first one is not trained again"
    assert records == trained[1]
    np.testing.assert_array_equal(weights.lstm.kernel, trained[0].lstm.kernel)
    np.testing.assert_array_equal(weights.dense[0].kernel, trained[0].dense[0].kernel)
    with pytest.raises(CheckpointError, match="another --work-dir"):
        train_cross_asset(dataset, SETTINGS.model_copy(update={"seed": 2}), tmp_path, sizes=SIZES, resume=True)


def test_series_that_were_not_received_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="received together"):
        train_cross_asset(small_dataset(), SETTINGS, tmp_path, sizes=SIZES)


def test_attached_to_a_bundle_it_is_verified_with_it(built: Built, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))
    bundle = attach_cross_asset(folder, *built)
    assert bundle.card.cross_asset is not None
    assert CrossAssetPredictor(bundle.card.cross_asset, bundle.cross_asset_files).variant_name == "int8"
    assert bundle.card.cross_asset.slots == SLOTS
    (folder / "cross_asset_int8.tflite").write_bytes(b"poisoned")
    with pytest.raises(BundleError, match=r"cross_asset_int8\.tflite: SHA-256"):
        load_bundle(folder, feature_schema_hash=served_schemas(FeatureSettings()))


def test_taken_into_another_bundle_its_weight_is_fitted_there(built: Built, dataset: Dataset, tmp_path: Path) -> None:
    source, target = (Path(shutil.copytree(SHIPPED, tmp_path / name)) for name in ("source", "target"))
    attach_cross_asset(source, *built)
    card = load_bundle(target, feature_schema_hash=None).card
    wrong = msgspec.structs.replace(card, fair_weights=dict.fromkeys(card.fair_weights, 0.0))
    write_card(target, wrong)
    taken = take_cross_asset(dataset, target, source).card.cross_asset
    assert taken is not None
    assert taken.variants == built[0].variants
    assert taken.weight == pytest.approx(built[0].weight, rel=0.3), "nothing else tells of the moves"
    assert all(measures["fair_without.ic"] == 0.0 for measures in taken.metrics.values())
    with pytest.raises(BundleError, match="no cross-asset network"):
        take_cross_asset(dataset, source, Path(shutil.copytree(SHIPPED, tmp_path / "without")))


def test_a_graph_that_does_not_answer_as_recorded_does_not_serve(built: Built) -> None:
    card, files = built
    lied = {
        name: bytes(data[:-64]) + bytes(64) if "golden" in name and "inputs" not in name else data for name, data in files.items()
    }
    with pytest.raises(BundleError, match="no cross-asset graph can serve"):
        CrossAssetPredictor(card, lied)


def test_the_label_is_that_of_the_primary(dataset: Dataset) -> None:
    part = cross_parts(dataset, "train", most_rows=100)[1]
    assert part.part.rows == 100
    walked = part.walked()
    np.testing.assert_array_equal(walked.labels.price_change, part.part.labels.price_change[part.part.span])
    np.testing.assert_array_equal(walked.session.market.reshape(100, SLOTS, -1), part.rows)
    history = next(each for each in dataset.histories if each.series == part.part.session.series)
    leader = next(each for each in dataset.histories if each.group == history.group and each is not history)
    np.testing.assert_array_equal(cross_rows(history, part.part.session, [leader], part.part.start, part.part.stop), part.rows)
