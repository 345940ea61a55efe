"""The same training twice gives the same weights on the same machine: seeds, and operations that add up in one order."""

from __future__ import annotations


def begin(seed: int) -> None:
    """Of a training: seeds Python, NumPy and TensorFlow, and asks TensorFlow for operations without a race in them."""
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
