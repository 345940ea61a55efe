"""Training of the quote network: truncated back-propagation over long sequences, the state carried as it is when served.

Everything that decides the outcome is in the settings, the data's hash and the seed: the same training gives the same weights.
A checkpoint after each epoch, the best weights and the learning curve are kept by `mmd.learning.epochs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mmd.learning.architecture import (
    BRANCHES,
    Array,
    QuoteSizes,
    QuoteWeights,
    Scaling,
    build_network,
    extract_weights,
    zero_states,
)
from mmd.learning.batches import INVENTORY_SIGNS, MARKET_SIGNS, Chunk, RowWalk, Walk, WalkSizes, series_weights
from mmd.learning.checkpoint import arrays_of, assign
from mmd.learning.dataset import TEST, TRAIN, VALIDATION, Dataset
from mmd.learning.epochs import WEIGHTS, Epochs
from mmd.learning.reproducible import begin
from mmd.learning.starting import Start
from mmd.learning.teacher import taught

CHECKPOINT_FILE = "checkpoint.npz"
CURVE_FILE = "learning_curve.json"


class TrainingSettings(BaseModel):
    """How it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=25, description="Passes over the training part at most, count.", gt=0)
    patience: int = Field(default=8, description="Epochs without a better validation loss before training ends, count.", gt=0)
    learning_rate: float = Field(default=1e-3, description="Adam's first step size; it falls to 0 along a cosine.", gt=0)
    weight_decay: float = Field(default=0.02, description="Share of the weights taken off per step and unit of step size.", ge=0)
    dropout: float = Field(default=0.2, description="Share of a layer's outputs dropped while learning.", ge=0, lt=1)
    clip_norm: float = Field(default=1.0, description="Largest norm of a gradient.", gt=0)
    price_weight: float = Field(default=1.0, description="Weight of the price head's squared error.", ge=0)
    spread_weight: float = Field(default=2.0, description="Weight of the spread head's pinball loss.", ge=0)
    position_weight: float = Field(default=1.0, description="Weight of the position head's squared error.", ge=0)
    balance: Literal["fixed", "uncertainty"] = Field(
        default="fixed",
        description="Whether the weights of the heads stay as they are, or are divided by a variance of each that is learnt too.",
    )
    inventory_weight: float = Field(
        default=2.0,
        description="Weight of the squared difference that another inventory makes to price and spread.",
        ge=0,
    )
    teacher_share: float = Field(
        default=0.0, description="Share of the price target that an ensemble's expectation takes from the label.", ge=0, le=1
    )
    teacher_networks: int = Field(default=2, description="Networks in that ensemble, beside the trees, count.", ge=0)
    teacher_seed: int = Field(default=1, description="Of the ensemble.", ge=0)
    seed: int = Field(default=1, description="Of the first weights, the order of segments and the inventory paths.", ge=0)
    walk: WalkSizes = WalkSizes()


class EpochRecord(msgspec.Struct, frozen=True):
    """One point of the learning curve. Losses by head (`price_change`, `optimal_spread`, `position_signal`) and their `total`."""

    epoch: int
    learning_rate: float
    train: dict[str, float]
    validation: dict[str, float]
    price_ic: float
    """Correlation of the price head with realised moves over the validation part, rows of all series together."""
    best: bool


class Observer(Protocol):
    """Hears how it goes."""

    def on_stage(self, text: str) -> None:
        """What comes before the epochs."""

    def on_chunk(self, epoch: int, done: int, total: int) -> None:
        """So many of the chunks of an epoch are done."""

    def on_epoch(self, record: EpochRecord) -> None:
        """An epoch is over."""


class Silent:
    """An observer that does nothing."""

    def on_stage(self, text: str) -> None:
        """Nothing."""

    def on_chunk(self, epoch: int, done: int, total: int) -> None:
        """Nothing."""

    def on_epoch(self, record: EpochRecord) -> None:
        """Nothing."""


def input_scaling(dataset: Dataset, sizes: WalkSizes) -> Scaling:
    """Mean and deviation of the inputs over the training part (of inventory: over paths drawn with the seed 0)."""
    market = np.concatenate([part.session.market[part.span] for part in dataset.parts[TRAIN]])
    walk = Walk(dataset.parts[TRAIN], dataset.label_settings, sizes, seed=0, shuffle=False)
    inventory = walk.inventory()
    return Scaling(*_moments(market, MARKET_SIGNS[: market.shape[1]]), *_moments(inventory, INVENTORY_SIGNS))


def _moments(rows: Array, signs: Array) -> tuple[Array, Array]:
    """Inputs that mirroring turns around have the mean 0 by symmetry."""
    mean = np.where(signs > 0, rows.mean(axis=0, dtype=np.float64), 0.0)
    std = np.sqrt(((rows - mean) ** 2).mean(axis=0, dtype=np.float64))
    return mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32)


