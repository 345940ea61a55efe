"""The cross-asset network for training: an LSTM of 32 units for each asset, then 128, 64 and the primary's price change.

The primary and its references share the LSTM's kernels; an input of its own tells it which of the two an asset is. References are
pooled by the mean over those that are fresh, so that any number of them is served by the same weights and their order says nothing.
The newest row of each asset stands beside its recurrent state. TensorFlow is imported when a network is built, not before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.learning.architecture import NORMALISED_LIMIT, Array, Dense, Lstm
from mmd.learning.cross_asset_rows import FRESHNESS, SLOTS
from mmd.market.reference import ASSET_COLUMNS

FRESH_SCALE = 64.0
"""Freshness times it, at most 1, is 1 for every asset that is not stale."""
MIRRORED_NAMES = frozenset(
    ("move_fast", "move_slow", "trend", "touch_imbalance", "microprice_deviation", "order_flow_20", "signed_volume")
)
"""Columns that change their sign when buyers and sellers change places, in every market at once."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CrossSizes:
    """Units of the layers; the defaults are the article's, tests use smaller ones."""

    lstm: int = 32
    dense_1: int = 128
    dense_2: int = 64
    slots: int = SLOTS

    @property
    def joined(self) -> int:
        """Width of one asset before the dense layers: recurrent state and newest row."""
        return self.lstm + ASSET_COLUMNS


@dataclass(frozen=True)
class CrossWeights:
    """Everything that the exported graphs hold."""

    sizes: CrossSizes
    mean: Array
    std: Array
    """[10] each, of fresh assets; freshness has mean 0 and deviation 1."""
    lstm: Lstm
    """Kernel [11, 4 x units]: the columns, and 1 for the primary."""
    dense: tuple[Dense, Dense, Dense]


class CrossNetwork:
    """Keras layers tied together: `answer` rows [lanes, steps, slots x 10] from states, as it is served."""

    def __init__(self, sizes: CrossSizes, mean: Array, std: Array, dropout: float) -> None:
        import keras
        import tensorflow as tf

        self.sizes, self._mean, self._std, self._dropout = sizes, mean, std, dropout
        layers = keras.layers
        self._lstm = layers.LSTM(sizes.lstm, return_sequences=True, return_state=True)
        self._dense = [
            layers.Dense(sizes.dense_1, activation="relu"),
            layers.Dense(sizes.dense_2, activation="relu"),
            layers.Dense(1),
        ]
        self._lstm.build((None, None, ASSET_COLUMNS + 1))
        for layer, width in zip(self._dense, (2 * sizes.joined, sizes.dense_1, sizes.dense_2), strict=True):
            layer.build((None, None, width))
        role = np.zeros((1, 1, sizes.slots, 1), dtype=np.float32)
        role[:, :, 0] = 1.0
        self._role = tf.constant(role)

    @property
    def variables(self) -> list[Any]:
        """All that is trained, in a fixed order."""
        return [*self._lstm.trainable_variables, *(each for layer in self._dense for each in layer.trainable_variables)]

    def zero_states(self, lanes: int) -> list[Array]:
        """h and c, [lanes, slots x units] each."""
        return [np.zeros((lanes, self.sizes.slots * self.sizes.lstm), dtype=np.float32) for _ in range(2)]

    def answer(self, rows: Any, states: Any, seed: Any = None) -> tuple[Any, list[Any]]:
        """[lanes, steps] sigma over H, and the new states. `seed` [2] draws dropout; None drops nothing."""
        import tensorflow as tf

        sizes = self.sizes
        lanes, steps = tf.shape(rows)[0], tf.shape(rows)[1]
        assets = tf.reshape(rows, [lanes, steps, sizes.slots, ASSET_COLUMNS])
        fresh = tf.minimum(assets[..., FRESHNESS:] * FRESH_SCALE, 1.0)
        scaled = tf.clip_by_value((assets - self._mean) / self._std, -NORMALISED_LIMIT, NORMALISED_LIMIT) * fresh
        told = tf.concat([scaled, tf.broadcast_to(self._role, [lanes, steps, sizes.slots, 1])], axis=-1)
        each = tf.reshape(tf.transpose(told, [0, 2, 1, 3]), [lanes * sizes.slots, steps, ASSET_COLUMNS + 1])
        begun = [tf.reshape(state, [lanes * sizes.slots, sizes.lstm]) for state in states]
        said, h, c = self._lstm(each, initial_state=begun)
        said = tf.transpose(tf.reshape(said, [lanes, sizes.slots, steps, sizes.lstm]), [0, 2, 1, 3])
        joined = tf.concat([said, scaled], axis=-1)
        there = fresh[:, :, 1:]
        others = tf.reduce_sum(joined[:, :, 1:] * there, axis=2) / tf.maximum(tf.reduce_sum(there, axis=2), 1.0)
        x = tf.concat([joined[:, :, 0], others], axis=-1)
        for number, layer in enumerate(self._dense):
            if seed is not None and self._dropout:
                x = tf.nn.experimental.stateless_dropout(x, self._dropout, seed=seed + number)
            x = layer(x)
        return x[..., 0], [tf.reshape(state, [lanes, sizes.slots * sizes.lstm]) for state in (h, c)]

    def weights(self) -> CrossWeights:
        """As plain arrays."""

        def arrays(layer: Any) -> list[Array]:
            return [np.asarray(array, dtype=np.float32) for array in layer.get_weights()]

        first, second, third = (Dense(*arrays(layer)) for layer in self._dense)
        return CrossWeights(self.sizes, self._mean, self._std, Lstm(*arrays(self._lstm)), (first, second, third))
