"""The cross-asset network as graphs: one step of all assets with their state, and the window of steps as the proof."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmd.inference.cross_asset import MOVE, STATES
from mmd.learning.architecture import NORMALISED_LIMIT
from mmd.learning.cross_asset_network import FRESH_SCALE, CrossWeights
from mmd.learning.cross_asset_rows import FRESHNESS
from mmd.learning.export import Form, cell, convert, gates_together
from mmd.market.reference import ASSET_COLUMNS


def export_cross_step(weights: CrossWeights, form: Form) -> bytes:
    """assets [slots, 10] and two states [slots, units] in; the primary's move [1, 1], sigma over H, and the new states out."""
    import tensorflow as tf

    cells, sizes = _Cells(weights), weights.sizes
    shapes = {"assets": [sizes.slots, ASSET_COLUMNS], **{name: [sizes.slots, sizes.lstm] for name in STATES}}
    signature = [tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()]

    def step(assets: Any, cross_h: Any, cross_c: Any) -> dict[str, Any]:
        fresh, scaled = cells.seen(assets)
        h, c = cells.recur(scaled, cross_h, cross_c)
        return {MOVE: cells.move(fresh, scaled, h), "cross_h_out": h, "cross_c_out": c}

    return convert(step, signature, form)


def export_cross_window(weights: CrossWeights, steps: int = 60) -> bytes:
    """The same over a whole window from zero state: assets [steps, slots, 10] in, the move after the last step out."""
    import tensorflow as tf

    cells, sizes = _Cells(weights), weights.sizes
    signature = [tf.TensorSpec([steps, sizes.slots, ASSET_COLUMNS], tf.float32, name="assets")]

    def window(assets: Any) -> dict[str, Any]:
        h, c = tf.zeros([sizes.slots, sizes.lstm]), tf.zeros([sizes.slots, sizes.lstm])
        fresh = scaled = None
        for index in range(steps):
            fresh, scaled = cells.seen(assets[index])
            h, c = cells.recur(scaled, h, c)
        return {MOVE: cells.move(fresh, scaled, h)}

    return convert(window, signature, Form.FLOAT32)


class _Cells:
    """The network's parts as operations on constants. Rows and recurrent state are multiplied apart: their ranges differ."""

    def __init__(self, weights: CrossWeights) -> None:
        self._sizes = weights.sizes
        self._mean, self._per_std = weights.mean, (1.0 / weights.std).astype(np.float32)
        lstm = gates_together(weights.lstm, weights.sizes.lstm)
        self._kernel, self._recurrent = lstm.kernel[:ASSET_COLUMNS], lstm.recurrent
        role = np.zeros((weights.sizes.slots, 1), dtype=np.float32)
        role[0] = 1.0
        self._bias = lstm.bias + role * lstm.kernel[ASSET_COLUMNS:]
        first, self._second, self._third = weights.dense
        units, joined = weights.sizes.lstm, weights.sizes.joined
        self._first_bias = first.bias
        self._of_primary = first.kernel[:units], first.kernel[units:joined]
        self._of_others = first.kernel[joined : joined + units], first.kernel[joined + units :]

    def seen(self, assets: Any) -> tuple[Any, Any]:
        """Which assets are fresh [slots, 1], and the normalised rows, zeros where they are not."""
        import tensorflow as tf

        fresh = tf.minimum(assets[:, FRESHNESS:] * FRESH_SCALE, 1.0)
        scaled = tf.clip_by_value((assets - self._mean) * self._per_std, -NORMALISED_LIMIT, NORMALISED_LIMIT)
        return fresh, scaled * fresh

    def recur(self, scaled: Any, h: Any, c: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        return cell(tf.matmul(scaled, self._kernel) + self._bias + tf.matmul(h, self._recurrent), c)

    def move(self, fresh: Any, scaled: Any, h: Any) -> Any:
        import tensorflow as tf

        there = fresh[1:]
        share = there / tf.maximum(tf.reduce_sum(there, axis=0, keepdims=True), 1.0)
        others_h = tf.reduce_sum(h[1:] * share, axis=0, keepdims=True)
        others_x = tf.reduce_sum(scaled[1:] * share, axis=0, keepdims=True)
        y = tf.matmul(h[:1], self._of_primary[0]) + tf.matmul(scaled[:1], self._of_primary[1]) + self._first_bias
        y += tf.matmul(others_h, self._of_others[0]) + tf.matmul(others_x, self._of_others[1])
        y = tf.nn.relu(tf.matmul(tf.nn.relu(y), self._second.kernel) + self._second.bias)
        return tf.matmul(y, self._third.kernel) + self._third.bias
