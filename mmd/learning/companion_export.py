"""The networks beside the quote network as one graph of one step: order flow with its state, adverse selection of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmd.learning.architecture import NORMALISED_LIMIT, Array, Dense, Lstm
from mmd.learning.companion_training import FLOW_UNITS, CompanionWeights
from mmd.learning.export import Form, cell, convert, gates_together
from mmd.market.companion_inputs import (
    ADVERSE_NAMES,
    ADVERSE_SIGNED_NAMES,
    ORDER_FLOW_NAMES,
    RISK_MARKET_NAMES,
    SIGNAL_NAMES,
    columns,
)
from mmd.market.feature_table import MARKET_NAMES

STATE_WIDTHS = {"flow_h1": FLOW_UNITS[0], "flow_c1": FLOW_UNITS[0], "flow_h2": FLOW_UNITS[1], "flow_c2": FLOW_UNITS[1]}


def export_companion(weights: CompanionWeights, form: Form) -> bytes:
    """market [1, features], signals [1, 2] and four states in; p_up, p_adverse_bid, p_adverse_ask, risk and four states out."""
    import tensorflow as tf

    cells = _Cells(weights)
    widths = {"market": len(MARKET_NAMES), "signals": len(SIGNAL_NAMES), **STATE_WIDTHS}
    signature = [tf.TensorSpec([1, width], tf.float32, name=name) for name, width in widths.items()]

    def step(market: Any, signals: Any, flow_h1: Any, flow_c1: Any, flow_h2: Any, flow_c2: Any) -> dict[str, Any]:
        x = cells.normalised(market)
        h1, c1, h2, c2 = cells.flow_step(x, flow_h1, flow_c1, flow_h2, flow_c2)
        return {
            **cells.answers(x, h2, signals),
            "flow_h1_out": h1,
            "flow_c1_out": c1,
            "flow_h2_out": h2,
            "flow_c2_out": c2,
        }

    return convert(step, signature, form)


def export_companion_window(weights: CompanionWeights, steps: int = 100) -> bytes:
    """The same over a whole window of rows from zero state: market [1, steps, n] and signals [1, 2] in, the four answers out."""
    import tensorflow as tf

    cells = _Cells(weights)
    signature = [
        tf.TensorSpec([1, steps, len(MARKET_NAMES)], tf.float32, name="market"),
        tf.TensorSpec([1, len(SIGNAL_NAMES)], tf.float32, name="signals"),
    ]

    def window(market: Any, signals: Any) -> dict[str, Any]:
        states = [tf.zeros([1, width]) for width in STATE_WIDTHS.values()]
        for index in range(steps):
            x = cells.normalised(market[:, index])
            states = list(cells.flow_step(x, *states))
        return cells.answers(x, states[2], signals)

    return convert(window, signature, Form.FLOAT32)


class _Cells:
    """The networks' parts as operations on constants. Which inputs a network sees is part of its first kernel."""

    def __init__(self, weights: CompanionWeights) -> None:
        first, second = gates_together(weights.flow_1, FLOW_UNITS[0]), gates_together(weights.flow_2, FLOW_UNITS[1])
        self._mean, self._per_std = weights.mean, (1.0 / weights.std).astype(np.float32)
        self._flow_1 = Lstm(_spread(first.kernel, ORDER_FLOW_NAMES), first.recurrent, first.bias)
        self._flow_2 = np.concatenate([second.kernel, second.recurrent]), second.bias
        self._flow_dense = weights.flow_dense
        adverse, *self._adverse = weights.adverse
        self._adverse_first = Dense(_spread(adverse.kernel, ADVERSE_NAMES), adverse.bias)
        self._sides = np.ones((2, len(MARKET_NAMES)), dtype=np.float32)
        self._sides[1, columns(ADVERSE_SIGNED_NAMES)] = -1.0
        risk, *self._risk = weights.risk
        count = len(RISK_MARKET_NAMES)
        self._risk_first = Dense(_spread(risk.kernel[:count], RISK_MARKET_NAMES), risk.bias)
        self._risk_signals = risk.kernel[count:]

    def normalised(self, market: Any) -> Any:
        import tensorflow as tf

        return tf.clip_by_value((market - self._mean) * self._per_std, -NORMALISED_LIMIT, NORMALISED_LIMIT)

    def flow_step(self, x: Any, h1: Any, c1: Any, h2: Any, c2: Any) -> tuple[Any, Any, Any, Any]:
        import tensorflow as tf

        first = self._flow_1
        h1, c1 = cell(tf.matmul(x, first.kernel) + first.bias + tf.matmul(h1, first.recurrent), c1)
        joined, bias = self._flow_2
        h2, c2 = cell(tf.matmul(tf.concat([h1, h2], axis=1), joined) + bias, c2)
        return h1, c1, h2, c2

    def answers(self, x: Any, h2: Any, signals: Any) -> dict[str, Any]:
        import tensorflow as tf

        adverse = tf.sigmoid(_chain(x * self._sides, [self._adverse_first, *self._adverse]))
        joined, output = self._flow_dense
        flow = tf.matmul(h2, joined.kernel[: FLOW_UNITS[1]]) + tf.matmul(x, joined.kernel[FLOW_UNITS[1] :])
        flow = tf.nn.relu(flow + joined.bias)
        first = self._risk_first
        hidden = tf.nn.relu(tf.matmul(x, first.kernel) + first.bias + tf.matmul(signals, self._risk_signals))
        return {
            "p_up": tf.sigmoid(tf.matmul(flow, output.kernel) + output.bias),
            "p_adverse_bid": adverse[:1],
            "p_adverse_ask": adverse[1:],
            "risk": tf.sigmoid(_chain(hidden, self._risk)),
        }


def _chain(x: Any, layers: Sequence[Dense]) -> Any:
    import tensorflow as tf

    for layer in layers[:-1]:
        x = tf.nn.relu(tf.matmul(x, layer.kernel) + layer.bias)
    return tf.matmul(x, layers[-1].kernel) + layers[-1].bias


def _spread(kernel: Array, names: tuple[str, ...]) -> Array:
    """A kernel over chosen inputs as one over the whole row, 0 for the others."""
    whole = np.zeros((len(MARKET_NAMES), kernel.shape[1]), dtype=np.float32)
    whole[columns(names)] = kernel
    return whole
