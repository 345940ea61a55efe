"""What every training by epochs keeps: how far it is, its best weights, the checkpoint to go on from, the learning curve on disk.

A training ends after so many epochs, or when the validation loss has not fallen for as many as its patience. One that was broken
off goes on from its checkpoint to the same end; the checkpoint of another training is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from mmd.learning.checkpoint import arrays_of, assign, load_checkpoint, save_checkpoint

Record = TypeVar("Record", bound=msgspec.Struct)
WEIGHTS = "weights"
"""The group of variables whose best values are kept."""
BEST = "best"


class Progress(msgspec.Struct, Generic[Record]):
    """What a checkpoint says besides arrays."""

    epochs_since_best: int = 0
    best_loss: float = float("inf")
    records: list[Record] = []


class Epochs(Generic[Record]):
    """Of one training. `groups` are its TensorFlow variables by name: `WEIGHTS` and whatever else decides how it goes on."""

    def __init__(
        self,
        checkpoint: Path,
        curve: Path,
        fingerprint: str,
        groups: Mapping[str, Sequence[Any]],
        kind: type[Record],
        *,
        most: int,
        patience: int,
    ) -> None:
        """`kind` is that of the learning curve's points, `most` and `patience` are counts of epochs."""
        self._checkpoint, self._curve, self._fingerprint = checkpoint, curve, fingerprint
        self._groups, self._kind = dict(groups), kind
        self._most, self._patience = most, patience
        self._best = arrays_of(self._groups[WEIGHTS])
        self._progress: Progress[Record] = Progress()

    @property
    def records(self) -> list[Record]:
        """The learning curve."""
        return self._progress.records

    @property
    def number(self) -> int:
        """Of the next epoch, from 1."""
        return len(self.records) + 1

    def goes_on(self) -> bool:
        """Whether there is another epoch."""
        return self.number <= self._most and self._progress.epochs_since_best < self._patience

    def is_better(self, loss: float) -> bool:
        """Whether no epoch had so small a validation loss."""
        return loss < self._progress.best_loss

    def add(self, record: Record, loss: float) -> None:
        """An epoch is over: keep the weights if they are the best, and write checkpoint and curve."""
        progress = self._progress
        progress.records.append(record)
        progress.epochs_since_best += 1
        if self.is_better(loss):
            progress.best_loss, progress.epochs_since_best = loss, 0
            self._best = arrays_of(self._groups[WEIGHTS])
        arrays = {name: arrays_of(variables) for name, variables in self._groups.items()}
        save_checkpoint(self._checkpoint, self._fingerprint, progress, {**arrays, BEST: self._best})
        self._curve.write_bytes(msgspec.json.format(msgspec.json.encode(progress.records), indent=1) + b"\n")

    def restore(self) -> None:
        """Go on from the checkpoint, where there is one. Raises `CheckpointError` for that of another training."""
        found = load_checkpoint(self._checkpoint, self._fingerprint, Progress[self._kind])  # type: ignore[name-defined]
        if found is None:
            return
        self._progress, groups = found
        for name, variables in self._groups.items():
            assign(variables, groups.get(name, []))
        self._best = groups[BEST]

    def take_best(self) -> None:
        """Into the variables."""
        assign(self._groups[WEIGHTS], self._best)
