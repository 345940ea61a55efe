"""A dataset that `mmd import` made, as files to learn from: a day of a symbol each, with the tick and lot of its manifest."""

from __future__ import annotations

from pathlib import Path

from mmd.data.manifest import MANIFEST_FILE, ManifestError, read_manifest
from mmd.learning.errors import SourceError
from mmd.learning.parquet import BOOK_SUFFIX, TRADES_SUFFIX, Grid, ParquetFile


def is_dataset(place: Path) -> bool:
    """Whether a folder has a manifest."""
    return (place / MANIFEST_FILE).is_file()


def dataset_files(folder: Path) -> list[tuple[str, ParquetFile]]:
    """Series and file of every day that has a book, as the manifest lists them.

    Raises `SourceError` where it cannot be read, or lists a file that is not there.
    """
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        raise SourceError(str(error)) from error
    found = []
    for series in manifest.series:
        grid = Grid(float(series.instrument.tick_size), float(series.instrument.lot_size))
        for part in series.tables["book"].partitions if "book" in series.tables else ():
            book = folder / part.path
            if not book.is_file():
                raise SourceError(f"{book}: listed in the dataset's manifest, but not there: import the sources anew")
            trades = book.with_name(book.name.removesuffix(BOOK_SUFFIX) + TRADES_SUFFIX)
            file = ParquetFile(book, trades if trades.is_file() else None, series.symbol, grid)
            found.append((f"{series.market} {series.symbol} {part.date}", file))
    if not found:
        raise SourceError(f"{folder}: the dataset has no book, and trades alone cannot be learned from")
    return found
