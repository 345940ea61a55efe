"""Training of the networks beside the quote network: order flow on sequences with carried state, the others on single rows.

Probabilities are trained by cross-entropy on the labels as they come, without weights by class: they are quoted on as they are, and
balancing classes would bend them. The card states the balance. Signals have no history to learn from, so what they do to the risk
score is a rule that training draws: macro risk and bad news take up to half of the way that is left to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mmd.learning.architecture import NORMALISED_LIMIT, Array, Dense, Lstm
from mmd.learning.batches import MARKET_SIGNS, Walk, WalkSizes, series_weights
from mmd.learning.checkpoint import arrays_of, assign, load_checkpoint, save_checkpoint
from mmd.learning.companion_labels import CompanionLabelSettings, fill_labels, loss_moves, places
from mmd.learning.dataset import TRAIN, Dataset, Part
from mmd.learning.labels import LabelSettings
from mmd.learning.reproducible import begin
from mmd.learning.sessions import Floats, Rows
from mmd.market.companion_inputs import (
    ADVERSE_NAMES,
    ADVERSE_SIGNED_NAMES,
    ORDER_FLOW_NAMES,
    RISK_MARKET_NAMES,
    SIGNAL_NAMES,
    columns,
)

FLOW_UNITS = (64, 32)
FLOW_DENSE = 16
ADVERSE_UNITS = (128, 64, 32)
RISK_UNITS = (64, 32, 16)
SIGNAL_EFFECT = 0.5
BATCH_ROWS = 1_024
MOMENT_ROWS = 300_000


class CompanionSettings(BaseModel):
    """How they are trained."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    flow_epochs: int = Field(default=3, description="Passes over the rows for the order flow.", gt=0)
    flow_rows: int = Field(default=80_000, description="Newest rows of each part that the order flow is trained on at most.", gt=0)
    row_epochs: int = Field(default=6, description="Passes over the rows for the other two.", gt=0)
    risk_stride: int = Field(default=10, description="Every so many-th row for the risk network.", gt=0)
    learning_rate: float = Field(default=1.5e-3, description="AdamW's first step size; it falls to 0 along a cosine.", gt=0)
    weight_decay: float = Field(default=0.02, description="AdamW's.", ge=0)
    dropout: float = Field(default=0.1, description="Share of a layer's outputs dropped while learning.", ge=0, lt=1)
    seed: int = Field(default=1, description="Of first weights and batches.", ge=0)
    walk: WalkSizes = WalkSizes(lanes=96)


@dataclass(frozen=True)
class CompanionWeights:
    """Everything that the exported graph holds."""

    mean: Array
    std: Array
    flow_1: Lstm
    flow_2: Lstm
    flow_dense: tuple[Dense, Dense]
    adverse: tuple[Dense, ...]
    risk: tuple[Dense, ...]
    balance: dict[str, float]


def adverse_rows(market: Array, side: Any) -> Array:
    """[n, 15] of normalised rows and sides (+1 our bid, -1 our ask)."""
    signed = market[:, columns(ADVERSE_SIGNED_NAMES)] * np.asarray(side, dtype=np.float32)[:, None]
    return np.concatenate([signed, market[:, columns(ADVERSE_NAMES[len(ADVERSE_SIGNED_NAMES) :])]], axis=1)


class _Progress(msgspec.Struct):
    epochs: int = 0
    sums: list[float] = msgspec.field(default_factory=lambda: [0.0] * 3)
    """Of the order flow: weights of rises, of moves, of rows."""


