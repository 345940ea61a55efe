"""The dataset's manifest: what it holds, of which files it was made, and what was wrong with them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mmd.types.decoding import UNREADABLE

MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 1


class ManifestError(ValueError):
    """No dataset, or one that this program cannot read. The text says why."""


class Gap(msgspec.Struct, frozen=True):
    """From the last row before to the first after it. `why`: `silence`, or `resync` where the book was not known in between."""

    begin_ns: int
    end_ns: int
    why: str


class Partition(msgspec.Struct, frozen=True):
    """One file. `path` is relative to the dataset, `date` the UTC day of its rows."""

    path: str
    date: str
    rows: int
    begin_ns: int
    end_ns: int
    bytes: int
    sha256: str


class TableEntry(msgspec.Struct, frozen=True):
    """One table of one symbol. Of many gaps the first are listed, all are counted."""

    rows: int
    begin_ns: int
    end_ns: int
    levels: int
    locked_rows: int
    gap_count: int
    gap_seconds: float
    gaps: list[Gap]
    rejected: dict[str, int]
    partitions: list[Partition]


class InstrumentEntry(msgspec.Struct, frozen=True):
    """Tick and lot size as decimal texts, and where they came from."""

    tick_size: str
    lot_size: str
    origin: str


class ClockOffset(msgspec.Struct, frozen=True):
    """Exchange's time less receive time, ns. `note` says what it means, where it means anything."""

    median_ns: int
    min_ns: int
    max_ns: int
    note: str


class SeriesEntry(msgspec.Struct, frozen=True):
    """One symbol of one market."""

    market: str
    symbol: str
    instrument: InstrumentEntry
    clock_offset: ClockOffset | None
    tables: dict[str, TableEntry]


class SourceEntry(msgspec.Struct, frozen=True):
    """One or several files read as one. `read` = `kept` + all of `rejected` + all of `unused`, in lines or rows of the files."""

    files: list[str]
    sha256: list[str]
    bytes: int
    format: str
    read: int
    kept: int
    rejected: dict[str, int]
    unused: dict[str, int]
    rejected_file: str
    notes: list[str]


class Manifest(msgspec.Struct, frozen=True):
    """`sha256` is of every partition's hash, in order: equal data, equal hash."""

    schema_version: int
    created_utc: str
    made_by: str
    gap_seconds: float
    sha256: str
    series: list[SeriesEntry]
    sources: list[SourceEntry]
    passed_over: list[str]


def read_manifest(folder: Path, schema_version: int = SCHEMA_VERSION) -> Manifest:
    """Raises `ManifestError`."""
    path = folder / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise ManifestError(f"{folder}: no dataset (it has no {MANIFEST_FILE}); `mmd import` makes one") from error
    except (OSError, *UNREADABLE) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    if manifest.schema_version != schema_version:
        raise ManifestError(
            f"{path}: has schema version {manifest.schema_version}, this program reads {schema_version}: import the sources anew"
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Whole or not at all. Raises `OSError`."""
    fresh = folder / f"{MANIFEST_FILE}.tmp"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    fresh.replace(folder / MANIFEST_FILE)
