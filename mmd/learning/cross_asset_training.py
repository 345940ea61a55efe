"""Training of the cross-asset network: sequences with carried state, early stopping, a checkpoint after each epoch.

It is asked what the quote network's price head is asked: the primary's price change over H, in sigma. Everything that decides the
outcome is in the settings, the data's hash and the seed; a training that was broken off goes on to the same end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mmd.learning.architecture import Array
from mmd.learning.batches import Walk, WalkSizes, series_weights
from mmd.learning.cross_asset_network import MIRRORED_NAMES, CrossNetwork, CrossSizes, CrossWeights
from mmd.learning.cross_asset_rows import FRESHNESS, SLOTS, AssetHistory, cross_rows, references_of, with_reference
from mmd.learning.dataset import TRAIN, VALIDATION, Dataset, Part
from mmd.learning.epochs import WEIGHTS, Epochs
from mmd.learning.labels import Labels
from mmd.learning.reproducible import begin
from mmd.learning.sessions import Rows, Session
from mmd.market.reference import ASSET_COLUMNS, ASSET_NAMES

CHECKPOINT_FILE = "cross_asset.npz"
CURVE_FILE = "cross_asset_curve.json"
SIGNS: Rows = np.tile(np.array([-1.0 if name in MIRRORED_NAMES else 1.0 for name in ASSET_NAMES], dtype=np.float32), SLOTS)


class CrossSettings(BaseModel):
    """How it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=10, description="Passes over the training part at most, count.", gt=0)
    patience: int = Field(default=3, description="Epochs without a better validation loss before training ends, count.", gt=0)
    learning_rate: float = Field(default=1.5e-3, description="AdamW's first step size; it falls to 0 along a cosine.", gt=0)
    weight_decay: float = Field(default=0.02, description="AdamW's.", ge=0)
    dropout: float = Field(default=0.2, description="Share of a layer's inputs dropped while learning.", ge=0, lt=1)
    most_rows: int = Field(default=120_000, description="Newest rows of each part to train on at most.", gt=0)
    seed: int = Field(default=1, description="Of first weights, batches and dropout.", ge=0)
    walk: WalkSizes = WalkSizes(lanes=64)


class CrossEpoch(msgspec.Struct, frozen=True):
    """One point of the learning curve: weighted mean squared errors, sigma squared."""

    epoch: int
    train: float
    validation: float
    validation_of_zero: float
    """Of predicting no move."""
    best: bool


@dataclass(frozen=True)
class CrossPart:
    """A part of a series that was received together with others, and its rows with theirs."""

    part: Part
    rows: Rows
    """[rows, slots, 10]"""

    def walked(self) -> Part:
        """The same with the rows in the place of the features, from 0 on, as a `Walk` takes it."""
        part, span = self.part, self.part.span
        nothing = np.zeros(0, dtype=np.int64)
        session = Session(
            series=part.session.series,
            market=self.rows.reshape(len(self.rows), -1),
            receive_ns=part.session.receive_ns[span],
            bid_ticks=part.session.bid_ticks[span],
            bid_lots=part.session.bid_lots[span],
            ask_ticks=part.session.ask_ticks[span],
            ask_lots=part.session.ask_lots[span],
            sigma_ticks=part.session.sigma_ticks[span],
            trade_row=nothing,
            trade_price_ticks=nothing,
            trade_sign=nothing,
            trade_lots=nothing,
        )
        labels = Labels(**{name: getattr(part.labels, name)[span] for name in Labels.__dataclass_fields__})
        return Part(session, labels, 0, part.rows)


def cross_parts(dataset: Dataset, name: str, most_rows: int | None = None) -> list[CrossPart]:
    """Of a split: the parts (their newest rows) in which some reference was fresh."""
    found = []
    references: dict[int, list[AssetHistory]] = {}
    for part in dataset.parts[name]:
        history = _history(dataset.histories, part)
        if history is None:
            continue
        if id(history) not in references:
            references[id(history)] = references_of(history, dataset.histories)
        if not references[id(history)]:
            continue
        chosen = part if most_rows is None else replace(part, start=max(part.start, part.stop - most_rows))
        rows = cross_rows(history, part.session, references[id(history)], chosen.start, chosen.stop)
        if with_reference(rows).any():
            found.append(CrossPart(chosen, rows))
    return found


def _history(histories: Sequence[AssetHistory], part: Part) -> AssetHistory | None:
    return next((each for each in histories if any(own is part.session for own in each.sessions)), None)


def moments(parts: Sequence[CrossPart]) -> tuple[Array, Array]:
    """Mean and deviation of the columns over fresh assets. Columns that mirroring turns around have the mean 0 by symmetry."""
    count, total, squares = 0, np.zeros(ASSET_COLUMNS), np.zeros(ASSET_COLUMNS)
    for each in parts:
        every = each.rows.reshape(-1, ASSET_COLUMNS)
        assets = every[every[:, FRESHNESS] > 0].astype(np.float64)
        count, total, squares = count + len(assets), total + assets.sum(axis=0), squares + (assets**2).sum(axis=0)
    mean = np.where(SIGNS[:ASSET_COLUMNS] > 0, total / count, 0.0)
    std = np.sqrt(np.maximum(squares / count - mean * (2.0 * total / count - mean), 0.0))
    mean[FRESHNESS], std[FRESHNESS] = 0.0, 1.0
    return mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32)