class _Stages:
    """Where each of the networks is in its training: a checkpoint after every epoch, from which it may go on."""

    def __init__(self, work_dir: Path | None, fingerprint: str, resume: bool, on_stage: Callable[[str], None]) -> None:
        self._work_dir, self._fingerprint, self._resume = work_dir, fingerprint, resume
        self.on_stage = on_stage

    def begun(self, stage: str, variables: Sequence[Any]) -> _Progress:
        """How far a network is; its variables are as they were then."""
        if self._work_dir is None or not self._resume:
            return _Progress()
        found = load_checkpoint(self._file(stage), self._fingerprint, _Progress)
        if found is None:
            return _Progress()
        progress, groups = found
        assign(variables, groups["variables"])
        return progress

    def epoch_done(self, stage: str, progress: _Progress, variables: Sequence[Any]) -> None:
        """Another pass is over."""
        progress.epochs += 1
        if self._work_dir is not None:
            save_checkpoint(self._file(stage), self._fingerprint, progress, {"variables": arrays_of(variables)})

    def _file(self, stage: str) -> Path:
        assert self._work_dir is not None
        return self._work_dir / f"companion_{stage.replace(' ', '_')}.npz"


def train_companion(
    dataset: Dataset,
    labels: CompanionLabelSettings,
    settings: CompanionSettings,
    on_stage: Callable[[str], None] = lambda text: None,
    *,
    work_dir: Path | None = None,
    resume: bool = False,
) -> CompanionWeights:
    """All three. With `resume` each goes on from its checkpoint in `work_dir`, if there is one, to the same end.

    Raises `ValueError` where the training part has no trades at a touch, `CheckpointError` for another training's checkpoint.
    """
    begin(settings.seed)
    text = f"companion {dataset.sha256} {labels.model_dump_json()} {settings.model_dump_json()}"
    stages = _Stages(work_dir, text, resume, on_stage)
    parts = dataset.parts[TRAIN]
    stride = max(1, dataset.rows(TRAIN) // MOMENT_ROWS)
    sample = np.concatenate([np.asarray(part.session.market[part.span])[::stride] for part in parts])
    mean = np.where(MARKET_SIGNS > 0, sample.mean(axis=0, dtype=np.float64), 0.0)
    std = np.sqrt(((sample - mean) ** 2).mean(axis=0))
    mean, std = mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32)

    def normalise(rows: Rows) -> Rows:
        return np.asarray(np.clip((rows - mean) / std, -NORMALISED_LIMIT, NORMALISED_LIMIT), dtype=np.float32)

    balance: dict[str, float] = {}
    adverse = _adverse(parts, dataset.label_settings, labels, settings, normalise, balance, stages)
    risk = _risk(parts, dataset.label_settings, labels, settings, normalise, stages)
    flow_1, flow_2, dense = _flow(dataset, settings, mean, std, balance, stages)
    return CompanionWeights(mean, std, flow_1, flow_2, dense, adverse, risk, balance)


# ---- single rows


def _adverse(
    parts: Sequence[Part],
    label_settings: LabelSettings,
    labels: CompanionLabelSettings,
    settings: CompanionSettings,
    normalise: Callable[[Rows], Rows],
    balance: dict[str, float],
    stages: _Stages,
) -> tuple[Dense, ...]:
    rows, happened, weights = [], [], []
    shares = series_weights(parts)
    for part in parts:
        fills = fill_labels(part.session, label_settings, labels)
        inside = (fills.row >= part.start) & (fills.row < part.stop)
        row, side = fills.row[inside], fills.side[inside]
        rows.append(adverse_rows(normalise(np.asarray(part.session.market[row])), side))
        happened.append(fills.adverse[inside].astype(np.float32))
        weights.append(np.full(len(row), shares[part.session.series], dtype=np.float32))
    x, y, w = np.concatenate(rows), np.concatenate(happened), np.concatenate(weights)
    if not len(y):
        raise ValueError("the training part has no trades at a touch: adverse selection cannot be learnt from it")
    balance["p_adverse.ones"] = float(np.average(y, weights=w))
    balance["p_adverse.rows"] = float(len(y))
    return _fit_rows("adverse selection", x, y, w / w.mean(), ADVERSE_UNITS, settings, settings.seed + 1, stages)


