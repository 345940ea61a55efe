"""The network without recurrence, and the ensemble that teaches: single rows, no state, nobody taught by who saw the answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import LITERT, load_runtime
from mmd.learning import teacher
from mmd.learning.architecture import QuoteSizes
from mmd.learning.batches import MARKET_SIGNS, RowWalk
from mmd.learning.building import build_bundle
from mmd.learning.dataset import TRAIN, Dataset
from mmd.learning.export import Form, export_step, export_window
from mmd.learning.labels import LabelSettings
from mmd.learning.training import TrainingSettings, train
from mmd.market.feature_table import MARKET_NAMES
from tests.unit.learning.small_network import TRAINING, small_dataset

SIZES = QuoteSizes(market=len(MARKET_NAMES), lstm_1=0, lstm_2=0, skip=True, shared_1=24, shared_2=16, branch=8)
SETTINGS = TrainingSettings(**{**TRAINING.model_dump(), "epochs": 6})

# TensorFlow alone takes a while to start on a busy machine.
pytestmark = [pytest.mark.training, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset()


def test_it_learns_is_built_and_serves_without_a_state(dataset: Dataset, tmp_path: Path) -> None:
    weights, records = train(dataset, SETTINGS, tmp_path / "work", sizes=SIZES)
    assert records[-1].price_ic > 0.4
    bundle = build_bundle(
        tmp_path / "row", weights, dataset, name="row", version="1", created_utc="-", walk=SETTINGS.walk, window_steps=5
    )
    predictor = QuotePredictor(bundle)
    assert predictor.recurrent_state().size == 0
    predictor.restore_recurrent_state(predictor.recurrent_state(), 3)
    row = dataset.parts["test"][0].session.market[5]
    answers = []
    for _ in range(2):
        predictor.market[:] = row
        predictor.step()
        answers.append(predictor.price_change)
    assert answers[0] == answers[1]


def test_step_and_window_agree(dataset: Dataset, tmp_path: Path) -> None:
    weights, _ = train(dataset, SETTINGS, tmp_path, sizes=SIZES, out_of_time=lambda: True)
    runtime = load_runtime(LITERT)
    step, window = runtime.load(export_step(weights, Form.FLOAT32)), runtime.load(export_window(weights, 5))
    rows = dataset.parts["test"][0].session.market[:5]
    step.inputs["market"][0], window.inputs["market"][0] = rows[-1], rows
    step.invoke()
    window.invoke()
    assert step.outputs["price_change"].item() == pytest.approx(window.outputs["price_change"].item(), abs=1e-5)


def test_a_walk_over_single_rows_shows_each_once_mirrored_or_not(dataset: Dataset) -> None:
    parts = dataset.parts[TRAIN][:1]
    walk = RowWalk(parts, LabelSettings(settle_seconds=0.0), TRAINING.walk, seed=3, shuffle=True)
    chunks = list(walk)
    assert len(chunks) == len(walk)
    shown = np.concatenate([chunk.market.reshape(-1, len(MARKET_NAMES)) for chunk in chunks])
    weight = np.concatenate([chunk.weights.reshape(-1, 3) for chunk in chunks])[:, 0]
    rows = np.asarray(parts[0].session.market[parts[0].span])
    # Volume and spread (7, 5) are not mirrored, and so name a row; its imbalance (8) is, in about half of them.
    place = {(float(row[7]), float(row[5])): row for row in rows}
    flipped = 0
    for row in shown[weight > 0]:
        was = place[float(row[7]), float(row[5])]
        mirrored = not np.array_equal(row, was)
        flipped += mirrored
        np.testing.assert_array_equal(row, was * MARKET_SIGNS if mirrored else was)
    assert 0.3 < flipped / (weight > 0).sum() < 0.7


def test_nobody_is_taught_by_who_saw_the_answers(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    ensemble = teacher._ensemble

    def spying(parts, weights, seed, networks):  # type: ignore[no-untyped-def]
        seen.append({id(part.session) for part in parts})
        return ensemble(parts, weights, seed, networks)

    monkeypatch.setattr(teacher, "_ensemble", spying)
    taught = teacher.taught(dataset, 0.7, networks=0)
    assert len(seen) == 2
    assert not seen[0] & seen[1]
    for part in taught.parts[TRAIN]:
        assert part.teacher is not None
        assert np.isfinite(part.teacher).all()
        label = part.labels.price_change[part.span]
        assert np.corrcoef(part.teacher, label)[0, 1] > 0.3


def test_shuffled_labels_teach_nothing(dataset: Dataset) -> None:
    rng = np.random.default_rng(0)
    parts = [
        replace(part, labels=replace(part.labels, price_change=rng.permutation(part.labels.price_change)))
        for part in dataset.parts[TRAIN]
    ]
    shuffled = replace(dataset, parts={**dataset.parts, TRAIN: parts})
    for part, true in zip(teacher.taught(shuffled, 0.7, networks=0).parts[TRAIN], dataset.parts[TRAIN], strict=True):
        assert abs(np.corrcoef(part.teacher, true.labels.price_change[true.span])[0, 1]) < 0.15