def train_cross_asset(
    dataset: Dataset,
    settings: CrossSettings,
    work_dir: Path,
    *,
    sizes: CrossSizes | None = None,
    resume: bool = False,
    on_chunk: Callable[[int, int, int], None] = lambda epoch, done, total: None,
    on_epoch: Callable[[CrossEpoch], None] = lambda record: None,
) -> tuple[CrossWeights, list[CrossEpoch]]:
    """The best weights by validation loss, and the learning curve, which is also written beside the checkpoint.

    Raises `ValueError` where no two series were received together, `CheckpointError` where `resume` finds another training's.
    """
    train, validation = cross_parts(dataset, TRAIN, settings.most_rows), cross_parts(dataset, VALIDATION, settings.most_rows)
    if not train or not validation:
        raise ValueError(
            "no two series of the data were received together, long enough for training and validation: the cross-asset network "
            "needs a folder with several instruments of the same time, or sim:SEEDS,HOURS"
        )
    trainer = _Trainer(dataset, train, validation, settings, sizes or CrossSizes(), work_dir)
    if resume:
        trainer.epochs.restore()
    while trainer.epochs.goes_on():
        on_epoch(trainer.epoch(on_chunk))
    return trainer.best_weights(), trainer.epochs.records


class _Trainer:
    def __init__(
        self,
        dataset: Dataset,
        train: Sequence[CrossPart],
        validation: Sequence[CrossPart],
        settings: CrossSettings,
        sizes: CrossSizes,
        work_dir: Path,
    ) -> None:
        import keras

        begin(settings.seed)
        self._labels, self._settings = dataset.label_settings, settings
        self._train, self._validation = [each.walked() for each in train], [each.walked() for each in validation]
        self._weights = series_weights(self._train)
        self._network = CrossNetwork(sizes, *moments(train), settings.dropout)
        self._optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        self._optimizer.build(self._network.variables)
        self._learn, self._look = _steps(self._network, self._optimizer)
        self.epochs = Epochs(
            work_dir / CHECKPOINT_FILE,
            work_dir / CURVE_FILE,
            f"cross-asset {dataset.sha256} {settings.model_dump_json(exclude={'patience'})} {sizes}",
            {WEIGHTS: self._network.variables, "optimizer": self._optimizer.variables},
            CrossEpoch,
            most=settings.epochs,
            patience=settings.patience,
        )

    def epoch(self, on_chunk: Callable[[int, int, int], None]) -> CrossEpoch:
        epochs, settings = self.epochs, self._settings
        number = epochs.number
        walk = self._walk(self._train, settings.seed * 10_000 + number, True)
        states: Any = self._network.zero_states(settings.walk.lanes)
        sums = np.zeros(3)
        for done, chunk in enumerate(walk, start=1):
            passed = (number - 1 + done / len(walk)) / settings.epochs
            self._optimizer.learning_rate = settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(passed, 1.0)))
            kept = [state * chunk.keep for state in states]
            seed = np.array([settings.seed * 1_000 + number, 10 * done], dtype=np.int32)
            totals, states = self._learn(chunk.market, chunk.targets[..., 0], chunk.weights[..., 0], kept, seed)
            sums += totals.numpy()
            on_chunk(number, done, len(walk))
        loss, zero = self._measure()
        record = CrossEpoch(number, float(sums[0] / max(sums[2], 1.0)), loss, zero, epochs.is_better(loss))
        epochs.add(record, loss)
        return record

    def _walk(self, parts: Sequence[Part], seed: int, shuffle: bool) -> Walk:
        return Walk(parts, self._labels, self._settings.walk, seed=seed, shuffle=shuffle, series_weights=self._weights, signs=SIGNS)

    def _measure(self) -> tuple[float, float]:
        states: Any = self._network.zero_states(self._settings.walk.lanes)
        sums = np.zeros(3)
        for chunk in self._walk(self._validation, 0, False):
            kept = [state * chunk.keep for state in states]
            totals, states = self._look(chunk.market, chunk.targets[..., 0], chunk.weights[..., 0], kept)
            sums += totals.numpy()
        return float(sums[0] / max(sums[2], 1.0)), float(sums[1] / max(sums[2], 1.0))

    def best_weights(self) -> CrossWeights:
        self.epochs.take_best()
        return self._network.weights()


def _steps(network: CrossNetwork, optimizer: Any) -> tuple[Callable[..., Any], ...]:
    """The compiled functions of one chunk: one that learns and one that only measures. Sums: loss, loss of zero, weight."""
    import tensorflow as tf

    def totals(said: Any, move: Any, weight: Any) -> Any:
        losses = (weight * tf.square(move - said), weight * tf.square(move), weight)
        return tf.stack([tf.reduce_sum(each) for each in losses])

    def learn(rows: Any, move: Any, weight: Any, states: Any, seed: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            said, carried = network.answer(rows, states, seed)
            loss = tf.reduce_sum(weight * tf.square(move - said)) / tf.maximum(tf.reduce_sum(weight), 1.0)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, network.variables), 1.0)
        optimizer.apply_gradients(zip(gradients, network.variables, strict=True))
        return totals(said, move, weight), carried

    def look(rows: Any, move: Any, weight: Any, states: Any) -> tuple[Any, Any]:
        said, carried = network.answer(rows, states)
        return totals(said, move, weight), carried

    return tf.function(learn, autograph=False), tf.function(look, autograph=False)
