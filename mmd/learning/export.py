"""Trained weights to TensorFlow Lite graphs: one step that carries its state, in three forms, and the window as the proof.

The graphs are made of plain operations in a `tf.Module` with a fixed signature and converted from a saved model: Keras's own export
makes loops or loses weights. In int8 forms weights are int8 and activations are quantized as they come (dynamic range); an input
with a wide range next to one with a narrow range would cost the narrow one its resolution, so market inputs and the recurrent state
are multiplied apart.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from mmd.learning.architecture import INVENTORY_INPUTS, NORMALISED_LIMIT, Array, Lstm, QuoteWeights


class Form(Enum):
    """How weights are stored."""

    FLOAT32 = "float32"
    INT8 = "int8"
    """One scale for each output channel of a dense layer."""
    INT8_PER_TENSOR = "int8_per_tensor"
    """One scale for each weight tensor: what tflite-runtime can load."""


STEP_FILES = {form: f"step_{form.value}.tflite" for form in Form}
WINDOW_FILE = "window_float32.tflite"
STEP_SIGNATURE = ("market", "inventory", "h1", "c1", "h2", "c2")


def export_step(weights: QuoteWeights, form: Form) -> bytes:
    """The one-step graph: market [1, n], inventory [1, 5] and the four states in, three heads and the four new states out."""
    import tensorflow as tf

    cells = _Cells(weights)
    widths = (weights.sizes.market, INVENTORY_INPUTS, *weights.sizes.states)
    signature = [
        tf.TensorSpec([1, width], tf.float32, name=name) for name, width in zip(STEP_SIGNATURE, widths, strict=True) if width
    ]

    def row(market: Any, inventory: Any) -> dict[str, Any]:
        return cells.heads(None, inventory, cells.market(market))

    if not weights.sizes.recurrent:
        return convert(row, signature, form)

    def step(market: Any, inventory: Any, h1: Any, c1: Any, h2: Any, c2: Any) -> dict[str, Any]:
        x = cells.market(market)
        h1, c1, h2, c2 = cells.recur(x, h1, c1, h2, c2)
        return {**cells.heads(h2, inventory, x), "h1_out": h1, "c1_out": c1, "h2_out": h2, "c2_out": c2}

    return convert(step, signature, form)


def export_window(weights: QuoteWeights, steps: int = 60) -> bytes:
    """The same network over a whole window from zero state: market [1, steps, n] and inventory [1, 5] in, three heads out."""
    import tensorflow as tf

    cells = _Cells(weights)
    signature = [
        tf.TensorSpec([1, steps, weights.sizes.market], tf.float32, name="market"),
        tf.TensorSpec([1, INVENTORY_INPUTS], tf.float32, name="inventory"),
    ]

    def window(market: Any, inventory: Any) -> dict[str, Any]:
        if not weights.sizes.recurrent:
            return cells.heads(None, inventory, cells.market(market[:, steps - 1]))
        states = [tf.zeros([1, width]) for width in weights.sizes.states]
        for index in range(steps):
            states = list(cells.recur(cells.market(market[:, index]), *states))
        return cells.heads(states[2], inventory, cells.market(market[:, steps - 1]))

    return convert(window, signature, Form.FLOAT32)


class _Cells:
    """The network's parts as operations on constants."""

    def __init__(self, weights: QuoteWeights) -> None:
        self._weights = weights
        self._lstm_1 = gates_together(weights.lstm_1, weights.sizes.lstm_1) if weights.lstm_1 else None
        self._lstm_2 = gates_together(weights.lstm_2, weights.sizes.lstm_2) if weights.lstm_2 else None

    def market(self, raw: Any) -> Any:
        scaling = self._weights.scaling
        return _normalised(raw, scaling.market_mean, scaling.market_std)

    def recur(self, x: Any, h1: Any, c1: Any, h2: Any, c2: Any) -> tuple[Any, Any, Any, Any]:
        import tensorflow as tf

        first, second = self._lstm_1, self._lstm_2
        assert first is not None
        assert second is not None
        h1, c1 = cell(tf.matmul(x, first.kernel) + first.bias + tf.matmul(h1, first.recurrent), c1)
        joined = np.concatenate([second.kernel, second.recurrent])
        h2, c2 = cell(tf.matmul(tf.concat([h1, h2], axis=1), joined) + second.bias, c2)
        return h1, c1, h2, c2

    def heads(self, h2: Any, inventory: Any, x: Any) -> dict[str, Any]:
        import tensorflow as tf

        weights, scaling = self._weights, self._weights.scaling
        held = _normalised(inventory, scaling.inventory_mean, scaling.inventory_std)
        # Split for the same reason as in the first layer: inventory has a wider range than the state.
        width = weights.sizes.lstm_2
        kernel = weights.shared_1.kernel
        beside = width + INVENTORY_INPUTS
        y = tf.matmul(held, kernel[width:beside]) + weights.shared_1.bias
        if weights.sizes.recurrent:
            y += tf.matmul(h2, kernel[:width])
        if weights.sizes.skip:
            y += tf.matmul(x, kernel[beside:])
        x = tf.nn.relu(y)
        x = tf.nn.relu(tf.matmul(x, weights.shared_2.kernel) + weights.shared_2.bias)
        x = tf.nn.relu(
            tf.matmul(x, np.concatenate([each.kernel for each in weights.hidden], axis=1))
            + np.concatenate([each.bias for each in weights.hidden])
        )
        x = tf.matmul(x, _block_diagonal([each.kernel for each in weights.outputs])) + np.concatenate(
            [each.bias for each in weights.outputs]
        )
        price, spread, position = tf.split(x, 3, axis=1)
        return {
            "price_change": tf.identity(price),
            "optimal_spread": tf.sigmoid(spread),
            "position_signal": tf.tanh(position),
        }