def _risk(
    parts: Sequence[Part],
    label_settings: LabelSettings,
    labels: CompanionLabelSettings,
    settings: CompanionSettings,
    normalise: Callable[[Rows], Rows],
    stages: _Stages,
) -> tuple[Dense, ...]:
    scale = np.sqrt(labels.risk_window_seconds / label_settings.horizon_seconds)
    rows, moves, weights = [], [], []
    shares = series_weights(parts)
    for part in parts:
        row = np.arange(part.start, part.stop, settings.risk_stride)
        moved = loss_moves(part.session, labels, row) / (part.session.sigma_ticks[row] * scale)
        known = np.isfinite(moved)
        rows.append(normalise(np.asarray(part.session.market[row[known]]))[:, columns(RISK_MARKET_NAMES)])
        moves.append(moved[known])
        weights.append(np.full(int(known.sum()), shares[part.session.series], dtype=np.float32))
    x, moved, w = np.concatenate(rows), np.concatenate(moves), np.concatenate(weights)
    y = places(moved, np.sort(moved))
    rng = np.random.default_rng(settings.seed)
    spoken = rng.random((len(x), len(SIGNAL_NAMES))) < 0.2
    signals = np.stack([rng.uniform(-1.0, 1.0, len(x)), rng.uniform(0.0, 1.0, len(x))], axis=1) * spoken
    y = y + (1.0 - y) * signal_effect(signals)
    given = np.concatenate([x, signals], axis=1).astype(np.float32)
    return _fit_rows("risk", given, y.astype(np.float32), w / w.mean(), RISK_UNITS, settings, settings.seed + 2, stages)


def signal_effect(signals: Floats) -> Floats:
    """Share of the way to 1 that [n, 2] signals (news sentiment, macro risk) take the risk score."""
    return np.asarray(SIGNAL_EFFECT * np.maximum(np.maximum(-signals[:, 0], 0.0), signals[:, 1]))


