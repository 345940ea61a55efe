"""Training learns what there is to learn, goes on where it stopped, and refuses the checkpoint of another training."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mmd.learning.checkpoint import CheckpointError
from mmd.learning.dataset import TEST, Dataset
from mmd.learning.seeds import SeedRecord, train_seeds
from mmd.learning.starting import load_start, save_start
from mmd.learning.training import (
    CHECKPOINT_FILE,
    CURVE_FILE,
    EpochRecord,
    Silent,
    Trainer,
    TrainingSettings,
    input_scaling,
    train,
)
from tests.unit.learning.small_network import ROW_SIZES, TRAINING, small_dataset
from tests.unit.learning.small_network import TRAINED_SIZES as SIZES


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset(4_000)


# TensorFlow alone takes a while to start on a busy machine.
pytestmark = [pytest.mark.training, pytest.mark.timeout(400)]

BROKEN_OFF = "broken off"
"""Below the folder of the training: the checkpoint as it was after its first epoch."""
Trained = tuple[Path, list[EpochRecord], np.ndarray, list[tuple[int, int, int]]]  # type: ignore[type-arg]


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """And what an observer heard of it."""
    folder = tmp_path_factory.mktemp("trained")
    heard: list[tuple[int, int, int]] = []

    class Listener(Silent):
        def on_chunk(self, epoch: int, done: int, total: int) -> None:
            heard.append((epoch, done, total))

        def on_epoch(self, record: EpochRecord) -> None:
            heard.append((record.epoch, -1, -1))
            if record.epoch == 1:
                (folder / BROKEN_OFF).mkdir()
                shutil.copy(folder / CHECKPOINT_FILE, folder / BROKEN_OFF)

    weights, records = train(dataset, TRAINING, folder, sizes=SIZES, observer=Listener())
    return folder, records, weights.lstm_1.kernel, heard


def test_the_price_head_finds_the_one_input_that_foretells(trained: Trained) -> None:
    folder, records, _, _ = trained
    assert records[-1].price_ic > 0.4
    assert records[-1].validation["total"] < records[0].validation["total"]
    curve = msgspec.json.decode((folder / CURVE_FILE).read_bytes(), type=list[EpochRecord])
    assert curve == records


def test_a_resumed_training_ends_as_an_unbroken_one(dataset: Dataset, trained: Trained, tmp_path: Path) -> None:
    folder, records, kernel, _ = trained
    shutil.copy(folder / BROKEN_OFF / CHECKPOINT_FILE, tmp_path)
    weights, resumed = train(dataset, TRAINING, tmp_path, sizes=SIZES, resume=True)
    assert resumed[0] == records[0]
    assert resumed == records
    np.testing.assert_array_equal(weights.lstm_1.kernel, kernel)


def test_a_training_that_is_out_of_time_ends_after_its_epoch(dataset: Dataset, tmp_path: Path) -> None:
    _, records = train(dataset, TRAINING, tmp_path, sizes=ROW_SIZES, out_of_time=lambda: True)
    assert len(records) == 1


def test_of_several_seeds_validation_chooses(dataset: Dataset, tmp_path: Path) -> None:
    settings = TRAINING.model_copy(update={"epochs": 1})
    found = train_seeds(dataset, settings, tmp_path, (3, 4), sizes=ROW_SIZES)
    assert [record.seed for record in found.records] == [3, 4]
    (chosen,) = (record for record in found.records if record.chosen)
    assert chosen.validation == min(record.validation for record in found.records)
    assert found.records[0].validation != found.records[1].validation, "seeds differ"
    assert msgspec.json.decode(found.document(), type=list[SeedRecord]) == found.records
    assert (tmp_path / f"seed-{chosen.seed}" / CURVE_FILE).read_bytes() == found.curve


def test_a_checkpoint_of_other_settings_is_refused(
    dataset: Dataset,
    trained: Trained,
) -> None:
    other = TrainingSettings(**{**TRAINING.model_dump(), "seed": 2})
    with pytest.raises(CheckpointError, match="another --work-dir"):
        train(dataset, other, trained[0], sizes=SIZES, resume=True)


def test_an_observer_hears_of_every_chunk_and_epoch(trained: Trained) -> None:
    heard = trained[3]
    first = heard[: heard.index((1, -1, -1)) + 1]
    assert [done for _, done, _ in first[:-1]] == list(range(1, first[0][2] + 1))
    assert [epoch for epoch, done, _ in heard if done == -1] == [1, 2, 3]


def test_normalisation_is_symmetric_for_inputs_that_mirror(dataset: Dataset) -> None:
    scaling = input_scaling(dataset, TRAINING.walk)
    assert scaling.market_mean[8] == 0.0
    assert scaling.inventory_mean[0] == 0.0
    assert scaling.inventory_mean[4] > 0.3
    assert (scaling.market_std > 0).all()


def test_a_learnt_balance_changes_what_is_learnt_and_not_how_it_is_judged(dataset: Dataset, tmp_path: Path) -> None:
    trainers = {}
    for balance in ("fixed", "uncertainty"):
        settings = TRAINING.model_copy(update={"balance": balance, "epochs": 2})
        trainers[balance] = Trainer(dataset, settings, tmp_path / balance, ROW_SIZES, Silent())
        trainers[balance].run()
    fixed, learnt = (trainers[balance].epochs.records[-1].validation for balance in ("fixed", "uncertainty"))
    assert fixed["total"] != learnt["total"]
    for losses in (fixed, learnt):
        weighed = sum(
            getattr(TRAINING, f"{name}_weight") * losses[head]
            for name, head in (
                ("price", "price_change"),
                ("spread", "optimal_spread"),
                ("position", "position_signal"),
                ("inventory", "inventory_effect"),
            )
        )
        assert losses["total"] == pytest.approx(weighed)
    settings = TRAINING.model_copy(update={"balance": "uncertainty", "epochs": 2})
    Trainer(dataset, settings, tmp_path / "broken", ROW_SIZES, Silent()).run(out_of_time=lambda: True)
    resumed = Trainer(dataset, settings, tmp_path / "broken", ROW_SIZES, Silent())
    resumed.run(resume=True)
    assert resumed.epochs.records == trainers["uncertainty"].epochs.records


def test_a_training_may_begin_where_another_ended(dataset: Dataset, tmp_path: Path) -> None:
    first = Trainer(dataset, TRAINING.model_copy(update={"epochs": 1}), tmp_path / "first", ROW_SIZES, Silent())
    first.run()
    save_start(tmp_path, first.end())
    start = load_start(tmp_path)
    assert start.sha256() == first.end().sha256()
    second = Trainer(dataset, TRAINING, tmp_path / "second", ROW_SIZES, Silent(), start)
    assert second.measured(TEST) == first.measured(TEST)
    with pytest.raises(CheckpointError, match="another architecture"):
        Trainer(dataset, TRAINING, tmp_path / "third", SIZES, Silent(), start)
    with pytest.raises(CheckpointError, match="no training of the quote network has ended here"):
        load_start(tmp_path / "first")
