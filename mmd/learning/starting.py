"""Where a training may begin, other than at random: with the weights, and the scaling of the inputs, that another ended with.

So the network for all instruments becomes that of one: it is trained on, in small steps, on the one's data alone.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

import msgspec
import numpy as np

from mmd.learning.architecture import Array, Scaling
from mmd.learning.checkpoint import CheckpointError

START_FILE = "weights.npz"
"""In the work directory of a training that has ended."""
FINE_RATE = 1e-4
"""Step size of what begins with another's weights: a tenth of what begins at random."""


class Start(msgspec.Struct, frozen=True):
    """Of the same sizes as what is to begin."""

    scaling: Scaling
    arrays: list[Array]
    """In the order of the network's trainable variables."""

    def sha256(self) -> str:
        """Of every number."""
        digest = hashlib.sha256()
        for array in (*astuple(self.scaling), *self.arrays):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def fits(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Raises `CheckpointError` where a network of other sizes, or for other features, is to begin."""
        own = [array.shape for array in self.arrays]
        if own != [tuple(shape) for shape in shapes]:
            raise CheckpointError(
                f"the weights to begin with are of another architecture (layers {own}, needed {list(shapes)}): "
                "name that --architecture, or train without --begin-with"
            )


def save_start(folder: Path, start: Start) -> None:
    """Into the work directory of the training that ended with it."""
    buffer = io.BytesIO()
    scaling = {field.name: getattr(start.scaling, field.name) for field in fields(Scaling)}
    np.savez(buffer, **scaling, **{f"weights_{index}": array for index, array in enumerate(start.arrays)})  # type: ignore[arg-type]
    (folder / START_FILE).write_bytes(buffer.getvalue())


def load_start(folder: Path) -> Start:
    """What `save_start` wrote. Raises `CheckpointError` where there is no such file or it is not whole."""
    path = folder / START_FILE
    try:
        with np.load(path, allow_pickle=False) as arrays:
            scaling = Scaling(*(arrays[field.name] for field in fields(Scaling)))
            count = sum(name.startswith("weights_") for name in arrays.files)
            return Start(scaling, [arrays[f"weights_{index}"] for index in range(count)])
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder}: no training of the quote network has ended here (no {START_FILE})") from error
    except (OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