def _fit_rows(
    stage: str, x: Array, y: Array, w: Array, units: tuple[int, ...], settings: CompanionSettings, seed: int, stages: _Stages
) -> tuple[Dense, ...]:
    """A chain of relu layers and one sigmoid; for a target within [0, 1] cross-entropy is least at its mean."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    given = keras.Input((x.shape[1],))
    hidden = given
    chain = [layers.Dense(count, activation="relu") for count in units] + [layers.Dense(1)]
    for layer in chain[:-1]:
        hidden = layers.Dropout(settings.dropout)(layer(hidden))
    network = keras.Model(given, chain[-1](hidden))
    optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay)
    optimizer.build(network.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def learn(x: Any, y: Any, w: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(w * tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=network(x, training=True)[:, 0]))
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, network.trainable_variables), 1.0)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))

    # Dropout's place in its random sequence is among the network's variables.
    variables = [*network.trainable_variables, *network.non_trainable_variables, *optimizer.variables]
    progress = stages.begun(stage, variables)
    batches = max(1, len(x) // BATCH_ROWS)
    for epoch in range(progress.epochs, settings.row_epochs):
        stages.on_stage(f"{stage}, epoch {epoch + 1} of {settings.row_epochs}")
        order = np.random.default_rng([seed, epoch]).permutation(len(x))
        for number in range(batches):
            index = order[number * BATCH_ROWS : (number + 1) * BATCH_ROWS]
            passed = (epoch * batches + number) / (settings.row_epochs * batches)
            optimizer.learning_rate = settings.learning_rate * 0.5 * (1.0 + np.cos(np.pi * passed))
            learn(x[index], y[index], w[index].astype(np.float32))
        stages.epoch_done(stage, progress, variables)
    return tuple(Dense(*(np.asarray(array, dtype=np.float32) for array in layer.get_weights())) for layer in chain)


# ---- sequences


def _flow(
    dataset: Dataset, settings: CompanionSettings, mean: Array, std: Array, balance: dict[str, float], stages: _Stages
) -> tuple[Lstm, Lstm, tuple[Dense, Dense]]:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(settings.seed + 3)
    layers = keras.layers
    chosen = columns(ORDER_FLOW_NAMES)
    newest = keras.Input((None, len(mean)))
    widths = (FLOW_UNITS[0], FLOW_UNITS[0], FLOW_UNITS[1], FLOW_UNITS[1])
    given = keras.Input((None, len(chosen)))
    states = [keras.Input((width,)) for width in widths]
    first = layers.LSTM(FLOW_UNITS[0], return_sequences=True, return_state=True)
    second = layers.LSTM(FLOW_UNITS[1], return_sequences=True, return_state=True)
    hidden, output = layers.Dense(FLOW_DENSE, activation="relu"), layers.Dense(1)
    x, h1, c1 = first(given, initial_state=states[:2])
    x, h2, c2 = second(x, initial_state=states[2:])
    # Beside the state the newest row, whole: what stands at the touch now need not pass through gates.
    seen = layers.Concatenate()([x, newest])
    network = keras.Model([given, newest, *states], [output(hidden(seen)), h1, c1, h2, c2])
    optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay)
    optimizer.build(network.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def learn(rows: Any, whole: Any, move: Any, weight: Any, states: Any) -> tuple[Any, Any]:
        # Between counting by time and by step: which way the next move goes is asked in bursts too.
        counted = tf.sqrt(weight) * tf.cast(move != 0.0, tf.float32)
        up = tf.cast(move > 0.0, tf.float32)
        with tf.GradientTape() as tape:
            logits, *carried = network([rows, whole, *states], training=True)
            losses = counted * tf.nn.sigmoid_cross_entropy_with_logits(labels=up, logits=logits[..., 0])
            loss = tf.reduce_sum(losses) / tf.maximum(tf.reduce_sum(counted), 1.0)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, network.trainable_variables), 1.0)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return carried, tf.stack([tf.reduce_sum(counted * up), tf.reduce_sum(counted), tf.reduce_sum(tf.sqrt(weight))])

    parts = [replace(part, start=max(part.start, part.stop - settings.flow_rows), teacher=None) for part in dataset.parts[TRAIN]]
    weights = series_weights(parts)
    variables = [*network.variables, *optimizer.variables]
    progress = stages.begun("order flow", variables)
    sums = np.array(progress.sums)
    for epoch in range(progress.epochs, settings.flow_epochs):
        stages.on_stage(f"order flow, epoch {epoch + 1} of {settings.flow_epochs}")
        walk = Walk(
            parts, dataset.label_settings, settings.walk, seed=settings.seed * 1_000 + epoch, shuffle=True, series_weights=weights
        )
        carried: Any = [np.zeros((settings.walk.lanes, width), dtype=np.float32) for width in widths]
        for number, chunk in enumerate(walk):
            passed = (epoch + number / len(walk)) / settings.flow_epochs
            optimizer.learning_rate = settings.learning_rate * 0.5 * (1.0 + np.cos(np.pi * passed))
            whole = np.clip((chunk.market - mean) / std, -NORMALISED_LIMIT, NORMALISED_LIMIT)
            carried, counted = learn(
                whole[..., chosen], whole, chunk.targets[..., 0], chunk.weights[..., 0], [state * chunk.keep for state in carried]
            )
            sums += counted.numpy()
        progress.sums = sums.tolist()
        stages.epoch_done("order flow", progress, variables)
    balance["p_up.ones"] = float(sums[0] / max(sums[1], 1.0))
    balance["p_up.rows_with_a_move"] = float(sums[1] / max(sums[2], 1.0))

    def arrays(layer: Any) -> list[Array]:
        return [np.asarray(array, dtype=np.float32) for array in layer.get_weights()]

    return Lstm(*arrays(first)), Lstm(*arrays(second)), (Dense(*arrays(hidden)), Dense(*arrays(output)))
