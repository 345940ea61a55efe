"""Arrays kept on disk under a key, so that what cost minutes is worked out once: bounded, and checked whenever it is read.

One file a key: a line of JSON (what is in it, and a hash of the rest), then the arrays' bytes. A file that does not read as it was
written is removed and counted, and its content is worked out anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.backtest.errors import BacktestError

Arrays = dict[str, npt.NDArray[Any]]
DEFAULT_LIMIT = 4 << 30
"""Bytes that the cache may hold, unless `MMD_CACHE_LIMIT` says otherwise."""
SUFFIX = ".columns"


@dataclass
class Kept:
    """The files of one folder. The oldest go where they would hold more than `limit` bytes together."""

    folder: Path
    limit: int = DEFAULT_LIMIT
    found: int = 0
    """Reads that were served."""
    corrupt: int = 0
    """Files that were not as they had been written."""

    def read(self, key: str) -> tuple[dict[str, Any], Arrays] | None:
        """What was kept under the key, or None."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                head = json.loads(file.readline())
                body = file.read()
            if head["key"] != key or hashlib.sha256(body).hexdigest() != head["sha256"]:
                raise ValueError("not as it was written")
            arrays: Arrays = {}
            position = 0
            for name, kind, length in head["arrays"]:
                dtype = _dtype(kind)
                arrays[name] = np.frombuffer(body, dtype, length, position).copy()
                position += dtype.itemsize * length
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            self.corrupt += 1
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        self.found += 1
        return head["about"], arrays

    def write(self, key: str, about: Mapping[str, Any], arrays: Arrays) -> None:
        """Keep it, whole or not at all. Where nothing can be written nothing is kept."""
        body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
        head = {
            "key": key,
            "sha256": hashlib.sha256(body).hexdigest(),
            "arrays": [[name, _kind(array.dtype), len(array)] for name, array in arrays.items()],
            "about": dict(about),
        }
        if len(body) > self.limit:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(body))
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(json.dumps(head).encode() + b"\n" + body)
            Path(file.name).replace(self._path(key))

    def _make_room(self, size: int) -> None:
        files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self.folder.glob(f"*{SUFFIX}"))
        total = size + sum(each for _, each, _ in files)
        for _, each, path in files:
            if total <= self.limit:
                return
            path.unlink(missing_ok=True)
            total -= each

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{SUFFIX}"


def cache_limit() -> int:
    """Bytes. Raises `BacktestError` where `MMD_CACHE_LIMIT` is no number of bytes."""
    text = os.environ.get("MMD_CACHE_LIMIT", "")
    if not text:
        return DEFAULT_LIMIT
    if not text.isdecimal():
        raise BacktestError(f"MMD_CACHE_LIMIT is {text!r}: write a number of bytes, such as {DEFAULT_LIMIT}")
    return int(text)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kind(dtype: np.dtype[Any]) -> Any:
    if dtype.fields is None:
        return dtype.str
    return {
        "names": list(dtype.names or ()),
        "formats": [dtype.fields[name][0].str for name in dtype.names or ()],
        "offsets": [dtype.fields[name][1] for name in dtype.names or ()],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def _dtype(kind: Any) -> np.dtype[Any]:
    if isinstance(kind, str):
        return np.dtype(kind)
    aligned = kind.pop("aligned")
    return np.dtype(kind, align=aligned)