def train(
    dataset: Dataset,
    settings: TrainingSettings,
    work_dir: Path,
    *,
    sizes: QuoteSizes | None = None,
    resume: bool = False,
    observer: Observer | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> tuple[QuoteWeights, list[EpochRecord]]:
    """The best weights by validation loss, and the learning curve. `out_of_time` is asked after each epoch.

    Raises `CheckpointError` where `resume` finds a checkpoint of another training; without one it starts anew.
    """
    heard, sizes = observer or Silent(), sizes or QuoteSizes()
    trainer = Trainer(with_teacher(dataset.narrowed(sizes.market), settings, heard), settings, work_dir, sizes, heard)
    trainer.run(resume, out_of_time)
    return trainer.best_weights(), trainer.epochs.records


def with_teacher(dataset: Dataset, settings: TrainingSettings, observer: Observer) -> Dataset:
    """The data set with the ensemble's word where the settings ask for it; one that has it is left as it is."""
    if not settings.teacher_share or any(part.teacher is not None for part in dataset.parts[TRAIN]):
        return dataset
    return taught(dataset, settings.teacher_share, settings.teacher_seed, settings.teacher_networks, observer.on_stage)


class Trainer:
    """One training, epoch by epoch."""

    def __init__(
        self,
        dataset: Dataset,
        settings: TrainingSettings,
        work_dir: Path,
        sizes: QuoteSizes,
        observer: Observer,
        start: Start | None = None,
    ) -> None:
        import keras
        import tensorflow as tf

        begin(settings.seed)
        self._dataset = dataset
        self._settings = settings
        self._sizes = sizes
        self._observer = observer
        self._scaling = input_scaling(dataset, settings.walk) if start is None else start.scaling
        self._weights = series_weights(dataset.parts[TRAIN])
        self._network = build_network(sizes, self._scaling, settings.dropout)
        if start is not None:
            start.fits([tuple(variable.shape) for variable in self._network.trainable_variables])
            assign(self._network.trainable_variables, start.arrays)
        self._optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        # Of the heads, in the order of BRANCHES: log variances, which only an uncertainty balance learns.
        balance = keras.Variable(tf.zeros(len(BRANCHES)), name="balance")
        learnt = settings.balance == "uncertainty"
        self._optimizer.exclude_from_weight_decay(var_names=["balance"])
        self._optimizer.build([*self._network.trainable_variables, *([balance] if learnt else [])])
        self._train_step, self._test_step = _steps(
            self._network, self._optimizer, balance if learnt else None, dataset.label_settings.spread_quantile, settings
        )
        self.epochs = Epochs(
            work_dir / CHECKPOINT_FILE,
            work_dir / CURVE_FILE,
            f"{dataset.sha256} {settings.model_dump_json(exclude={'patience'})} {sizes} {start.sha256() if start else ''}",
            {
                WEIGHTS: self._network.trainable_variables,
                # Where dropout is in its random sequence.
                "draws": self._network.non_trainable_variables,
                "optimizer": self._optimizer.variables,
                **({"balance": [balance]} if learnt else {}),
            },
            EpochRecord,
            most=settings.epochs,
            patience=settings.patience,
        )

    def run(self, resume: bool = False, out_of_time: Callable[[], bool] = lambda: False) -> None:
        """To the end, or until `out_of_time` says so after an epoch."""
        if resume:
            self.epochs.restore()
        while self.epochs.goes_on():
            self.epoch()
            if out_of_time():
                break

    def epoch(self) -> None:
        """The next one."""
        epochs, settings = self.epochs, self._settings
        number = epochs.number
        rate = settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (number - 1) / settings.epochs))
        self._optimizer.learning_rate = rate
        train = self._pass(self._walk(TRAIN, settings.seed * 10_000 + number, True), self._train_step, number)
        validation = self._pass(self._walk(VALIDATION, 0, False), self._test_step, None)
        losses = validation.losses(settings)
        better = epochs.is_better(losses["total"])
        record = EpochRecord(number, rate, train.losses(settings), losses, validation.price_ic(), better)
        epochs.add(record, losses["total"])
        self._observer.on_epoch(record)

    def _walk(self, part: str, seed: int, shuffle: bool) -> Walk | RowWalk:
        data = self._dataset
        kind = Walk if self._sizes.recurrent else RowWalk
        return kind(
            data.parts[part],
            data.label_settings,
            self._settings.walk,
            seed=seed,
            shuffle=shuffle,
            series_weights=self._weights,
        )

    def _pass(self, walk: Walk | RowWalk, step: Callable[..., Any], epoch: int | None) -> _Sums:
        states = zero_states(self._sizes, self._settings.walk.lanes) if self._sizes.recurrent else []
        sums = _Sums()
        for done, chunk in enumerate(walk, start=1):
            totals, states = step(_tensors(chunk), [state * chunk.keep for state in states])
            sums.add(totals.numpy())
            if epoch is not None:
                self._observer.on_chunk(epoch, done, len(walk))
        return sums

    def best_weights(self) -> QuoteWeights:
        """Those of the least validation loss."""
        self.epochs.take_best()
        return extract_weights(self._network, self._sizes, self._scaling)

    def end(self) -> Start:
        """The best weights as another training may begin with them."""
        self.epochs.take_best()
        return Start(self._scaling, arrays_of(self._network.trainable_variables))

    def test_ic(self) -> float:
        """Of the best weights over the test part, rows of all series together. For reports alone: it chooses nothing."""
        return self.measured(TEST)[1]

    def measured(self, part: str) -> tuple[dict[str, float], float]:
        """Losses of the best weights (before the first epoch: of those it begins with) over a part, and the price head's IC."""
        self.epochs.take_best()
        sums = self._pass(self._walk(part, 0, False), self._test_step, None)
        return sums.losses(self._settings), sums.price_ic()


