"""An ensemble that a network learns from beside the labels: boosted trees and small networks on single rows.

A label of one second is nearly all noise, and what an ensemble expects has little. Nobody is taught by who has seen the answers:
the training parts are dealt into two halves by series and time, and each half is taught by an ensemble fitted on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmd.learning.batches import MARKET_SIGNS, series_weights, standing_weights
from mmd.learning.dataset import TRAIN, Dataset, Part
from mmd.learning.sessions import Rows

TREE_ROWS = 250_000
TREES = {"max_iter": 150, "learning_rate": 0.07, "max_leaf_nodes": 20, "min_samples_leaf": 400, "l2_regularization": 20.0}
NETWORK_UNITS = (128, 64)
NETWORK_EPOCHS = 5
BATCH_ROWS = 2_048
LEARNING_RATE = 1.5e-3
WEIGHT_DECAY = 0.05
DROPOUT = 0.1
CLIP = 5.0

Predict = Callable[[Rows], Rows]


def taught(
    dataset: Dataset, share: float, seed: int = 0, networks: int = 2, on_stage: Callable[[str], None] | None = None
) -> Dataset:
    """The data set with a teacher for each training part. `share` of the price target is the teacher's, the rest the label's."""
    parts = dataset.parts[TRAIN]
    halves = [[index for index in range(len(parts)) if _half(parts, index) == half] for half in (0, 1)]
    if not all(halves):
        raise ValueError("a teacher needs at least two training parts, so that no part is taught by who has seen its answers")
    weights = series_weights(parts)
    fresh = list(parts)
    for number, (mine, others) in enumerate((halves, halves[::-1])):
        if on_stage is not None:
            on_stage(f"teacher {number + 1} of 2")
        predict = _ensemble([parts[index] for index in others], weights, seed + 100 * number, networks)
        for index in mine:
            part = parts[index]
            fresh[index] = replace(part, teacher=predict(np.asarray(part.session.market[part.span])), teacher_share=share)
    return replace(dataset, parts={**dataset.parts, TRAIN: fresh})


def _half(parts: Sequence[Part], index: int) -> int:
    """Parts of a series alternate; of series with one part each, the series do."""
    series = parts[index].session.series
    own = [other for other in range(len(parts)) if parts[other].session.series == series]
    names = list(dict.fromkeys(part.session.series for part in parts))
    return (own.index(index) + names.index(series)) % 2


def _ensemble(parts: Sequence[Part], weights: dict[str, float], seed: int, networks: int) -> Predict:
    rows = np.concatenate([np.asarray(part.session.market[part.span]) for part in parts])
    price = np.concatenate([part.labels.price_change[part.span] for part in parts]).astype(np.float32)
    weight = np.concatenate(
        [
            part.labels.price_weight[part.span]
            * standing_weights(part.session.receive_ns[part.span])
            * weights[part.session.series]
            for part in parts
        ]
    ).astype(np.float32)
    known = weight > 0
    rows, price, weight = rows[known], price[known], weight[known] / weight[known].mean()
    signs = MARKET_SIGNS[: rows.shape[1]]
    mean = np.where(signs > 0, np.average(rows, axis=0, weights=weight), 0.0).astype(np.float32)
    std = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weight)).astype(np.float32)
    std = np.where(std > 1e-6, std, 1.0).astype(np.float32)

    def scaled(raw: Rows) -> Rows:
        return np.asarray(np.clip((raw - mean) / std, -CLIP, CLIP), dtype=np.float32)

    inputs = scaled(rows)
    members = [_trees(inputs, price, weight, seed)]
    members += [_network(inputs, price, weight, seed + 1 + number) for number in range(networks)]

    def predict(raw: Rows) -> Rows:
        given = scaled(raw)
        # As good a market with buyers and sellers changed: what they say of it must be the opposite.
        said = [(member(given) - member(given * signs)) / 2.0 for member in members]
        return np.asarray(np.mean(said, axis=0), dtype=np.float32)

    return predict


def _trees(rows: Rows, price: Rows, weight: Rows, seed: int) -> Predict:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    chosen = np.sort(np.random.default_rng(seed).choice(len(rows), min(TREE_ROWS, len(rows)), replace=False))
    model: Any = HistGradientBoostingRegressor(**TREES, max_bins=64, early_stopping=False, random_state=seed)
    with threadpool_limits(1):
        model.fit(rows[chosen], price[chosen], weight[chosen])

    def predict(given: Rows) -> Rows:
        with threadpool_limits(1):
            return np.asarray(model.predict(given), dtype=np.float32)

    return predict


def _network(rows: Rows, price: Rows, weight: Rows, seed: int) -> Predict:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    given = keras.Input((rows.shape[1],))
    x = given
    for units in NETWORK_UNITS:
        x = layers.Dropout(DROPOUT)(layers.Dense(units, activation="relu")(x))
    network = keras.Model(given, layers.Dense(1, use_bias=False)(x))
    optimizer = keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def learn(x: Any, y: Any, w: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(w * tf.square(y - network(x, training=True)[:, 0]))
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, network.trainable_variables), 1.0)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))

    rng, signs = np.random.default_rng(seed), MARKET_SIGNS[: rows.shape[1]]
    batches = max(1, len(rows) // BATCH_ROWS)
    for epoch in range(NETWORK_EPOCHS):
        order = rng.permutation(len(rows))
        for number in range(batches):
            index = np.sort(order[number * BATCH_ROWS : (number + 1) * BATCH_ROWS])
            sign = np.where(rng.random(len(index)) < 0.5, -1.0, 1.0).astype(np.float32)
            progress = (epoch * batches + number) / (NETWORK_EPOCHS * batches)
            optimizer.learning_rate = LEARNING_RATE * 0.5 * (1.0 + np.cos(np.pi * progress))
            learn(rows[index] * np.where(sign[:, None] < 0, signs, 1.0), price[index] * sign, weight[index])

    def predict(x: Rows) -> Rows:
        pieces = [network(x[start : start + 100_000], training=False).numpy()[:, 0] for start in range(0, len(x), 100_000)]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)

    return predict
