"""Training learns what there is to learn, goes on where it stopped, and refuses the checkpoint of another training."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from mmd.learning.checkpoint import CheckpointError
from mmd.learning.dataset import Dataset
from mmd.learning.training import (
    CURVE_FILE,
    EpochRecord,
    Silent,
    TrainingSettings,
    input_scaling,
    train,
)
from tests.unit.learning.small_network import SIZES, TRAINING, small_dataset


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset()


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[EpochRecord], np.ndarray]:  # type: ignore[type-arg]
    folder = tmp_path_factory.mktemp("trained")
    weights, records = train(dataset, TRAINING, folder, sizes=SIZES)
    return folder, records, weights.lstm_1.kernel


def test_the_price_head_finds_the_one_input_that_foretells(trained: tuple[Path, list[EpochRecord], object]) -> None:
    folder, records, _ = trained
    assert records[-1].price_ic > 0.4
    assert records[-1].validation["total"] < records[0].validation["total"]
    curve = msgspec.json.decode((folder / CURVE_FILE).read_bytes(), type=list[EpochRecord])
    assert curve == records


def test_a_resumed_training_ends_as_an_unbroken_one(
    dataset: Dataset,
    trained: tuple[Path, list[EpochRecord], np.ndarray],  # type: ignore[type-arg]
    tmp_path: Path,
) -> None:
    _, records, kernel = trained
    _, first = train(dataset, TRAINING, tmp_path, sizes=SIZES, out_of_time=lambda: True)
    assert len(first) == 1
    weights, resumed = train(dataset, TRAINING, tmp_path, sizes=SIZES, resume=True)
    assert len(resumed) == len(records)
    assert resumed == records
    np.testing.assert_array_equal(weights.lstm_1.kernel, kernel)


def test_a_checkpoint_of_other_settings_is_refused(
    dataset: Dataset,
    trained: tuple[Path, list[EpochRecord], object],
) -> None:
    other = TrainingSettings(**{**TRAINING.model_dump(), "seed": 2})
    with pytest.raises(CheckpointError, match="another --work-dir"):
        train(dataset, other, trained[0], sizes=SIZES, resume=True)


def test_an_observer_hears_of_every_chunk_and_epoch(dataset: Dataset, tmp_path: Path) -> None:
    heard: list[tuple[int, int, int]] = []

    class Listener(Silent):
        def on_chunk(self, epoch: int, done: int, total: int) -> None:
            heard.append((epoch, done, total))

        def on_epoch(self, record: EpochRecord) -> None:
            heard.append((record.epoch, -1, -1))

    train(dataset, TRAINING, tmp_path, sizes=SIZES, observer=Listener(), out_of_time=lambda: True)
    assert [done for _, done, _ in heard[:-1]] == list(range(1, heard[0][2] + 1))
    assert heard[-1] == (1, -1, -1)


def test_normalisation_is_symmetric_for_inputs_that_mirror(dataset: Dataset) -> None:
    scaling = input_scaling(dataset, TRAINING.walk)
    assert scaling.market_mean[8] == 0.0
    assert scaling.inventory_mean[0] == 0.0
    assert scaling.inventory_mean[4] > 0.3
    assert (scaling.market_std > 0).all()