class _Sums:
    """Weighted sums over a pass: per head loss and weight, the moments of the price head and its label, the inventory's effect."""

    def __init__(self) -> None:
        self._totals = np.zeros(13)

    def add(self, totals: Any) -> None:
        self._totals += totals

    def losses(self, settings: TrainingSettings) -> dict[str, float]:
        """Mean loss of each head, and their weighted total."""
        loss, weight = self._totals[0:3], np.maximum(self._totals[3:6], 1.0)
        price, spread, position = (float(value) for value in loss / weight)
        total = settings.price_weight * price + settings.spread_weight * spread + settings.position_weight * position
        inventory = float(self._totals[12] / weight[0])
        total += settings.inventory_weight * inventory
        return {
            "price_change": price,
            "optimal_spread": spread,
            "position_signal": position,
            "inventory_effect": inventory,
            "total": total,
        }

    def price_ic(self) -> float:
        """Pearson correlation of prediction and label."""
        count, x, y, xx, yy, xy = self._totals[6:12]
        spread = (count * xx - x * x) * (count * yy - y * y)
        return float((count * xy - x * y) / np.sqrt(spread)) if spread > 0 else 0.0


def _tensors(chunk: Chunk) -> tuple[Any, ...]:
    return chunk.market, chunk.inventory, chunk.targets, chunk.weights


def _steps(
    network: Any, optimizer: Any, balance: Any | None, quantile: float, settings: TrainingSettings
) -> tuple[Callable[..., Any], ...]:
    """The compiled functions of one chunk: one that learns and one that only measures.

    `balance`: log variances s of the heads, learnt; each head's loss L counts as exp(-s) L + s then (Kendall, Gal and Cipolla,
    'Multi-task learning using uncertainty to weigh losses', 2018, up to constants).
    """
    import tensorflow as tf

    variables = [*network.trainable_variables, *([balance] if balance is not None else [])]
    importance = tf.constant([settings.price_weight, settings.spread_weight, settings.position_weight])

    def measure(chunk: Any, states: Any, training: bool) -> tuple[Any, Any, Any]:
        market, inventory, targets, weights = chunk
        # The same rows with the inventories of other lanes: what differs in price and spread is the inventory's doing.
        outputs = network([market, inventory, tf.reverse(inventory, axis=[0]), *states], training=training)
        heads, swapped = tf.concat(outputs[:3], axis=-1), tf.concat(outputs[3:5], axis=-1)
        error = targets - heads
        squares = tf.square(error)
        pinball = tf.maximum(quantile * error, (quantile - 1.0) * error)
        each = tf.stack([squares[..., 0], pinball[..., 1], squares[..., 2]], axis=-1) * weights
        sums, counts = tf.reduce_sum(each, axis=[0, 1]), tf.reduce_sum(weights, axis=[0, 1])
        x, y, w = heads[..., 0], targets[..., 0], weights[..., 0]
        effect = tf.reduce_sum(w * tf.reduce_sum(tf.square(heads[..., :2] - swapped), axis=-1))
        moments = tf.stack([tf.reduce_sum(w * product) for product in (tf.ones_like(x), x, y, x * x, y * y, x * y)])
        losses = importance * sums / tf.maximum(counts, 1.0)
        if balance is not None:
            losses = losses * tf.exp(-balance) + tf.convert_to_tensor(balance)
        loss = tf.reduce_sum(losses) + settings.inventory_weight * effect / tf.maximum(counts[0], 1.0)
        return tf.concat([sums, counts, moments, [effect]], axis=0), outputs[5:], loss

    def learn(chunk: Any, states: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            totals, carried, loss = measure(chunk, states, True)
        gradients = tape.gradient(loss, variables)
        gradients, _ = tf.clip_by_global_norm(gradients, settings.clip_norm)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return totals, carried

    def look(chunk: Any, states: Any) -> tuple[Any, Any]:
        totals, carried, _ = measure(chunk, states, False)
        return totals, carried

    return tf.function(learn), tf.function(look)