def _normalised(raw: Any, mean: Array, std: Array) -> Any:
    import tensorflow as tf

    return tf.clip_by_value((raw - mean) * (1.0 / std).astype(np.float32), -NORMALISED_LIMIT, NORMALISED_LIMIT)


def gates_together(lstm: Lstm, units: int) -> Lstm:
    """The three sigmoid gates side by side (input, forget, output), the candidate last, so that one operation serves all three."""

    def reordered(array: Array) -> Array:
        gate_in, forget, candidate, out = np.split(array, [units, 2 * units, 3 * units], axis=-1)
        return np.concatenate([gate_in, forget, out, candidate], axis=-1)

    return Lstm(reordered(lstm.kernel), reordered(lstm.recurrent), reordered(lstm.bias))


def cell(gates: Any, carried: Any) -> tuple[Any, Any]:
    """New h and c."""
    import tensorflow as tf

    units = carried.shape[-1]
    opened, candidate = tf.split(gates, [3 * units, units], axis=1)
    gate_in, forget, out = tf.split(tf.sigmoid(opened), 3, axis=1)
    carried = forget * carried + gate_in * tf.tanh(candidate)
    return out * tf.tanh(carried), carried


def _block_diagonal(blocks: list[Array]) -> Array:
    rows = sum(len(block) for block in blocks)
    joined = np.zeros((rows, len(blocks)), dtype=np.float32)
    start = 0
    for column, block in enumerate(blocks):
        joined[start : start + len(block), column] = block[:, 0]
        start += len(block)
    return joined


def convert(function: Callable[..., Any], signature: list[Any], form: Form) -> bytes:
    import tensorflow as tf

    module = tf.Module()
    module.serve = tf.function(function, input_signature=signature)
    with tempfile.TemporaryDirectory(prefix="mmd-export-") as folder:
        path = str(Path(folder) / "saved")
        tf.saved_model.save(module, path, signatures={"serving_default": module.serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=["serving_default"])
        if form is not Form.FLOAT32:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter._experimental_disable_per_channel_quantization_for_dense_layers = form is Form.INT8_PER_TENSOR
        model = converter.convert()
    return bytes(model)
