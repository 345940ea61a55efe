"""Makes tests/fixtures/tiny_bundle: a quote network with tiny layers and random weights, but the real signature.

    .venv/bin/python tests/unit/inference/make_fixture_bundle.py

Needs TensorFlow (the `train` extra). Its output is committed, so that both runtimes are tested without TensorFlow.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from mmd.inference.bundle import write_bundle
from mmd.inference.card import Card, Normalisation, TrainingRange, Variant
from mmd.inference.golden import GoldenInputs
from mmd.inference.runtime import load_runtime

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "tiny_bundle"
MARKET, INVENTORY = 20, 5
WEIGHT_SEED, GOLDEN_SEED = 7, 11


def random_weights(first: int, second: int, shared: tuple[int, int], branch: int) -> dict[str, np.ndarray]:
    """Layer sizes to weights. The converter quantizes only matrices of 1,024 numbers and more: keep some of them that large."""
    generator = np.random.default_rng(WEIGHT_SEED)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return generator.normal(0.0, 1.0 / np.sqrt(rows), (rows, columns)).astype(np.float32)

    def bias(size: int) -> np.ndarray:
        return generator.normal(0.0, 0.1, size).astype(np.float32)

    weights: dict[str, np.ndarray] = {}
    for layer, inputs, units in (("1", MARKET, first), ("2", first, second)):
        weights[f"kernel{layer}"], weights[f"recurrent{layer}"] = matrix(inputs, 4 * units), matrix(units, 4 * units)
        weights[f"bias{layer}"] = bias(4 * units)
    sizes = [second + INVENTORY, *shared]
    for place in range(2):
        weights[f"shared{place}"], weights[f"shared_bias{place}"] = matrix(sizes[place], sizes[place + 1]), bias(sizes[place + 1])
    for head in ("price", "spread", "position"):
        weights[f"{head}0"], weights[f"{head}_bias0"] = matrix(shared[1], branch), bias(branch)
        weights[f"{head}1"], weights[f"{head}_bias1"] = matrix(branch, 1), bias(1)
    return weights


def normalisation() -> Normalisation:
    return Normalisation(
        market_mean=tuple(0.01 * place for place in range(MARKET)),
        market_std=tuple(1.0 + 0.05 * place for place in range(MARKET)),
        inventory_mean=(0.0,) * INVENTORY,
        inventory_std=(0.5,) * INVENTORY,
    )


def reference_step(
    weights: dict[str, np.ndarray], market: np.ndarray, inventory: np.ndarray, state: list[np.ndarray]
) -> list[float]:
    """The same network in float64 with numpy, moving `state` on: the answers that every variant is held to."""

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-x))

    scale = normalisation()
    x = (market - np.array(scale.market_mean)) / np.array(scale.market_std)
    for layer in (0, 1):
        h, c = state[2 * layer], state[2 * layer + 1]
        z = x @ weights[f"kernel{layer + 1}"] + h @ weights[f"recurrent{layer + 1}"] + weights[f"bias{layer + 1}"]
        enter, forget, candidate, out = np.split(z, 4)
        c = sigmoid(forget) * c + sigmoid(enter) * np.tanh(candidate)
        x = sigmoid(out) * np.tanh(c)
        state[2 * layer], state[2 * layer + 1] = x, c
    x = np.concatenate([x, (inventory - np.array(scale.inventory_mean)) / np.array(scale.inventory_std)])
    for place in range(2):
        x = np.maximum(0.0, x @ weights[f"shared{place}"] + weights[f"shared_bias{place}"])
    answers = []
    for head, activation in (("price", lambda y: y), ("spread", sigmoid), ("position", np.tanh)):
        y = np.maximum(0.0, x @ weights[f"{head}0"] + weights[f"{head}_bias0"]) @ weights[f"{head}1"] + weights[f"{head}_bias1"]
        answers.append(float(activation(y)[0]))
    return answers


def golden_inputs(weights: dict[str, np.ndarray], sequences: int = 4, steps: int = 16) -> GoldenInputs:
    """Sequences of random inputs: the first from zero state, the others from states that the network itself reached."""
    generator = np.random.default_rng(GOLDEN_SEED)
    units = [weights["recurrent1"].shape[0]] * 2 + [weights["recurrent2"].shape[0]] * 2
    market = generator.normal(0.0, 1.5, (sequences, steps, MARKET)).astype(np.float32)
    inventory = generator.uniform(-1.0, 1.0, (sequences, steps, INVENTORY)).astype(np.float32)
    start = np.zeros((sequences, sum(units)), np.float32)
    reference = np.zeros((sequences, steps, 3), np.float32)
    state = [np.zeros(size) for size in units]
    for sequence in range(sequences):
        start[sequence] = np.concatenate(state)
        for step in range(steps):
            reference[sequence, step] = reference_step(weights, market[sequence, step], inventory[sequence, step], state)
    return GoldenInputs(market=market, inventory=inventory, state=start, reference=reference)


def convert(weights: dict[str, np.ndarray], *, quantized: bool, per_channel: bool = True) -> bytes:
    """The one-step graph as TFLite."""
    import tensorflow as tf

    first, second = weights["recurrent1"].shape[0], weights["recurrent2"].shape[0]
    scale = normalisation()
    state_sizes = {"h1": first, "c1": first, "h2": second, "c2": second}
    specification = {
        name: tf.TensorSpec([1, size], tf.float32, name=name)
        for name, size in {"market": MARKET, "inventory": INVENTORY, **state_sizes}.items()
    }

    class OneStep(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = {name: tf.Variable(value, name=name) for name, value in weights.items()}

        def _cell(self, layer: str, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
            w = self.weights
            z = tf.matmul(x, w[f"kernel{layer}"]) + tf.matmul(h, w[f"recurrent{layer}"]) + w[f"bias{layer}"]
            enter, forget, candidate, out = tf.split(z, 4, axis=1)
            c = tf.sigmoid(forget) * c + tf.sigmoid(enter) * tf.tanh(candidate)
            return tf.sigmoid(out) * tf.tanh(c), c

        @tf.function(input_signature=[specification[name] for name in ("market", "inventory", "h1", "c1", "h2", "c2")])
        def step(self, market: Any, inventory: Any, h1: Any, c1: Any, h2: Any, c2: Any) -> dict[str, Any]:
            w = self.weights
            x = (market - tf.constant([scale.market_mean])) / tf.constant([scale.market_std])
            h1, c1 = self._cell("1", x, h1, c1)
            h2, c2 = self._cell("2", h1, h2, c2)
            x = tf.concat([h2, (inventory - tf.constant([scale.inventory_mean])) / tf.constant([scale.inventory_std])], 1)
            for place in range(2):
                x = tf.nn.relu(tf.matmul(x, w[f"shared{place}"]) + w[f"shared_bias{place}"])
            heads = {
                head: tf.matmul(tf.nn.relu(tf.matmul(x, w[f"{head}0"]) + w[f"{head}_bias0"]), w[f"{head}1"]) + w[f"{head}_bias1"]
                for head in ("price", "spread", "position")
            }
            return {
                "price_change": heads["price"],
                "optimal_spread": tf.sigmoid(heads["spread"]),
                "position_signal": tf.tanh(heads["position"]),
                **{"h1_out": h1, "c1_out": c1, "h2_out": h2, "c2_out": c2},
            }

    module = OneStep()
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": module.step})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if quantized:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel
        return bytes(converter.convert())


def make_card() -> Card:
    return Card(
        name="tiny",
        version="1",
        created_utc="2024-01-01T00:00:00Z",
        feature_schema_hash="fixture",
        feature_names=tuple(f"feature_{place}" for place in range(MARKET)),
        inventory_names=tuple(f"inventory_{place}" for place in range(INVENTORY)),
        steps=8,
        horizon_seconds=10.0,
        spread_min=0.05,
        spread_max=5.0,
        normalisation=normalisation(),
        training_range=TrainingRange(
            market_low=(-4.0,) * MARKET,
            market_high=(4.0,) * MARKET,
            inventory_low=(-1.0,) * INVENTORY,
            inventory_high=(1.0,) * INVENTORY,
        ),
        variants=(
            Variant(name="int8", file="step_int8.tflite", tolerance=0.005, reference_tolerance=0.05),
            Variant(name="int8_per_tensor", file="step_int8_per_tensor.tflite", tolerance=0.005, reference_tolerance=0.05),
            Variant(name="float32", file="step_float32.tflite", tolerance=1e-4, reference_tolerance=1e-4),
        ),
        fair_weights={"microprice": 1.0, "price_head": 0.5},
        pull_threshold=1.0,
        max_shift=1.0,
        built_with={"ai-edge-litert": load_runtime().version},
    )


def make_bundle(folder: Path, first: int = 32, second: int = 16, shared: tuple[int, int] = (32, 16), branch: int = 8) -> None:
    weights = random_weights(first, second, shared, branch)
    models = {
        "int8": convert(weights, quantized=True),
        "int8_per_tensor": convert(weights, quantized=True, per_channel=False),
        "float32": convert(weights, quantized=False),
    }
    write_bundle(folder, make_card(), models, golden_inputs(weights))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    make_bundle(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
