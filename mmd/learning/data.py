"""What `--data` names, and the rows of it: the simulated market, recorded frames and parquet files, all made into sessions.

Rows of files are kept on disk under a hash of everything that decides them, and mapped into memory from there, so that a second run
begins at once and memory holds what is being looked at.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from mmd.learning.dataset_files import dataset_files, is_dataset
from mmd.learning.errors import SourceError
from mmd.learning.parquet import BOOK_SUFFIX, ParquetFile, find_files
from mmd.learning.parquet_sessions import parquet_sessions
from mmd.learning.sessions import MIN_SESSION_ROWS, Session, feature_schema_hash, record_sessions
from mmd.learning.sources import EventSource, recorded_sources, simulated_sources
from mmd.market.feature_settings import FeatureSettings

ROWS_VERSION = 1
"""Raised when sessions are made otherwise of the same features."""
CACHE_VARIABLE = "MMD_ROW_CACHE"
CACHE_FOLDER = Path("state/rows")
CACHE_BYTES = 4_000_000_000
"""Beyond it the entries that were used least lately are removed."""
ENTRY_FILE = "entry.json"
EMPTY_ARRAY_BYTES = 128


@dataclass(frozen=True)
class ParquetSource:
    """One symbol of a parquet file."""

    series: str
    file: ParquetFile
    group: str = ""
    """What was received together, see `EventSource`."""

    @property
    def symbol(self) -> str:
        """As the file says."""
        return self.file.symbol

    @property
    def describe(self) -> str:
        """For manifests."""
        return "parquet " + ", ".join(path.name for path in self.file.paths)


Source = EventSource | ParquetSource


@dataclass(frozen=True)
class Rows:
    """The sessions of a source."""

    series: str
    symbol: str
    sessions: list[Session]


def parse_data(text: str) -> list[Source]:
    """The sources that `sim:SEEDS,HOURS`, a folder of recordings or a parquet book file names.

    SEEDS is `3` or `1-6`, HOURS are those of each seed. A folder is looked through with its sub-folders, for
    `MARKET__SYMBOL_DATE.gz` and `NAME.book.parquet`; a dataset that `mmd import` made is read as its manifest says.

    Raises `SourceError` for anything else.
    """
    if text.startswith("sim:"):
        seeds, hours = _parse_simulation(text)
        return [source for seed in seeds for source in simulated_sources(seed, hours * 3_600.0)]
    place = Path(text)
    if not place.exists() or (place.is_file() and not place.name.endswith(BOOK_SUFFIX)):
        raise SourceError(
            f"data {text!r} is neither sim:SEEDS,HOURS (such as sim:1-6,0.5) nor a folder of recordings nor a NAME{BOOK_SUFFIX}"
        )
    if is_dataset(place):
        return [ParquetSource(series, file, str(place)) for series, file in dataset_files(place)]
    files = [ParquetSource(f"{file.book.parent.name} {file.symbol}", file, str(file.book.parent)) for file in find_files(place)]
    recordings = sorted({path.parent for path in place.rglob("*.gz")}) if place.is_dir() else []
    found: list[Source] = [source for folder in recordings for source in recorded_sources(folder)]
    found += files
    if not found:
        raise SourceError(f"{place}: no recordings (*.gz) and no books (*{BOOK_SUFFIX}) in it")
    return found


def _parse_simulation(text: str) -> tuple[range, float]:
    body = text.removeprefix("sim:")
    try:
        seeds_text, hours_text = body.split(",")
        first, _, last = seeds_text.partition("-")
        seeds, hours = range(int(first), int(last or first) + 1), float(hours_text)
    except ValueError as error:
        raise SourceError(f"data {text!r}: write sim:SEEDS,HOURS, such as sim:7,0.5 or sim:1-6,0.5 (hours of each seed)") from error
    if not seeds or not 0 < hours <= 100:
        raise SourceError(f"data {text!r}: needs at least one seed, rising, and hours above 0 and at most 100")
    return seeds, hours


# ---- rows


def load_rows(
    source: Source,
    horizon_seconds: float,
    settings: FeatureSettings | None = None,
    *,
    min_rows: int = MIN_SESSION_ROWS,
    cache: Path | None = None,
) -> Rows:
    """Every session of a source. Those of files come from the cache when they are there; `cache` None means `cache_folder()`."""
    if isinstance(source, EventSource):
        sessions = record_sessions(source, horizon_seconds, settings, min_rows=min_rows)
        return Rows(source.series, source.instrument.symbol, sessions)

    def make() -> Iterable[Session]:
        return (
            session for _, session in parquet_sessions(source.file, source.series, horizon_seconds, settings, min_rows=min_rows)
        )

    parts = (ROWS_VERSION, feature_schema_hash(settings), horizon_seconds, min_rows, source.series, source.symbol, source.file.grid)
    digest = hashlib.sha256(repr(parts).encode())
    for path in source.file.paths:
        digest.update(path.name.encode() + file_sha256(path).encode())
    sessions = _cached(cache or cache_folder(), digest.hexdigest(), source.series, make)
    return Rows(source.series, source.symbol, sessions)


def file_sha256(path: Path) -> str:
    """Hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cache_folder() -> Path:
    """`MMD_ROW_CACHE`, or state/rows in the working directory."""
    return Path(os.environ.get(CACHE_VARIABLE) or CACHE_FOLDER)


class _Entry(msgspec.Struct, frozen=True):
    series: str
    sessions: int


def _cached(folder: Path, key: str, series: str, make: Callable[[], Iterable[Session]]) -> list[Session]:
    place = folder / key
    if not (place / ENTRY_FILE).is_file():
        fresh = folder / f"{key}.{os.getpid()}.new"
        fresh.mkdir(parents=True)
        try:
            count = 0
            for count, session in enumerate(make(), start=1):
                _write(fresh, count - 1, session)
            (fresh / ENTRY_FILE).write_bytes(msgspec.json.encode(_Entry(series, count)))
            if not (place / ENTRY_FILE).is_file():
                fresh.rename(place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        _bound(folder, keep=key)
    os.utime(place / ENTRY_FILE)
    entry = msgspec.json.decode((place / ENTRY_FILE).read_bytes(), type=_Entry)
    return [_read(place, number, entry.series) for number in range(entry.sessions)]


def _write(place: Path, number: int, session: Session) -> None:
    for field in fields(session):
        if field.name != "series":
            np.save(place / f"{number}_{field.name}.npy", getattr(session, field.name), allow_pickle=False)


def _read(place: Path, number: int, series: str) -> Session:
    arrays = {field.name: _mapped(place / f"{number}_{field.name}.npy") for field in fields(Session) if field.name != "series"}
    return Session(series=series, **arrays)


def _mapped(path: Path) -> npt.NDArray[Any]:
    """An array without elements cannot be mapped."""
    array: npt.NDArray[Any] = np.load(path, allow_pickle=False, mmap_mode="r" if path.stat().st_size > EMPTY_ARRAY_BYTES else None)
    return array


def _bound(folder: Path, keep: str) -> None:
    """Entries that were used least lately go first; the one just made stays."""
    entries = [entry for entry in folder.iterdir() if (entry / ENTRY_FILE).is_file()]
    entries.sort(key=lambda entry: (entry / ENTRY_FILE).stat().st_mtime)
    sizes = {entry: sum(file.stat().st_size for file in entry.iterdir()) for entry in entries}
    total = sum(sizes.values())
    for entry in entries:
        if total <= CACHE_BYTES:
            break
        if entry.name != keep:
            shutil.rmtree(entry, ignore_errors=True)
            total -= sizes[entry]
