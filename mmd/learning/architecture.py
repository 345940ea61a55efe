"""The quote network in Keras, for training, and its weights as plain arrays, for export.

LSTM 128 -> LSTM 64 -> with the five inventory inputs -> 128 -> 64 -> three branches of 32: price change (linear, in sigma over H),
place of the optimal spread (sigmoid), position (tanh). Inputs are raw: the network normalises them itself. The compact form has
LSTMs of 48 and 24 units and the newest row beside them in the shared layers, the row form has the newest row alone, the wide form
layers of 320, 128 and 48 units over it. TensorFlow is imported when a network is built, not before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.market.feature_table import MARKET_NAMES

Array = npt.NDArray[np.float32]

NORMALISED_LIMIT = 5.0
"""Normalised inputs are clipped to this many standard deviations, in the graph: beyond it nothing was learnt."""
INVENTORY_INPUTS = 5
BRANCH_UNITS = 32
BRANCHES = ("price_change", "optimal_spread", "position_signal")
BRANCH_ACTIVATIONS = ("linear", "sigmoid", "tanh")


@dataclass(frozen=True)
class QuoteSizes:
    """Units of the layers; the defaults are the article's, tests use smaller ones."""

    market: int = 20
    """The first features of a row, of which the network sees so many."""
    lstm_1: int = 128
    lstm_2: int = 64
    shared_1: int = 128
    shared_2: int = 64
    branch: int = BRANCH_UNITS
    skip: bool = False
    """Whether the newest row joins the shared layers beside the recurrent state, so that it need not pass through gates."""

    @property
    def recurrent(self) -> bool:
        """Whether there are LSTMs; without them the features' own windows and fading sums are all the memory."""
        return self.lstm_2 > 0

    @property
    def states(self) -> tuple[int, int, int, int]:
        """Widths of h1, c1, h2, c2."""
        return self.lstm_1, self.lstm_1, self.lstm_2, self.lstm_2


ARCHITECTURES = {
    "article": QuoteSizes(),
    "compact": QuoteSizes(market=len(MARKET_NAMES), lstm_1=48, lstm_2=24, skip=True),
    "row": QuoteSizes(market=len(MARKET_NAMES), lstm_1=0, lstm_2=0, skip=True),
    "wide": QuoteSizes(market=len(MARKET_NAMES), lstm_1=0, lstm_2=0, shared_1=320, shared_2=128, branch=48, skip=True),
}
"""By the name that `mmd train` knows."""


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of the inputs over the training part, float32."""

    market_mean: Array
    market_std: Array
    inventory_mean: Array
    inventory_std: Array


@dataclass(frozen=True)
class Dense:
    """y = activation(x kernel + bias)."""

    kernel: Array
    bias: Array


@dataclass(frozen=True)
class Lstm:
    """Gates in Keras's order: input, forget, candidate, output."""

    kernel: Array
    recurrent: Array
    bias: Array


@dataclass(frozen=True)
class QuoteWeights:
    """Everything that the exported graphs hold."""

    sizes: QuoteSizes
    scaling: Scaling
    lstm_1: Lstm | None
    lstm_2: Lstm | None
    """None where the network is not recurrent."""
    shared_1: Dense
    shared_2: Dense
    hidden: tuple[Dense, Dense, Dense]
    """First layer of each branch, in the order of BRANCHES."""
    outputs: tuple[Dense, Dense, Dense]


def build_network(sizes: QuoteSizes, scaling: Scaling, dropout: float = 0.0) -> Any:
    """A Keras model for any number of lanes and steps.

    [market, inventory, other inventory, h1, c1, h2, c2] -> [price, spread, position, other price, other spread, h1, c1, h2, c2].
    The heads are asked twice, with two inventories, so that training can hold down what inventory does to price and spread.
    """
    import keras

    layers = keras.layers
    market = keras.Input((None, sizes.market), name="market")
    inventory = keras.Input((None, INVENTORY_INPUTS), name="inventory")
    other_inventory = keras.Input((None, INVENTORY_INPUTS), name="other_inventory")
    names = ("h1", "c1", "h2", "c2") if sizes.recurrent else ()
    states = [keras.Input((width,), name=name) for name, width in zip(names, sizes.states, strict=False)]
    rows = _normalised(market, scaling.market_mean, scaling.market_std)
    seen, carried = [rows] if sizes.skip else [], []
    if sizes.recurrent:
        x, h1, c1 = layers.LSTM(sizes.lstm_1, return_sequences=True, return_state=True, name="lstm_1")(
            rows, initial_state=states[:2]
        )
        x = layers.Dropout(dropout, name="dropout_1")(x)
        x, h2, c2 = layers.LSTM(sizes.lstm_2, return_sequences=True, return_state=True, name="lstm_2")(x, initial_state=states[2:])
        seen.insert(0, layers.Dropout(dropout, name="dropout_2")(x))
        carried = [h1, c1, h2, c2]
    shared = [
        layers.Dense(sizes.shared_1, activation="relu", name="shared_1"),
        layers.Dense(sizes.shared_2, activation="relu", name="shared_2"),
    ]
    branches = [
        (
            layers.Dense(sizes.branch, activation="relu", name=f"{name}_hidden"),
            layers.Dense(1, activation=activation, name=name),
        )
        for name, activation in zip(BRANCHES, BRANCH_ACTIVATIONS, strict=True)
    ]

    def heads(held: Any) -> list[Any]:
        # In this order, by which the exported graph takes the kernel apart: state, inventory, row.
        own = _normalised(held, scaling.inventory_mean, scaling.inventory_std)
        y = layers.Concatenate()([*seen[: len(seen) - sizes.skip], own, *seen[len(seen) - sizes.skip :]])
        for layer in shared:
            y = layer(y)
        return [output(hidden(y)) for hidden, output in branches]

    outputs = [*heads(inventory), *heads(other_inventory)[:2], *carried]
    return keras.Model([market, inventory, other_inventory, *states], outputs, name="quote")


def _normalised(raw: Any, mean: Array, std: Array) -> Any:
    import keras

    return keras.ops.clip((raw - mean) * (1.0 / std).astype(np.float32), -NORMALISED_LIMIT, NORMALISED_LIMIT)


def extract_weights(network: Any, sizes: QuoteSizes, scaling: Scaling) -> QuoteWeights:
    """The trained arrays of a network that `build_network` made."""

    def arrays(name: str) -> list[Array]:
        return [np.asarray(array, dtype=np.float32) for array in network.get_layer(name).get_weights()]

    hidden = [Dense(*arrays(f"{name}_hidden")) for name in BRANCHES]
    outputs = [Dense(*arrays(name)) for name in BRANCHES]
    return QuoteWeights(
        sizes=sizes,
        scaling=scaling,
        lstm_1=Lstm(*arrays("lstm_1")) if sizes.recurrent else None,
        lstm_2=Lstm(*arrays("lstm_2")) if sizes.recurrent else None,
        shared_1=Dense(*arrays("shared_1")),
        shared_2=Dense(*arrays("shared_2")),
        hidden=(hidden[0], hidden[1], hidden[2]),
        outputs=(outputs[0], outputs[1], outputs[2]),
    )


def zero_states(sizes: QuoteSizes, lanes: int) -> list[Array]:
    """h1, c1, h2, c2 at the start of a session, [lanes, width] each."""
    return [np.zeros((lanes, width), dtype=np.float32) for width in sizes.states]
