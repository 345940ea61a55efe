"""A small quote network with random weights, and a small data set to train it on."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmd.learning.architecture import QuoteSizes, QuoteWeights, Scaling, build_network, extract_weights, zero_states
from mmd.learning.batches import WalkSizes
from mmd.learning.dataset import Dataset, Part, SplitSettings, cut
from mmd.learning.labels import LabelSettings, make_labels
from mmd.learning.training import TrainingSettings
from mmd.market.feature_table import MARKET_NAMES
from tests.unit.learning.made_sessions import drawn_session

SIZES = QuoteSizes(market=len(MARKET_NAMES), lstm_1=48, lstm_2=32, shared_1=32, shared_2=16, branch=8)
TRAINED_SIZES = QuoteSizes(market=len(MARKET_NAMES), lstm_1=16, lstm_2=8, shared_1=32, shared_2=16, branch=8)
"""Of trainings, which need no width to show how they go."""
ROW_SIZES = QuoteSizes(market=len(MARKET_NAMES), lstm_1=0, lstm_2=0, shared_1=32, shared_2=16, branch=8, skip=True)
LABELS = LabelSettings(settle_seconds=0.0)
SPLIT = SplitSettings(embargo_seconds=1.0)
TRAINING = TrainingSettings(
    epochs=3, learning_rate=1e-2, dropout=0.1, walk=WalkSizes(lanes=8, chunk_steps=40, segment_steps=400, warm_steps=20)
)


def scaling() -> Scaling:
    """Means and deviations that a wrong normalisation would not survive."""
    rng = np.random.default_rng(4)
    arrays = (
        rng.normal(size=len(MARKET_NAMES)),
        rng.uniform(0.5, 2, len(MARKET_NAMES)),
        rng.normal(size=5) * 0.1,
        rng.uniform(0.5, 2, 5),
    )
    return Scaling(*(array.astype(np.float32) for array in arrays))


def random_network(sizes: QuoteSizes = SIZES) -> tuple[Any, QuoteWeights]:
    """The Keras network and its weights, biases random too."""
    import keras

    keras.utils.set_random_seed(7)
    network = build_network(sizes, scaling())
    rng = np.random.default_rng(5)
    for variable in network.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(np.asarray(variable) + rng.normal(size=variable.shape) * 0.1)
    return network, extract_weights(network, sizes, scaling())


def keras_heads(network: Any, sizes: QuoteSizes, market: Any, inventory: Any) -> Any:
    """[steps, 3] of one lane from zero state."""
    outputs = network([market[None], inventory[None], inventory[None], *zero_states(sizes, 1)])
    return np.concatenate([np.asarray(head)[0] for head in outputs[:3]], axis=-1)


def small_dataset(rows: int = 6_000) -> Dataset:
    """Two drawn series in which `touch_imbalance` foretells the move."""
    parts: dict[str, list[Part]] = {"train": [], "validation": [], "test": []}
    for seed in (1, 2):
        session = drawn_session(rows, seed, f"series {seed}")
        labels = make_labels(session, LABELS)
        for name, (start, stop) in cut(session, LABELS, SPLIT).items():
            parts[name].append(Part(session, labels, start, stop))
    return Dataset(parts, LABELS, SPLIT, "made", {"series 1": "made", "series 2": "made"})
