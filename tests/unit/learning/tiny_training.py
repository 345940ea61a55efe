"""Trainings small enough for a test, as processes: `python -m tests.unit.learning.tiny_training bundle|cross FOLDER [die|resume]`.

Prints a hash of what came out. With `die` the process is killed in the middle of its second epoch.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

from mmd.inference.bundle import content_digest
from mmd.learning.architecture import QuoteSizes
from mmd.learning.batches import WalkSizes
from mmd.learning.building import BuildSettings, build_bundle
from mmd.learning.cross_asset_network import CrossSizes
from mmd.learning.cross_asset_training import CrossSettings, train_cross_asset
from mmd.learning.training import train
from tests.unit.learning.made_pairs import paired_dataset
from tests.unit.learning.small_network import TRAINING, small_dataset

SIZES = QuoteSizes(lstm_1=0, lstm_2=0, shared_1=16, shared_2=8, branch=4, skip=True)
LOOSE = BuildSettings(max_price_difference=1, max_place_difference=1, max_position_difference=1, max_ic_loss=1)
CROSS = CrossSettings(epochs=3, walk=WalkSizes(lanes=8, chunk_steps=50, segment_steps=400, warm_steps=20))
CROSS_SIZES = CrossSizes(lstm=8, dense_1=16, dense_2=8)


def bundle(folder: Path) -> str:
    """A quote network from data to bundle, made at whatever time it is."""
    dataset = small_dataset(4_000)
    weights, _ = train(dataset, TRAINING.model_copy(update={"epochs": 2}), folder / "work", sizes=SIZES)
    made = build_bundle(
        folder / "bundle",
        weights,
        dataset,
        name="tiny",
        version=f"{time.time_ns()}",
        created_utc=f"{time.time_ns()}",
        walk=TRAINING.walk,
        settings=LOOSE,
        window_steps=2,
    )
    return content_digest(made.card)


def cross(folder: Path, how: str) -> str:
    """The weights of a cross-asset network."""

    def on_chunk(epoch: int, done: int, total: int) -> None:
        if how == "die" and epoch == 2 and done == total // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    weights, _ = train_cross_asset(
        paired_dataset(2_000, (1,)), CROSS, folder, sizes=CROSS_SIZES, resume=how == "resume", on_chunk=on_chunk
    )
    digest = hashlib.sha256()
    for array in (weights.mean, weights.lstm.kernel, weights.lstm.recurrent, *(dense.kernel for dense in weights.dense)):
        digest.update(array.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    what, where, *rest = sys.argv[1:]
    print(bundle(Path(where)) if what == "bundle" else cross(Path(where), rest[0] if rest else ""))
