"""Checkpoints of trainings: arrays and a word on progress in one file without pickle, replaced as one step.

A checkpoint belongs to one training: its fingerprint (data, settings, sizes) must be that of the training that reads it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
T = TypeVar("T", bound=msgspec.Struct)


class CheckpointError(Exception):
    """A checkpoint that does not belong to this training."""


def arrays_of(variables: Iterable[Any]) -> list[Array]:
    """Copies of TensorFlow variables."""
    return [np.asarray(variable.numpy()) for variable in variables]


def assign(variables: Sequence[Any], arrays: Sequence[Array]) -> None:
    """Into TensorFlow variables, in the order of `arrays_of`."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def save_checkpoint(path: Path, fingerprint: str, progress: msgspec.Struct, groups: Mapping[str, Sequence[Array]]) -> None:
    """Replaces the file. Group names end in no digit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{name}_{index}": array for name, group in groups.items() for index, array in enumerate(group)}
    words = {"fingerprint": fingerprint.encode(), "progress": msgspec.json.encode(progress)}
    told = {name: np.frombuffer(word, dtype=np.uint8) for name, word in words.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **told, **arrays)  # type: ignore[arg-type]
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(buffer.getvalue())
    fresh.replace(path)


def load_checkpoint(path: Path, fingerprint: str, progress_type: type[T]) -> tuple[T, dict[str, list[Array]]] | None:
    """Progress and groups; None where there is no file. Raises `CheckpointError` for that of another training."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        if "fingerprint" not in arrays or arrays["fingerprint"].tobytes().decode() != fingerprint:
            raise CheckpointError(
                f"{path}: belongs to a training on other data or with other settings; "
                "leave out --resume, or name another --work-dir"
            )
        groups: dict[str, dict[int, Array]] = {}
        for key in arrays.files:
            name, _, index = key.rpartition("_")
            if index.isdigit():
                groups.setdefault(name, {})[int(index)] = arrays[key]
        progress = msgspec.json.decode(arrays["progress"].tobytes(), type=progress_type)
    return progress, {name: [group[index] for index in sorted(group)] for name, group in groups.items()}
